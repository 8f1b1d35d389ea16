package radius

import (
	"fmt"
	"strings"

	"keyfob/engine"
	"keyfob/events"
)

// dialect is how prompts are worded for a client. Some VPNs do not only show the
// text but search it for phrases, so the wording must not change.
type dialect uint8

const (
	dialectRSA         dialect = iota // as RSA Authentication Manager
	dialectCisco                      // what a Cisco ASA searches for with proxy-auth sdi
	dialectPlain                      // plain English, for VPNs that only show it
	dialectNoChallenge                // the VPN cannot show a challenge
)

func dialectOf(name string) dialect {
	switch name {
	case "cisco-sdi":
		return dialectCisco
	case "plain":
		return dialectPlain
	case "nochallenge":
		return dialectNoChallenge
	default:
		return dialectRSA
	}
}

// canAsk reports whether the client can show a challenge to its user.
func (d dialect) canAsk() bool { return d != dialectNoChallenge }

const denied = "Access denied"

// refusal returns the text of every refusal to a client. It is the same for
// every reason. A user whose VPN cannot ask for a new PIN or a next tokencode is
// told where to set it.
func (d dialect) refusal(pageURL string) string {
	if !d.canAsk() && pageURL != "" {
		return denied + ". If your token needs a new PIN or its next tokencode, go to " + pageURL
	}
	return denied
}

// question returns the text that asks for a step, or false for an unknown step.
func (d dialect) question(p engine.Prompt) (string, bool) {
	words, ok := d.step(p)
	if !ok {
		return "", false
	}
	if pin := p.PIN.Reveal(); pin != "" {
		words = d.tell(p.Step, pin) + words
	}
	if problem := d.problem(p); problem != "" {
		words = problem + " " + words
	}
	return words, true
}

func (d dialect) step(p engine.Prompt) (string, bool) {
	switch d {
	case dialectCisco:
		return ciscoStep(p)
	case dialectPlain:
		return plainStep(p)
	default:
		return rsaStep(p)
	}
}

// Texts for users whose tokencodes are sent to them.
const (
	sentTokencode = "Enter the tokencode that was sent to you:"
	typePINAlone  = "Enter your new PIN alone, and a tokencode will be sent to you:"
)

func rsaStep(p engine.Prompt) (string, bool) {
	switch p.Step {
	case events.StepNextTokencode:
		if p.Sent {
			return sentTokencode, true
		}
		return "Wait for token to change, then enter the new tokencode:", true
	case events.StepChoosePIN:
		return "Do you want to enter your own pin (y/n)?", true
	case events.StepGeneratePIN:
		return "Are you prepared to accept a system-generated PIN (y/n)?", true
	case events.StepNewPIN:
		return fmt.Sprintf("Enter a new PIN having from %d to %d %s:", p.Rules.Min, p.Rules.Max, alphabet(p.Rules, "alphanumeric characters")), true
	case events.StepConfirmPIN:
		return "Please re-enter new PIN:", true
	case events.StepLogin:
		if p.Sent {
			return "PIN Accepted. " + typePINAlone, true
		}
		return "PIN Accepted. Wait for the token code to change, then enter the new passcode:", true
	default:
		return "", false
	}
}

// ciscoStep follows the ASA's own table (proxy-auth_map sdi). The ASA searches a
// message for each of its texts in turn, so a message may hold only one.
func ciscoStep(p engine.Prompt) (string, bool) {
	switch p.Step {
	case events.StepNextTokencode:
		if p.Sent {
			return "A tokencode was sent to you. Enter Next PASSCODE", true
		}
		return "Enter Next PASSCODE", true
	case events.StepChoosePIN:
		return "Do you want to enter your own pin", true
	case events.StepGeneratePIN:
		return "ACCEPT A SYSTEM GENERATED PIN", true
	case events.StepNewPIN:
		return "Enter your new Alpha-Numerical PIN", true
	case events.StepConfirmPIN:
		return "Reenter PIN:", true
	case events.StepLogin:
		return "new PIN with the next card code", true
	default:
		return "", false
	}
}

func plainStep(p engine.Prompt) (string, bool) {
	wait := "Wait until your token shows a new tokencode"
	if p.Event {
		wait = "Press your token for a new tokencode"
	}
	switch p.Step {
	case events.StepNextTokencode:
		if p.Sent {
			return sentTokencode, true
		}
		return wait + ", then enter it, without your PIN:", true
	case events.StepChoosePIN:
		return "Your token needs a new PIN. Do you want to choose it yourself (y/n)?", true
	case events.StepGeneratePIN:
		return "Your token needs a new PIN. It will be made for you and shown once. Are you ready to remember it (y/n)?", true
	case events.StepNewPIN:
		return plainRules(p.Rules), true
	case events.StepConfirmPIN:
		return "Enter the new PIN once more:", true
	case events.StepLogin:
		if p.Sent {
			return "Your new PIN is set. " + typePINAlone, true
		}
		return "Your new PIN is set. " + wait + ", then enter your new PIN followed by it:", true
	default:
		return "", false
	}
}

// plainRules asks for a new PIN and lists all the rules for it. With a problem in
// front of it, the text still fits into one attribute.
func plainRules(r engine.PINRules) string {
	words := "Choose a new PIN of " + length(r) + " " + alphabet(r, "letters or digits")
	if r.PINpad {
		words += ", the first not 0, no longer than a tokencode"
	}
	words += ": no repeat or run, no common PIN, no part of user name or serial"
	switch {
	case r.History > 1:
		words += fmt.Sprintf(", none of your last %d", r.History)
	case r.History == 1:
		words += ", not your last one"
	}
	return words + ":"
}

// length returns how many characters a PIN has.
func length(r engine.PINRules) string {
	if r.Min == r.Max {
		return fmt.Sprintf("exactly %d", r.Min)
	}
	return fmt.Sprintf("%d to %d", r.Min, r.Max)
}

// alphabet returns the kind of characters in a PIN.
func alphabet(rules engine.PINRules, letters string) string {
	if rules.Alphanumeric {
		return letters
	}
	return "digits"
}

// tell shows a generated PIN to its owner. The text for the ASA avoids "your new
// PIN", which is part of one of the phrases it searches for.
func (d dialect) tell(step events.Step, pin string) string {
	switch {
	case d == dialectCisco && step == events.StepLogin:
		return "Your PIN is " + pin + ". Enter "
	case d == dialectCisco:
		return "Your PIN is " + pin + ". "
	default:
		return "Your new PIN is " + pin + ". "
	}
}

// problem returns what was wrong with the answer before. The user has proved the
// first step by then and may be told.
func (d dialect) problem(p engine.Prompt) string {
	switch p.Problem {
	case engine.ProblemNone:
		return ""
	case engine.ProblemDifferent:
		return "The PINs differ."
	case engine.ProblemLength:
		return fmt.Sprintf("A PIN has %s characters.", length(p.Rules))
	case engine.ProblemCharacters:
		return fmt.Sprintf("A PIN has %s only.", alphabet(p.Rules, "letters and digits"))
	case engine.ProblemTrivial:
		return "That PIN is a repeat or a run."
	case engine.ProblemCommon:
		return "That PIN is one that many people take."
	case engine.ProblemPersonal:
		return "That PIN is part of your user name or serial number."
	case engine.ProblemSameAsOld:
		if p.Rules.History > 1 {
			return fmt.Sprintf("That PIN is one of your last %d.", p.Rules.History)
		}
		return "That PIN is your last one."
	case engine.ProblemLeadingZero:
		return "The PIN of this token must not begin with 0."
	case engine.ProblemReused:
		return "That tokencode was used already."
	case engine.ProblemChoice:
		return "Please answer y or n."
	case engine.ProblemWrong:
		if p.Sent && p.Step == events.StepNextTokencode {
			return "That is not the tokencode that was sent."
		}
		return "That was not right."
	default:
		return "That was not right."
	}
}

// printable replaces everything but printable ASCII. Some VPNs show nothing of a
// message that holds any other byte.
func printable(text string) string {
	return strings.Map(func(r rune) rune {
		if r < ' ' || r > '~' {
			return '?'
		}
		return r
	}, text)
}
