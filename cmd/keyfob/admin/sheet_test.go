package admin

import (
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"keyfob/api"
	"keyfob/cmd/keyfob/cli"
)

// TestSheetOfATokenHoldsAllThatIsKnownOfIt: what an administrator decided, what
// the token is, and what becomes of it, each in a line.
func TestSheetOfATokenHoldsAllThatIsKnownOfIt(t *testing.T) {
	at := func(hours int) *time.Time {
		then := time.Date(2026, 11, 2, 12+hours, 0, 0, 0, time.Local)
		return &then
	}
	left := 7
	for name, tt := range map[string]struct {
		token api.Token
		want  string
	}{
		"a fob": {api.Token{
			Serial: "000123", Kind: "securid", Digits: 6, PeriodSeconds: 60, PINStyle: "fob", Form: "fob", User: "ada", State: "lost, to be replaced by 000124",
			HasPIN: true, PINSetAt: at(-5), PINExpires: at(5), PINSource: "generated", PINMadeBy: "generated", PINDoubted: true,
			Windows: &api.Windows{Small: 1, Medium: 3, Large: 10}, OwnWindows: true, Drift: -2, Proven: true, Last: 29693160, LastShown: at(-1), LastUse: at(-2),
			Emergency: &api.EmergencyAccess{Since: at(0), Until: at(9), Given: 10, Left: &left, Found: "after", Words: "its own tokencodes are refused until 2026-11-02T21:00:00Z"},
			Born:      at(-8), Expires: at(8), Imported: at(-7), ReplacedBy: "000124",
		}, `
SERIAL       000123
KIND         securid, 6 digits, every 60 s
USER         ada
STATE        lost, to be replaced by 000124
PIN          set 2026-11-02 07:00:00; entered before the tokencode; expires 2026-11-02 17:00:00
NEW PIN      generated; may be required at the next login, because the PIN was set under a weaker policy
WINDOWS      small 1, medium 3, large 10 intervals each way, token record
CLOCK        -2 intervals
LAST USE     2026-11-02 10:00:00, with the tokencode of 2026-11-02 11:00:00 (interval 29693160)
LOST         since 2026-11-02 12:00:00: its own tokencodes are refused until ` + cli.InLocalTime("2026-11-02T21:00:00Z") + `
WHEN FOUND   its own tokencodes are accepted again when the emergency tokencodes have ended (after)
REPLACED BY  000124
VALID        from 2026-11-02 04:00:00 until 2026-11-02 20:00:00
IMPORTED     2026-11-02 05:00:00
`},
		"an event token that replaces": {api.Token{
			Serial: "H1", Kind: "hotp", Algorithm: "SHA1", Digits: 8, Form: "event", User: "ada", State: "New PIN mode, replaces 000123",
			HasPIN: true, PINSetAt: at(0), PINTemporary: true, PINDue: "pin_change_required", PINMadeBy: "either",
			Windows: &api.Windows{Small: 3, Medium: 7, Large: 100}, Last: 41, LastUse: at(1), Imported: at(0), Replaces: "000123",
		}, `
SERIAL    H1
KIND      hotp, SHA1, 8 digits, per press
USER      ada
STATE     New PIN mode, replaces 000123
PIN       temporary, set 2026-11-02 12:00:00; entered before the tokencode; does not expire
NEW PIN   chosen by the user or generated (policy); required at the next login
WINDOWS   small 3, medium 7, large 100 presses ahead, form event
LAST USE  2026-11-02 13:00:00, press 41
REPLACES  000123
VALID     without limit
IMPORTED  2026-11-02 12:00:00
`},
		"one that is sent": {api.Token{
			Serial: "O1", Kind: "ondemand", Digits: 8, User: "ada", State: "needs a PIN", Unclaimed: true, PINDue: "pin_not_set", PINMadeBy: "own", Last: 1, Imported: at(0),
		}, `
SERIAL    O1
KIND      ondemand, 8 digits, sent when the PIN is entered
USER      ada
STATE     needs a PIN
PIN       not set; entered alone to request a tokencode
NEW PIN   chosen by the user (policy); needs a temporary PIN first: keyfob token set-temporary-pin O1
LAST USE  never
VALID     without limit
IMPORTED  2026-11-02 12:00:00
`},
		"one without a PIN, as new": {api.Token{
			Serial: "N1", Kind: "totp", Algorithm: "SHA256", Digits: 6, PeriodSeconds: 30, PINStyle: "none", Form: "app", State: "unassigned",
			Windows: &api.Windows{Small: 10, Medium: 12, Large: 70}, Imported: at(0),
		}, `
SERIAL    N1
KIND      totp, SHA256, 6 digits, every 30 s
USER      -
STATE     unassigned
PIN       not used
WINDOWS   small 10, medium 12, large 70 intervals each way, form app
CLOCK     not seen yet, assumed on time
LAST USE  never
VALID     without limit
IMPORTED  2026-11-02 12:00:00
`},
	} {
		var b strings.Builder
		tw := cli.NewTable(&b)
		tokenSheet(tw, tt.token)
		if err := tw.Flush(); err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(strings.TrimPrefix(tt.want, "\n"), b.String()); diff != "" {
			t.Errorf("%s (-want +got):\n%s", name, diff)
		}
	}
}
