package cluster

import (
	"crypto/sha256"
	"errors"
	"testing"

	"keyfob/engine"
	"keyfob/events"
)

// A session that has ended is refused at every node: by its own state once it has
// applied the end, and by the leader for a command that a node forwards without
// knowing yet.
func TestEndedSessionIsRefusedAtEveryNode(t *testing.T) {
	for what, end := range map[string]engine.Command{
		"logout":       engine.EndSession{User: "ada"},
		"disabled":     engine.DisableUser{User: "ada"},
		"role revoked": engine.RevokeRole{User: "ada", AtSocket: true},
		"no token":     engine.DisableToken{Serial: "T-ada"},
	} {
		t.Run(what, func(t *testing.T) {
			r := newCluster(t, 3)
			f := r.fob("ada")
			n, follower := r.leader(), r.follower()
			if err := n.Do(t.Context(), admin(), engine.GrantRole{User: "ada", Role: engine.RoleAdmin}); err != nil {
				t.Fatal(err)
			}
			r.known(f)
			login := r.attempt("ada", f.passcode(r.clock(""), 0))
			login.Origin.Door, login.Origin.Client = events.DoorAPI, ""
			r.want(follower, login, engine.Accept)
			digest := sha256.Sum256([]byte("secret of ada"))
			own := func() events.Origin {
				return events.Origin{Request: newRequest(), Door: events.DoorAPI, Actor: engine.UserActor("ada"), Session: engine.SessionName(digest)}
			}
			open := engine.OpenSession{User: "ada", Digest: digest, Network: "192.0.2.7/32", Login: login.Origin.Request}
			if err := follower.Do(t.Context(), own(), open); err != nil {
				t.Fatal(err)
			}
			if err := follower.Do(t.Context(), own(), engine.AddUser{User: "before"}); err != nil {
				t.Fatal(err)
			}
			if err := n.Do(t.Context(), admin(), end); err != nil {
				t.Fatal(err)
			}
			var refusal *engine.Refusal
			if err := follower.Do(t.Context(), own(), engine.AddUser{User: "after"}); !errors.As(err, &refusal) || refusal.Code != engine.Forbidden {
				t.Errorf("a forwarded command: %v, want it forbidden", err)
			}
			if err := follower.Do(t.Context(), own(), open); !errors.As(err, &refusal) {
				t.Errorf("the session is opened again: %v", err)
			}
			for _, m := range r.nodes {
				r.eventually(m.name+" knows", func() error {
					if m.State().SessionWith(digest) != nil {
						return errors.New("it still accepts the session")
					}
					return nil
				})
			}
		})
	}
}
