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
	events.ReasonBadPIN:              {"the tokencode is right, the PIN is not", "the user tries the PIN again; forgotten: keyfob token clear-pin SERIAL, or set-temporary-pin SERIAL"},
	events.ReasonBadTokencode:        {"no PIN and tokencode of any of the user's tokens", "the user types the PIN, then what the token shows now, and compares the serial on its back; again and again: keyfob token resync SERIAL CODE NEXT"},
	events.ReasonTokencodeReused:     {"the tokencode was used before", "the user waits until the token shows the next one"},
	events.ReasonOutsideWindow:       {"PIN and tokencode are right, the token's clock is not", "keyfob token next-tokencode SERIAL, and the user logs in and types the next tokencode too; or the page, under resynchronise"},
	events.ReasonUserUnknown:         {"there is no such user", "the user checks the spelling of the name; new: keyfob user add"},
	events.ReasonUserDisabled:        {"the user is disabled", "keyfob user enable USER, if whoever disabled it agrees"},
	events.ReasonUserLocked:          {"the user is locked after too many failures", "find out whose failures they are, then keyfob user unlock USER; or wait"},
	events.ReasonNoToken:             {"the user has no token", "keyfob token issue USER, or keyfob token assign"},
	events.ReasonTokenDisabled:       {"the token is disabled", "keyfob token enable SERIAL, if whoever disabled it agrees"},
	events.ReasonTokenExpired:        {"the token is past its end, or before its beginning", "keyfob token replace SERIAL NEW"},
	events.ReasonTokenLost:           {"the token is reported lost", "with its owner again: keyfob token found SERIAL; else the user types the PIN and an emergency tokencode"},
	events.ReasonNextTokencodeWrong:  {"the second tokencode was not the one after the first", "the user logs in again, waits for the tokencode to change, and types the new one"},
	events.ReasonNewPINRefused:       {"the new PINs were unfit, or not the same twice", "the user logs in again, and keeps to the rules that the page shows"},
	events.ReasonConversationExpired: {"the steps were not finished in time, or were begun elsewhere", "the user begins again"},
	events.ReasonClockSkew:           {"this node's clock is not sound", "keyfob cluster status, and chronyc tracking on the node"},
	events.ReasonThrottled:           {"too soon after failures of this user, or of others at the same address or client; or too many tokencodes were sent", "the user waits a little, and tries once"},
	events.ReasonDrift:               {"PIN and tokencode are right, the token's clock is off", "the user types the next tokencode; at a VPN that cannot ask for it, on the page"},
	events.ReasonTooManyFailures:     {"PIN and tokencode are right, after too many failures", "the user types the next tokencode; at a VPN that cannot ask for it, on the page"},
	events.ReasonPINNotSet:           {"the tokencode is right, the token has no PIN yet", "the user sets a PIN on the page"},
	events.ReasonPINExpired:          {"all right, but the PIN is too old", "the user sets a new PIN on the page"},
	events.ReasonPINChangeRequired:   {"all right, but the PIN must be changed", "the user sets a new PIN on the page"},
}

// why is a refusal or a question in words, and what to do next.
func why(s *engine.State, reason events.Reason, user, serial string, offset *int64) (what, next string) {
	m, t := meanings[reason], s.Token(serial)
	what, next = m.what, m.next
	if offset != nil && t != nil {
		switch reason {
		case events.ReasonOutsideWindow, events.ReasonDrift:
			what = "PIN right, tokencode " + offBy(t, *offset) + outside(t.WindowIn(s.Policy), *offset)
			if reason == events.ReasonOutsideWindow && far(t.WindowIn(s.Policy), *offset) {
				next = "the user resynchronises on the page, or reads two tokencodes in a row out: keyfob token resync SERIAL CODE NEXT"
			}
		case events.ReasonTokencodeReused:
			what += "; it was " + offBy(t, *offset)
		case events.ReasonTooManyFailures:
			what += ", tokencode " + offBy(t, *offset)
		default:
		}
	}
	if reason == events.ReasonNextTokencodeWrong && t != nil && t.Kind == engine.KindOnDemand {
		what, next = "the tokencode was not the one that was sent", "the user looks for the latest message, or logs in again and has another one sent"
	}
	if reason == events.ReasonNoToken && t != nil && t.Kind == engine.KindOnDemand {
		what = "PIN right, a tokencode was asked for and not sent: the node has no way of sending to the address"
		next = "set ondemand.smtp.host, or ondemand.sms.url for telephones, in the configuration of every node"
	}
	if reason == events.ReasonPINNotSet && t != nil && (s.Unclaimed(t) || t.Lost != nil) {
		next = "keyfob token set-temporary-pin SERIAL, and the user types what it shows in front of the tokencode"
	}
	if serial == "" {
		serial = "SERIAL"
	}
	if user == "" {
		user = "USER"
	}
	return what, strings.NewReplacer("SERIAL", serial, "USER", user).Replace(next)
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

// needs says what stands between a user and the next login, whoever looks.
func needs(s *engine.State, u *engine.User, now events.Time) []string {
	var all []string
	if u.Disabled {
		all = append(all, "is disabled")
	}
	for _, b := range viewBudgetsOf(s.Policy, u, now) {
		if b.Locked {
			all = append(all, "is locked "+b.For())
		}
	}
	if len(u.Tokens) == 0 {
		all = append(all, "has no token")
	}
	for _, serial := range u.Tokens {
		t := s.Token(serial)
		if t == nil {
			continue
		}
		whose := ""
		if len(u.Tokens) > 1 {
			whose = " of token " + serial
		}
		switch {
		case t.Disabled:
			all = append(all, "token "+serial+" is disabled")
		case t.Lost != nil:
			all = append(all, "token "+serial+" is lost")
		case Mode(t) == ModeNextTokencode:
			all = append(all, "needs the next tokencode"+whose)
		case s.Unclaimed(t):
			all = append(all, "needs an activation code"+whose)
		case Mode(t) == ModeNewPIN:
			all = append(all, "must set a PIN"+whose)
		}
	}
	return all
}

// tell is an event in words.
func tell(s *engine.State, r events.Record) string {
	switch e := r.Event.(type) {
	case events.PasscodeAccepted:
		if e.Use.Emergency != 0 {
			return fmt.Sprintf("let in with emergency tokencode %d", e.Use.Emergency)
		}
		return "let in with token " + e.Use.Serial
	case events.PasscodeRejected:
		what, _ := why(s, e.Reason, e.User, e.Serial, e.Offset)
		what += broke(e.Problem)
		if e.Count > 1 {
			what += fmt.Sprintf("; one of %d such refusals", e.Count)
		}
		return "refused: " + what
	case events.PasscodeChallenged:
		what, _ := why(s, e.Reason, e.User, e.Conversation.Serial, nil)
		return strings.TrimSuffix("asked for "+steps[e.Conversation.Step]+": "+what, ": ")
	case events.FailureCounted:
		return fmt.Sprintf("failure %d since the last success", e.Failures)
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
		return "PIN of token " + e.Serial + " set"
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
