package admin

import (
	"strings"

	"github.com/spf13/cobra"
)

// page is what --help and the manual say of a command beyond its one line. Lines
// are shown as they are; those indented by four are a table.
type page struct{ long, examples string }

// pages has one for each command of administrators; a test checks the examples.
var pages = map[string]page{
	"user add": {`
Names are not case-sensitive. Full-width and composed characters are equal to their plain
forms.`, `
keyfob user add ada`},
	"user list": {`
Filters are combined: a user is listed if all of them apply.`, `
keyfob user list
keyfob user list --locked
keyfob user list --never-used --without-token -o csv`},
	"user show": {`
keyfob state show USER adds the last refusals and what to do about them.`, `
keyfob user show ada`},
	"user disable": {`
Every login is refused, and the refusal looks like any other. Conversations in progress end.
Failure counts and tokens do not change.`, `
keyfob user disable ada --reason 'on leave until June'`},
	"user enable": {"", `
keyfob user enable ada`},
	"user unlock": {`
Ends the locks and resets both failure counts: that of strangers and that of trusted clients.
Check first whose failures they were: keyfob state show USER. A token in Next Tokencode mode
stays in it until the next tokencode is entered.`, `
keyfob user unlock ada --reason 'called, identity checked'`},
	"user check": {`
The user opens the page /caller on any node, enters the user name and a tokencode, and reads out
the word that the page shows. Exit status 0 means yes, 1 means no. A word is valid for one right
check; three wrong checks void it. Afterwards you may help this user for caller.help_for.`, `
keyfob user check ada 7K3 MQX --reason 'called about a lost PIN'`},
	"user delete": {`
The tokens are unassigned and lose their PINs. The audit trail keeps the user's events.`, `
keyfob user delete ada --reason 'has left'`},

	"token import": {`
Reads RSA token records (sdtid), CTF strings, PSKC, otpauth URIs, CSV and stoken files. Prints
what was read, what was refused, and why. All tokens are imported or none, unless --partial is
given. Tokens that are present with the same seed are not changed.`, `
keyfob token import batch.xml --password-file pw --dry-run
keyfob token import batch.xml --password-file pw --add-users`},
	"token add": {`
The secret is read from a file or from standard input, so that it does not appear in the list
of processes. A token of kind ondemand has no secret: tokencodes are sent to its user.`, `
keyfob token add --serial 1234 --kind totp --secret-file secret --user ada
keyfob token add --kind ondemand --user ada --mail ada@example.com --pin-temporary`},
	"token issue": {`
The seed is shown only once, as a URI and a QR code, or written to a page or a file.`, `
keyfob token issue ada
keyfob token issue ada --page ada.html
keyfob token issue ada --kind securid --sdtid ada.sdtid --password-file pw`},
	"token list": {`
Filters are combined: a token is listed if all of them apply. --drifting has columns of its
own: how fast a clock drifts, and when it leaves the small window if the token is not used.`, `
keyfob token list --user ada
keyfob token list --unassigned
keyfob token list --mode new_pin --pin-older-than 365d
keyfob token list --drifting`},
	"token show": {"", `
keyfob token show 000123456789
keyfob token show ada -o json`},
	"token assign": {`
Where the policy sets pin.first=activation_code, an activation code is made and shown only
once. Give it to the owner by another way than the token.`, `
keyfob token assign 000123456789 ada`},
	"token unassign": {`
The PIN, the drift history and the modes are cleared. Tokencodes that were used stay used.`, `
keyfob token unassign 000123456789 --reason 'returned'`},
	"token enable": {"", `
keyfob token enable 000123456789`},
	"token disable": {"", `
keyfob token disable 000123456789 --reason 'in repair'`},
	"token clear-pin": {`
The token enters New PIN mode: the owner sets a PIN at the VPN or on the page. Where the policy
sets pin.first=activation_code, an activation code is made and shown only once; read it out. To
read out a PIN instead: keyfob token set-temporary-pin SERIAL.`, `
keyfob token clear-pin 000123456789 --reason 'forgot the PIN'`},
	"token new-pin": {`
The next login asks for the present PIN and then for a new one.`, `
keyfob token new-pin 000123456789`},
	"token next-tokencode": {"", `
keyfob token next-tokencode 000123456789`},
	"token zero-drift": {`
Resets the drift and its history, for a device whose clock was set right. Tokencodes up to the
last one used stay invalid. A token that was fast is therefore refused until its clock passes
that point; the command prints when.`, `
keyfob token zero-drift 000123456789 --reason 'the phone has network time now'`},
	"token set-temporary-pin": {`
The PIN is random and shown only once. The owner must change it at the first login.`, `
keyfob token set-temporary-pin 000123456789`},
	"token resync": {`
The owner reads out two consecutive tokencodes, without the PIN. They are searched within
resync.within (for tokens with a button, resync.ahead presses). Neither may have been used. The
command does not unlock the user.`, `
keyfob token resync 000123456789 31415926 27182818`},
	"token lost": {`
Emergency tokencodes are entered after the PIN, in place of the token's own: a set of them,
each valid once, or with --fixed a single one that is valid until the end. Earlier ones become
void. The token must have a PIN. --found decides about the token's own tokencodes:

    refuse  refused until keyfob token found (the default)
    allow   accepted; the first login with one ends the emergency access
    after   refused until the emergency access ends, then accepted`, `
keyfob token lost 000123456789
keyfob token lost 000123456789 --page emergency.html
keyfob token lost 000123456789 --fixed --for 48h --found allow
keyfob token lost 000123456789 --tokencodes 0 --reason 'stolen'`},
	"token found": {`
The emergency tokencodes end, and the token's own are accepted again.`, `
keyfob token found 000123456789`},
	"token replace": {`
NEW is a token without an owner, such as one just imported. Both tokens work until the first
login with NEW; then the old one is unassigned. For an app, use keyfob token issue USER, and
unassign the old token later.`, `
keyfob token replace 000123456789 000987654321`},
	"token replace-exposed": {`
For each exposed TOTP or HOTP token with a user, makes a new TOTP app, writes its page to the
directory, and lets it replace the old token at its first login. Run it again for the next ones
when the pages have been handed out. A token that has a replacement is not replaced again. Other
exposed tokens need a new device: import it and use keyfob token replace. keyfob token list
--exposed shows them all.`, `
keyfob token replace-exposed --pages new-apps --limit 100 --reason 'n3 was stolen'`},
	"token delete": {`
The seed is destroyed. If the same token is imported again, used tokencodes stay used.`, `
keyfob token delete 000123456789 --reason 'broken'`},

	"client add": {`
The client with the longest prefix that contains the source address of a packet is used.
Without --secret-file a shared secret is made and shown only once. Dialects:

    rsa          the prompts that most gateways know (the default)
    cisco-sdi    for ASA and FTD with SDI messages
    plain        plain English
    nochallenge  for a VPN that cannot show a prompt`, `
keyfob client add vpn-berlin 192.0.2.7 --site berlin --trusted
keyfob client add vpn-paris 198.51.100.0/28 --dialect nochallenge --secret-file secret`},
	"client set": {`
Settings that are not named keep their values.`, `
keyfob client set vpn-berlin --dialect cisco-sdi`},
	"client clear-signed": {`
With --message-authenticator auto, an address that has sent a Message-Authenticator must send it
from then on. Use this command if a gateway no longer can, for example after it was replaced.
First make sure that nobody on the path removes it: that is what an attack looks like.`, `
keyfob client clear-signed vpn-berlin 192.0.2.7
keyfob client clear-signed vpn-berlin`},
	"client rotate-secret": {`
Both secrets are valid until the new one is used, at most for --overlap. keyfob client show
names the one in use.`, `
keyfob client rotate-secret vpn-berlin --secret-file secret`},
	"client list":   {"", "\nkeyfob client list"},
	"client show":   {"", "\nkeyfob client show vpn-berlin"},
	"client remove": {"", "\nkeyfob client remove vpn-berlin --reason 'out of service'"},

	"cluster backup": {`
The first backup makes the recovery key and shows it once, unless keyfob cluster recovery-key add
has made one. Later backups need no key: the cluster knows the public half. keyfob cluster
restore opens a backup.`, `
keyfob cluster backup /backup/keyfob.kfb`},
	"cluster approve": {`
The machine prints the fingerprint while keyfob cluster join waits. Compare it by telephone or on
its console, not by mail. Until then the machine gets nothing, and its invitation expires.`, `
keyfob cluster approve n3
keyfob cluster approve n3 --fingerprint K7QM-2XHD-PP4A-3TCE
keyfob cluster approve n3 --refuse`},
	"cluster recovery-key add": {`
With --shares the key is split. Give each share to another person: --threshold of them open a
backup together, fewer say nothing about the key. Each of several recovery keys opens a backup.`, `
keyfob cluster recovery-key add --shares 3 --threshold 2
keyfob cluster recovery-key add --replace --reason 'safe B was moved'`},
	"cluster recovery-key check": {`
Try the key or its shares before they are needed. Nothing is opened or changed.`, `
keyfob cluster recovery-key check`},
	"cluster recovery-key list":   {"", "\nkeyfob cluster recovery-key list"},
	"cluster recovery-key remove": {"", "\nkeyfob cluster recovery-key remove 1f2e3d4c"},
	"cluster invite": {`
The invitation contains the fingerprint of the cluster's CA, so that the new node cannot join
another cluster by mistake. It is a secret: pass it on in a file or type it, never on a command
line. The machine waits until cluster approve, unless --approved is given.`, `
keyfob cluster invite n3
keyfob cluster invite n3 --ttl 5m --approved`},
	"cluster remove": {"", "\nkeyfob cluster remove n3"},
	"cluster status": {`
The first line says who leads, how many nodes are up, and what does not work.`, `
keyfob cluster status
keyfob cluster status -o json`},
	"cluster rotate-keys": {`
The leader makes a new root key, has every record sealed again under it, and lets the old one be
forgotten when no node needs it any more. Removing a node does the same by itself. A member that
is down delays only the end. Progress is in keyfob cluster status.`, `
keyfob cluster rotate-keys --wait --reason 'yearly rotation'`},
	"cluster transfer": {"", "\nkeyfob cluster transfer n2 --reason 'kernel update on n1'"},

	"policy show": {`
Shows the settings by group, each with its unit, bounds and meaning; * marks those that differ
from the default. Then the chance that guessing succeeds, with the arithmetic and its
assumptions, and the profiles. A key or a prefix shows only those settings.`, `
keyfob policy show
keyfob policy show pin
keyfob policy show lock.after
keyfob policy show -o json`},
	"policy set": {`
Keys are those of keyfob policy show. profile=NAME (default, rsa, strict) sets all of them: the
values of the profile, and defaults for the rest. Other settings given with it take precedence.
The command prints the changes and how many users must change their PIN, and asks. Without a
terminal, a change that users notice needs --yes. A change that makes guessing too easy needs
--force.`, `
keyfob policy set pin.min=6 lock.for=1h
keyfob policy set profile=rsa pin.min=5
keyfob policy set profile=strict --yes --reason 'PCI DSS'`},
	"policy simulate": {`
Replays the node's audit trail under other settings and changes nothing. Shows, by user, how
many logins would have been refused or asked for more.`, `
keyfob policy simulate --since 90d lock.after=5 pin.min=6
keyfob policy simulate --since 7d profile=strict`},

	"state show": {`
The first lines say what is wrong and what to do. Then failures and locks, the tokens and their
clocks, and the last refusals with reason and reference. --at shows the state at an earlier
time.`, `
keyfob state show ada
keyfob state show ada --at 2026-11-20T08:00:00Z
keyfob state show ada --at 4711`},

	"audit tail": {`
On a terminal each event is one line; elsewhere it is a JSON object. Filters are combined. To
resume, give --after the number of the last event that was read; --since is then not applied.
The roles helpdesk and enrolment can read the events of one user: --user with --since, --until
and --follow, without other filters.`, `
keyfob audit tail --since 24h --follow
keyfob audit tail --user ada --outcome reject
keyfob audit tail --after 4711 --format json
keyfob audit tail --format cef`},
	"audit show": {`
A reference has eight letters and digits. The page shows one with each refusal, and keyfob
state show lists them. Case, dashes and spaces do not matter.`, `
keyfob audit show 7K3M-QX4P`},
	"audit export": {"", "\nkeyfob audit export"},
	"audit verify": {`
Exits with 1 and names the first event that was changed, removed or inserted.`, `
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
    login      decide logins, for applications that do not use RADIUS

API tokens are for programs; administrators use keyfob login. An API token can be limited to
operations, named as in docs/openapi.json, to sites and to networks; all limits apply together.
It expires after 90 days unless stated, and issues no API token that expires later than itself.`, `
keyfob api-token issue monitoring --role auditor --ttl 365d
keyfob api-token issue desk --role helpdesk --command 'unlock-user,show-*' --from 192.0.2.7`},
	"approval list": {`
The policy setting approval.required names the groups of commands that wait for a second
administrator. A command that waits has changed nothing. It ends by itself after
approval.expires_after.`, `
keyfob approval list`},
	"approval show": {"", `
keyfob approval show 7K3M-QX4P`},
	"approval approve": {`
The command is decided now: if what it would do has changed since the request, it is refused.
The requester of a command cannot approve it, with any session or API token. Root at
the socket of a node is one party, root on another node is another. API tokens cannot approve.

An approved backup is taken by its requester, once, within an hour.`, `
keyfob approval approve 7K3M-QX4P --reason 'agreed by telephone, ticket 4711'`},
	"approval refuse": {`
The requester withdraws a command in the same way.`, `
keyfob approval refuse 7K3M-QX4P --reason 'not this quarter'`},
	"api-token list": {`
The last use is recorded at most once an hour. Expired API tokens are listed for 30 days.`, `
keyfob api-token list`},
	"api-token revoke": {"", "\nkeyfob api-token revoke ticketing"},

	"login": {`
Asks for the PASSCODE, for a new PIN or the next tokencode if the token needs one, and opens a
session. Later commands for the same server use it unless KEYFOB_TOKEN is set. The session ends
by keyfob logout, after admin.session_for, after admin.session_idle without use, and when the
user loses the role or the token. It is valid only at the address where it was opened.

It is kept in $XDG_STATE_HOME/keyfob/sessions, or ~/.local/state/keyfob/sessions, readable by
its owner only. Without a terminal, the answers are read from standard input, one per line.`, `
keyfob login ada --server https://keyfob.example.com:8444 --ca ca.pem`},
	"logout": {"", `
keyfob logout
keyfob logout --all`},
	"admin add": {`
The user logs in with keyfob login. Every token of an administrator needs a PIN. Only the role
admin can change anything about a user who has a role. Roles:

    admin      all operations
    helpdesk   help users: view, unlock, set PINs, resynchronize, replace tokens, delete users
    enrolment  add users; import, issue, assign, replace and delete tokens
    auditor    view everything, change nothing`, `
keyfob admin add ada --role admin --reason 'joined the network team'`},
	"admin list": {"", "\nkeyfob admin list"},
	"admin remove": {`
The user and the tokens stay. The last administrator with the role admin can be removed only at
the socket of a node, or while an API token with that role is left.`, `
keyfob admin remove ada --reason 'left the network team'`},
	"admin link": {`
An API token that is linked to a person is refused when that person is disabled or loses the
role. It is not a second person where two are required.`, `
keyfob admin link ada ada-laptop`},
	"admin session list": {"", "\nkeyfob admin session list"},
	"admin session end": {"", `
keyfob admin session end 3f9a2c01b4d7
keyfob admin session end --user ada`},
}

// explain gives the commands below c their pages.
func explain(c *cobra.Command) {
	for _, sub := range c.Commands() {
		explain(sub)
	}
	p, ok := pages[strings.TrimPrefix(c.CommandPath(), "keyfob ")]
	if !ok {
		return
	}
	if p.long != "" {
		c.Long = c.Short + ".\n" + p.long
	}
	c.Example = "  " + strings.ReplaceAll(strings.TrimPrefix(p.examples, "\n"), "\n", "\n  ")
}
