package cluster

import (
	"errors"
	"strings"
	"testing"
	"time"
)

func TestSummarySaysWhoLeadsAndWhatDoesNotWork(t *testing.T) {
	node := func(name, state string, offset int64) NodeStatus {
		return NodeStatus{Name: name, State: state, Voter: true, ClockOffsetMS: offset}
	}
	newcomer := node("n4", stateFollower, 0)
	newcomer.Voter = false
	for _, tc := range []struct {
		want   string
		leader string
		nodes  []NodeStatus
	}{
		{"n1 leads; 1 of 1 nodes answer", "n1", []NodeStatus{node("n1", stateLeader, 0)}},
		{
			"n2 leads; 3 of 3 nodes answer", "n2",
			[]NodeStatus{node("n1", stateFollower, -1999), node("n2", stateLeader, 0), node("n3", stateFollower, 2000)},
		},
		{
			"n2 leads; 2 of 3 nodes answer (unreachable: n3)", "n2",
			[]NodeStatus{node("n1", stateFollower, 0), node("n2", stateLeader, 0), node("n3", stateUnreachable, 90000)},
		},
		{
			"no leader is known; 1 of 3 nodes answer (unreachable: n2, n3); no login or change can be decided until 2 voting nodes answer", "",
			[]NodeStatus{node("n1", stateFollower, 0), node("n2", stateUnreachable, 0), node("n3", stateUnreachable, 0)},
		},
		{
			"no leader is known; 2 of 3 nodes answer (unreachable: n3); no login or change can be decided until a leader is elected", "",
			[]NodeStatus{node("n1", stateFollower, 0), node("n2", stateFollower, 0), node("n3", stateUnreachable, 0)},
		},
		{
			"n1 leads; 3 of 3 nodes answer; the clock of n2 is off by -12.5s; n4 has no vote yet", "n1",
			[]NodeStatus{node("n1", stateLeader, 0), node("n2", stateFollower, -12480), newcomer},
		},
	} {
		s := Status{Leader: tc.leader, Nodes: tc.nodes}
		if got := s.summary(2 * time.Second); got != tc.want {
			t.Errorf("it says %q\nwant    %q", got, tc.want)
		}
	}
}

func TestReadinessWithoutAMajorityCountsNodes(t *testing.T) {
	r := newCluster(t, 3)
	n := r.follower()
	r.isolate(n.name, true)
	r.eventually("the count", func() error {
		err := n.Ready()
		switch {
		case err == nil:
			return errors.New("it is ready")
		case strings.Contains(err.Error(), "clock"):
			t.Fatalf("cut off from the others, it says %v", err)
		case err.Error() != "no majority: 1 of 3 nodes reachable":
			return err
		}
		return nil
	})
	s, err := n.Status(t.Context())
	if err != nil || !strings.Contains(s.Summary, "1 of 3 nodes answer (unreachable: ") {
		t.Errorf("the summary is %q, %v", s.Summary, err)
	}
	r.isolate(n.name, false)
	r.ready(3)
	if s, err := n.Status(t.Context()); err != nil || s.Summary != r.leader().name+" leads; 3 of 3 nodes answer" {
		t.Errorf("the summary is %q, %v", s.Summary, err)
	}
}
