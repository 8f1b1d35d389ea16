package api

import (
	"net/http"
	"os"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"keyfob/engine"
	"keyfob/engine/diagnosis"
	"keyfob/events"
)

func TestEveryReasonHasWords(t *testing.T) {
	source, err := os.ReadFile("../events/events.go")
	if err != nil {
		t.Fatal(err)
	}
	reasons := regexp.MustCompile(`Reason\w+ +Reason = "(\w+)"`).FindAllStringSubmatch(string(source), -1)
	if len(reasons) < 20 {
		t.Fatalf("only %d reasons found", len(reasons))
	}
	for _, m := range reasons {
		if reasonWords[events.Reason(m[1])] == "" {
			t.Errorf("%s has no words", m[1])
		}
	}
	if len(reasonWords) != len(reasons) {
		t.Errorf("%d words for %d reasons", len(reasonWords), len(reasons))
	}
}

func TestOffsetsAreToldInWords(t *testing.T) {
	f := newFake(t)
	f.put(t, engine.TableTokens, engine.Token{Serial: "h1", Kind: "hotp"})
	for _, tc := range []struct {
		serial string
		offset int64
		reason events.Reason
		words  string
	}{
		{"0001", -4, "outside_window", "PIN correct, tokencode 4 intervals slow; outside the window of 3"},
		{"0001", 11, "outside_window", "PIN correct, tokencode 11 intervals fast; outside the window of 10"},
		{"0001", -2, "drift", "PIN correct, tokencode 2 intervals slow; outside the window of 1"},
		{"0001", -1, "tokencode_reused", "this tokencode, or a later one, was already used; it was 1 interval slow"},
		{"0001", 0, "tokencode_reused", "this tokencode, or a later one, was already used; it was on time"},
		{"h1", 8, "outside_window", "PIN correct, tokencode 8 presses ahead; outside the window of 7"},
		{"gone", -4, "outside_window", "PIN and tokencode correct, but the token's clock is off"},
	} {
		r := diagnosis.Refusal{Reason: tc.reason, User: "ada", Serial: tc.serial, Offset: &tc.offset}
		if words := refusalWords(f.state, r); words != tc.words {
			t.Errorf("%s %+d: %q, want %q", tc.reason, tc.offset, words, tc.words)
		}
	}
}

// attempt adds the records of an attempt to the journal.
func (f *fake) attempt(reference string, e ...events.Event) {
	for _, one := range e {
		n := uint64(len(f.records) + 1)
		f.records = append(f.records, events.Record{Sequence: n, Time: events.At(noon.Add(time.Duration(n) * time.Second)), Draft: events.Draft{
			Origin: events.Origin{Reference: reference, Node: "n2", Site: "hq", Door: events.DoorRADIUS, Client: "vpn", SourceIP: "192.0.2.9"}, Event: one,
		}})
	}
}

func TestReferenceShowsWhatHappened(t *testing.T) {
	f := newFake(t)
	offset := int64(-4)
	f.attempt("AAAA-AAAA", events.PasscodeRejected{User: "ada", Reason: events.ReasonBadPIN})
	f.attempt("7K3M-QX01",
		events.PasscodeRejected{User: "ada", Serial: "0001", Reason: events.ReasonOutsideWindow, Offset: &offset},
		events.FailureCounted{User: "ada", Failures: 3}, events.NextTokencodeRequired{Serial: "0001", User: "ada"})
	for range 3 * referenceStride {
		f.attempt("BBBB-BBBB", events.PasscodeAccepted{User: "bob"})
	}
	a := f.api(t)
	for _, spelling := range []string{"7K3M-QX01", "7k3mqx01", "7k3m%20qxol"} {
		status, body := call(t, a, RoleHelpdesk, get, "/audit/references/"+spelling, "")
		if status != http.StatusOK {
			t.Fatalf("%s: status %d: %s", spelling, status, body)
		}
		r := decode[ReferenceReport](t, body)
		if r.User != "ada" || r.Outcome != "reject" || r.Client != "vpn" || r.Node != "n2" || *r.Offset != -4 || !r.Known {
			t.Errorf("%+v", r)
		}
		if r.Words != "refused: PIN correct, tokencode 4 intervals slow; outside the window of 3" || r.Next == "" {
			t.Errorf("words %q, next %q", r.Words, r.Next)
		}
		var told []string
		for _, e := range r.Events {
			told = append(told, e.Words)
		}
		want := []string{r.Words, "failure 3 since the last success", "token 0001 entered Next Tokencode mode"}
		if diff := cmp.Diff(want, told); diff != "" {
			t.Errorf("events (-want +got):\n%s", diff)
		}
	}
	status, body := call(t, a, RoleHelpdesk, get, "/audit/references/7K3M-QX02", "")
	if status != http.StatusNotFound || !strings.Contains(body, "the whole audit trail") {
		t.Errorf("status %d: %s", status, body)
	}
	for _, none := range []string{"----", "7K3M", "7K3M-QX4P7", "7K3M-QXUP"} {
		if status, body := call(t, a, RoleHelpdesk, get, "/audit/references/"+none, ""); status != http.StatusUnprocessableEntity || !strings.Contains(body, "is not a reference") {
			t.Errorf("%s: status %d: %s", none, status, body)
		}
	}
}

func TestReferenceOfASampledRefusalIsFound(t *testing.T) {
	f := newFake(t)
	f.attempt("AAAA-AAAA", events.PasscodeRejected{Digest: "d", Reason: events.ReasonUserUnknown, Count: 3, Others: []string{"CCCC-CCC1", "CCCC-CCC2"}})
	f.attempt("BBBB-BBBB", events.PasscodeAccepted{User: "bob"})
	_, body := call(t, f.api(t), RoleHelpdesk, get, "/audit/references/cccc-cccl", "")
	r := decode[ReferenceReport](t, body)
	if r.Reason != "user_unknown" || r.Known || r.Next == "" ||
		r.Words != "refused: no such user; one of 3 such refusals; this one has no record of its own, and the details are those of the last one" {
		t.Errorf("%+v", r)
	}
	if _, body := call(t, f.api(t), RoleHelpdesk, get, "/audit/references/AAAA-AAAA", ""); strings.Contains(body, "no record of its own") {
		t.Errorf("its own: %s", body)
	}
}

func TestReferenceOfACommandShowsTheActor(t *testing.T) {
	f := newFake(t)
	f.attempt("7K3M-QX4P", events.UserUnlocked{User: "ada"})
	f.records[0].Origin.Actor, f.records[0].Origin.Note = "token:desk", "she called"
	_, body := call(t, f.api(t), RoleAuditor, get, "/audit/references/7K3M-QX4P", "")
	r := decode[ReferenceReport](t, body)
	if r.Outcome != "changed" || r.Actor != "token:desk" || r.Note != "she called" || r.User != "ada" || r.Words != "user unlocked, user ada" || r.Next != "" {
		t.Errorf("%+v", r)
	}
}

func TestReferenceIsFoundAcrossReads(t *testing.T) {
	for _, after := range []int{referenceStride - 1, referenceStride - 2, referenceStride} {
		f := newFake(t)
		f.attempt("AAAA-AAAA", events.PasscodeRejected{User: "ada"})
		f.attempt("CCCC-CCCC", events.PasscodeRejected{User: "ada", Reason: events.ReasonBadPIN}, events.FailureCounted{User: "ada", Failures: 1})
		for range after {
			f.attempt("BBBB-BBBB", events.PasscodeAccepted{User: "bob"})
		}
		found, searched, err := f.api(t).find(t.Context(), "CCCCCCCC")
		if err != nil || len(found) != 2 || found[0].Sequence != 2 {
			t.Errorf("%d events after: found %d, %+v, %v", after, len(found), searched, err)
		}
	}
}

func TestSearchForAReferenceIsBounded(t *testing.T) {
	f := newFake(t)
	for range 5 * referenceStride {
		f.attempt("BBBB-BBBB", events.PasscodeAccepted{User: "bob"})
	}
	a := f.api(t)
	a.cfg.Now = func() time.Time { f.now = f.now.Add(referenceFor / 4); return f.now }
	status, body := call(t, a, RoleHelpdesk, get, "/audit/references/7K3M-QX01", "")
	if status != http.StatusNotFound || !strings.Contains(body, "not found in events 8193 to 20480, back to 2026-11-02T14:16:33Z") {
		t.Errorf("status %d: %s", status, body)
	}
}

func TestStateReportsATokencodeThatWasNotSent(t *testing.T) {
	f := newFake(t)
	f.put(t, engine.TableUsers, engine.User{Name: "olga", Tokens: []string{"O1"}})
	f.put(t, engine.TableTokens, engine.Token{
		Serial: "O1", Kind: engine.KindOnDemand, Digits: 8, User: "olga", PIN: []byte("sealed"), PINRevision: 1, NotSent: events.At(noon.Add(-time.Minute)),
	})
	f.attempt("7K3M-QX01", events.PasscodeChallenged{User: "olga", Conversation: events.Conversation{Serial: "O1", Step: events.StepNextTokencode}})
	f.attempt("7K3M-QX01", events.TokencodeNotSent{User: "olga", Serial: "O1", Way: "mail", Result: "failed"})
	_, body := call(t, f.api(t), RoleHelpdesk, get, "/users/olga/state", "")
	if s := decode[UserState](t, body); s.Summary != "the tokencode requested at 2026-11-02T11:59:00Z was not sent" {
		t.Errorf("summary %q", s.Summary)
	}
	_, body = call(t, f.api(t), RoleHelpdesk, get, "/audit/references/7K3M-QX01", "")
	r := decode[ReferenceReport](t, body)
	if len(r.Events) != 2 || r.Events[1].Words != "the requested tokencode was not sent by mail: failed" {
		t.Errorf("%+v", r.Events)
	}
}

func TestStateHasAOneLineSummary(t *testing.T) {
	f := newFake(t)
	offset := int64(-4)
	f.put(t, engine.TableUsers, engine.User{
		Name: "bob", Tokens: []string{"b1"}, Failures: 4, LastSuccess: events.At(noon.Add(-time.Hour)),
		Strangers: engine.Lock{Failures: 4, Wait: events.At(noon.Add(time.Second))}, Trusted: engine.Lock{Failures: 10, Count: 1, Until: events.At(noon.Add(time.Hour))},
	})
	f.put(t, engine.TableTokens, *steady("b1", "bob"))
	f.attempt("7K3M-QX01", events.PasscodeRejected{User: "bob", Serial: "b1", Reason: events.ReasonOutsideWindow, Offset: &offset})
	status, body := call(t, f.api(t), RoleHelpdesk, get, "/users/bob/state", "")
	if status != http.StatusOK {
		t.Fatalf("status %d: %s", status, body)
	}
	s := decode[UserState](t, body)
	want := "PIN correct, tokencode 4 intervals slow; outside the window of 3; " +
		"must wait on the page and at clients that are not trusted until 2026-11-02T12:00:01Z, after 4 failures; " +
		"locked at trusted clients until 2026-11-02T13:00:00Z; needs the next tokencode"
	if s.Summary != want {
		t.Errorf("summary %q, want %q", s.Summary, want)
	}
	strangers, trusted := s.Budgets[0], s.Budgets[1]
	if strangers.Left != 6 || strangers.Locked || strangers.WaitUntil == nil || trusted.Left != 10 || !trusted.Locked || trusted.LockedUntil == nil {
		t.Errorf("budgets %+v", s.Budgets)
	}
	if d := s.Drifts[0]; len(d.History) != 3 || d.Trend == nil || d.Trend.HoldsDays < 29.9 || d.Trend.HoldsDays > 30.1 {
		t.Errorf("drift %+v", d)
	}
	f.put(t, engine.TableUsers, engine.User{Name: "bob"})
	f.attempt("7K3M-QX02", events.PasscodeAccepted{User: "bob", Use: events.Use{Serial: "b1"}})
	_, body = call(t, f.api(t), RoleHelpdesk, get, "/users/bob/state", "")
	if s := decode[UserState](t, body); s.Summary != "has no token" {
		t.Errorf("after a success: %q", s.Summary)
	}
}

// TestPastStateEvaluatesLocksAtThatTime: locks, waits and conversations end without
// an event, so the requested time counts, not that of the last event.
func TestPastStateEvaluatesLocksAtThatTime(t *testing.T) {
	f := newFake(t)
	f.attempt("AAAA-AAAA",
		events.UserAdded{User: "ada"},
		events.FailureCounted{User: "ada", Failures: 1, Trusted: true, Wait: events.At(noon.Add(10 * time.Second))},
		events.UserLockedOut{User: "ada", Failures: 10, Until: events.At(noon.Add(30 * time.Minute))},
		events.PasscodeChallenged{User: "ada", Conversation: events.Conversation{Serial: "0001", Step: events.StepNewPIN, Expires: events.At(noon.Add(5 * time.Minute))}},
	)
	a := f.api(t)
	for _, tt := range []struct {
		at                    string
		locked, waits, stands bool
	}{
		{"4", true, true, true},
		{"2026-11-02T12:00:05Z", true, true, true},
		{"2026-11-02T12:00:10Z", true, false, true},
		{"2026-11-02T12:06:00Z", true, false, false},
		{"2026-11-02T12:29:59Z", true, false, false},
		{"2026-11-02T12:30:00Z", false, false, false},
		{"2026-11-02T13:00:00Z", false, false, false},
	} {
		_, body := call(t, a, RoleHelpdesk, get, "/users/ada/state?at="+tt.at, "")
		s := decode[UserState](t, body)
		if s.Budgets[0].Locked != tt.locked || (s.Budgets[1].WaitUntil != nil) != tt.waits || (s.Conversation != nil) != tt.stands || strings.Contains(s.Summary, "locked") != tt.locked {
			t.Errorf("at %s: want locked %v, waits %v, conversation %v: %s", tt.at, tt.locked, tt.waits, tt.stands, body)
		}
	}
}

// steady returns a token in Next Tokencode mode whose clock loses an interval in
// 30 days.
func steady(serial, user string) *engine.Token {
	t := &engine.Token{Serial: serial, Kind: "totp", Period: 60, Digits: 6, User: user, PIN: []byte("sealed PIN"), NextTokencode: true}
	for i := range 3 {
		t.Drift = int64(-i)
		t.Drifts = append(t.Drifts, engine.Seen{At: events.At(noon.AddDate(0, 0, 30*(i-2))), Drift: t.Drift})
	}
	return t
}

func TestDriftingTokensAreListedByUrgency(t *testing.T) {
	f := newFake(t)
	for _, serial := range []string{"a", "b", "c", "d", "e", "f", "g", "h", "i"} {
		token := steady(serial, "ada")
		if serial == "h" { // three times as fast
			for i := range token.Drifts {
				token.Drifts[i].Drift *= 3
			}
		}
		f.put(t, engine.TableTokens, *token)
	}
	// Tokens without a known rate are listed if they are outside the small window.
	for serial, drift := range map[string]int64{"unknown": 0, "within": -1, "beyond": 2, "far": -297} {
		f.put(t, engine.TableTokens, engine.Token{Serial: serial, Kind: "totp", Period: 60, Drift: drift})
	}
	for limit, want := range map[string][]string{
		"2":   {"h", "a"},
		"100": {"h", "a", "b", "c", "d", "e", "f", "g", "i", "far", "beyond"},
	} {
		_, body := call(t, f.api(t), RoleHelpdesk, get, "/drift?limit="+limit, "")
		var got []string
		for _, d := range decode[List[TokenDrift]](t, body).Items {
			got = append(got, d.Serial)
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%s (-want +got):\n%s", limit, diff)
		}
	}
}

// TestZeroDriftShowsWhenTokencodesAreAcceptedAgain: no tokencode up to the last used
// interval is accepted, regardless of the drift.
func TestZeroDriftShowsWhenTokencodesAreAcceptedAgain(t *testing.T) {
	f := newFake(t)
	minute := noon.Unix() / 60
	for serial, last := range map[string]int64{"ahead": minute + 150, "right": minute} {
		f.put(t, engine.TableTokens, engine.Token{Serial: serial, Kind: "totp", Period: 60, Digits: 6, Last: last})
	}
	for serial, want := range map[string]string{"ahead": "14:30:00, 14:31:00", "right": "12:00:00, never"} {
		_, body := call(t, f.api(t), RoleHelpdesk, post, "/tokens/"+serial+"/zero-drift", `{"reason":"the phone is right now"}`)
		v, from := decode[Token](t, body), "never"
		if v.AcceptedFrom != nil {
			from = v.AcceptedFrom.Format(time.TimeOnly)
		}
		if got := v.LastShown.Format(time.TimeOnly) + ", " + from; got != want {
			t.Errorf("%s: %s, want %s", serial, got, want)
		}
	}
}

func TestStateSaysThatTheClockIsWrong(t *testing.T) {
	f := newFake(t)
	f.put(t, engine.TableTokens, engine.Token{Serial: "E1", Kind: "hotp", Digits: 6, User: "erin", Seed: []byte("sealed seed"), PIN: []byte("sealed PIN")})
	f.put(t, engine.TableUsers, engine.User{Name: "erin", Tokens: []string{"E1"}})
	a := f.api(t)
	a.cfg.Sound = func() bool { return false }
	for user, want := range map[string]string{
		"ada":  "the clock of this node is wrong: it cannot decide logins of this user; must set a new PIN",
		"erin": "no problems found",
	} {
		_, body := call(t, a, RoleHelpdesk, get, "/users/"+user+"/state", "")
		if s := decode[UserState](t, body); s.Summary != want {
			t.Errorf("%s: %q, want %q", user, s.Summary, want)
		}
	}
}
