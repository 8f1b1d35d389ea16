package cluster

import (
	"bytes"
	"errors"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"time"

	"keyfob/engine"
)

// syncBuffer is a buffer for the logs of several goroutines.
type syncBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (s *syncBuffer) Write(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.b.Write(p)
}

func (s *syncBuffer) String() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.b.String()
}

// A node that is removed while it runs logs its removal, denies requests, and stops. The
// others continue, even if one of two remains.
func TestRemovedNodeStops(t *testing.T) {
	for name, tc := range map[string]struct {
		size   int
		leader bool
	}{
		"a follower":        {3, false},
		"the leader":        {3, true},
		"one of two":        {2, false},
		"the leader of two": {2, true},
	} {
		t.Run(name, func(t *testing.T) {
			var log syncBuffer
			r := newClusterOf(t, tc.size, func(c *Config) { c.Log = slog.New(slog.NewTextHandler(&log, nil)) })
			f := r.fob("ada")
			r.known(f)
			gone := r.follower()
			if tc.leader {
				gone = r.leader()
			}
			if err := r.leader().RemoveNode(t.Context(), admin(), gone.name); err != nil {
				t.Fatal(err)
			}
			var err error
			select {
			case err = <-gone.done:
				gone.done = nil
			case <-time.After(30 * time.Second):
				t.Fatal("it keeps running")
			}
			if err == nil || !strings.HasPrefix(err.Error(), "this node was removed from the cluster;") || strings.Contains(err.Error(), "\n") {
				t.Errorf("it stopped with %v", err)
			}
			if !strings.Contains(log.String(), `msg="this node was removed from the cluster; it no longer serves requests" node=`+gone.name) {
				t.Errorf("its log does not say so:\n%s", log.String())
			}
			if _, err := gone.Authenticate(t.Context(), r.attempt("ada", f.passcode(r.clock(""), 0))); !errors.Is(err, engine.ErrUndecided) {
				t.Errorf("it answers a login with %v", err)
			}
			if err := gone.Ready(); err == nil {
				t.Error("it is ready")
			}
			if err := gone.CaughtUp(); err == nil {
				t.Error("it vouches for the API tokens that it knows")
			}
			if n, err := Open(gone.config); err == nil || !strings.Contains(err.Error(), "was removed from the cluster") {
				t.Errorf("it starts again: %v", err)
				if err == nil {
					_ = n.Close()
				}
			}
			r.want(r.leader(), r.attempt("ada", f.passcode(r.clock(""), 0)), engine.Accept)
			r.eventually("the others to forget it", func() error {
				if n := len(r.leader().replica.members()); n != tc.size-1 {
					return errors.New("it is still a member")
				}
				return nil
			})
		})
	}
}

func TestLastNodeIsNotRemoved(t *testing.T) {
	r := newCluster(t, 1)
	var refusal *engine.Refusal
	if err := r.nodes[0].RemoveNode(t.Context(), admin(), "n1"); !errors.As(err, &refusal) || refusal.Code != engine.Conflict {
		t.Fatalf("removing the last node: %v", err)
	}
	r.ready(1)
}

// A node with the name of a removed one applies the record of that removal when it joins.
func TestNodeMayJoinUnderTheNameOfARemovedOne(t *testing.T) {
	r := newCluster(t, 3)
	gone := r.follower()
	if err := r.leader().RemoveNode(t.Context(), admin(), gone.name); err != nil {
		t.Fatal(err)
	}
	<-gone.done
	gone.done = nil
	r.nodes = withoutNode(r.nodes, gone)
	again := r.join(gone.name)
	r.ready(3)
	r.addUsers("later", 3)
	r.ready(3)
	select {
	case err := <-again.done:
		again.done = nil
		t.Fatalf("it stopped with %v", err)
	default:
	}
}
