package cluster

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"keyfob/events"
)

// Status is the cluster as one node sees it.
type Status struct {
	Summary string       `json:"summary"` // in words: who leads, who answers, what does not work
	Leader  string       `json:"leader"`  // name, empty if nobody is known to lead
	Nodes   []NodeStatus `json:"nodes"`
	Joining []Joining    `json:"joining,omitempty"` // machines that ask to join

	Rotation RotationStatus `json:"rotation"` // of the root key
}

// Joining is a machine that asks to join. It gets nothing before it is approved.
type Joining struct {
	Name        string    `json:"name"`
	Address     string    `json:"address"`
	Fingerprint string    `json:"fingerprint"` // of its keys
	Asked       time.Time `json:"asked"`
	Expires     time.Time `json:"expires"`
	Approved    bool      `json:"approved"`
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

	AuditState     string `json:"audit_state"`     // publishing, waiting, failing, idle, off; empty: not known
	AuditPublished uint64 `json:"audit_published"` // last record that its audit stream holds
	AuditError     string `json:"audit_error,omitempty"`
}

const (
	stateLeader      = "leader"
	stateFollower    = "follower"
	stateUnreachable = "unreachable"
)

// Status asks every member for its status. Members that do not answer are listed
// as unreachable, with what they last reported.
func (n *Node) Status(ctx context.Context) (Status, error) {
	n.heartbeats.exchange(ctx)
	leader := n.replica.leader()
	s := Status{Leader: nameOf(leader)}
	own := n.heartbeats.clock.Check().Offset
	for _, m := range n.replica.members() {
		ns := NodeStatus{Name: nameOf(m.ID), Address: m.Address, Voter: m.Voter, State: stateUnreachable}
		beat, answers := n.members.peers.recent(m.ID)
		if m.ID == n.id.ID {
			beat.heartbeat, answers = n.heartbeats.own(), true
			ns.ClockOffsetMS = own.Milliseconds()
		} else {
			offset, _ := n.heartbeats.clock.OffsetOf(m.ID)
			ns.ClockOffsetMS = offset.Milliseconds()
		}
		switch {
		case answers && m.ID == leader:
			ns.State = stateLeader
		case answers:
			ns.State = stateFollower
		}
		ns.LastIndex, ns.Sequence, ns.Version = beat.Last, beat.Sequence, beat.Version
		ns.AuditState, ns.AuditPublished, ns.AuditError = beat.Audit.State, beat.Audit.Published, beat.Audit.Error
		s.Nodes = append(s.Nodes, ns)
	}
	s.Rotation = n.Rotation()
	for _, i := range n.State().Asking(events.At(n.c.Now())) {
		s.Joining = append(s.Joining, Joining{
			Name: i.Node, Address: i.Address, Fingerprint: i.Fingerprint(),
			Asked: i.Asked.Std(), Expires: i.Expires.Std(), Approved: i.Approved,
		})
	}
	s.Summary = s.summary(n.c.ClockLimit)
	if words := s.Rotation.words(); words != "" {
		s.Summary += "; " + words
	}
	return s, nil
}

// summary says who leads, how many nodes answer, and what does not work.
func (s Status) summary(clockLimit time.Duration) string {
	var silent, problems []string
	voters, answering := 0, 0
	for _, n := range s.Nodes {
		if n.Voter {
			voters++
		}
		switch {
		case n.State == stateUnreachable:
			silent = append(silent, n.Name)
			continue
		case n.Voter:
			answering++
		default:
			problems = append(problems, n.Name+" has no vote yet")
		}
		if offset := time.Duration(n.ClockOffsetMS) * time.Millisecond; offset.Abs() > clockLimit {
			problems = append(problems, fmt.Sprintf("the clock of %s is off by %v", n.Name, offset.Round(100*time.Millisecond)))
		}
		if n.AuditState == auditFailing {
			problems = append(problems, n.Name+" does not publish the audit trail")
		}
	}
	text := "no leader is known"
	if s.Leader != "" {
		text = s.Leader + " leads"
	}
	text += fmt.Sprintf("; %d of %d nodes answer", len(s.Nodes)-len(silent), len(s.Nodes))
	if len(silent) > 0 {
		text += " (unreachable: " + strings.Join(silent, ", ") + ")"
	}
	if needed := voters/2 + 1; answering < needed {
		text += fmt.Sprintf("; no login or change can be decided until %d voting nodes answer", needed)
	} else if s.Leader == "" {
		text += "; no login or change can be decided until a leader is elected"
	}
	for _, p := range problems {
		text += "; " + p
	}
	return text
}

// Ready returns why this node cannot decide logins, nil if it can: it is a
// member, a majority answers, its clock is sound, the leader is known, and it has
// caught up with the leader.
func (n *Node) Ready() error {
	select {
	case <-n.stopping:
		return errStopping
	default:
	}
	if n.removal.noticed.Load() || !n.members.includesSelf() {
		return errRemoved
	}
	answering, voters := n.members.answering()
	if answering < voters/2+1 {
		return fmt.Errorf("no majority: %d of %d nodes reachable", answering, voters)
	}
	if check := n.heartbeats.clock.Check(); check.Disputed {
		return fmt.Errorf("this node's clock differs from the majority's by %v", check.Offset.Round(time.Millisecond))
	} else if !check.Sound {
		return errors.New("the clocks of too few nodes are known")
	}
	if err := n.level(); err != nil {
		return fmt.Errorf("%w (%d of %d nodes reachable)", err, answering, voters)
	}
	return nil
}

// CaughtUp returns why this node may not know everything that had been decided
// when it started, nil once it has been level with the leader. Until then, a name
// that it does not know may only be unknown here. A node that was removed learns of
// nothing any more: a credential that it knows may have been revoked.
func (n *Node) CaughtUp() error {
	if n.removal.noticed.Load() {
		return errRemoved
	}
	if n.caughtUp.Load() {
		return nil
	}
	err := n.level()
	if err == nil {
		n.caughtUp.Store(true)
	}
	return err
}

// level returns in what this node is behind, nil if it leads or has applied what
// the leader has.
func (n *Node) level() error {
	if n.batcher.leads() {
		return nil
	}
	leader := n.replica.leader()
	switch leader {
	case "":
		return errNoLeader
	case n.id.ID:
		return errors.New("this node has been elected and is not ready to lead yet")
	}
	beat, ok := n.members.peers.recent(leader)
	if !ok {
		return fmt.Errorf("the leader %s does not answer", nameOf(leader))
	}
	if !beat.Leading {
		return fmt.Errorf("the leader %s is not ready to lead yet", nameOf(leader))
	}
	// After a restart the state is that of the last snapshot until the leader
	// reports what has been committed since.
	if at := n.replica.View().Sequence; at < beat.Sequence {
		return fmt.Errorf("catching up: at record %d of %d", at, beat.Sequence)
	}
	return nil
}

// Stats are the figures of a running node, for metrics.
type Stats struct {
	Leader      bool
	Sequence    uint64
	Index       uint64        // of the last log entry applied
	Queued      int           // commands that wait for a decision on this node
	Outgoing    int           // commands that wait to be sent to the leader
	LogCommits  uint64        // transactions of the log on disk, each two fsyncs
	LogBytes    uint64        // applied since the start
	ClockOffset time.Duration // from the median of the nodes
	ClockSound  bool
}

// Stats returns this node's figures.
func (n *Node) Stats() Stats {
	view, j := n.replica.machine.View(), n.heartbeats.clock.Check()
	return Stats{
		Leader:      n.batcher.leads(),
		Sequence:    view.Sequence,
		Index:       view.Index,
		Queued:      len(n.batcher.queue),
		Outgoing:    len(n.forwarder.queue),
		LogCommits:  n.replica.store.Commits(),
		LogBytes:    n.replica.machine.Bytes(),
		ClockOffset: j.Offset,
		ClockSound:  j.Sound,
	}
}
