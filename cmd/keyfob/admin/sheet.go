package admin

import (
	"fmt"
	"strings"

	"keyfob/api"
	"keyfob/cmd/keyfob/cli"
	"keyfob/engine"
	"keyfob/engine/tokencode"
	"keyfob/events"
)

// tokenSheet shows everything about a token.
func tokenSheet(tw *cli.Table, t api.Token) {
	tw.Row("SERIAL", t.Serial)
	tw.Row("KIND", tokenKind(t))
	tw.Row("USER", t.User)
	tw.Row("STATE", cli.InLocalTime(t.State))
	tw.Row("PIN", tokenPIN(t))
	tw.Line("NEW PIN", newPIN(t))
	tw.Line("WINDOWS", tokenWindows(t))
	tw.Line("CLOCK", tokenClock(t))
	tw.Row("LAST USE", tokenUse(t))
	if t.Emergency != nil {
		tw.Row("LOST", "since "+cli.Cell(t.Emergency.Since)+": "+cli.InLocalTime(t.Emergency.Words))
		tw.Row("WHEN FOUND", whenFound(*t.Emergency, t.Serial))
	}
	tw.Line("REPLACES", t.Replaces)
	tw.Line("REPLACED BY", t.ReplacedBy)
	tw.Row("VALID", goodFrom(t))
	tw.Row("IMPORTED", t.Imported)
}

// tokenKind describes the tokencodes of a token.
func tokenKind(t api.Token) string {
	words := []string{t.Kind}
	if t.Algorithm != "" {
		words = append(words, t.Algorithm)
	}
	words = append(words, fmt.Sprintf("%d digits", t.Digits))
	switch {
	case t.Kind == engine.KindOnDemand:
		words = append(words, "sent when the PIN is entered")
	case t.PeriodSeconds == 0:
		words = append(words, "per press")
	default:
		words = append(words, fmt.Sprintf("every %d s", t.PeriodSeconds))
	}
	return strings.Join(words, ", ")
}

// tokenPIN describes how the PIN is entered, and how old it is.
func tokenPIN(t api.Token) string {
	if t.PINStyle == string(tokencode.NoPIN) {
		return "not used"
	}
	how := "entered before the tokencode"
	switch {
	case t.PINStyle == string(tokencode.PINpad):
		how = "added to the tokencode (PINpad)"
	case t.Kind == engine.KindOnDemand:
		how = "entered alone to request a tokencode"
	}
	if !t.HasPIN {
		return "not set; " + how
	}
	set := "set " + cli.Cell(t.PINSetAt)
	if t.PINTemporary {
		set = "temporary, " + set
	}
	return set + "; " + how + "; " + pinEnd(t)
}

// pinEnd is when the PIN expires.
func pinEnd(t api.Token) string {
	switch {
	case t.PINExpires == nil:
		return "does not expire"
	case t.PINDue == string(events.ReasonPINExpired):
		return "expired " + cli.Cell(t.PINExpires)
	default:
		return "expires " + cli.Cell(t.PINExpires)
	}
}

// newPIN describes who makes a new PIN, and when one is asked for.
func newPIN(t api.Token) string {
	if t.PINStyle == string(tokencode.NoPIN) {
		return ""
	}
	by := map[string]string{
		string(engine.PINByUser): "chosen by the user", string(engine.PINBySystem): "generated", string(engine.PINByEither): "chosen by the user or generated",
	}[t.PINMadeBy]
	if t.PINSource == "" {
		by += " (policy)"
	}
	switch {
	case t.Unclaimed:
		return by + "; needs a temporary PIN first: keyfob token set-temporary-pin " + t.Serial
	case t.PINDue != "":
		return by + "; required at the next login"
	case t.PINDoubted:
		return by + "; may be required at the next login, because the PIN was set under a weaker policy"
	default:
		return by
	}
}

func tokenWindows(t api.Token) string {
	w := t.Windows
	if w == nil {
		return ""
	}
	unit, whose := "intervals each way", "form "+t.Form
	if t.PeriodSeconds == 0 {
		unit = "presses ahead"
	}
	if t.OwnWindows {
		whose = "token record"
	}
	return fmt.Sprintf("small %d, medium %d, large %d %s, %s", w.Small, w.Medium, w.Large, unit, whose)
}

// tokenClock describes the drift of the token.
func tokenClock(t api.Token) string {
	if t.PeriodSeconds == 0 {
		return ""
	}
	off := "on time"
	switch {
	case t.Drift != 0:
		off = fmt.Sprintf("%+d intervals", t.Drift)
	case !t.Proven:
		off = "not seen yet, assumed on time"
	}
	if t.AcceptedFrom != nil {
		off += "; tokencodes before " + cli.Cell(t.AcceptedFrom) + " are refused, because a later one was used"
	}
	return off
}

// tokenUse describes the last use.
func tokenUse(t api.Token) string {
	switch {
	case t.LastUse == nil && t.LastShown == nil && (t.PeriodSeconds > 0 || t.Last < 0):
		return "never"
	case t.Kind == engine.KindOnDemand:
		return cli.OrNever(t.LastUse)
	case t.LastShown != nil:
		return fmt.Sprintf("%s, with the tokencode of %s (interval %d)", cli.OrNever(t.LastUse), cli.Cell(t.LastShown), t.Last)
	default:
		return fmt.Sprintf("%s, press %d", cli.OrNever(t.LastUse), t.Last)
	}
}

// whenFound describes what becomes of a lost token's own tokencodes.
func whenFound(s api.EmergencyAccess, serial string) string {
	switch s.Found {
	case engine.FoundAllow:
		return "the first login with its own tokencode ends the emergency tokencodes (allow)"
	case engine.FoundAfter:
		return "its own tokencodes are accepted again when the emergency tokencodes have ended (after)"
	default:
		return "keyfob token found " + serial + " makes its own tokencodes valid again (refuse)"
	}
}

func goodFrom(t api.Token) string {
	var words []string
	if t.Born != nil {
		words = append(words, "from "+cli.Cell(t.Born))
	}
	if t.Expires != nil {
		words = append(words, "until "+cli.Cell(t.Expires))
	}
	if len(words) == 0 {
		return "without limit"
	}
	return strings.Join(words, " ")
}

// userSheet shows everything about a user.
func userSheet(tw *cli.Table, u api.UserSheet) {
	now := "nothing prevents a login"
	if len(u.Now) > 0 {
		now = cli.InLocalTime(strings.Join(u.Now, "; "))
	}
	tw.Row("USER", u.User.User)
	tw.Line("ROLE", u.Role)
	tw.Row("STATE", userState(u.User))
	tw.Row("NOW", now)
	tw.Row("LAST SUCCESS", cli.OrNever(u.LastSuccess))
	tw.Row("FAILURES", fmt.Sprintf("%d since the last success", u.Failures))
	if u.Sent > 0 {
		tw.Row("SENT", fmt.Sprintf("%d tokencodes in the last hour", u.Sent))
	}
	tw.Row("ADDED", u.Added)
	tw.Row()
	budgetRows(tw, u.Budgets)
	if len(u.Details) > 0 {
		tw.Row()
		tokenRows(tw, u.Details...)
	}
}
