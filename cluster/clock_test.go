package cluster

import (
	"errors"
	"testing"
	"time"

	"keyfob/engine"
	"keyfob/engine/tokencode"
	"keyfob/events"
)

func (r *rig) skewed(name string) (records int) {
	r.t.Helper()
	for record, err := range r.leader().Journal().Records(r.t.Context(), 1, false) {
		if err != nil {
			r.t.Fatal(err)
		}
		if e, ok := record.Event.(events.ClockSkewed); ok && e.Node == name {
			records++
		}
	}
	return records
}

func TestNodeWithAWrongClockDecidesNoLogins(t *testing.T) {
	r := newCluster(t, 3)
	f := r.fob("ada")
	r.known(f)
	wrong := r.follower()
	r.advance(wrong.name, 10*time.Second)
	if _, err := wrong.Authenticate(t.Context(), r.attempt("ada", f.passcode(r.clock(""), 0))); !errors.Is(err, engine.ErrUndecided) {
		t.Fatalf("a login: %v", err)
	}
	if err := wrong.Ready(); err == nil {
		t.Fatal("it is ready")
	}
	r.want(r.leader(), r.attempt("ada", f.passcode(r.clock(""), 0)), engine.Accept)
	r.eventually("the record of it", func() error {
		if r.skewed(wrong.name) == 0 {
			return errors.New("not recorded")
		}
		return nil
	})
	r.advance(wrong.name, -10*time.Second)
	r.ready(3)
	if n := r.skewed(wrong.name); n != 1 {
		t.Fatalf("recorded %d times", n)
	}
}

// presser is a user with an event-based token and no PIN.
func (r *rig) presser(user string) fob {
	r.t.Helper()
	f, n := fob{user: user, serial: "E-" + user}, r.leader()
	sealed, err := n.SealSeed(f.serial, engine.Secret(f.seed()))
	if err != nil {
		r.t.Fatal(err)
	}
	for _, c := range []engine.Command{
		engine.AddUser{User: user},
		engine.ImportToken{User: user, Token: events.TokenImported{
			Serial: f.serial, Kind: "hotp", Algorithm: "SHA1", Digits: 6, PINStyle: "none", Form: engine.FormFob, Sealed: sealed,
		}},
	} {
		if err := n.Do(r.t.Context(), admin(), c); err != nil {
			r.t.Fatal(err)
		}
	}
	return f
}

// pressed is the tokencode of the token's press with that number.
func (f fob) pressed(press int64) engine.Secret {
	gen, err := tokencode.New(tokencode.Params{Kind: tokencode.HOTP, Algorithm: tokencode.SHA1, Digits: 6}, f.seed())
	if err != nil {
		panic(err)
	}
	return engine.Secret(gen.At(press))
}

func TestNodeWithAWrongClockAcceptsEventTokens(t *testing.T) {
	r := newCluster(t, 3)
	f := r.presser("erin")
	r.known(f)
	wrong := r.follower()
	r.advance(wrong.name, 10*time.Second)
	r.want(wrong, r.attempt("erin", f.pressed(0)), engine.Accept)
	r.want(wrong, r.attempt("erin", f.pressed(0)), engine.Reject)
	r.eventually("a node that is not ready", func() error {
		if wrong.Ready() == nil {
			return errors.New("it is ready")
		}
		return nil
	})
	if _, err := wrong.Authenticate(t.Context(), r.attempt("nobody", "000000")); !errors.Is(err, engine.ErrUntimed) {
		t.Fatalf("a stranger is told from a user whose token follows a clock: %v", err)
	}
	r.want(r.leader(), r.attempt("erin", f.pressed(1)), engine.Accept)
}

// F-20: no two clocks agree. Event-based tokens keep working, the others wait, and no
// tokencode works twice when the clocks agree again.
func TestEventTokensWorkWithoutAgreeingClocks(t *testing.T) {
	r := newCluster(t, 3)
	timed, pressed := r.fob("ada"), r.presser("erin")
	r.known(timed)
	r.known(pressed)
	before := r.leader().replica.View().Time
	r.advance("n2", time.Hour)
	r.advance("n3", -time.Hour)
	r.eventually("all clocks to be disputed", func() error {
		for _, n := range r.nodes {
			if n.heartbeats.clock.Sound() {
				return errors.New(n.name + " trusts its clock")
			}
		}
		return nil
	})
	r.leader()
	for i, n := range r.nodes {
		r.want(n, r.attempt("erin", pressed.pressed(int64(i))), engine.Accept)
		if out, err := n.Authenticate(t.Context(), r.attempt("ada", timed.passcode(r.clock(""), 0))); !errors.Is(err, engine.ErrUntimed) {
			t.Fatalf("%s, whose clock nobody shares, decides by it: %+v, %v", n.name, out, err)
		}
	}
	if at := r.leader().replica.View().Time; at < before || at.Sub(before) > time.Minute {
		t.Fatalf("stamped %v after %v", at.Std(), before.Std())
	}
	r.advance("n2", -time.Hour)
	r.advance("n3", time.Hour)
	r.ready(3)
	for i, n := range r.nodes {
		r.want(n, r.attempt("erin", pressed.pressed(int64(i))), engine.Reject)
	}
	r.want(r.leader(), r.attempt("ada", timed.passcode(r.clock(""), 0)), engine.Accept)
	r.want(r.follower(), r.attempt("ada", timed.passcode(r.clock(""), 0)), engine.Reject)
	r.want(r.leader(), r.attempt("erin", pressed.pressed(3)), engine.Accept)
}

func TestLeaderWithAWrongClockStepsDown(t *testing.T) {
	r := newCluster(t, 3)
	f := r.fob("ada")
	wrong := r.leader()
	r.advance(wrong.name, time.Hour)
	r.eventually("another leader", func() error {
		for _, n := range r.nodes {
			if n != wrong && n.Leads() {
				return nil
			}
		}
		return errors.New("none")
	})
	r.want(r.leader(), r.attempt("ada", f.passcode(r.clock(""), 0)), engine.Accept)
	if at := r.leader().replica.View().Time; at > events.At(r.clock("").Add(time.Minute)) {
		t.Fatalf("stamped %v at %v: every clock of the cluster waits an hour now", at.Std(), r.clock(""))
	}
}

func TestClusterStartsAfterALongDowntime(t *testing.T) {
	r := newCluster(t, 3)
	f := r.fob("ada")
	r.known(f)
	for _, n := range r.nodes {
		r.kill(n)
	}
	r.advance("", 62*time.Hour)
	for _, n := range r.nodes {
		r.start(n)
	}
	r.ready(3)
	r.want(r.nodes[0], r.attempt("ada", f.passcode(r.clock(""), 0)), engine.Accept)
}
