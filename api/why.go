package api

import (
	"fmt"
	"strings"

	"keyfob/engine"
	"keyfob/events"
)

// meaning is a reason in the words of a help desk.
type meaning struct{ what, next string }

// meanings say of each reason what was the matter, and what to do about it.
// USER and SERIAL are filled in.
var meanings = map[events.Reason]meaning{
	events.ReasonBadPIN:              {"the tokencode is right, the PIN is not", "the user tries the PIN again; forgotten: keyfob token clear-pin SERIAL, or keyfob token set-temporary-pin SERIAL"},
	events.ReasonBadTokencode:        {"no PIN and tokencode of any of the user's tokens", "the user types the PIN, then what the token shows now"},
	events.ReasonTokencodeReused:     {"the tokencode was used before, or one after it was", "the user waits until the token shows the next one"},
	events.ReasonOutsideWindow:       {"PIN and tokencode are right, the token's clock is not", "keyfob token next-tokencode SERIAL, and the user logs in and types the next tokencode too; or the page, under resynchronise"},
	events.ReasonUserUnknown:         {"there is no such user", "the user checks the spelling of the name; new: keyfob user add"},
	events.ReasonUserDisabled:        {"the user is disabled", "keyfob user enable USER, if whoever disabled it agrees"},
	events.ReasonUserLocked:          {"the user is locked after too many failures", "find out whose failures they are, then keyfob user unlock USER; or wait"},
	events.ReasonNoToken:             {"the user has no token", "keyfob token issue USER, or keyfob token assign SERIAL USER"},
	events.ReasonTokenDisabled:       {"the token is disabled", "keyfob token enable SERIAL, if whoever disabled it agrees"},
	events.ReasonTokenExpired:        {"the token is past its end, or before its beginning", "keyfob token replace SERIAL NEW"},
	events.ReasonTokenLost:           {"the token is reported lost", "the user types the PIN and an emergency tokencode; with its owner again: keyfob token found SERIAL"},
	events.ReasonNextTokencodeWrong:  {"the second tokencode was not the one after the first", "the user logs in again, waits for the tokencode to change, and types the new one"},
	events.ReasonNewPINRefused:       {"the new PINs were unfit, or not the same twice", "the user logs in again, and keeps to the rules that the page shows"},
	events.ReasonConversationExpired: {"the steps were not finished in time, or were begun elsewhere", "the user begins again"},
	events.ReasonClockSkew:           {"this node's clock is not sound", "keyfob cluster status, and chronyc tracking on the node"},
	events.ReasonThrottled:           {"too soon after failures of this user", "the user waits a little, and tries once"},
	events.ReasonDrift:               {"PIN and tokencode are right, the token's clock is off", "the user types the next tokencode; at a VPN that cannot ask for it, on the page"},
	events.ReasonTooManyFailures:     {"PIN and tokencode are right, after too many failures", "the user types the next tokencode; at a VPN that cannot ask for it, on the page"},
	events.ReasonPINNotSet:           {"the tokencode is right, the token has no PIN yet", "the user sets a PIN on the page"},
	events.ReasonPINExpired:          {"all right, but the PIN is too old", "the user sets a new PIN on the page"},
	events.ReasonPINChangeRequired:   {"all right, but the PIN must be changed", "the user sets a new PIN on the page"},
}

// refusal is what is known of an attempt that was refused, or led to a question.
type refusal struct {
	reason  events.Reason
	user    string
	serial  string
	offset  *int64
	problem string // with the last new PIN
	quiet   bool   // the attempt was not looked at, whatever was typed
	ended   string // what an administrator did that ended the steps, in words
}

// refusalOf is what an event says of a refusal.
func refusalOf(e events.PasscodeRejected) refusal {
	return refusal{reason: e.Reason, user: e.User, serial: e.Serial, offset: e.Offset, problem: e.Problem, quiet: e.Quiet}
}

// what is a refusal in words.
func (r refusal) what(s *engine.State) string {
	what, t := meanings[r.reason].what, s.Token(r.serial)
	sent := t != nil && t.Kind == engine.KindOnDemand
	switch {
	case r.offset != nil && t != nil && !sent:
		return r.whatOfClock(t, t.WindowIn(s.Policy))
	case r.reason == events.ReasonNextTokencodeWrong && sent:
		return "the tokencode was not the one that was sent"
	case r.reason == events.ReasonNoToken && sent:
		return "PIN right, a tokencode was asked for and not sent: the node has no way of sending to the address"
	case r.reason == events.ReasonThrottled:
		return r.whatThrottled(sent)
	case r.ended != "":
		return "the steps were ended by an administrator meanwhile: " + r.ended
	}
	return what + broke(r.problem)
}

// whatOfClock says how far off the tokencode was.
func (r refusal) whatOfClock(t *engine.Token, w engine.Window) string {
	what := meanings[r.reason].what
	switch r.reason {
	case events.ReasonOutsideWindow, events.ReasonDrift:
		return "PIN right, tokencode " + offBy(t, *r.offset) + outside(w, *r.offset)
	case events.ReasonTokencodeReused:
		return what + "; it was " + offBy(t, *r.offset)
	case events.ReasonTooManyFailures:
		return what + ", tokencode " + offBy(t, *r.offset)
	default:
		return what
	}
}

// whatThrottled tells apart what is refused for coming too often.
func (r refusal) whatThrottled(sent bool) string {
	switch {
	case r.user == "":
		return "too many attempts from the same address or client have failed: this one was not looked at, whoever it was for"
	case sent:
		return "PIN right, and as many tokencodes were sent in an hour as may be"
	case r.quiet:
		return "users may not resynchronise their tokens themselves"
	}
	return meanings[events.ReasonThrottled].what
}

// brokenRules are what may be wrong with a new PIN, in words.
var brokenRules = map[engine.Problem]string{
	engine.ProblemDifferent:   "was typed differently the second time",
	engine.ProblemLength:      "was too short or too long",
	engine.ProblemCharacters:  "had a character that is not allowed",
	engine.ProblemTrivial:     "was a repeat or a run",
	engine.ProblemCommon:      "is one that many people take",
	engine.ProblemPersonal:    "is part of the user's name or of the serial",
	engine.ProblemSameAsOld:   "was the user's before",
	engine.ProblemLeadingZero: "began with 0, which this token cannot add",
}

// broke says which rule the last new PIN broke that ended a conversation.
func broke(problem string) string {
	if rule := brokenRules[engine.Problem(problem)]; rule != "" {
		return "; the last one " + rule
	}
	return ""
}

// offBy is an offset in words.
func offBy(t *engine.Token, offset int64) string {
	unit, less, more := "interval", "slow", "fast"
	if t.Period == 0 {
		unit, less, more = "press", "behind", "ahead"
	}
	n, way := offset, more
	switch {
	case offset == 0:
		return "on time"
	case offset < 0:
		n, way = -offset, less
	}
	switch {
	case n > 1 && unit == "press":
		unit = "presses"
	case n > 1:
		unit += "s"
	}
	return fmt.Sprintf("%d %s %s", n, unit, way)
}

// outside says which window an offset lies outside of.
func outside(w engine.Window, offset int64) string {
	for _, reach := range []int64{w.Large, w.Medium, w.Small} {
		if max(offset, -offset) > reach {
			return fmt.Sprintf("; outside the window of %d", reach)
		}
	}
	return ""
}

// far reports whether an offset is more than Next Tokencode mode puts right.
func far(w engine.Window, offset int64) bool { return max(offset, -offset) > w.Large }

// tell is an event in words.
func tell(s *engine.State, r events.Record) string {
	switch e := r.Event.(type) {
	case events.PasscodeAccepted:
		if e.Use.Emergency != 0 {
			return fmt.Sprintf("let in with emergency tokencode %d", e.Use.Emergency)
		}
		return "let in with token " + e.Use.Serial
	case events.TokencodeNotSent:
		return "the tokencode that was asked for was not sent by " + e.Way + ": " + e.Result
	case events.PasscodeRejected:
		what := refusalOf(e).what(s)
		if e.Count > 1 {
			what += fmt.Sprintf("; one of %d such refusals", e.Count)
		}
		return "refused: " + what
	case events.PasscodeChallenged:
		what := refusal{reason: e.Reason, user: e.User, serial: e.Conversation.Serial}.what(s)
		return strings.TrimSuffix("asked for "+steps[e.Conversation.Step]+": "+what, ": ")
	case events.FailureCounted:
		if e.Wait.IsZero() {
			return fmt.Sprintf("failure %d since the last success", e.Failures)
		}
		return fmt.Sprintf("failure %d since the last success; before %s nothing is looked at", e.Failures, spoken(e.Wait))
	case events.FailuresReset:
		return fmt.Sprintf("%d failures forgotten", e.Failures)
	case events.UserLockedOut:
		if e.Until.IsZero() {
			return "locked until an administrator unlocks"
		}
		return "locked for " + e.Until.Sub(r.Time).String()
	case events.NextTokencodeRequired:
		return "token " + e.Serial + " put into Next Tokencode mode"
	case events.DriftAdjusted:
		return fmt.Sprintf("the clock of token %s is now believed to be %+d intervals off, before %+d", e.Serial, e.Drift, e.From)
	case events.PINSet:
		if e.Temporary {
			return "temporary PIN of token " + e.Serial + " set"
		}
		return "PIN of token " + e.Serial + " set"
	case events.PINCleared:
		return "PIN of token " + e.Serial + " cleared"
	case events.TokenResynchronized:
		return "token " + e.Use.Serial + " put right by two tokencodes in a row"
	case events.PolicyChanged:
		return fmt.Sprintf("%s changed from %s to %s", e.Key, e.Before, e.After)
	default: // not of a login: by its name
		return byName(r.Event)
	}
}

// byName is an event in the words of its name.
func byName(e events.Event) string {
	words, d := strings.NewReplacer(".", " ", "_", " ").Replace(events.Name(e)), events.Describe(e)
	if d.Serial != "" {
		words += ", token " + d.Serial
	}
	if d.User != "" {
		words += ", user " + d.User
	}
	return words
}

// steps are what is asked for at the steps of a conversation.
var steps = map[events.Step]string{
	events.StepNextTokencode: "the next tokencode",
	events.StepChoosePIN:     "the choice between an own and a generated PIN",
	events.StepGeneratePIN:   "consent to a generated PIN",
	events.StepNewPIN:        "a new PIN",
	events.StepConfirmPIN:    "the new PIN once more",
	events.StepLogin:         "a login with the new PIN",
}
