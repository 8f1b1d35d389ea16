package main

import (
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
)

// page is what --help and the manual say of a command beyond its one line.
// Lines are as they are printed.
type page struct{ long, examples string }

// manual has a page for each command that people at a help desk or behind a
// cluster type; a test holds the examples to the commands.
var manual = map[string]page{
	"user add": {`
A name is one however it is typed: case, width and composed accents make no difference.`, `
keyfob user add ada`},
	"user list": {"", `
keyfob user list
keyfob user list -o json`},
	"user show": {`
See also keyfob state show USER, which says what stands between the user and a login.`, `
keyfob user show ada`},
	"user disable": {`
Every login is refused from now on, through every door, and looks like any other refusal.
Conversations under way end. Failures and tokens stay as they are.`, `
keyfob user disable ada --reason 'on leave until June'`},
	"user enable": {"", `
keyfob user enable ada`},
	"user unlock": {`
Ends the user's locks and sets the failures to 0, those of strangers and those through
trusted gateways. Find out first whose failures they were: keyfob state show USER. A token
in Next Tokencode mode stays in it until the next tokencode was typed.`, `
keyfob user unlock ada --reason 'called, known by voice'`},
	"user delete": {`
The tokens belong to nobody then, without a PIN. What the user did stays in the audit trail.`, `
keyfob user delete ada --reason 'has left'`},

	"token import": {`
Reads RSA token records (sdtid), CTF strings, PSKC, otpauth URIs, CSV and files of stoken,
shows what was read, and what was refused and why. All or nothing is taken in, unless
--partial. What is known already with the same secret is left as it is.`, `
keyfob token import batch.xml --password-file pw --dry-run
keyfob token import batch.xml --password-file pw --add-users`},
	"token add": {`
The secret is read from a file or from standard input, so that it stands in no list of
processes. Of kind ondemand there is no secret: a tokencode is sent when the PIN is typed.`, `
keyfob token add --serial 1234 --kind totp --secret-file secret --user ada
keyfob token add --kind ondemand --user ada --mail ada@example.com --pin-temporary`},
	"token issue": {`
The seed is shown only this once, as URI and QR code, or written to a page or a file.`, `
keyfob token issue ada
keyfob token issue ada --page ada.html
keyfob token issue ada --kind securid --sdtid ada.sdtid --password-file pw`},
	"token list": {`
--drifting lists the tokens whose clock drifts, by how soon it leaves the small window if
they lie unused; then those of no known rate that are off by more than the small window.`, `
keyfob token list --user ada
keyfob token list --drifting`},
	"token show": {"", `
keyfob token show 000123456789
keyfob token show 000123456789 -o json`},
	"token assign": {`
Where pin.first asks for an activation code, one is made and shown only this once; tell it to
the owner by another way than the token goes.`, `
keyfob token assign 000123456789 ada`},
	"token unassign": {`
Its PIN, its drift's history and its modes are forgotten; what was used of it stays used.`, `
keyfob token unassign 000123456789 --reason 'handed back'`},
	"token enable": {"", `
keyfob token enable 000123456789`},
	"token disable": {"", `
keyfob token disable 000123456789 --reason 'at the repair shop'`},
	"token clear-pin": {`
The token is in New PIN mode: its owner sets a PIN at the VPN or on the page. Where pin.first
asks for an activation code, one is made and shown only this once: read it out. To read a PIN
out in any case: keyfob token set-temporary-pin SERIAL.`, `
keyfob token clear-pin 000123456789 --reason 'forgot the PIN'`},
	"token new-pin": {`
The present PIN is asked for once more, and then a new one.`, `
keyfob token new-pin 000123456789`},
	"token next-tokencode": {"", `
keyfob token next-tokencode 000123456789`},
	"token zero-drift": {`
Forgets where the token's clock was believed to be, and the history of its drift: for a
device whose time has been set right. No tokencode becomes good again by it: nothing at or
before the last one that was used is accepted, so a token that was fast has to wait until
it is beyond that; the answer says until when.`, `
keyfob token zero-drift 000123456789 --reason 'the phone has its time from the network now'`},
	"token set-temporary-pin": {`
The PIN is made here and shown only this once. Whoever logs in with it must choose another
before being let in.`, `
keyfob token set-temporary-pin 000123456789`},
	"token resync": {`
The owner reads out two tokencodes in a row, without the PIN; they are found within
resync.within (resync.ahead presses). Neither may have been used. It does not unlock.`, `
keyfob token resync 000123456789 31415926 27182818`},
	"token lost": {`
Emergency tokencodes are typed after the PIN in the token's place: a set of them, each good
once, or with --fixed a single one that is good until the end. Those given out before are
void. The token must have a PIN. What the token's own
tokencodes do meanwhile is for --found to say:

  refuse  nothing, until keyfob token found (the default)
  allow   let in, and end the emergency access: who finds it has it back
  after   nothing until the emergency access is over, and then as ever`, `
keyfob token lost 000123456789
keyfob token lost 000123456789 --page emergency.html
keyfob token lost 000123456789 --fixed --for 48h --found allow
keyfob token lost 000123456789 --tokencodes 0 --reason 'stolen'`},
	"token found": {`
The emergency tokencodes are over, and the token's own are good again.`, `
keyfob token found 000123456789`},
	"token replace": {`
NEW is a token that belongs to nobody, such as one just imported. Both can be used until NEW
lets its owner in for the first time: then the other is taken away. For an app:
keyfob token issue USER, and keyfob token unassign of the old one.`, `
keyfob token replace 000123456789 000987654321`},
	"token delete": {`
The seed is destroyed. Should the same token be imported again, what was used stays used.`, `
keyfob token delete 000123456789 --reason 'broken'`},

	"client add": {`
The client with the longest prefix that holds a packet's source wins. Without --secret-file a
shared secret is made and shown only this once.

Dialects: rsa, which most gateways know; cisco-sdi, for ASA and FTD with SDI messages; plain
English; nochallenge, for a VPN that cannot ask anything back.`, `
keyfob client add vpn-berlin 192.0.2.7 --site berlin --trusted
keyfob client add vpn-paris 198.51.100.0/28 --dialect nochallenge --secret-file secret`},
	"client set": {`
Settings that are not named keep their values.`, `
keyfob client set vpn-berlin --dialect cisco-sdi`},
	"client rotate-secret": {`
Both secrets are valid until the new one has been used, or until --overlap is over.
keyfob client show names the one in use.`, `
keyfob client rotate-secret vpn-berlin --secret-file secret`},
	"client list":   {"", "\nkeyfob client list"},
	"client show":   {"", "\nkeyfob client show vpn-berlin"},
	"client remove": {"", "\nkeyfob client remove vpn-berlin --reason 'out of service'"},

	"policy show": {`
Every number with its unit, its bounds and what it means; * marks those that are not the
defaults. Below: the chance that blind guessing gets in, in a day and a year, with the
arithmetic and what it takes for granted; and the profiles.`, `
keyfob policy show
keyfob policy show -o json`},
	"policy set": {`
The keys are those of keyfob policy show. profile=NAME (default, rsa, strict) sets all of
them: those of the profile, and the defaults for the rest; what is set beside it counts
more. It is said first what changes and how many users must change their PIN, and asked;
without a terminal such a change needs --yes. What lets guesses in too often needs --force.`, `
keyfob policy set pin.min=6 lock.for=1h
keyfob policy set profile=rsa pin.min=5
keyfob policy set profile=strict --yes --reason 'PCI DSS'`},
	"policy simulate": {`
Plays the audit trail on the node under other rules, and changes nothing. Of each user it
tells how many logins would have been refused or asked for more where in fact they were not.`, `
keyfob policy simulate --since 90d lock.after=5 pin.min=6
keyfob policy simulate --since 7d profile=strict`},

	"state show": {`
What is the matter, in the first line; then failures and locks, the tokens and their clocks,
and the last refusals with reason and reference. --at shows the same as it was then.`, `
keyfob state show ada
keyfob state show ada --at 2026-11-20T08:00:00Z
keyfob state show ada --at 4711`},

	"audit tail": {"", `
keyfob audit tail --since 24h --follow
keyfob audit tail --format cef`},
	"audit show": {`
A reference is what the page shows with a refusal, and what state show lists: eight letters
and digits. Case, dashes and blanks make no difference.`, `
keyfob audit show 7K3M-QX4P`},
	"audit export": {"", "\nkeyfob audit export"},
	"audit verify": {`
Ends with 1 and names the first event that was changed, removed or put in.`, `
keyfob audit verify /var/lib/keyfob
keyfob audit verify trail.jsonl`},
	"audit reader add": {`
Credentials work at the embedded NATS server of every node, until they expire or are revoked.`, `
keyfob audit reader add siem --ttl 90d`},
	"audit reader list":   {"", "\nkeyfob audit reader list"},
	"audit reader revoke": {"", "\nkeyfob audit reader revoke siem"},

	"api-token issue": {`
Roles:
  admin      all operations
  helpdesk   help users: view, unlock, set PINs, resynchronize, replace tokens, delete users
  enrolment  add users; import, issue, assign, replace and delete tokens
  auditor    view everything, change nothing
  login      decide logins, for applications that do not use RADIUS`, `
keyfob api-token issue desk-anna --role helpdesk --ttl 365d`},
	"api-token list":   {"", "\nkeyfob api-token list"},
	"api-token revoke": {"", "\nkeyfob api-token revoke desk-anna"},
}

// explain gives every command below c its page, and its flags' values names
// that people have for them.
func explain(c *cobra.Command) {
	for _, sub := range c.Commands() {
		if p, ok := manual[strings.TrimPrefix(sub.CommandPath(), "keyfob ")]; ok {
			if p.long != "" {
				sub.Long = sub.Short + ".\n" + p.long
			}
			sub.Example = "  " + strings.ReplaceAll(strings.TrimPrefix(p.examples, "\n"), "\n", "\n  ")
		}
		sub.Flags().VisitAll(func(f *pflag.Flag) {
			if name, ok := valueNames[f.Value.Type()]; ok {
				f.Value = valueOf{f.Value, name}
			}
			if f.DefValue == "0s" {
				f.DefValue = "" // which is not worth showing
			}
		})
		explain(sub)
	}
}

// valueNames are shown instead of Go's types, where a flag's own text names
// nothing.
var valueNames = map[string]string{
	"string": "TEXT", "int": "NUMBER", "int64": "NUMBER", "uint64": "NUMBER", "intSlice": "NUMBERS",
}

// valueOf is a value with such a name.
type valueOf struct {
	pflag.Value
	name string
}

// Type is how --help calls the value.
func (v valueOf) Type() string { return v.name }
