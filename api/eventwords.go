package api

import (
	"fmt"
	"strings"

	"keyfob/engine"
	"keyfob/engine/diagnosis"
	"keyfob/events"
)

// stepWords are what the steps of a conversation ask for.
var stepWords = map[events.Step]string{
	events.StepNextTokencode: "the next tokencode",
	events.StepChoosePIN:     "the choice between an own and a generated PIN",
	events.StepGeneratePIN:   "consent to a generated PIN",
	events.StepNewPIN:        "a new PIN",
	events.StepConfirmPIN:    "the new PIN again",
	events.StepLogin:         "a login with the new PIN",
}

// eventWords says what happened. Events outside a login go by their name.
func eventWords(s *engine.State, r events.Record) string {
	switch e := r.Event.(type) {
	case events.PasscodeAccepted:
		if e.Use.Emergency != 0 {
			return fmt.Sprintf("accepted with emergency tokencode %d", e.Use.Emergency)
		}
		return "accepted with token " + e.Use.Serial
	case events.TokencodeNotSent:
		return "the requested tokencode was not sent by " + e.Way + ": " + e.Result
	case events.PasscodeRejected:
		why := refusalWords(s, diagnosis.RefusalOf(e))
		if e.Count > 1 {
			why += fmt.Sprintf("; one of %d such refusals", e.Count)
		}
		return "refused: " + why
	case events.PasscodeChallenged:
		why := refusalWords(s, diagnosis.Refusal{Reason: e.Reason, User: e.User, Serial: e.Conversation.Serial})
		return strings.TrimSuffix("asked for "+stepWords[e.Conversation.Step]+": "+why, ": ")
	case events.FailureCounted:
		if e.Wait.IsZero() {
			return fmt.Sprintf("failure %d since the last success", e.Failures)
		}
		return fmt.Sprintf("failure %d since the last success; attempts before %s are not checked", e.Failures, stamp(e.Wait))
	case events.FailuresReset:
		return fmt.Sprintf("failure count reset from %d to 0", e.Failures)
	case events.UserLockedOut:
		if e.Until.IsZero() {
			return "locked until an administrator unlocks the user"
		}
		return "locked for " + e.Until.Sub(r.Time).String()
	case events.NextTokencodeRequired:
		return "token " + e.Serial + " entered Next Tokencode mode"
	case events.DriftAdjusted:
		return fmt.Sprintf("drift of token %s changed from %+d to %+d intervals", e.Serial, e.From, e.Drift)
	case events.PINSet:
		if e.Temporary {
			return "temporary PIN of token " + e.Serial + " set"
		}
		return "PIN of token " + e.Serial + " set"
	case events.PINCleared:
		return "PIN of token " + e.Serial + " cleared"
	case events.TokenResynchronized:
		return "token " + e.Use.Serial + " resynchronized with two consecutive tokencodes"
	case events.PolicyChanged:
		return fmt.Sprintf("%s changed from %s to %s", e.Key, e.Before, e.After)
	default:
		return eventName(r.Event)
	}
}

// eventName is the name of an event as words.
func eventName(e events.Event) string {
	words, d := strings.NewReplacer(".", " ", "_", " ").Replace(events.Name(e)), events.Describe(e)
	if d.Serial != "" {
		words += ", token " + d.Serial
	}
	if d.User != "" {
		words += ", user " + d.User
	}
	return words
}
