package engine_test

import (
	"context"
	"crypto/sha256"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"keyfob/engine"
	"keyfob/engine/tokencode"
	"keyfob/events"
)

var update = flag.Bool("update", false, "rewrite the transcripts; review the difference")

// TestTranscripts plays the conversations in testdata. What stands after ->
// and + is what the engine answered and what it said happened.
func TestTranscripts(t *testing.T) {
	files, err := filepath.Glob("testdata/*.txt")
	if err != nil || len(files) == 0 {
		t.Fatalf("no transcripts: %v", err)
	}
	for _, file := range files {
		t.Run(strings.TrimSuffix(filepath.Base(file), ".txt"), func(t *testing.T) {
			want, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			got := play(t, string(want))
			if *update {
				if err := os.WriteFile(file, []byte(got), 0o644); err != nil {
					t.Fatal(err)
				}
				return
			}
			if diff := cmp.Diff(string(want), got); diff != "" {
				t.Errorf("%s differs (-want +got):\n%s", file, diff)
			}
		})
	}
}

// play runs the lines of a transcript and writes it with the answers given.
func play(t *testing.T, script string) string {
	w := newWorld(t)
	var out strings.Builder
	for line := range strings.Lines(script) {
		line = strings.TrimRight(line, "\n")
		trimmed := strings.TrimSpace(line)
		switch {
		case strings.HasPrefix(trimmed, "+"):
			continue // rewritten below
		case trimmed == "" || strings.HasPrefix(trimmed, "#"):
			out.WriteString(line + "\n")
			continue
		}
		command, _, _ := strings.Cut(line, "->")
		answer := w.do(strings.Fields(command))
		fmt.Fprintf(&out, "%s", strings.TrimRight(command, " "))
		if answer != "" {
			out.WriteString(strings.Repeat(" ", max(1, 52-len(strings.TrimRight(command, " ")))) + "-> " + answer)
		}
		out.WriteString("\n")
		for _, d := range w.news {
			out.WriteString("             + " + tell(d.Event) + "\n")
		}
		w.news = nil
	}
	return out.String()
}

// world is a state with somebody who types at it.
type world struct {
	t       *testing.T
	state   *engine.State
	keys    *keys
	now     time.Time
	offset  map[string]int64 // intervals that a token's clock is off; presses of an event token
	ticket  *engine.Ticket
	user    string
	client  string
	pin     string // generated, or an activation code
	sent    string // to the user, on demand
	word    string // for the help desk
	request uint32
	news    []events.Draft
	last    engine.Outcome
	common  engine.PINList
	backup  *engine.State
	mute    bool                            // nothing can be sent
	untimed bool                            // no clock is trusted
	record  func(events.Time, events.Draft) // if set, hears of every event
}

func newWorld(t *testing.T) *world {
	return &world{
		t: t, state: engine.NewState(), keys: &keys{}, offset: map[string]int64{},
		now: time.Date(2026, 11, 23, 12, 0, 0, 0, time.UTC),
	}
}

// do carries out one line: a time of day, who does what.
func (w *world) do(words []string) string {
	w.t.Helper()
	if words[0] == "at" {
		clock, err := time.Parse("15:04:05", words[1])
		if err != nil {
			w.t.Fatal(err)
		}
		day := w.now.Truncate(24 * time.Hour)
		next := day.Add(time.Duration(clock.Hour())*time.Hour + time.Duration(clock.Minute())*time.Minute + time.Duration(clock.Second())*time.Second)
		for next.Before(w.now) {
			next = next.Add(24 * time.Hour)
		}
		w.now, words = next, words[2:]
	}
	switch words[0] {
	case "user":
		return w.command(engine.AddUser{User: words[1]})
	case "token":
		return w.token(words[1], words[2:])
	case "client":
		return w.command(engine.AddClient{Client: events.ClientAdded{
			Client: words[1], Prefix: words[2], Sealed: []byte("secret"), Dialect: "rsa", MessageAuthenticator: "auto",
			Trusted: len(words) > 3 && words[3] == "trusted",
		}})
	case "policy":
		settings := map[string]string{}
		for _, word := range words[1:] {
			key, value, _ := strings.Cut(word, "=")
			settings[key] = value
		}
		return w.command(engine.SetPolicy{Settings: settings, Force: true})
	case "clock":
		n, err := strconv.ParseInt(words[2], 10, 64)
		if err != nil {
			w.t.Fatal(err)
		}
		w.offset[words[1]] = n
		return ""
	case "backup":
		w.backup = w.state.Copy()
		return ""
	case "restore":
		w.state, w.ticket = w.backup.Copy(), nil
		w.apply([]events.Draft{{Event: events.ClusterRestored{Epoch: w.state.Cluster.Epoch + 1, Node: "n1"}}})
		w.news = nil
		return ""
	case "sending": // off, on
		w.mute = words[1] == "off"
		return ""
	case "clocks": // agree, or disagree
		w.untimed = words[1] == "disagree"
		return ""
	case "admin":
		return w.admin(words[1], words[2], words[3:])
	case "resync":
		w.ticket, w.user = nil, words[1]
		return w.attempt(append(words[2:], "resynchronize"))
	case "caller": // USER TOKENCODE: the page shows a word
		w.ticket, w.user = nil, words[1]
		return w.attempt(append(words[2:], "caller"))
	case "check": // USER WORD ADMINISTRATOR
		return w.check(words[1], strings.ReplaceAll(words[2], "<word>", w.word), words[3])
	case "login":
		w.ticket = nil
		w.user = words[1]
		return w.attempt(words[2:])
	case "extend":
		w.user = ""
		return w.attempt(words)
	case "answer":
		w.user = ""
		return w.attempt(words[1:])
	}
	w.t.Fatalf("unknown line %q", words)
	return ""
}

func (w *world) admin(verb, what string, more []string) string {
	switch verb {
	case "disable":
		return w.command(engine.DisableUser{User: what})
	case "enable":
		return w.command(engine.EnableUser{User: what})
	case "unlock":
		return w.command(engine.UnlockUser{User: what})
	case "delete":
		return w.command(engine.DeleteUser{User: what})
	case "clear-pin":
		return w.command(engine.ClearPIN{Serial: what})
	case "new-pin":
		return w.command(engine.RequireNewPIN{Serial: what})
	case "next-tokencode":
		return w.command(engine.RequireNextTokencode{Serial: what})
	case "zero-drift":
		return w.command(engine.ZeroDrift{Serial: what})
	case "temporary-pin":
		return w.command(engine.SetTemporaryPIN{Serial: what, Revision: w.state.Token(what).PINRevision + 1, Sealed: []byte(more[0])})
	case "lost": // SERIAL FOUND DAYS fixed|once CODES...
		days, err := strconv.Atoi(more[1])
		if err != nil {
			w.t.Fatal(err)
		}
		return w.command(engine.LoseToken{Lost: events.TokenLost{
			Serial: what, Found: more[0], Fixed: more[2] == "fixed", Sealed: []byte(strings.Join(more[3:], " ")),
			Until: events.At(w.now.AddDate(0, 0, days)),
		}})
	case "found":
		return w.command(engine.FindToken{Serial: what})
	case "replace": // OLD NEW [PIN]
		c := engine.ReplaceToken{Old: what, Serial: more[0]}
		if len(more) > 1 {
			c.Revision, c.PIN = w.state.Token(more[0]).PINRevision+1, []byte(more[1])
		}
		return w.command(c)
	case "resync":
		if len(more) == 0 {
			more = []string{w.code(what, 0), w.code(what, 1)}
		}
		e, err := engine.CheckInARow(w.state, w.keys, what, engine.Secret(more[0]), engine.Secret(more[1]), events.At(w.now))
		if err != nil {
			return "refused: " + err.Error()
		}
		return w.command(engine.ResynchronizeToken{Evidence: e})
	case "disable-token":
		return w.command(engine.DisableToken{Serial: what})
	case "enable-token":
		return w.command(engine.EnableToken{Serial: what})
	case "delete-token":
		return w.command(engine.DeleteToken{Serial: what})
	case "assign":
		return w.command(engine.AssignToken{Serial: what, User: more[0]})
	case "unassign":
		return w.command(engine.UnassignToken{Serial: what})
	}
	w.t.Fatalf("unknown command %s", verb)
	return ""
}

// token imports one: token SERIAL user=alice kind=totp pin=2468 source=own.
func (w *world) token(serial string, words []string) string {
	e := events.TokenImported{
		Serial: serial, Kind: "totp", Algorithm: "SHA1", Digits: 6, Period: 60, Form: engine.FormFob,
		Sealed: []byte("seed of " + serial + " 0123456789"),
	}
	c := engine.ImportToken{}
	for _, word := range words {
		key, value, _ := strings.Cut(word, "=")
		switch key {
		case "user":
			c.User = value
		case "kind":
			e.Kind = value
			switch value {
			case "hotp":
				e.Period = 0
			case "ondemand":
				e.Period, e.Algorithm, e.Digits = 0, "", 8
			case "securid":
				e.Algorithm, e.Sealed = "", []byte("sixteen bytes of")
			}
		case "pin":
			c.PIN = []byte(value)
		case "style":
			e.PINStyle = value
		case "form":
			e.Form = value
		case "source":
			e.PINSource = value
		case "algorithm":
			e.Algorithm = value
		case "digits":
			e.Digits = uint8(w.number(value))
		case "counter":
			e.Counter = int64(w.number(value))
		case "period":
			e.Period = uint16(w.number(value))
		case "born":
			e.Born = w.day(value)
		case "expires":
			e.Expires = w.day(value)
		default:
			w.t.Fatalf("unknown property %q", word)
		}
	}
	c.Token = e
	return w.command(c)
}

func (w *world) number(word string) int {
	n, err := strconv.Atoi(word)
	if err != nil {
		w.t.Fatal(err)
	}
	return n
}

// day is the beginning of one.
func (w *world) day(word string) events.Time {
	day, err := time.Parse(time.DateOnly, word)
	if err != nil {
		w.t.Fatal(err)
	}
	return events.At(day)
}

func (w *world) origin(actor string) events.Origin {
	w.request++
	r := events.Request{15: byte(w.request), 14: byte(w.request >> 8), 13: byte(w.request >> 16)}
	return events.Origin{Request: r, Reference: "REF", Door: events.DoorWeb, Client: w.client, Actor: actor}
}

func (w *world) command(c engine.Command) string {
	w.t.Helper()
	shown := ""
	if t := engine.ToActivate(w.state, c); t != nil {
		code, err := engine.TemporaryPIN(w.state, w.keys, t, "", w.common)
		if err != nil {
			w.t.Fatal(err)
		}
		c = engine.Activated(c, engine.ActivationCode{Revision: t.PINRevision + 1, Sealed: []byte(code.Reveal())})
		w.pin, shown = code.Reveal(), "shows an activation code"
	}
	d, err := w.decide(w.state, w.origin("admin"), c, events.At(w.now))
	if err != nil {
		return "refused: " + err.Error()
	}
	w.apply(d.Drafts)
	w.news = nil // what an administrator did is said by the line itself
	return shown
}

func (w *world) apply(drafts []events.Draft) {
	for _, d := range drafts {
		w.state.Apply(events.At(w.now), d)
		if w.record != nil {
			w.record(events.At(w.now), d)
		}
	}
	w.news = drafts
}

// attempt types words at a door: a passcode, a PIN twice, choice=, nochallenge.
func (w *world) attempt(words []string) string {
	a := engine.Attempt{User: w.user, Origin: w.origin(""), Arrived: w.now}
	typed := 0
	for _, word := range words {
		key, value, isOption := strings.Cut(word, "=")
		switch {
		case word == "nochallenge":
			a.NoChallenge = true
		case word == "caller":
			a.Purpose = engine.ToProveCaller
		case word == "extend":
			a.Purpose = engine.ToExtend
		case word == "resynchronize":
			a.Purpose = engine.ToResynchronize
		case isOption && key == "choice":
			a.Choice = engine.Choice(value)
		case isOption && key == "client":
			a.Origin.Client, a.Origin.Door = value, events.DoorRADIUS
		case typed == 0:
			a.Typed = engine.Secret(w.spell(word))
			typed++
		default:
			a.Again = engine.Secret(w.spell(word))
		}
	}
	out, err := w.ask(a)
	if err != nil {
		return "error: " + err.Error()
	}
	return w.tellOutcome(out)
}

// check has an administrator check the word of a caller.
func (w *world) check(user, word, by string) string {
	o := w.origin(by)
	d, err := engine.Decide(w.state, o, engine.CheckCaller{User: user, Digest: engine.CallerDigest(w.keys, user, word)}, events.At(w.now))
	if err != nil {
		return "refused: " + err.Error()
	}
	w.apply(d.Drafts)
	w.news = nil
	if w.state.CallerChecked(user, by, events.At(w.now)) {
		return "yes"
	}
	return "no"
}

func (w *world) sends(engine.Secret) bool { return !w.mute }

func (w *world) decide(s *engine.State, o events.Origin, c engine.Command, now events.Time) (engine.Decision, error) {
	if w.untimed {
		return engine.DecideUntimed(s, o, c, now)
	}
	return engine.Decide(s, o, c, now)
}

// ask is what a node does with an attempt, without a cluster.
func (w *world) ask(a engine.Attempt) (engine.Outcome, error) {
	now := events.At(w.now)
	checked, err := engine.Check(context.Background(), engine.CheckInput{
		State: w.state, Keys: w.keys, Attempt: a, Ticket: w.ticket, Now: now, Common: w.common, Untimed: w.untimed, Sends: w.sends,
	})
	if err != nil {
		return engine.Outcome{}, err
	}
	d, err := engine.DecideLogin(w.state, a.Origin, checked.Command, now)
	if err != nil {
		return engine.Outcome{}, err
	}
	w.apply(d.Drafts)
	out, ticket := engine.Finish(w.state, checked, d, 0, now)
	if ticket != nil {
		w.ticket = ticket
		if ticket.Delivery != nil {
			w.sent = ticket.Delivery.Tokencode.Reveal()
		}
	}
	if out.Prompt.PIN != "" {
		w.pin = out.Prompt.PIN.Reveal()
	}
	if out.Word != "" {
		w.word = strings.ReplaceAll(out.Word.Reveal(), " ", "")
	}
	w.last = out
	return out, nil
}

// <code>, <code+1>, <code@serial>, <mix:471108:code> (as a PINpad shows it), <generated>
var spelled = regexp.MustCompile(`<(mix:(\d+|generated):)?(code|generated|sent)([+-]\d+)?(?:@(\w+))?>`)

// spell puts tokencodes in the place of the words in angle brackets.
func (w *world) spell(word string) string {
	return spelled.ReplaceAllStringFunc(word, func(s string) string {
		m := spelled.FindStringSubmatch(s)
		switch m[3] {
		case "generated":
			return w.pin
		case "sent":
			return w.sent
		}
		name := w.user
		if name == "" {
			name = w.ticket.User
		}
		canonical, _ := engine.Canonical(name)
		n, _ := strconv.ParseInt(m[4], 10, 64)
		code := w.code(w.serial(canonical, m[5]), n)
		if m[1] == "" {
			return code
		}
		pin := m[2]
		if pin == "generated" {
			pin = w.pin
		}
		mixed, err := tokencode.MixPIN(pin, code)
		if err != nil {
			w.t.Fatal(err)
		}
		return mixed
	})
}

// serial is the token that a word names, the user's first when it names none.
func (w *world) serial(user, named string) string {
	if named != "" {
		return named
	}
	return w.state.User(user).Tokens[0]
}

// code is what a token shows now, or n intervals or presses later.
func (w *world) code(serial string, n int64) string {
	t := w.state.Token(serial)
	p := tokencode.Params{Kind: tokencode.Kind(t.Kind), Algorithm: tokencode.Algorithm(t.Algorithm), Digits: int(t.Digits), Period: time.Duration(t.Period) * time.Second, Serial: serial}
	g, err := tokencode.New(p, tokencode.Seed(t.Seed))
	if err != nil {
		w.t.Fatal(err)
	}
	return g.At(tokencode.Interval(p, w.now) + w.offset[serial] + n)
}

func (w *world) tellOutcome(o engine.Outcome) string {
	s := o.Verdict.String()
	if o.Reason != "" {
		s += " " + string(o.Reason)
	}
	if o.Prompt.Step != "" {
		s += ", asks " + string(o.Prompt.Step)
	}
	if o.Prompt.Problem != "" {
		s += " (" + string(o.Prompt.Problem) + ")"
	}
	if o.Prompt.PIN != "" {
		s += " shows a PIN"
	}
	if o.Word != "" {
		s += " shows a word"
	}
	return s
}

// tell words an event with what a reader of a transcript wants to know.
func tell(e events.Event) string {
	switch e := e.(type) {
	case events.PasscodeAccepted:
		s := fmt.Sprintf("PasscodeAccepted %s %s", e.User, e.Use.Serial)
		if e.Use.Emergency != 0 {
			s += fmt.Sprintf(" emergency %d", e.Use.Emergency)
		}
		return s
	case events.PasscodeRejected:
		s := strings.TrimSpace(fmt.Sprintf("PasscodeRejected %s %s", e.User, e.Serial)) + " " + string(e.Reason)
		if e.Offset != nil {
			s += fmt.Sprintf(" %+d", *e.Offset)
		}
		return s
	case events.PasscodeChallenged:
		s := fmt.Sprintf("PasscodeChallenged %s %s", e.User, e.Conversation.Step)
		if e.Use != nil {
			s += ", tokencode spent"
		}
		return s
	case events.FailureCounted:
		return fmt.Sprintf("FailureCounted %s %d", e.User, e.Failures)
	case events.FailuresReset:
		return fmt.Sprintf("FailuresReset %s %d", e.User, e.Failures)
	case events.NextTokencodeRequired:
		return fmt.Sprintf("NextTokencodeRequired %s", e.Serial)
	case events.DriftAdjusted:
		return fmt.Sprintf("DriftAdjusted %s %+d to %+d", e.Serial, e.From, e.Drift)
	case events.PINSet:
		return fmt.Sprintf("PINSet %s", e.Serial)
	case events.TokenResynchronized:
		return fmt.Sprintf("TokenResynchronized %s %s", e.User, e.Use.Serial)
	case events.TokenFound:
		return fmt.Sprintf("TokenFound %s", e.Serial)
	case events.TokenReplaced:
		return fmt.Sprintf("TokenReplaced %s takes the place of %s", e.Serial, e.Old)
	case events.UserLockedOut:
		if e.Until.IsZero() {
			return fmt.Sprintf("UserLockedOut %s until unlocked", e.User)
		}
		return fmt.Sprintf("UserLockedOut %s until %s", e.User, e.Until.Std().Format("15:04:05"))
	}
	return fmt.Sprintf("%T", e)
}

// keys are a node's keys that seal nothing.
type keys struct{ drawn byte }

func (*keys) OpenSeed(_ string, sealed []byte) (engine.Secret, error) {
	return engine.Secret(sealed), nil
}

func (*keys) PINMatches(_ context.Context, _ string, _ uint64, sealed []byte, pin engine.Secret) (bool, error) {
	return string(sealed) == pin.Reveal(), nil
}

func (*keys) SealPIN(_ context.Context, _ string, _ uint64, pin engine.Secret) ([]byte, error) {
	return []byte(pin.Reveal()), nil
}

func (*keys) SealPINpad(_ string, _ uint64, pin engine.Secret) ([]byte, error) {
	return []byte(pin.Reveal()), nil
}

func (*keys) OpenPINpad(_ string, _ uint64, sealed []byte) (engine.Secret, error) {
	return engine.Secret(sealed), nil
}

func (k *keys) Random(b []byte) error {
	for i := range b {
		k.drawn = k.drawn*167 + 13
		b[i] = k.drawn
	}
	return nil
}

func (*keys) ChanceOf(text string) func([]byte) error {
	sum := sha256.Sum256([]byte(text))
	return func(b []byte) error {
		for i := range b {
			b[i] = sum[i%len(sum)]
		}
		sum = sha256.Sum256(sum[:])
		return nil
	}
}

func (*keys) Pseudonym(text string) string { return "digest of " + text }
