package engine_test

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"keyfob/engine"
	"keyfob/events"
)

// TestSimulationNamesAffectedUsers records a morning and replays it under other
// policies.
func TestSimulationNamesAffectedUsers(t *testing.T) {
	w := newWorld(t)
	var journal []events.Record
	w.record = func(at events.Time, d events.Draft) {
		journal = append(journal, events.Record{Time: at, Draft: d})
	}
	for _, line := range []string{
		"user ada", "token a1 user=ada pin=471108", "user bob", "token b1 user=bob pin=593174", "user carl", "token c1 user=carl pin=806317", "clock c1 -1",
	} {
		w.do(strings.Fields(line))
	}
	w.now = w.now.Add(time.Hour)
	since := events.At(w.now)
	for _, line := range []string{
		"at 14:00:00 login ada 471108<code>",
		"at 14:01:00 login bob 1", "at 14:02:00 login bob 2", "at 14:03:00 login bob 593174<code>",
		"at 14:05:00 login carl 806317<code>",
		"at 15:05:00 login carl 806317<code>",
		"at 15:06:00 login ada 471108<code>",
	} {
		w.do(strings.Fields(line))
	}
	for _, tt := range []struct {
		name     string
		settings map[string]string
		want     []engine.Effect
	}{
		{"the same policy touches nobody", map[string]string{"lock.after": "10"}, nil},
		{"a lock after two failures", map[string]string{"lock.after": "2", "next_tokencode.after": "9"}, []engine.Effect{{User: "bob", Logins: 1, Refused: 1, Locked: 1}}},
		{"a lock after two failures in a minute", map[string]string{"lock.after": "2", "lock.within": "1m", "next_tokencode.after": "9"}, nil},
		{"a lock after two failures in two minutes", map[string]string{"lock.after": "2", "lock.within": "2m", "lock.for": "0s", "next_tokencode.after": "9"}, []engine.Effect{{User: "bob", Logins: 1, Refused: 1, Locked: 1}}},
		{"next tokencode after two failures", map[string]string{"next_tokencode.after": "2"}, []engine.Effect{{User: "bob", Logins: 1, Next: 1}}},
		{"no window at all", map[string]string{"window.fob.small": "0"}, []engine.Effect{{User: "carl", Logins: 2, Next: 1}}},
		{"a profile", map[string]string{"profile": "default", "lock.after": "2", "next_tokencode.after": "9"}, []engine.Effect{{User: "bob", Logins: 1, Refused: 1, Locked: 1}}},
		{"longer PINs", map[string]string{"pin.min": "7"}, []engine.Effect{
			{User: "ada", Logins: 2, NewPIN: 1}, {User: "bob", Logins: 1, NewPIN: 1}, {User: "carl", Logins: 2, NewPIN: 1},
		}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			s := engine.Simulate(tt.settings, since)
			for _, r := range journal {
				if err := s.Play(r); err != nil {
					t.Fatal(err)
				}
			}
			if diff := cmp.Diff(tt.want, s.Effects()); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
			if all, users := s.Totals(); all.Logins != 5 || users != 3 {
				t.Errorf("%d logins of %d users, want 5 of 3", all.Logins, users)
			}
		})
	}
	for key, value := range map[string]string{"pin.min": "99", "profile": "lax"} {
		if err := engine.Simulate(map[string]string{key: value}, since).Play(journal[len(journal)-1]); err == nil {
			t.Errorf("%s=%s is simulated", key, value)
		}
	}
}

// history is random: logins right and wrong, in time and not, answers,
// resynchronizations, at the page and at two gateways, with commands of an
// administrator in between.
type history struct {
	*world
	random  *rand.Rand
	records []events.Record
	accepts int // since the middle
	since   events.Time
}

var (
	historyUsers = []string{"ada", "bob", "carl", "dora", "erin"}
	historyDoors = []string{"", "", " client=vpn", " client=dsl", " client=vpn nochallenge"}
)

func newHistory(t *testing.T, seed uint64, policy string) *history {
	t.Helper()
	h := &history{world: newWorld(t), random: rand.New(rand.NewPCG(seed, 4711))} //nolint:gosec // a test that can be repeated
	h.record = func(at events.Time, d events.Draft) {
		h.records = append(h.records, events.Record{Time: at, Draft: d})
		if _, ok := d.Event.(events.PasscodeAccepted); ok && h.since != 0 {
			h.accepts++
		}
	}
	for _, line := range []string{
		"policy " + policy, "client vpn 192.0.2.0/24 trusted", "client dsl 198.51.100.0/24",
		"user ada", "token a1 user=ada pin=471108", "token a2 user=ada kind=hotp pin=806317",
		"user bob", "token b1 user=bob",
		"user carl", "token 000000000003 user=carl kind=securid style=pinpad form=pinpad pin=593174",
		"user dora", "token d1 user=dora kind=ondemand pin=729461",
		"user erin", "token e1 user=erin form=app pin=180264",
	} {
		if answer := h.do(strings.Fields(line)); strings.HasPrefix(answer, "refused") {
			t.Fatalf("%s: %s", line, answer)
		}
	}
	const steps = 120
	for i := range steps {
		if i == steps/2 {
			h.now = h.now.Add(25 * time.Hour) // so that a PIN may grow too old
			h.since = events.At(h.now)
		}
		h.step()
	}
	return h
}

// step advances the time a little, rarely more, and does something.
func (h *history) step() {
	wait := time.Duration(h.random.IntN(70_000)) * time.Millisecond
	if h.random.IntN(8) == 0 {
		wait = time.Duration(h.random.IntN(60)) * time.Minute
	}
	h.now = h.now.Add(wait)
	name, door := h.pick(historyUsers), h.pick(historyDoors)
	switch n := h.random.IntN(20); {
	case n < 9:
		h.do(strings.Fields("login " + name + " " + h.passcode(name, h.random.IntN(5)-2) + door))
	case n < 11 && name != "dora": // whose token shows nothing
		h.do(strings.Fields("login " + name + " " + h.pick([]string{"1", "471108<code>", "<code>", "000000000000"}) + door))
	case n < 16 && h.ticket != nil && len(h.state.User(h.ticket.User).Tokens) > 0:
		h.do(strings.Fields("answer " + h.answer(h.ticket.User) + door))
	case n == 16 && h.ticket != nil:
		h.do(strings.Fields("extend" + door))
	case n == 17 && name != "dora":
		h.do(strings.Fields("resync " + name + " " + h.passcode(name, h.random.IntN(30)) + " <code+1>"))
	case n == 18:
		h.do(strings.Fields("clock a1 " + h.pick([]string{"0", "1", "-2", "6"})))
	case n == 19:
		h.administer()
	}
}

// administer gives a random command.
func (h *history) administer() {
	serial := h.pick([]string{"a1", "a2", "b1", "000000000003", "e1"})
	h.do(strings.Fields(h.pick([]string{
		"admin unlock ada", "admin unlock " + h.pick(historyUsers), "admin new-pin " + serial, "admin clear-pin " + serial,
		"admin temporary-pin " + serial + " 639251", "admin zero-drift " + serial, "admin next-tokencode " + serial,
		"admin resync a1", "admin lost a1 allow 7 once 0123456789 9876543210", "admin found a1",
		"admin disable carl", "admin enable carl",
	})))
}

func (h *history) pick(from []string) string { return from[h.random.IntN(len(from))] }

// passcode returns what a user types who knows the PIN, with a token that is n
// intervals off.
func (h *history) passcode(name string, n int) string {
	serials := h.state.User(name).Tokens
	t := h.state.Token(serials[h.random.IntN(len(serials))])
	pin := string(t.PIN)
	switch {
	case t.Kind == engine.KindOnDemand:
		return pin
	case t.Lost != nil && h.random.IntN(2) == 0:
		return pin + h.pick([]string{"0123456789", "9876543210"})
	case t.PINStyle == "pinpad" && pin != "":
		return fmt.Sprintf("<mix:%s:code%+d@%s>", pin, n, t.Serial)
	}
	return fmt.Sprintf("%s<code%+d@%s>", pin, n, t.Serial)
}

// answer answers the open question, mostly correctly.
func (h *history) answer(name string) string {
	switch h.last.Prompt.Step {
	case events.StepNextTokencode:
		if h.last.Prompt.Sent {
			return h.pick([]string{"<sent>", "<sent>", "12345678"})
		}
		return h.pick([]string{"<code>", "<code+1>", "<code+1>", "<code+2>", "000000"})
	case events.StepLogin:
		return h.passcode(name, 1+h.random.IntN(2))
	default:
		pin := h.pick([]string{"748159", "862047", "1234", "915372"})
		return pin + " " + pin
	}
}

// simulate replays the second half of a history under settings.
func (h *history) simulate(settings map[string]string) *engine.Simulation {
	s := engine.Simulate(settings, h.since)
	for _, r := range h.records {
		if err := s.Play(r); err != nil {
			h.t.Fatal(err)
		}
	}
	return s
}

// TestSimulationOfTheSamePolicyAffectsNobody replays random histories under the
// policy under which they were recorded.
func TestSimulationOfTheSamePolicyAffectsNobody(t *testing.T) {
	var locks, logins, next, sets, resyncs, extensions int
	for seed := range uint64(150) {
		policy := []string{"lock.after=10", "lock.after=3 lock.for=10m", "next_tokencode.after=1 lock.after=4 pin.lifetime=24h", "pin.first=activation_code", "pin.source=either wait.step=10s"}[seed%5]
		h := newHistory(t, seed, policy)
		same := map[string]string{}
		for _, setting := range engine.Settings() {
			same[setting.Key] = setting.Read(h.state.Policy)
		}
		s := h.simulate(same)
		all, _ := s.Totals()
		if effects := s.Effects(); effects != nil || all.Locked != all.Was || all.Logins != h.accepts {
			t.Errorf("seed %d, %s: %d logins of %d, locked %d times, in fact %d, effects %+v", seed, policy, all.Logins, h.accepts, all.Locked, all.Was, effects)
		}
		locks, logins = locks+all.Was, logins+all.Logins
		for _, r := range h.records {
			switch e := r.Event.(type) {
			case events.PasscodeChallenged:
				if e.Conversation.Step == events.StepNextTokencode {
					next++
				}
				if e.Conversation.Extensions > 0 {
					extensions++
				}
			case events.PINSet:
				sets++
			case events.TokenResynchronized:
				resyncs++
			}
		}
	}
	t.Logf("%d logins, %d locks, asked %d times for the next tokencode, %d PINs set, %d times resynchronised, %d extensions", logins, locks, next, sets, resyncs, extensions)
	if locks == 0 || logins < 500 || next == 0 || sets == 0 || resyncs == 0 || extensions == 0 {
		t.Error("the histories do not reach every rule")
	}
}

// TestSimulationOfAnotherNumberShowsIt checks that each of these settings alone
// affects somebody in thirty random histories.
func TestSimulationOfAnotherNumberShowsIt(t *testing.T) {
	histories := make([]*history, 30)
	for seed := range histories {
		histories[seed] = newHistory(t, uint64(seed), "lock.after=8")
	}
	for _, tt := range []struct {
		setting string
		what    func(engine.Effect) int
	}{
		{"lock.after=2", func(e engine.Effect) int { return min(e.Locked-e.Was, e.Refused) }},
		{"next_tokencode.after=1", func(e engine.Effect) int { return e.Next }},
		{"window.fob.small=0", func(e engine.Effect) int { return e.Next }},
		{"window.app.small=0", func(e engine.Effect) int { return e.Next }},
		{"pin.min=8", func(e engine.Effect) int { return e.NewPIN }},
		{"pin.lifetime=24h", func(e engine.Effect) int { return e.NewPIN }},
	} {
		touched, what := 0, 0
		for _, h := range histories {
			key, value, _ := strings.Cut(tt.setting, "=")
			s := h.simulate(map[string]string{key: value})
			all, _ := s.Totals()
			touched, what = touched+len(s.Effects()), what+tt.what(all)
			if all.Logins != h.accepts {
				t.Errorf("%s: %d logins, in fact %d", tt.setting, all.Logins, h.accepts)
			}
		}
		if touched == 0 || what == 0 {
			t.Errorf("%s touches %d, as it should %d times", tt.setting, touched, what)
		}
	}
}

// TestSimulationOfLocksIsWhatWouldHaveHappened types the same input twice:
// under a policy that never locks, whose history is replayed under one that
// does, and under the latter.
func TestSimulationOfLocksIsWhatWouldHaveHappened(t *testing.T) {
	var locked, refused int
	for seed := range uint64(40) {
		lenient, strict := newWorld(t), newWorld(t)
		strict.locksOnly("lock.after=3 lock.for=20m lock.stop_after=12")
		var records []events.Record
		lenient.record = func(at events.Time, d events.Draft) { records = append(records, events.Record{Time: at, Draft: d}) }
		lenient.locksOnly("lock.after=100 lock.for=20m lock.stop_after=100")
		want := engine.Effect{User: "ada"}
		strict.record = func(_ events.Time, d events.Draft) {
			if _, ok := d.Event.(events.UserLockedOut); ok {
				want.Locked++
			}
		}
		since := events.At(lenient.now)
		random := rand.New(rand.NewPCG(seed, 815)) //nolint:gosec // a test that can be repeated
		for range 60 {
			wait := time.Duration(1+random.IntN(5)) * time.Minute
			lenient.now, strict.now = lenient.now.Add(wait), strict.now.Add(wait)
			line := strings.Fields([]string{"login ada 471108<code>", "login ada 1", "login ada 1 client=vpn", "login ada 999999<code>", "login ada 471108<code> client=vpn", "login ada 471108<code-5>"}[random.IntN(6)])
			did, would := lenient.do(line), strict.do(line)
			if did == "accept" {
				want.Logins++
				if would != "accept" {
					want.Refused++
				}
			}
		}
		s := engine.Simulate(map[string]string{"lock.after": "3", "lock.stop_after": "12"}, since)
		for _, r := range records {
			if err := s.Play(r); err != nil {
				t.Fatal(err)
			}
		}
		if got, _ := s.Totals(); got.Logins != want.Logins || got.Refused != want.Refused || got.Locked != want.Locked {
			t.Errorf("seed %d: %+v, want %+v", seed, got, want)
		}
		locked, refused = locked+want.Locked, refused+want.Refused
	}
	if locked == 0 || refused == 0 {
		t.Errorf("locked %d times, refused %d", locked, refused)
	}
}

// locksOnly is a world in which failures only lead to locks.
func (w *world) locksOnly(policy string) {
	for _, line := range []string{
		"policy next_tokencode.after=100 wait.step=0 " + policy, "client vpn 192.0.2.0/24 trusted", "user ada", "token a1 user=ada pin=471108",
	} {
		if answer := w.do(strings.Fields(line)); answer != "" {
			w.t.Fatalf("%s: %s", line, answer)
		}
	}
}

// TestSimulationKnowsWhatWasAnswered replays mornings of one user with right
// and wrong answers in conversations.
func TestSimulationKnowsWhatWasAnswered(t *testing.T) {
	slow := []string{"clock a1 -2", "login ada 471108<code>"}
	for _, tt := range []struct {
		name     string
		lines    []string
		settings map[string]string
		want     []engine.Effect
	}{
		{
			"wrong next tokencodes count like other failures",
			slices.Concat(slow, []string{"answer 000000", "at 12:05:00 login ada 471108<code>", "answer 000000"}),
			map[string]string{"lock.after": "2"},
			[]engine.Effect{{User: "ada", Locked: 1}},
		},
		{
			"a next tokencode that would not have been asked for was not wrong",
			slices.Concat(slow, []string{"answer 000000", "at 12:05:00 login ada 471108<code>", "answer 000000"}),
			map[string]string{"lock.after": "2", "window.fob.small": "3"},
			nil,
		},
		{
			"a user refused at the first step would not have been accepted at the next",
			slices.Concat([]string{"login ada 1", "login ada 2"}, slow, []string{"at 12:01:10 answer <code+1>"}),
			map[string]string{"lock.after": "2"},
			[]engine.Effect{{User: "ada", Logins: 1, Refused: 1, Locked: 1}},
		},
		{
			"a resynchronized token would be accepted under narrower windows too",
			[]string{"clock a1 3", "resync ada 471108<code> <code+1>", "at 12:03:00 login ada 471108<code>"},
			map[string]string{"window.fob.medium": "1", "window.fob.large": "1"},
			nil,
		},
		{
			"but not if users may not resynchronise",
			[]string{"clock a1 20", "resync ada 471108<code> <code+1>", "at 12:03:00 login ada 471108<code>"},
			map[string]string{"resync.by_user": "false"},
			[]engine.Effect{{User: "ada", Logins: 1, Refused: 1}},
		},
		{
			"a PIN that was set under looser rules is one to be changed, though it was set meanwhile",
			[]string{"admin clear-pin a1", "login ada <code>", "answer 839142 839142", "at 12:02:00 answer 839142<code>", "at 12:05:00 login ada 839142<code>"},
			map[string]string{"pin.min": "7"},
			[]engine.Effect{{User: "ada", Logins: 2, NewPIN: 1}},
		},
		{
			"a client that cannot be asked was refused, and is",
			[]string{"clock a1 -2", "login ada 471108<code> nochallenge", "login ada 471108<code>", "at 12:01:10 answer <code+1>"},
			map[string]string{"pin.history": "0"},
			nil,
		},
	} {
		t.Run(tt.name, func(t *testing.T) {
			w := newWorld(t)
			var journal []events.Record
			w.record = func(at events.Time, d events.Draft) { journal = append(journal, events.Record{Time: at, Draft: d}) }
			w.do(strings.Fields("user ada"))
			w.do(strings.Fields("token a1 user=ada pin=471108"))
			w.now = w.now.Add(time.Second)
			since := events.At(w.now)
			for _, line := range tt.lines {
				w.do(strings.Fields(line))
			}
			s := engine.Simulate(tt.settings, since)
			for _, r := range journal {
				if err := s.Play(r); err != nil {
					t.Fatal(err)
				}
			}
			if diff := cmp.Diff(tt.want, s.Effects()); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}
