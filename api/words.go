package api

import (
	"fmt"
	"time"

	"keyfob/engine"
	"keyfob/engine/diagnosis"
	"keyfob/events"
)

// The English of the API: reasons, obstacles and events as sentences that a
// help desk can read out. Front ends in other languages word the typed values.

// reasonWords are the reasons for which an attempt is refused.
var reasonWords = map[events.Reason]string{
	events.ReasonBadPIN:              "tokencode correct, PIN wrong",
	events.ReasonBadTokencode:        "no token of the user matches this PIN and tokencode",
	events.ReasonTokencodeReused:     "this tokencode, or a later one, was already used",
	events.ReasonOutsideWindow:       "PIN and tokencode correct, but the token's clock is off",
	events.ReasonUserUnknown:         "no such user",
	events.ReasonUserDisabled:        "user disabled",
	events.ReasonUserLocked:          "user locked after too many failures",
	events.ReasonNoToken:             "the user has no token",
	events.ReasonTokenDisabled:       "token disabled",
	events.ReasonTokenExpired:        "token expired or not yet valid",
	events.ReasonTokenLost:           "token reported lost",
	events.ReasonNextTokencodeWrong:  "the second tokencode was not the one after the first",
	events.ReasonNewPINRefused:       "the new PINs broke the rules or did not match",
	events.ReasonConversationExpired: "the steps were not completed in time, or were started elsewhere",
	events.ReasonClockSkew:           "the clock of this node is wrong",
	events.ReasonThrottled:           "too soon after earlier failures of this user",
	events.ReasonDrift:               "PIN and tokencode correct, but the token's clock is off",
	events.ReasonTooManyFailures:     "PIN and tokencode correct, after too many failures",
	events.ReasonPINNotSet:           "tokencode correct, but the token has no PIN yet",
	events.ReasonPINExpired:          "PIN and tokencode correct, but the PIN has expired",
	events.ReasonPINChangeRequired:   "PIN and tokencode correct, but the PIN must be changed",
}

// problemWords are the rules that a new PIN can break.
var problemWords = map[engine.Problem]string{
	engine.ProblemDifferent:   "did not match when repeated",
	engine.ProblemLength:      "was too short or too long",
	engine.ProblemCharacters:  "contained a character that is not allowed",
	engine.ProblemTrivial:     "was a repetition or a sequence",
	engine.ProblemCommon:      "is too common",
	engine.ProblemPersonal:    "is part of the user's name or of the serial",
	engine.ProblemSameAsOld:   "was used before",
	engine.ProblemLeadingZero: "started with 0, which this token cannot add",
}

// refusalWords says why an attempt was refused.
func refusalWords(s *engine.State, r diagnosis.Refusal) string {
	why := reasonWords[r.Reason]
	switch d := r.Detail(s).(type) {
	case diagnosis.NoDetail:
		return why
	case diagnosis.ClockOffset:
		return offsetWords(r.Reason, d)
	case diagnosis.WrongSentTokencode:
		return "the tokencode was not the one that was sent"
	case diagnosis.CannotSend:
		return "PIN correct, but the node cannot send tokencodes to this address"
	case diagnosis.SourceThrottled:
		return "too many failed attempts from this address or client; this one was not checked"
	case diagnosis.TooManySent:
		return "PIN correct, but the hourly limit of sent tokencodes is reached"
	case diagnosis.ResyncNotAllowed:
		return "users are not allowed to resynchronize their tokens"
	case diagnosis.BrokenRule:
		if rule := problemWords[d.Problem]; rule != "" {
			why += "; the last one " + rule
		}
		return why
	case diagnosis.Ended:
		return "the steps were ended by an administrator: " + eventWords(s, events.Record{Draft: events.Draft{Event: d.By}})
	}
	return why
}

// offsetWords says how far off the tokencode was.
func offsetWords(reason events.Reason, o diagnosis.ClockOffset) string {
	off := offBy(o.Offset, o.Event)
	switch reason {
	case events.ReasonTokencodeReused:
		return reasonWords[reason] + "; it was " + off
	case events.ReasonTooManyFailures:
		return reasonWords[reason] + ", tokencode " + off
	}
	if o.Window > 0 {
		off += fmt.Sprintf("; outside the window of %d", o.Window)
	}
	return "PIN correct, tokencode " + off
}

// offBy is an offset in words.
func offBy(offset int64, event bool) string {
	unit, less, more := "interval", "slow", "fast"
	if event {
		unit, less, more = "press", "behind", "ahead"
	}
	n, direction := offset, more
	switch {
	case offset == 0:
		return "on time"
	case offset < 0:
		n, direction = -offset, less
	}
	switch {
	case n > 1 && event:
		unit = "presses"
	case n > 1:
		unit = "intervals"
	}
	return fmt.Sprintf("%d %s %s", n, unit, direction)
}

// obstacleWords says what stands in the way. The token is named where the user
// has several.
func obstacleWords(o diagnosis.Obstacle, several bool) string {
	of := func(serial string) string {
		if several {
			return " of token " + serial
		}
		return ""
	}
	switch o := o.(type) {
	case diagnosis.UserDisabled:
		return "disabled"
	case diagnosis.UserLocked:
		if o.Until.IsZero() {
			return "locked " + where(o.Budget) + " until an administrator unlocks the user"
		}
		return "locked " + where(o.Budget) + " until " + stamp(o.Until)
	case diagnosis.UserMustWait:
		return fmt.Sprintf("must wait %s until %s, after %d failures", where(o.Budget), stamp(o.Until), o.Failures)
	case diagnosis.NoToken:
		return "has no token"
	case diagnosis.SendLimit:
		return fmt.Sprintf("%d tokencodes were sent within an hour; the next can be sent at %s", o.Sent, stamp(o.Next))
	case diagnosis.TokenDisabled:
		return "token " + o.Serial + " is disabled"
	case diagnosis.TokenExpired:
		return "token " + o.Serial + " expired at " + stamp(o.At)
	case diagnosis.TokenNotYetValid:
		return "token " + o.Serial + " is not valid before " + stamp(o.From)
	case diagnosis.TokenLost:
		return "token " + o.Serial + " is lost: " + emergencyWords(o.Emergency)
	case diagnosis.TemporaryPINRequired:
		if o.OnDemand {
			return "needs a temporary PIN" + of(o.Serial) + " before tokencodes are sent"
		}
		return "needs an activation code" + of(o.Serial)
	case diagnosis.NextTokencodeRequired:
		return "needs the next tokencode" + of(o.Serial)
	case diagnosis.PINNotSet:
		return "must set a PIN" + of(o.Serial)
	case diagnosis.PINChangeRequired:
		return "must set a new PIN" + of(o.Serial)
	case diagnosis.PINExpired:
		return "must set a new PIN" + of(o.Serial) + ": the old one expired at " + stamp(o.At)
	case diagnosis.PINMayBeUnfit:
		return "may have to set a new PIN" + of(o.Serial) + ": the old one was set under less strict rules"
	case diagnosis.UsedAhead:
		return "no tokencode" + of(o.Serial) + " is accepted before " + stamp(o.From) + ", because the one of " + stamp(o.Used) + " was used"
	case diagnosis.TokencodeNotSent:
		return "the tokencode" + of(o.Serial) + " requested at " + stamp(o.At) + " was not sent"
	}
	return ""
}

// findingWords are the findings of a user.
func findingWords(u *engine.User, findings []diagnosis.Finding) []string {
	words := make([]string, 0, len(findings))
	for _, f := range findings {
		words = append(words, obstacleWords(f.Obstacle, len(u.Tokens) > 1))
	}
	return words
}

// where says where the failures of a budget happen.
func where(b engine.FailureBudget) string {
	switch b {
	case engine.OfTrusted:
		return "at trusted clients"
	case engine.OfUnsigned:
		return "in unsigned requests of trusted clients"
	case engine.OfStrangers:
	}
	return "on the page and at clients that are not trusted"
}

// emergencyWords says what applies while a token is lost.
func emergencyWords(e diagnosis.Emergency) string {
	own, until := "its own tokencodes are refused", stamp(e.Until)
	switch {
	case e.OwnAccepted && e.OnDemand:
		own = "tokencodes are still sent"
	case e.OwnAccepted:
		own = "its own tokencodes are accepted"
	case e.OnDemand:
		own = "no tokencodes are sent"
	}
	if !e.OwnAccepted && e.Found == engine.FoundAfter {
		own += " until " + until
	}
	switch {
	case e.None:
		return own + ", there are no emergency tokencodes"
	case e.Over:
		return own + ", the emergency tokencodes ended at " + until
	case e.Fixed:
		return own + ", a fixed emergency tokencode is valid until " + until
	case !e.Counted:
		return fmt.Sprintf("%s, emergency tokencodes are valid until %s, %d used", own, until, e.Used)
	default:
		return fmt.Sprintf("%s, emergency tokencodes are valid until %s, %d of %d left", own, until, e.Left, e.Given)
	}
}

// tokenState says in a word or two what happens to a token at the next login.
func tokenState(s *engine.State, t *engine.Token, now events.Time) string {
	state := "ready"
	switch obstacles := diagnosis.TokenObstacles(s, t, now); {
	case t.User == "" && !t.Disabled:
		state = "unassigned"
	case len(obstacles) > 0:
		state = obstacleLabel(obstacles[0])
	case t.Lost != nil && t.Lost.Found == engine.FoundAllow:
		state = lostButAccepted
	}
	if by := s.ReplacedBy(t); by != "" {
		state += ", to be replaced by " + by
	}
	if t.Replaces != "" {
		state += ", replaces " + t.Replaces
	}
	return state
}

const lostButAccepted = "lost, still accepted"

// obstacleLabel is an obstacle of a token in a word or two.
func obstacleLabel(o diagnosis.Obstacle) string {
	switch o := o.(type) {
	case diagnosis.TokenDisabled:
		return "disabled"
	case diagnosis.TokenExpired:
		return "expired"
	case diagnosis.TokenNotYetValid:
		return "not yet valid"
	case diagnosis.TokenLost:
		if o.Emergency.OwnAccepted {
			return lostButAccepted
		}
		return "lost"
	case diagnosis.TemporaryPINRequired:
		return "needs a PIN"
	case diagnosis.NextTokencodeRequired:
		return "Next Tokencode mode"
	case diagnosis.PINNotSet, diagnosis.PINChangeRequired:
		return "New PIN mode"
	case diagnosis.PINExpired:
		return "PIN expired"
	case diagnosis.PINMayBeUnfit:
		return "may need a new PIN"
	case diagnosis.UsedAhead:
		return "refused until " + stamp(o.From)
	case diagnosis.TokencodeNotSent:
		return "ready"
	case diagnosis.UserDisabled, diagnosis.UserLocked, diagnosis.UserMustWait, diagnosis.NoToken, diagnosis.SendLimit:
	}
	return "" // not of a token
}

// stamp is a time within a sentence. Front ends convert it to local time.
func stamp(t events.Time) string { return t.Std().Format(time.RFC3339) }
