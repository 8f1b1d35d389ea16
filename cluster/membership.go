package cluster

import (
	"slices"
	"sync"
	"time"

	"keyfob/cluster/link"
	"keyfob/events"
)

// membership is who belongs to the cluster and what was last heard of them.
type membership struct {
	self    string // id of this node
	replica *replica
	peers   peers
}

// Member implements link.Membership. A member whose key is not known is none.
func (m *membership) Member(id string) (link.Member, bool) {
	if !m.replica.started.Load() {
		return link.Member{}, false
	}
	for _, list := range [][]member{m.known(), m.peers.reported(m.replica.raft.CommitIndex())} {
		for _, one := range list {
			if one.ID == id && one.Key != (events.Hash{}) {
				return link.Member{Address: one.Address, Key: one.Key}, true
			}
		}
	}
	return link.Member{}, false
}

// known are the members: those of Raft's configuration, or before there is one,
// those that others reported, lately or when this node joined.
func (m *membership) known() []member {
	if list := m.replica.members(); len(list) > 0 {
		return list
	}
	if list := m.peers.reported(0); len(list) > 0 {
		return list
	}
	return m.replica.file.now().Members
}

// includesSelf reports whether this node is a member, as far as it knows.
func (m *membership) includesSelf() bool {
	return slices.ContainsFunc(m.known(), func(one member) bool { return one.ID == m.self })
}

// answering is how many voters answered lately, this node included, and how many
// there are.
func (m *membership) answering() (count, voters int) {
	for _, one := range m.known() {
		if !one.Voter {
			continue
		}
		voters++
		if _, ok := m.peers.recent(one.ID); ok || one.ID == m.self {
			count++
		}
	}
	return count, voters
}

// peers are the heartbeats of the other nodes.
type peers struct {
	silentAfter time.Duration // age at which a heartbeat says nothing

	mu      sync.Mutex // guards the fields below
	last    map[string]received
	learned []member // reported by the node with the longest log, while ours is shorter
	index   uint64   // commit index of that node
}

// received is a heartbeat and when it arrived.
type received struct {
	heartbeat
	at time.Time
}

// of is the last heartbeat of a node.
func (p *peers) of(id string) (received, bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	h, ok := p.last[id]
	return h, ok
}

// recent is the last heartbeat of a node, unless it is too old.
func (p *peers) recent(id string) (received, bool) {
	h, ok := p.of(id)
	return h, ok && time.Since(h.at) <= p.silentAfter
}

// store keeps a heartbeat. A node that was down for long may not know the nodes
// that joined in the meantime, including the leader. Until its own log has
// caught up, it trusts the list of any member whose log is longer.
func (p *peers) store(id string, h heartbeat, commit uint64) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.last[id] = received{heartbeat: h, at: time.Now()}
	if h.Commit > max(commit, p.index) {
		p.learned, p.index = h.Members, h.Commit
	}
}

// reported are the members that others reported, none if our log is longer.
func (p *peers) reported(commit uint64) []member {
	p.mu.Lock()
	defer p.mu.Unlock()
	if commit > 0 && commit >= p.index {
		return nil
	}
	return p.learned
}

// keep removes the nodes that are no longer members.
func (p *peers) keep(ids []string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for id := range p.last {
		if !slices.Contains(ids, id) {
			delete(p.last, id)
		}
	}
}
