package api

import (
	"net/http"
	"strings"
	"testing"
	"time"

	"keyfob/engine"
	"keyfob/events"
)

// stateOf returns the state of a user as the help desk sees it.
func stateOf(t *testing.T, f *fake, user string) UserState {
	t.Helper()
	status, body := call(t, f.api(t), RoleHelpdesk, get, "/users/"+user+"/state", "")
	if status != http.StatusOK {
		t.Fatalf("status %d: %s", status, body)
	}
	return decode[UserState](t, body)
}

// TestResolvedRefusalIsNotSummarized: the summary is about the present.
func TestResolvedRefusalIsNotSummarized(t *testing.T) {
	const (
		free = "no problems found"
		last = "nothing prevents a login; last refused 2026-11-02T12:00:01Z: "
	)
	slow, conversation := int64(-4), events.Conversation{Serial: "b1", Step: events.StepNextTokencode}
	refused := func(reason events.Reason) events.Event {
		return events.PasscodeRejected{User: "bob", Serial: "b1", Reason: reason}
	}
	far := events.PasscodeRejected{User: "bob", Serial: "b1", Reason: events.ReasonOutsideWindow, Offset: &slow}
	for name, tt := range map[string]struct {
		journal []events.Event
		want    string
	}{
		"wrong PIN":             {[]events.Event{refused(events.ReasonBadPIN)}, last + "tokencode correct, PIN wrong"},
		"then accepted":         {[]events.Event{refused(events.ReasonBadPIN), events.PasscodeAccepted{User: "bob"}}, free},
		"then asked":            {[]events.Event{refused(events.ReasonBadPIN), events.PasscodeChallenged{User: "bob", Conversation: conversation}}, free},
		"another is accepted":   {[]events.Event{refused(events.ReasonBadPIN), events.PasscodeAccepted{User: "eve"}}, last + "tokencode correct, PIN wrong"},
		"then a temporary PIN":  {[]events.Event{refused(events.ReasonBadPIN), events.PINSet{User: "bob", Serial: "b1", Temporary: true}}, free},
		"then unlocked":         {[]events.Event{refused(events.ReasonBadPIN), events.UserUnlocked{User: "bob"}}, free},
		"then found":            {[]events.Event{refused(events.ReasonTokencodeReused), events.TokenFound{User: "bob", Serial: "b1"}}, free},
		"then refused again":    {[]events.Event{refused(events.ReasonBadPIN), events.UserUnlocked{User: "bob"}, refused(events.ReasonBadPIN)}, strings.Replace(last, ":01Z", ":03Z", 1) + "tokencode correct, PIN wrong"},
		"clock":                 {[]events.Event{far}, "PIN correct, tokencode 4 intervals slow; outside the window of 3"},
		"clock corrected":       {[]events.Event{far, events.TokenResynchronized{User: "bob", Use: events.Use{Serial: "b1"}}}, free},
		"drift zeroed":          {[]events.Event{far, events.DriftAdjusted{User: "bob", Serial: "b1", Forgot: true}}, free},
		"locked, and no longer": {[]events.Event{refused(events.ReasonUserLocked)}, free},
		"a typo, then locked":   {[]events.Event{refused(events.ReasonBadPIN), refused(events.ReasonUserLocked)}, last + "tokencode correct, PIN wrong"},
		"told to change":        {[]events.Event{refused(events.ReasonBadPIN), events.NewPINRequired{User: "bob", Serial: "b1"}}, last + "tokencode correct, PIN wrong"},
	} {
		f := newFake(t)
		f.put(t, engine.TableUsers, engine.User{Name: "bob", Tokens: []string{"b1"}})
		f.put(t, engine.TableTokens, engine.Token{Serial: "b1", Kind: "totp", Period: 60, Digits: 6, User: "bob", PIN: []byte("sealed PIN")})
		f.attempt("7K3M-QX01", tt.journal...)
		if s := stateOf(t, f, "bob"); s.Summary != tt.want || (s.Next == "") != (tt.want == free) {
			t.Errorf("%s:\n%q, next %q\nwant %q", name, s.Summary, s.Next, tt.want)
		}
	}
}

// TestStateSaysWhatPreventsALogin: every obstacle has words and steps.
func TestStateSaysWhatPreventsALogin(t *testing.T) {
	at := func(d time.Duration) events.Time { return events.At(noon.Add(d)) }
	day := 24 * time.Hour
	minute := noon.Unix() / 60
	usual := engine.Token{Serial: "b1", Kind: "totp", Period: 60, Digits: 6, User: "bob", PIN: []byte("sealed PIN"), PINSetAt: at(-30 * day), PINMin: 6, PINMax: 8, Last: minute - 1}
	for name, tt := range map[string]struct {
		change     func(*engine.User, *engine.Token, *engine.Policy)
		what, next string
	}{
		"nothing":        {func(*engine.User, *engine.Token, *engine.Policy) {}, "no problems found", ""},
		"disabled":       {func(u *engine.User, _ *engine.Token, _ *engine.Policy) { u.Disabled = true }, "disabled", "enable the user, if"},
		"locked":         {func(u *engine.User, _ *engine.Token, _ *engine.Policy) { u.Trusted.Until = at(time.Hour) }, "locked at trusted clients until 2026-11-02T13:00:00Z", "the user waits until 2026-11-02T13:00:00Z; or find out who caused the failures, then unlock the user"},
		"stopped":        {func(u *engine.User, _ *engine.Token, _ *engine.Policy) { u.Trusted.Stopped = true }, "locked at trusted clients until an administrator unlocks the user", "unlock the user"},
		"no token":       {func(u *engine.User, _ *engine.Token, _ *engine.Policy) { u.Tokens = nil }, "has no token", "issue a software token; or assign a token"},
		"token disabled": {func(_ *engine.User, t *engine.Token, _ *engine.Policy) { t.Disabled = true }, "token b1 is disabled", "enable the token, if"},
		"token expired":  {func(_ *engine.User, t *engine.Token, _ *engine.Policy) { t.Expires = at(-time.Hour) }, "token b1 expired at 2026-11-02T11:00:00Z", "replace the token"},
		"token not born": {func(_ *engine.User, t *engine.Token, _ *engine.Policy) { t.Born = at(time.Hour) }, "token b1 is not valid before 2026-11-02T13:00:00Z", "issue a software token"},
		"lost": {func(_ *engine.User, t *engine.Token, _ *engine.Policy) {
			t.Lost = &engine.Lost{Until: at(day), Found: engine.FoundRefuse}
		}, "token b1 is lost: its own tokencodes are refused, there are no emergency tokencodes", "report the token lost"},
		"lost, with a set": {func(_ *engine.User, t *engine.Token, _ *engine.Policy) {
			t.Lost = &engine.Lost{Until: at(day), Found: engine.FoundAllow, Sealed: []byte("sealed"), Given: 10, Used: []uint8{3, 7}}
		}, "token b1 is lost: its own tokencodes are accepted, emergency tokencodes are valid until 2026-11-03T12:00:00Z, 8 of 10 left", "report the token found"},
		"lost, with a set of before": {func(_ *engine.User, t *engine.Token, _ *engine.Policy) {
			t.Lost = &engine.Lost{Until: at(day), Found: engine.FoundRefuse, Sealed: []byte("sealed"), Used: []uint8{3, 7}}
		}, "token b1 is lost: its own tokencodes are refused, emergency tokencodes are valid until 2026-11-03T12:00:00Z, 2 used", "report the token found"},
		"lost, with a fixed one": {func(_ *engine.User, t *engine.Token, _ *engine.Policy) {
			t.Lost = &engine.Lost{Until: at(day), Found: engine.FoundAfter, Sealed: []byte("sealed"), Fixed: true, Given: 1}
		}, "token b1 is lost: its own tokencodes are refused until 2026-11-03T12:00:00Z, a fixed emergency tokencode is valid until 2026-11-03T12:00:00Z", "report the token found"},
		"lost, and the emergency over": {func(_ *engine.User, t *engine.Token, _ *engine.Policy) {
			t.Lost = &engine.Lost{Until: at(-day), Found: engine.FoundRefuse, Sealed: []byte("sealed"), Given: 10}
		}, "token b1 is lost: its own tokencodes are refused, the emergency tokencodes ended at 2026-11-01T12:00:00Z", "report the token lost"},
		"next tokencode": {func(_ *engine.User, t *engine.Token, _ *engine.Policy) { t.NextTokencode = true }, "needs the next tokencode", "enters the new one too"},
		"no PIN":         {func(_ *engine.User, t *engine.Token, _ *engine.Policy) { t.PIN = nil }, "must set a PIN", "the tokencode alone"},
		"a code first": {func(_ *engine.User, t *engine.Token, p *engine.Policy) {
			t.PIN, p.FirstPIN = nil, engine.FirstPINByActivationCode
		}, "needs an activation code", "set a temporary PIN"},
		"PIN to be changed": {func(_ *engine.User, t *engine.Token, _ *engine.Policy) { t.NewPIN = true }, "must set a new PIN", "the present PIN"},
		"PIN expired": {
			func(_ *engine.User, _ *engine.Token, p *engine.Policy) { p.PINLifetime = 29 * day },
			"must set a new PIN: the old one expired at 2026-11-01T12:00:00Z", "the present PIN",
		},
		"looser rules": {func(_ *engine.User, _ *engine.Token, p *engine.Policy) { p.PINMin = 7 }, "may have to set a new PIN: the old one was set under less strict rules", "the present PIN"},
		"two things":   {func(_ *engine.User, t *engine.Token, _ *engine.Policy) { t.PIN, t.NextTokencode = nil, true }, "needs the next tokencode; must set a PIN", "enters the new one too"},
		"a mark ahead": {
			func(_ *engine.User, t *engine.Token, _ *engine.Policy) { t.Last = minute + 150 },
			"no tokencode is accepted before 2026-11-02T14:31:00Z, because the one of 2026-11-02T14:30:00Z was used", "report the token lost",
		},
		"too many sent": {func(_ *engine.User, t *engine.Token, p *engine.Policy) {
			t.Kind, t.Period, t.Sent, p.OnDemandPerHour = engine.KindOnDemand, 0, []events.Time{at(-50 * time.Minute), at(-20 * time.Minute)}, 2
		}, "2 tokencodes were sent within an hour; the next can be sent at 2026-11-02T12:10:00Z", "waits"},
		"one of two": {func(u *engine.User, t *engine.Token, _ *engine.Policy) {
			u.Tokens, t.NextTokencode = []string{"b1", "b2"}, true
		}, "needs the next tokencode of token b1", "enters the new one too"},
	} {
		f := newFake(t)
		user, token := engine.User{Name: "bob", Tokens: []string{"b1"}}, usual
		tt.change(&user, &token, &f.state.Policy)
		f.put(t, engine.TableUsers, user)
		f.put(t, engine.TableTokens, token)
		if s := stateOf(t, f, "bob"); s.Summary != tt.what || !strings.Contains(s.Next, tt.next) || (s.Next == "") != (name == "nothing") {
			t.Errorf("%s:\n%q, next %q\nwant %q, %q", name, s.Summary, s.Next, tt.what, tt.next)
		}
	}
}

// TestStepsEndedByAnAdministratorAreReported in the state and by reference.
func TestStepsEndedByAnAdministratorAreReported(t *testing.T) {
	over := events.PasscodeRejected{User: "ada", Reason: events.ReasonConversationExpired}
	asked := events.PasscodeChallenged{User: "ada", Conversation: events.Conversation{Serial: "0001", Step: events.StepNewPIN}}
	cleared := events.PINCleared{User: "ada", Serial: "0001"}
	for name, tt := range map[string]struct {
		journal []events.Event
		by      string
		want    string
	}{
		"cleared":           {[]events.Event{asked, cleared, over}, "token:desk", "the steps were ended by an administrator: PIN of token 0001 cleared"},
		"cleared before":    {[]events.Event{cleared, asked, over}, "token:desk", "the steps were not completed in time, or were started elsewhere"},
		"set by oneself":    {[]events.Event{asked, events.PINSet{User: "ada", Serial: "0001"}, over}, "", "the steps were not completed in time, or were started elsewhere"},
		"another's token":   {[]events.Event{asked, events.PINCleared{User: "eve", Serial: "e1"}, over}, "token:desk", "the steps were not completed in time, or were started elsewhere"},
		"out of their time": {[]events.Event{asked, over}, "", "the steps were not completed in time, or were started elsewhere"},
	} {
		f := newFake(t)
		for i, e := range tt.journal {
			f.attempt("7K3M-QX0"+string(rune('0'+i)), e)
			switch e.(type) {
			case events.PINCleared, events.PINSet:
				f.records[i].Origin.Actor = tt.by
			default:
			}
		}
		if s := stateOf(t, f, "ada"); s.Refusals[0].Words != tt.want {
			t.Errorf("%s: %q, want %q", name, s.Refusals[0].Words, tt.want)
		}
		_, body := call(t, f.api(t), RoleHelpdesk, get, "/audit/references/7K3M-QX0"+string(rune('0'+len(tt.journal)-1)), "")
		if r := decode[ReferenceReport](t, body); r.Words != "refused: "+tt.want {
			t.Errorf("%s: %q, want %q", name, r.Words, tt.want)
		}
	}
}

// TestTokenListShowsTheStateInAFewWords: what happens at the next login.
func TestTokenListShowsTheStateInAFewWords(t *testing.T) {
	at := func(d time.Duration) events.Time { return events.At(noon.Add(d)) }
	hour := time.Hour
	lost := func(found string, until time.Duration) *engine.Lost {
		return &engine.Lost{Until: at(until), Found: found}
	}
	for name, tt := range map[string]struct {
		change func(*engine.Token, *engine.Policy)
		want   string
	}{
		"ready":            {func(*engine.Token, *engine.Policy) {}, "ready"},
		"disabled":         {func(t *engine.Token, _ *engine.Policy) { t.Disabled = true }, "disabled"},
		"unassigned":       {func(t *engine.Token, _ *engine.Policy) { t.User = "" }, "unassigned"},
		"not born":         {func(t *engine.Token, _ *engine.Policy) { t.Born = at(hour) }, "not yet valid"},
		"expired":          {func(t *engine.Token, _ *engine.Policy) { t.Expires = at(-hour) }, "expired"},
		"lost":             {func(t *engine.Token, _ *engine.Policy) { t.Lost = lost(engine.FoundRefuse, hour) }, "lost"},
		"lost, allowed":    {func(t *engine.Token, _ *engine.Policy) { t.Lost = lost(engine.FoundAllow, hour) }, "lost, still accepted"},
		"lost, after":      {func(t *engine.Token, _ *engine.Policy) { t.Lost = lost(engine.FoundAfter, hour) }, "lost"},
		"lost, after that": {func(t *engine.Token, _ *engine.Policy) { t.Lost = lost(engine.FoundAfter, -hour) }, "ready"},
		"no PIN":           {func(t *engine.Token, _ *engine.Policy) { t.PIN = nil }, "New PIN mode"},
		"a code first":     {func(t *engine.Token, p *engine.Policy) { t.PIN, p.FirstPIN = nil, engine.FirstPINByActivationCode }, "needs a PIN"},
		"next tokencode":   {func(t *engine.Token, _ *engine.Policy) { t.NextTokencode = true }, "Next Tokencode mode"},
		"PIN expired":      {func(_ *engine.Token, p *engine.Policy) { p.PINLifetime = 24 * hour }, "PIN expired"},
		"looser rules":     {func(_ *engine.Token, p *engine.Policy) { p.PINMin = 7 }, "may need a new PIN"},
		"a mark ahead":     {func(t *engine.Token, _ *engine.Policy) { t.Last = noon.Unix()/60 + 59 }, "refused until 2026-11-02T13:00:00Z"},
		"replaces another": {func(t *engine.Token, _ *engine.Policy) { t.Replaces = "b0" }, "ready, replaces b0"},
	} {
		f := newFake(t)
		token := engine.Token{Serial: "b1", Kind: "totp", Period: 60, Digits: 6, User: "bob", PIN: []byte("sealed PIN"), PINSetAt: at(-48 * hour), PINMin: 6, PINMax: 8}
		tt.change(&token, &f.state.Policy)
		f.put(t, engine.TableUsers, engine.User{Name: "bob", Tokens: []string{"b0", "b1"}})
		f.put(t, engine.TableTokens, token)
		f.put(t, engine.TableTokens, engine.Token{Serial: "b0", Kind: "hotp", Digits: 6, User: "bob", PIN: []byte("sealed PIN")})
		_, body := call(t, f.api(t), RoleHelpdesk, get, "/tokens/b1", "")
		if v := decode[Token](t, body); v.State != tt.want {
			t.Errorf("%s: %q, want %q", name, v.State, tt.want)
		}
		if token.Replaces != "" {
			_, body := call(t, f.api(t), RoleHelpdesk, get, "/users/bob", "")
			if v := decode[UserSheet](t, body); v.Details[0].State != "ready, to be replaced by b1" || v.Details[0].ReplacedBy != "b1" {
				t.Errorf("%+v", v.Details[0])
			}
		}
	}
}
