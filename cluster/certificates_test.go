package cluster

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"testing"

	"keyfob/cluster/link"
	"keyfob/engine"
)

// logins logs users in at every node, one after the other, until the returned function
// is called. It returns how many were let in, and the first other answer.
func (r *rig) logins(at ...*testNode) (stop func() (int, error)) {
	ctx, cancel := context.WithCancel(r.t.Context())
	var running sync.WaitGroup
	accepted, failed := 0, error(nil)
	var fobs []fob
	for i := range 40 {
		fobs = append(fobs, r.fob(fmt.Sprintf("user%d", i)))
	}
	running.Go(func() {
		for i, f := range fobs {
			if ctx.Err() != nil {
				return
			}
			out, err := at[i%len(at)].Authenticate(ctx, r.attempt(f.user, f.passcode(r.clock(""), 0)))
			switch {
			case ctx.Err() != nil:
			case err == nil && out.Verdict == engine.Accept:
				accepted++
			case failed == nil:
				failed = fmt.Errorf("%s: %v, %w", f.user, out.Verdict, err)
			}
		}
	})
	return func() (int, error) {
		running.Wait()
		cancel()
		return accepted, failed
	}
}

// behindCA are the members that do not yet show a certificate of the present CA, or do
// not answer.
func (l *leadership) behindCA() (names []string) {
	pin := link.Pin(l.replica.state().Cluster.Certificate)
	for _, m := range l.replica.members() {
		shown := link.Pin(l.file.now().CA)
		if m.ID != l.id.ID {
			beat, _ := l.peers.recent(m.ID)
			shown = beat.CA
		}
		if shown != pin {
			names = append(names, nameOf(m.ID))
		}
	}
	return names
}

// renewed waits until every running node shows a certificate of the present CA.
func (r *rig) renewed(running int, before string) {
	r.t.Helper()
	r.eventually("certificates of the new CA", func() error {
		l := r.leader()
		if link.Pin(l.State().Cluster.Certificate) == before {
			return errors.New("the CA is the former one")
		}
		if behind := l.leadership.behindCA(); len(l.replica.members())-len(behind) != running {
			return fmt.Errorf("%s show another one", strings.Join(behind, ", "))
		}
		return nil
	})
}

func (r *rig) rotateCA() {
	r.t.Helper()
	r.eventually("a new CA", func() error {
		before := link.Pin(r.leader().State().Cluster.Certificate)
		err := r.leader().leadership.rotateCA(r.t.Context())
		if link.Pin(r.leader().State().Cluster.Certificate) != before {
			return nil
		}
		return err
	})
}

// The CA is replaced while users log in, twice, while a node is down that returns
// later, and with a change of the leader before anybody has renewed its certificate.
func TestCAIsReplacedWhileUsersLogIn(t *testing.T) {
	r := newCluster(t, 3)
	pinOf := func() string { return link.Pin(r.leader().State().Cluster.Certificate) }
	first := pinOf()
	stop := r.logins(r.nodes...)
	r.rotateCA()
	r.renewed(3, first)
	if accepted, err := stop(); err != nil || accepted != 40 {
		t.Errorf("%d of 40 logins were accepted: %v", accepted, err)
	}

	down := r.follower()
	r.kill(down)
	second := pinOf()
	r.rotateCA()
	old := r.leader()
	if err := old.Transfer(t.Context(), admin(), withoutNode(withoutNode(r.nodes, down), old)[0].name); err != nil {
		t.Fatal(err)
	}
	r.renewed(2, second)
	third := pinOf()
	r.rotateCA()
	r.renewed(2, third)
	r.start(down)
	r.renewed(3, third)
	r.ready(3)
	for _, n := range r.nodes {
		id, err := n.config.loadIdentity()
		if err != nil || link.Pin(id.CA) != pinOf() {
			t.Errorf("%s has a certificate of another CA on disk: %v", n.name, err)
		}
	}
	r.join("n4")
	r.ready(4)
}

// The thief has the former CA's key. A machine that joins does not take it for the
// cluster, and an invitation that was issued before is void.
func TestFormerCAConvincesNobody(t *testing.T) {
	r := newCluster(t, 2)
	th := r.rob(r.follower())
	early, err := r.nodes[0].Invite(t.Context(), admin(), Invitee{Node: "n3", Approved: true})
	if err != nil {
		t.Fatal(err)
	}
	before := link.Pin(r.leader().State().Cluster.Certificate)
	r.rotateCA()
	r.renewed(2, before)
	if err := Join(t.Context(), early, r.config("n3"), nil); err == nil {
		t.Error("an invitation of the former CA is valid")
	}

	asked := make(chan struct{}, 1)
	l := th.as(r.nodes[0].id.ID, false, "127.0.0.1:0")
	ctx, stop := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	reached := http.HandlerFunc(func(http.ResponseWriter, *http.Request) { asked <- struct{}{} })
	go func() { ended <- l.Run(ctx, reached, reached) }()
	defer func() { stop(); <-ended }()
	text, err := r.nodes[0].Invite(t.Context(), admin(), Invitee{Node: "n3", Approved: true})
	if err != nil {
		t.Fatal(err)
	}
	i, err := parseInvitation(text)
	if err != nil {
		t.Fatal(err)
	}
	i.Addresses = []string{th.address}
	if text, err = i.text(); err != nil {
		t.Fatal(err)
	}
	if err := Join(t.Context(), text, r.config("n3"), nil); err == nil || !strings.Contains(err.Error(), "no certificate matches the pin") {
		t.Errorf("joined through the thief: %v", err)
	}
	select {
	case <-asked:
		t.Error("the thief got the invitation's secret")
	default:
	}
}
