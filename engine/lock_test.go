package engine_test

import (
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"keyfob/engine"
	"keyfob/events"
)

// model is a second, simple implementation of failures and locks: two budgets,
// a common count, waits, growing locks, a hard stop.
type model struct {
	failures int
	mode     bool // Next Tokencode mode
	budgets  [2]modelBudget
}

type modelBudget struct {
	failures, locks int
	recent          []int64 // when those happened that may still lead to a lock, milliseconds
	until, wait     int64   // milliseconds
	stopped         bool
}

// attempt is a first step, right or wrong, in time or not. It reports whether
// the user is accepted or asked for the next tokencode.
func (m *model) attempt(p engine.Policy, budget int, right bool, now int64) bool {
	b := &m.budgets[budget]
	switch {
	case b.stopped || now < b.until:
		return false
	case right && now >= b.wait:
		if !m.mode { // in the mode the next tokencode is still to come
			m.failures, m.mode = 0, false
			for i := range m.budgets { // but for a lock that is in force
				if b := &m.budgets[i]; !b.stopped && now >= b.until {
					*b = modelBudget{}
				}
			}
		}
		return true
	}
	m.failures++
	b.failures++
	b.wait = 0
	if n := b.failures - p.NextTokencodeAfter; n > 0 {
		b.wait = now + min(int64(n)*p.WaitStep.Milliseconds(), p.WaitMost.Milliseconds())
	}
	m.mode = m.mode || m.failures >= p.NextTokencodeAfter
	b.recent = append(b.recent, now)
	counting := 0
	for _, at := range b.recent {
		if p.LockWithin == 0 || now-at < p.LockWithin.Milliseconds() {
			counting++
		}
	}
	if b.failures < p.StopAfter && counting < p.LockAfter {
		return false
	}
	lasts := p.LockFor.Milliseconds()
	for range b.locks {
		lasts *= int64(p.LockGrowth)
	}
	b.locks++
	b.recent, b.wait, b.until = nil, 0, now+lasts
	b.stopped = b.failures >= p.StopAfter || lasts == 0
	return false
}

// TestLocksAreThoseOfTheModel runs a million random sequences (fewer with
// -short) against the engine and the model, under several policies.
func TestLocksAreThoseOfTheModel(t *testing.T) {
	t.Parallel()
	sequences := 1_000_000
	if testing.Short() {
		sequences = 20_000
	}
	policies := []string{
		"", "lock.within=90m", "lock.within=3h lock.after=4 lock.growth=3", "lock.within=2h lock.for=0s", "lock.growth=1 lock.for=1m",
	}
	for i, settings := range policies {
		t.Run(settings, func(t *testing.T) {
			t.Parallel()
			playLocks(t, "policy next_tokencode.after=2 lock.after=3 lock.stop_after=7 "+settings, sequences/len(policies), uint64(i))
		})
	}
}

func playLocks(t *testing.T, policy string, sequences int, seed uint64) {
	t.Helper()
	w := given(t, "user ada", "token a1 user=ada pin=471108", "client vpn 192.0.2.0/24 trusted", policy)
	begin := w.state
	token := begin.Token("a1")
	random := rand.New(rand.NewPCG(4711, seed)) //nolint:gosec // a test that can be repeated
	var let, locked, stopped int
	for sequence := range sequences {
		state, m := begin.Copy(), model{}
		p := state.Policy
		now := events.At(w.now)
		for step := range 4 + random.IntN(9) {
			if random.IntN(8) == 0 {
				now = now.Add(time.Duration(random.IntN(180)) * time.Minute)
			} else {
				now = now.Add(time.Duration(random.IntN(2500)) * time.Millisecond)
			}
			budget, right := random.IntN(2), random.IntN(6) == 0
			origin := events.Origin{Request: events.Request{1: byte(sequence), 2: byte(sequence >> 8), 3: byte(sequence >> 16), 4: byte(step + 1)}, Door: events.DoorWeb}
			if budget == 1 {
				origin.Door, origin.Client = events.DoorRADIUS, "vpn"
			}
			e := engine.TokenEvidence{Serial: "a1", Revision: token.Revision, Found: right, PIN: right}
			if right {
				e.Interval = max(int64(now)/60_000, state.Token("a1").Last+1)
				if e.Interval > int64(now)/60_000+1 {
					continue // no code left to type within the window
				}
			}
			d, err := engine.DecideLogin(state, origin, engine.Authenticate{User: "ada", Evidence: engine.Evidence{Tokens: []engine.TokenEvidence{e}}}, now)
			if err != nil {
				t.Fatal(err)
			}
			for _, draft := range d.Drafts {
				state.Apply(now, draft)
			}
			want := m.attempt(p, budget, right, int64(now))
			u := state.User("ada")
			if want {
				let++
			}
			got := d.Answer.Verdict != engine.Reject
			if got != want || int(u.Failures) != m.failures || state.Token("a1").NextTokencode != m.mode ||
				len(u.Strangers.Recent) >= p.LockAfter || len(u.Trusted.Recent) >= p.LockAfter ||
				int(u.Strangers.Count) != m.budgets[0].locks || int(u.Trusted.Count) != m.budgets[1].locks ||
				u.Strangers.Stopped != m.budgets[0].stopped || u.Trusted.Stopped != m.budgets[1].stopped {
				t.Fatalf("sequence %d, step %d (budget %d, right %v): let in %v, want %v; user %+v, model %+v",
					sequence, step, budget, right, got, want, u, m)
			}
		}
		for _, b := range m.budgets {
			locked += b.locks
			if b.stopped {
				stopped++
			}
		}
	}
	t.Logf("%d sequences: let in %d times, locked %d times, stopped %d times", sequences, let, locked, stopped)
	if let == 0 || locked == 0 || stopped == 0 {
		t.Error("the sequences do not reach every state")
	}
}

// TestAttackerHasAtMostAHundredTries: NIST SP 800-63B-4, section 3.2.2. The
// attacker tries again whenever a wait or a lock has ended.
func TestAttackerHasAtMostAHundredTries(t *testing.T) {
	hours := func(all ...int) (locks []time.Duration) {
		for _, n := range all {
			locks = append(locks, time.Duration(n)*time.Hour)
		}
		return locks
	}
	for _, c := range []struct {
		profile string
		pause   time.Duration
		tries   int
		locks   []time.Duration
	}{
		{"default", 0, 100, append([]time.Duration{30 * time.Minute}, hours(1, 2, 4, 8, 16, 32, 64, 128)...)},
		{"default", 24 * time.Hour, 100, append([]time.Duration{30 * time.Minute}, hours(1, 2, 4, 8, 16, 32, 64, 128)...)},
		{"strict", 0, 50, hours(1, 2, 4, 8, 16, 32, 64, 128, 256)},
		{"rsa", 0, 5, nil},               // five in 24 hours, and then the help desk
		{"rsa", 6 * time.Hour, 100, nil}, // never five, and no more of them all the same
	} {
		w := given(t, "user ada", "token a1 user=ada pin=47110815", "policy profile="+c.profile+" approval.required=none")
		var locks []time.Duration
		tries := 0
		for ; tries < 1000 && !w.state.User("ada").Strangers.Stopped; tries++ {
			w.do([]string{"login", "ada", "000000"})
			l := w.state.User("ada").Strangers
			if l.Until > events.At(w.now) {
				locks = append(locks, l.Until.Sub(events.At(w.now)))
			}
			w.now = max(l.Wait, l.Until, events.At(w.now.Add(c.pause))).Std()
		}
		if tries != c.tries || !slices.Equal(locks, c.locks) {
			t.Errorf("%s, every %v: %d tries, locks of %v; want %d, %v", c.profile, c.pause, tries, locks, c.tries, c.locks)
		}
		w.now = w.now.AddDate(1, 0, 0)
		right := []string{"login", "ada", "47110815" + w.code("a1", 0)}
		if got := w.do(right); got != "reject user_locked" {
			t.Errorf("%s, a year later: %s", c.profile, got)
		}
		w.do([]string{"admin", "unlock", "ada"})
		if got := w.do(right); got != inMode {
			t.Errorf("%s, unlocked: %s", c.profile, got)
		}
	}
}
