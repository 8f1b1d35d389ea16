package cluster

import (
	"context"
	"errors"
	"fmt"
	"time"
)

// Status is the cluster as one node sees it.
type Status struct {
	Leader string       `json:"leader"` // name, empty if nobody is known to lead
	Nodes  []NodeStatus `json:"nodes"`
}

// NodeStatus is one member.
type NodeStatus struct {
	Name          string `json:"name"`
	Address       string `json:"address"`
	State         string `json:"state"` // leader, follower, unreachable
	Voter         bool   `json:"voter"`
	LastIndex     uint64 `json:"last_index"`      // of its log
	Sequence      uint64 `json:"sequence"`        // of the last record it has applied
	ClockOffsetMS int64  `json:"clock_offset_ms"` // from the median of the nodes
	Version       string `json:"version"`
}

// Status asks every member how it is. Those that do not answer are listed as
// unreachable, with what was last heard.
func (n *Node) Status(ctx context.Context) (Status, error) {
	n.heartbeats.exchange(ctx)
	leader := n.replica.leader()
	s := Status{Leader: nameOf(leader)}
	own := n.heartbeats.clock.Check().Offset
	for _, m := range n.replica.members() {
		ns := NodeStatus{Name: nameOf(m.ID), Address: m.Address, Voter: m.Voter, State: "unreachable"}
		var beat heartbeat
		if m.ID == n.id.ID {
			beat = n.heartbeats.own()
			ns.State = stateOf(m.ID, leader)
			ns.ClockOffsetMS = own.Milliseconds()
		} else if last, ok := n.members.peers.of(m.ID); ok {
			beat = last.heartbeat
			if _, ok := n.members.peers.recent(m.ID); ok {
				ns.State = stateOf(m.ID, leader)
			}
			offset, _ := n.heartbeats.clock.OffsetOf(m.ID)
			ns.ClockOffsetMS = offset.Milliseconds()
		}
		ns.LastIndex, ns.Sequence, ns.Version = beat.Last, beat.Sequence, beat.Version
		s.Nodes = append(s.Nodes, ns)
	}
	return s, nil
}

func stateOf(id, leader string) string {
	if id == leader {
		return "leader"
	}
	return "follower"
}

// Ready says what keeps this node from answering logins, nil if nothing: it is
// a member, knows the leader, has caught up with it, and its clock is sound.
func (n *Node) Ready() error {
	select {
	case <-n.stopping:
		return errors.New("this node stops")
	default:
	}
	if !n.members.includesSelf() {
		return errors.New("this node is not a member of the cluster any more")
	}
	if j := n.heartbeats.clock.Check(); !j.Sound {
		return fmt.Errorf("no majority agrees with this node's clock, which is %v off", j.Offset.Round(time.Millisecond))
	}
	return n.level()
}

// CaughtUp says what keeps this node from knowing all that had been decided when
// it started; nil, once it has been level with the leader. Until then a name
// that it does not know may be one that it is yet to hear of.
func (n *Node) CaughtUp() error {
	if n.caughtUp.Load() {
		return nil
	}
	err := n.level()
	if err == nil {
		n.caughtUp.Store(true)
	}
	return err
}

// level says what this node is behind in, nil if nothing: it leads, or has what
// the leader has.
func (n *Node) level() error {
	if n.batcher.leads() {
		return nil
	}
	leader := n.replica.leader()
	switch {
	case leader == "":
		return errNoLeader
	case leader == n.id.ID:
		return errors.New("this node has just been elected and is not ready to lead")
	}
	beat, ok := n.members.peers.recent(leader)
	if !ok {
		return fmt.Errorf("nothing was heard of the leader %s lately", nameOf(leader))
	}
	if !beat.Leading {
		return fmt.Errorf("the leader %s is not ready to lead", nameOf(leader))
	}
	// After a restart the state is that of the last snapshot until the leader
	// says what has been committed since.
	if at := n.replica.machine.View().Sequence; at < beat.Sequence {
		return fmt.Errorf("catching up: at record %d of %d", at, beat.Sequence)
	}
	return nil
}

// Stats are figures of a running node.
type Stats struct {
	Leader      bool
	Sequence    uint64
	Index       uint64        // of the last log entry applied
	Queued      int           // commands that wait on this node as the leader
	Outgoing    int           // commands that wait to be sent to the leader
	LogCommits  uint64        // transactions of the log on disk, each two fsyncs
	LogBytes    uint64        // applied since the start
	ClockOffset time.Duration // from the median of the nodes
	ClockSound  bool
}

// Stats gives this node's figures.
func (n *Node) Stats() Stats {
	view, j := n.replica.machine.View(), n.heartbeats.clock.Check()
	return Stats{
		Leader:      n.batcher.leads(),
		Sequence:    view.Sequence,
		Index:       view.Index,
		Queued:      len(n.batcher.queue),
		Outgoing:    len(n.forwarder.queue),
		LogCommits:  n.replica.store.commits.Load(),
		LogBytes:    n.replica.machine.Bytes(),
		ClockOffset: j.Offset,
		ClockSound:  j.Sound,
	}
}
