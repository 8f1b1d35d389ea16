package cluster

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"
	"testing"
	"time"

	"keyfob/cluster/link"
	"keyfob/engine"
	"keyfob/events"
)

// invited issues an invitation that needs an approval.
func (r *rig) invited(node string) string {
	r.t.Helper()
	text, err := r.leader().Invite(r.t.Context(), admin(), Invitee{Node: node})
	if err != nil {
		r.t.Fatal(err)
	}
	return text
}

// asking joins in the background, and returns the fingerprint that the machine shows
// and where its result will be.
func (r *rig) asking(invited string, c Config) (fingerprint string, result <-chan error) {
	r.t.Helper()
	shown, done := make(chan string, 1), make(chan error, 1)
	go func() { done <- Join(r.t.Context(), invited, c, func(f string) { shown <- f }) }()
	select {
	case fingerprint = <-shown:
	case err := <-done:
		r.t.Fatalf("the machine did not wait: %v", err)
	}
	return fingerprint, done
}

func (r *rig) approve(node, fingerprint string) error {
	return r.leader().Do(r.t.Context(), admin(), engine.ApproveJoin{Node: node, Fingerprint: fingerprint})
}

// rawJoin sends a request to join and returns the answer.
func (r *rig) rawJoin(invited, node, address string, keys nodeKeys) ([]byte, error) {
	r.t.Helper()
	i, err := parseInvitation(invited)
	if err != nil {
		r.t.Fatal(err)
	}
	body, err := wireEncoding.Marshal(joinRequest{
		Secret: i.Secret, Node: node, Address: address, CSR: keys.csr, SealKey: keys.seal.Public().Bytes(),
	})
	if err != nil {
		r.t.Fatal(err)
	}
	client := link.JoinClient(link.JoinConfig{Addr: r.nodes[0].id.Address, Pin: i.Pin, ClusterID: i.Cluster, Now: time.Now})
	defer client.CloseIdleConnections()
	return post(r.t.Context(), client, body)
}

// An invitation alone opens nothing: the root key leaves after the approval, for the
// approved key.
func TestMachineGetsNothingBeforeItsApproval(t *testing.T) {
	r := newCluster(t, 2)
	text, c := r.invited("n3"), r.config("n3")
	fingerprint, result := r.asking(text, c)

	r.eventually("the request in the status of a follower", func() error {
		s, err := r.follower().Status(t.Context())
		if err != nil || len(s.Joining) != 1 || s.Joining[0].Name != "n3" || s.Joining[0].Fingerprint != fingerprint ||
			s.Joining[0].Address != c.Listen || s.Joining[0].Approved {
			return fmt.Errorf("%+v, want n3 with %s: %w", s.Joining, fingerprint, err)
		}
		return nil
	})
	var refusal *engine.Refusal
	if err := r.approve("n3", strings.Repeat("A", len(fingerprint))); !errors.As(err, &refusal) {
		t.Fatalf("another fingerprint is approved: %v", err)
	}
	if r.leader().State().Node("n3") != nil {
		t.Error("it is a member before its approval")
	}
	if _, err := os.Stat(c.file(fileRoot)); err == nil {
		t.Error("it has the root key before its approval")
	}

	// A thief of the invitation shows up with a key of its own.
	stolen, err := newNodeKeys()
	if err != nil {
		t.Fatal(err)
	}
	if answer, err := r.rawJoin(text, "n3", c.Listen, stolen); !errors.As(err, &refusal) {
		t.Errorf("another machine with the invitation hears %q, %v", answer, err)
	}
	if err := r.approve("n3", strings.ToLower(strings.ReplaceAll(fingerprint, "-", " "))); err != nil {
		t.Fatal(err)
	}
	if answer, err := r.rawJoin(text, "n3", c.Listen, stolen); !errors.As(err, &refusal) {
		t.Errorf("after the approval, another machine with the invitation hears %q, %v", answer, err)
	}
	if err := <-result; err != nil {
		t.Fatal(err)
	}
	n := &testNode{name: "n3", config: c}
	r.nodes = append(r.nodes, n)
	r.start(n)
	r.ready(3)
	if s, err := n.Status(t.Context()); err != nil || len(s.Joining) != 0 {
		t.Errorf("a member asks to join still: %+v, %v", s.Joining, err)
	}
}

func TestRefusedMachineDoesNotJoin(t *testing.T) {
	r := newCluster(t, 1)
	_, result := r.asking(r.invited("n2"), r.config("n2"))
	if err := r.leader().Do(t.Context(), admin(), engine.RefuseJoin{Node: "n2"}); err != nil {
		t.Fatal(err)
	}
	var refusal *engine.Refusal
	if err := <-result; !errors.As(err, &refusal) {
		t.Errorf("the refused machine hears %v", err)
	}
	if s, err := r.leader().Status(t.Context()); err != nil || len(s.Joining) != 0 {
		t.Errorf("status shows %+v, %v", s.Joining, err)
	}
}

func TestRequestToJoinEndsWithItsInvitation(t *testing.T) {
	r := newCluster(t, 1)
	text := r.invited("n2")
	fingerprint, result := r.asking(text, r.config("n2"))
	r.advance("", DefaultInviteTTL+time.Second)
	if err := <-result; err == nil {
		t.Error("it joined with an expired invitation")
	}
	r.eventually("the request to end", func() error {
		s, err := r.leader().Status(t.Context())
		if err == nil && len(s.Joining) != 0 {
			err = fmt.Errorf("status shows %+v", s.Joining)
		}
		return err
	})
	var refusal *engine.Refusal
	if err := r.approve("n2", fingerprint); !errors.As(err, &refusal) {
		t.Errorf("it can be approved still: %v", err)
	}
}

// The second use is refused, and recorded with its source.
func TestSecondUseOfAnInvitationIsRecorded(t *testing.T) {
	r := newCluster(t, 1)
	text, err := r.leader().Invite(t.Context(), admin(), Invitee{Node: "n2", Approved: true})
	if err != nil {
		t.Fatal(err)
	}
	c := r.config("n2")
	keys, err := newNodeKeys()
	if err != nil {
		t.Fatal(err)
	}
	if _, err := r.rawJoin(text, "n2", c.Listen, keys); err != nil {
		t.Fatal(err)
	}
	if _, err := r.rawJoin(text, "n2", c.Listen, keys); err != nil {
		t.Errorf("the same machine asks again, because it did not get the answer: %v", err)
	}
	var refusal *engine.Refusal
	if err := Join(t.Context(), text, r.config("n2"), nil); !errors.As(err, &refusal) || !strings.Contains(refusal.Text, "another machine has used") {
		t.Errorf("the second machine hears %v", err)
	}
	head := r.leader().replica.View().Sequence
	r.eventually("the record of the second use", func() error {
		for record, err := range r.leader().Journal().Records(t.Context(), 1, false) {
			if err != nil {
				return err
			}
			if e, ok := record.Event.(events.InvitationRefused); ok && e.Node == "n2" && record.Origin.SourceIP != "" {
				return nil
			}
		}
		return fmt.Errorf("none up to %d", head)
	})
}

// An address that the members cannot resolve is found before the invitation is used.
func TestAddressThatDoesNotResolveSpendsNoInvitation(t *testing.T) {
	r := newCluster(t, 1)
	text, c := r.invited("n2"), r.config("n2")
	wrong := c
	wrong.Advertise = "nowhere.invalid:7400"
	if err := Join(t.Context(), text, wrong, nil); err == nil || !strings.Contains(err.Error(), "set cluster.advertise") {
		t.Errorf("the machine hears %v", err)
	}
	keys, err := newNodeKeys()
	if err != nil {
		t.Fatal(err)
	}
	var refusal *engine.Refusal
	if _, err := r.rawJoin(text, "n2", wrong.Advertise, keys); !errors.As(err, &refusal) {
		t.Errorf("a member takes the address: %v", err)
	}
	if _, err := r.rawJoin(text, "n2", c.Listen, keys); !errors.Is(err, errAwaited) {
		t.Errorf("the invitation is spent: %v", err)
	}
}

func TestInvitationIsForOneName(t *testing.T) {
	r := newCluster(t, 1)
	text := r.invited("n2")
	if err := Join(t.Context(), text, r.config("n3"), nil); err == nil || !strings.Contains(err.Error(), "the invitation is for node n2") {
		t.Errorf("the machine hears %v", err)
	}
	keys, err := newNodeKeys()
	if err != nil {
		t.Fatal(err)
	}
	var refusal *engine.Refusal
	if _, err := r.rawJoin(text, "n3", "127.0.0.1:7400", keys); !errors.As(err, &refusal) {
		t.Errorf("a member takes the name: %v", err)
	}
	for _, ttl := range []time.Duration{MaxInviteTTL + time.Second, 24 * time.Hour} {
		if _, err := r.leader().Invite(context.WithoutCancel(t.Context()), admin(), Invitee{Node: "n3", TTL: ttl}); !errors.As(err, &refusal) {
			t.Errorf("an invitation is valid for %v: %v", ttl, err)
		}
	}
}
