package radius

import (
	"encoding/binary"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"keyfob/engine"
	"keyfob/events"
)

var (
	digits  = engine.PINRules{Min: 4, Max: 8}
	letters = engine.PINRules{Min: 4, Max: 8, Alphanumeric: true, History: 5}
	added   = engine.PINRules{Min: 4, Max: 8, PINpad: true, History: 10}
	strict  = engine.PINRules{Min: 16, Max: 16, Alphanumeric: true, History: 10}
)

// TestTextsOfTheContract: VPNs search for these texts.
func TestTextsOfTheContract(t *testing.T) {
	for _, tc := range []struct {
		dialect string
		prompt  engine.Prompt
		want    string
	}{
		{"rsa", engine.Prompt{Step: events.StepNextTokencode}, "Wait for token to change, then enter the new tokencode:"},
		{"rsa", engine.Prompt{Step: events.StepChoosePIN}, "Do you want to enter your own pin (y/n)?"},
		{"rsa", engine.Prompt{Step: events.StepGeneratePIN}, "Are you prepared to accept a system-generated PIN (y/n)?"},
		{"rsa", engine.Prompt{Step: events.StepNewPIN, Rules: digits}, "Enter a new PIN having from 4 to 8 digits:"},
		{"rsa", engine.Prompt{Step: events.StepNewPIN, Rules: letters}, "Enter a new PIN having from 4 to 8 alphanumeric characters:"},
		{"rsa", engine.Prompt{Step: events.StepConfirmPIN}, "Please re-enter new PIN:"},
		{"rsa", engine.Prompt{Step: events.StepLogin}, "PIN Accepted. Wait for the token code to change, then enter the new passcode:"},
		{"rsa", engine.Prompt{Step: events.StepLogin, PIN: "739105"}, "Your new PIN is 739105. PIN Accepted. Wait for the token code to change, then enter the new passcode:"},
		{"rsa", engine.Prompt{Step: events.StepNewPIN, Rules: digits, Problem: engine.ProblemDifferent}, "The PINs differ. Enter a new PIN having from 4 to 8 digits:"},
		{"rsa", engine.Prompt{Step: events.StepNewPIN, Rules: digits, Problem: engine.ProblemLength}, "A PIN has 4 to 8 characters. Enter a new PIN having from 4 to 8 digits:"},
		{"rsa", engine.Prompt{Step: events.StepNewPIN, Rules: digits, Problem: engine.ProblemCharacters}, "A PIN has digits only. Enter a new PIN having from 4 to 8 digits:"},
		{"rsa", engine.Prompt{Step: events.StepChoosePIN, Problem: engine.ProblemChoice}, "Please answer y or n. Do you want to enter your own pin (y/n)?"},
		{"", engine.Prompt{Step: events.StepConfirmPIN}, "Please re-enter new PIN:"},
		{"cisco-sdi", engine.Prompt{Step: events.StepNextTokencode}, "Enter Next PASSCODE"},
		{"cisco-sdi", engine.Prompt{Step: events.StepChoosePIN}, "Do you want to enter your own pin"},
		{"cisco-sdi", engine.Prompt{Step: events.StepGeneratePIN}, "ACCEPT A SYSTEM GENERATED PIN"},
		{"cisco-sdi", engine.Prompt{Step: events.StepNewPIN, Rules: letters}, "Enter your new Alpha-Numerical PIN"},
		{"cisco-sdi", engine.Prompt{Step: events.StepConfirmPIN}, "Reenter PIN:"},
		{"cisco-sdi", engine.Prompt{Step: events.StepLogin}, "new PIN with the next card code"},
		{"cisco-sdi", engine.Prompt{Step: events.StepLogin, PIN: "739105"}, "Your PIN is 739105. Enter new PIN with the next card code"},
		{"plain", engine.Prompt{Step: events.StepNextTokencode}, "Wait until your token shows a new tokencode, then enter it, without your PIN:"},
		{"plain", engine.Prompt{Step: events.StepNextTokencode, Event: true}, "Press your token for a new tokencode, then enter it, without your PIN:"},
		{"rsa", engine.Prompt{Step: events.StepNextTokencode, Sent: true}, "Enter the tokencode that was sent to you:"},
		{"rsa", engine.Prompt{Step: events.StepLogin, Sent: true}, "PIN Accepted. Enter your new PIN alone, and a tokencode will be sent to you:"},
		{"cisco-sdi", engine.Prompt{Step: events.StepNextTokencode, Sent: true}, "A tokencode was sent to you. Enter Next PASSCODE"},
		{"plain", engine.Prompt{Step: events.StepNextTokencode, Sent: true}, "Enter the tokencode that was sent to you:"},
		{"plain", engine.Prompt{Step: events.StepLogin, Sent: true}, "Your new PIN is set. Enter your new PIN alone, and a tokencode will be sent to you:"},
		{"plain", engine.Prompt{Step: events.StepNewPIN, Rules: letters}, "Choose a new PIN of 4 to 8 letters or digits: no repeat or run, no common PIN, no part of user name or serial, none of your last 5:"},
		{"plain", engine.Prompt{Step: events.StepNewPIN, Rules: digits}, "Choose a new PIN of 4 to 8 digits: no repeat or run, no common PIN, no part of user name or serial:"},
		{"plain", engine.Prompt{Step: events.StepNewPIN, Rules: added}, "Choose a new PIN of 4 to 8 digits, the first not 0, no longer than a tokencode: no repeat or run, no common PIN, no part of user name or serial, none of your last 10:"},
		{"rsa", engine.Prompt{Step: events.StepNewPIN, Rules: letters, Problem: engine.ProblemSameAsOld}, "That PIN is one of your last 5. Enter a new PIN having from 4 to 8 alphanumeric characters:"},
		{"rsa", engine.Prompt{Step: events.StepNewPIN, Rules: digits, Problem: engine.ProblemSameAsOld}, "That PIN is your last one. Enter a new PIN having from 4 to 8 digits:"},
		{"rsa", engine.Prompt{Step: events.StepNewPIN, Rules: digits, Problem: engine.ProblemTrivial}, "That PIN is a repeat or a run. Enter a new PIN having from 4 to 8 digits:"},
		{"rsa", engine.Prompt{Step: events.StepNewPIN, Rules: digits, Problem: engine.ProblemCommon}, "That PIN is one that many people take. Enter a new PIN having from 4 to 8 digits:"},
		{"rsa", engine.Prompt{Step: events.StepNewPIN, Rules: digits, Problem: engine.ProblemPersonal}, "That PIN is part of your user name or serial number. Enter a new PIN having from 4 to 8 digits:"},
		{"rsa", engine.Prompt{Step: events.StepNewPIN, Rules: added, Problem: engine.ProblemLeadingZero}, "The PIN of this token must not begin with 0. Enter a new PIN having from 4 to 8 digits:"},
		{"rsa", engine.Prompt{Step: events.StepNextTokencode, Sent: true, Problem: engine.ProblemWrong}, "That is not the tokencode that was sent. Enter the tokencode that was sent to you:"},
	} {
		if got, ok := dialectOf(tc.dialect).question(tc.prompt); !ok || got != tc.want {
			t.Errorf("%s at %s:\n got %q\nwant %q", tc.dialect, tc.prompt.Step, got, tc.want)
		}
	}
}

// allPrompts are all prompts whose text can differ.
func allPrompts() []engine.Prompt {
	var all []engine.Prompt
	for _, step := range []events.Step{
		events.StepNextTokencode, events.StepChoosePIN, events.StepGeneratePIN,
		events.StepNewPIN, events.StepConfirmPIN, events.StepLogin,
	} {
		for _, problem := range []engine.Problem{
			engine.ProblemNone, engine.ProblemDifferent, engine.ProblemLength, engine.ProblemCharacters, engine.ProblemTrivial,
			engine.ProblemCommon, engine.ProblemPersonal,
			engine.ProblemSameAsOld, engine.ProblemLeadingZero, engine.ProblemReused, engine.ProblemWrong, engine.ProblemChoice, "new",
		} {
			for _, rules := range []engine.PINRules{digits, letters, added, strict} {
				all = append(all,
					engine.Prompt{Step: step, Problem: problem, Rules: rules},
					engine.Prompt{Step: step, Problem: problem, Rules: rules, Event: true, PIN: "73910582"},
					engine.Prompt{Step: step, Problem: problem, Rules: rules, Sent: true, PIN: "73910582"})
			}
		}
	}
	return all
}

func TestEveryPromptFitsIntoOneLineOfASCII(t *testing.T) {
	for _, d := range []dialect{dialectRSA, dialectCisco, dialectPlain} {
		for _, p := range allPrompts() {
			words, ok := d.question(p)
			if !ok || len(words) > maxValue || printable(words) != words {
				t.Errorf("dialect %d at %s: %q, %v", d, p.Step, words, ok)
			}
			if p.PIN != "" && !strings.Contains(words, p.PIN.Reveal()) {
				t.Errorf("dialect %d at %s does not show the PIN", d, p.Step)
			}
			if p.Problem != "" && d.problem(p) == "" {
				t.Errorf("dialect %d does not mention %s", d, p.Problem)
			}
		}
	}
}

// TestASAFindsOneTextOnly: the ASA takes the first text of its list that occurs
// anywhere in the message.
func TestASAFindsOneTextOnly(t *testing.T) {
	texts := map[events.Step]string{
		events.StepNextTokencode: "Enter Next PASSCODE",
		"new-pin-sup":            "Please remember your new PIN",
		events.StepChoosePIN:     "Do you want to enter your own pin",
		events.StepNewPIN:        "Enter your new Alpha-Numerical PIN",
		events.StepConfirmPIN:    "Reenter PIN:",
		"new-pin-sys-ok":         "New PIN Accepted",
		events.StepLogin:         "new PIN with the next card code",
		events.StepGeneratePIN:   "ACCEPT A SYSTEM GENERATED PIN",
	}
	for _, p := range allPrompts() {
		words, _ := dialectCisco.question(p)
		for step, text := range texts {
			if found := strings.Contains(strings.ToLower(words), strings.ToLower(text)); found != (step == p.Step) {
				t.Errorf("%q at %s holds %q: %v", words, p.Step, text, found)
			}
		}
	}
}

func TestChallengeHasTheAttributesThatVPNsNeed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		node := newFakeNode(vpn("vpn", "192.0.2.0/24", "rsa", "auto"))
		b, m := newHarness(t, node, nil), newPackets(true)
		for step, echo := range map[events.Step]uint32{
			events.StepNextTokencode: 0, events.StepChoosePIN: 1, events.StepGeneratePIN: 1,
			events.StepNewPIN: 0, events.StepConfirmPIN: 0, events.StepLogin: 0,
		} {
			node.Decide = script(engine.Outcome{
				Verdict: engine.Challenge, Conversation: "c2VhbGVk_-",
				Prompt: engine.Prompt{Step: step, Rules: digits, Expires: time.Now().Add(5 * time.Minute)},
			}, nil)
			p := m.login("alice", "1234123456", with(ProxyState, "\x00one"), with(ProxyState, "two"))
			answer := b.ask(vpnAddress, p)
			mustAnswer(t, p, answer, AccessChallenge)
			want, _ := dialectRSA.question(engine.Prompt{Step: step, Rules: digits})
			if got := messageOf(t, answer); got != want {
				t.Errorf("message is %q, want %q", got, want)
			}
			if state, _ := answer.Lookup(State); string(state) != "c2VhbGVk_-" {
				t.Errorf("state is %q", state)
			}
			if got := number(t, answer, Prompt); got != echo {
				t.Errorf("prompt at %s is %d, want %d", step, got, echo)
			}
			if got := number(t, answer, SessionTimeout); got != 300 {
				t.Errorf("the challenge lasts %d seconds", got)
			}
		}
	})
}

func number(t *testing.T, p Packet, typ Type) uint32 {
	t.Helper()
	value, ok := p.Lookup(typ)
	if !ok || len(value) != 4 {
		t.Fatalf("attribute %d is %x", typ, value)
	}
	return binary.BigEndian.Uint32(value)
}
