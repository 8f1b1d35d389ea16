package main

import (
	"bytes"
	"crypto/rand"
	"encoding/hex"
	"encoding/json"
	"fmt"
	mathrand "math/rand/v2"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"keyfob/cmd/keyfob/admin"
	"keyfob/cmd/keyfob/fob"
	"keyfob/engine/tokencode"
	"keyfob/engine/tokenfile"
)

// TestTokensOfOtherProgramsLogIn checks interoperability: tokens of stoken and
// oathtool are imported, tokens that keyfob issues are read by them, and each logs in
// over RADIUS with tokencodes that keyfob did not compute. Tokens are random.
func TestTokensOfOtherProgramsLogIn(t *testing.T) {
	needPrograms(t, "stoken", "oathtool", "radclient")
	l := startLab(t)
	for _, set := range []struct {
		name string
		make func(*lab, *testing.T) []hand
	}{
		{"imported from stoken", (*lab).importedFromStoken},
		{"imported for oathtool", (*lab).importedForOathtool},
		{"issued for stoken", (*lab).issuedForStoken},
		{"issued for oathtool", (*lab).issuedForOathtool},
	} {
		t.Run(set.name, func(t *testing.T) {
			for _, h := range set.make(l, t) {
				t.Run(h.user, func(t *testing.T) { l.logsIn(t, h) })
			}
		})
	}
}

// hand is a user with a token in another program.
type hand struct {
	user  string
	style tokencode.PINStyle
	// code returns the tokencode a number of intervals from now, with the PIN
	// mixed in unless it is empty.
	code func(t *testing.T, ahead int, pin string) string
}

// passcode returns what the user enters.
func (h hand) passcode(t *testing.T, ahead int, pin string) string {
	t.Helper()
	if h.style == tokencode.PINpad {
		return h.code(t, ahead, pin)
	}
	return pin + h.code(t, ahead, "")
}

// logsIn checks that the first login sets a PIN, and the next is accepted once.
func (l *lab) logsIn(t *testing.T, h hand) {
	pin := ""
	a := l.radclient(t, l.Nodes[0], h.user, h.code(t, 0, ""), "")
	if h.style != tokencode.NoPIN {
		pin = "739164"
		a.challenges(t, "Enter a new PIN having from 4 to ")
		a = l.radclient(t, l.Nodes[1], h.user, pin, a.state)
		a.challenges(t, "re-enter new PIN")
		a = l.radclient(t, l.Nodes[2], h.user, pin, a.state)
		a.challenges(t, "PIN Accepted.")
	} else if a.code != "Access-Accept" {
		t.Fatalf("the tokencode alone: %s %q", a.code, a.message)
	}
	passcode := h.passcode(t, 1, pin)
	if a = l.radclient(t, l.Nodes[0], h.user, passcode, a.state); a.code != "Access-Accept" {
		t.Fatalf("the passcode: %s %q", a.code, a.message)
	}
	if a = l.radclient(t, l.Nodes[1], h.user, passcode, ""); a.code != "Access-Reject" {
		t.Errorf("the same passcode again: %s", a.code)
	}
}

// program runs a program with its own home directory.
func program(t *testing.T, name string, args ...string) string {
	t.Helper()
	c := exec.CommandContext(t.Context(), name, args...)
	c.Env = append(os.Environ(), "HOME="+t.TempDir())
	out, err := c.Output()
	if err != nil {
		t.Fatalf("%s %q: %v", name, args, err)
	}
	return strings.TrimSpace(string(out))
}

// stoken runs stoken.
func stoken(t *testing.T, args ...string) string {
	t.Helper()
	return program(t, "stoken", append(args, "--batch")...)
}

// inStoken returns a SecurID token that stoken reads from a source.
func inStoken(user string, style tokencode.PINStyle, period time.Duration, source ...string) hand {
	return hand{user, style, func(t *testing.T, ahead int, pin string) string {
		t.Helper()
		at := time.Now().Add(time.Duration(ahead) * period).Unix()
		args := append([]string{"tokencode", fmt.Sprintf("--use-time=%d", at)}, source...)
		if style == tokencode.PINpad {
			if pin == "" {
				pin = "0000" // changes nothing, and keeps stoken from asking
			}
			args = append(args, "--pin="+pin)
		}
		return stoken(t, args...)
	}}
}

// tokenFile writes a file for other programs.
func (l *lab) tokenFile(t *testing.T, content string) string {
	t.Helper()
	f, err := os.CreateTemp(l.dir, "token-")
	if err != nil {
		t.Fatal(err)
	}
	_, err = f.WriteString(content)
	if closed := f.Close(); err != nil || closed != nil {
		t.Fatal(err, closed)
	}
	return f.Name()
}

// takesIn imports a file and returns the result for each token.
func (l *lab) takesIn(t *testing.T, file string, args ...string) []admin.Imported {
	t.Helper()
	var rows []admin.Imported
	out := l.admin(t, append([]string{"token", "import", file, "--add-users", "-o", "json"}, args...)...)
	if err := json.Unmarshal(out, &rows); err != nil {
		t.Fatalf("%v in %s", err, out)
	}
	for _, r := range rows {
		if r.Result != "imported" {
			t.Fatalf("token %s was %s: %s", r.Serial, r.Result, r.Why)
		}
	}
	return rows
}

// importedFromStoken issues tokens of every kind with stoken, exports them in every
// format, and imports them.
func (l *lab) importedFromStoken(t *testing.T) []hand {
	const device = "a01c4380-fc01-4df0-b113-7fb98ec74694"
	secret := "p" + rand.Text()
	password := l.tokenFile(t, secret)
	var hands []hand
	for i, form := range []string{"sdtid", "numeric", "blocks", "iphone", "v3", "rc"} {
		tok := randomSecurID(t, fmt.Sprintf("stoken-%s", form))
		tok.PINStyle = []tokencode.PINStyle{tokencode.Fob, tokencode.PINpad}[i%2]
		issued := l.tokenFile(t, stoken(t, "issue", "--template="+l.template(t, tok), "--new-password="+secret))
		source := []string{"--file=" + issued, "--password=" + secret}
		args := []string{"--password-file", password}
		export := append([]string{"export", "--new-password=" + secret}, source...)
		file := issued
		switch form {
		case "sdtid":
		case "numeric":
			file = l.tokenFile(t, stoken(t, export...))
		case "rc":
			file = filepath.Join(t.TempDir(), "stokenrc")
			stoken(t, append([]string{"import", "--new-password=" + secret, "--rcfile=" + file}, source...)...)
		default:
			file = l.tokenFile(t, stoken(t, append(export, "--"+form, "--new-devid="+device)...))
			args = append(args, "--device-id", device)
		}
		rows := l.takesIn(t, file, args...)
		if form != "sdtid" { // the others do not name the owner
			l.admin(t, "user", "add", tok.User)
			l.admin(t, "token", "assign", rows[0].Serial, tok.User)
		}
		hands = append(hands, inStoken(tok.User, tok.PINStyle, tok.Params.Period, source...))
	}
	return hands
}

// randomSecurID returns a token with 6 or 8 digits and 30 or 60 seconds.
func randomSecurID(t *testing.T, user string) tokenfile.Token {
	t.Helper()
	tok, err := fob.Make(time.Now(), tokencode.SecurID, user, "")
	if err != nil {
		t.Fatal(err)
	}
	tok.Params.Digits = 6 + 2*mathrand.IntN(2)
	tok.Params.Period = time.Duration(30+30*mathrand.IntN(2)) * time.Second
	tok.Born = time.Now().AddDate(-1, 0, 0)
	t.Logf("%s: token %s, %d digits, %v", user, tok.Serial, tok.Params.Digits, tok.Params.Period)
	return tok
}

// template returns the template from which stoken makes a token with a random seed.
func (l *lab) template(t *testing.T, tok tokenfile.Token) string {
	t.Helper()
	tok.Seed = make(tokencode.Seed, 16)
	var b bytes.Buffer
	if err := tokenfile.WriteSDTID(&b, []tokenfile.Token{tok}, tokenfile.SDTIDOptions{Origin: "template"}, rand.Reader); err != nil {
		t.Fatal(err)
	}
	return l.tokenFile(t, b.String())
}

// issuedForStoken issues tokens of every kind with keyfob, as links and as a file.
func (l *lab) issuedForStoken(t *testing.T) []hand {
	secret := rand.Text()
	password := l.tokenFile(t, secret)
	var hands []hand
	for i, style := range []tokencode.PINStyle{tokencode.Fob, tokencode.PINpad, tokencode.NoPIN, tokencode.PINpad, tokencode.Fob} {
		user, period := fmt.Sprintf("issued-%d-%s", i, style), 30+30*(i%2)
		args := []string{"--kind", "securid", "--pin-style", string(style), "--digits", strconv.Itoa(6 + 2*(i/2%2)), "--period", strconv.Itoa(period)}
		var source []string
		switch {
		case i < 3:
			source = []string{"--token=" + l.issue(t, user, args...).URI}
		case i == 3:
			source = []string{"--token=" + l.issue(t, user, append(args, "--password-file", password)...).URI, "--password=" + secret}
		default:
			file := filepath.Join(t.TempDir(), "token.sdtid")
			l.issue(t, user, append(args, "--password-file", password, "--sdtid", file)...)
			source = []string{"--file=" + file, "--password=" + secret}
		}
		hands = append(hands, inStoken(user, style, time.Duration(period)*time.Second, source...))
	}
	return hands
}

// oathSort is a kind of TOTP token, or of HOTP token if there is no period.
type oathSort struct {
	algorithm      string
	digits, period int
}

func oathSorts() []oathSort {
	return []oathSort{
		{"SHA1", 6, 30},
		{"SHA1", 8, 60},
		{"SHA256", 6, 60},
		{"SHA256", 8, 30},
		{"SHA512", 7, 30},
		{"SHA512", 6, 60},
		{"SHA1", 6, 0},
		{"SHA1", 8, 0},
	}
}

func (s oathSort) kind() string {
	if s.period == 0 {
		return "hotp"
	}
	return "totp"
}

func (s oathSort) String() string {
	return fmt.Sprintf("%s-%s-%d-%d", s.kind(), strings.ToLower(s.algorithm), s.digits, s.period)
}

// inOathtool returns a token whose key oathtool has.
func (s oathSort) inOathtool(user string, key ...string) hand {
	return hand{user, tokencode.Fob, func(t *testing.T, ahead int, _ string) string {
		t.Helper()
		args := []string{"--hotp", "--counter=" + strconv.Itoa(ahead)}
		if s.period > 0 {
			at := time.Now().Add(time.Duration(ahead*s.period) * time.Second).Unix()
			args = []string{"--totp=" + strings.ToLower(s.algorithm), fmt.Sprintf("--time-step-size=%ds", s.period), fmt.Sprintf("--now=@%d", at)}
		}
		args = append(args, "--digits="+strconv.Itoa(s.digits))
		return program(t, "oathtool", append(args, key...)...)
	}}
}

// importedForOathtool imports a table of tokens whose keys oathtool has.
func (l *lab) importedForOathtool(t *testing.T) []hand {
	table := "serial,secret_hex,kind,algorithm,digits,interval,user\n"
	var hands []hand
	for _, s := range oathSorts() {
		key := make([]byte, 20+mathrand.IntN(13))
		_, _ = rand.Read(key)
		user, interval := "table-"+s.String(), ""
		if s.period > 0 {
			interval = strconv.Itoa(s.period)
		}
		table += fmt.Sprintf("%s,%x,%s,%s,%d,%s,%s\n", rand.Text(), key, s.kind(), s.algorithm, s.digits, interval, user)
		hands = append(hands, s.inOathtool(user, hex.EncodeToString(key)))
	}
	l.takesIn(t, l.tokenFile(t, table))
	return hands
}

// issuedForOathtool issues tokens with keyfob and passes the keys in their URIs to
// oathtool.
func (l *lab) issuedForOathtool(t *testing.T) []hand {
	var hands []hand
	for _, s := range oathSorts() {
		user := "issued-" + s.String()
		args := []string{"--kind", s.kind(), "--algorithm", s.algorithm, "--digits", strconv.Itoa(s.digits)}
		if s.period > 0 {
			args = append(args, "--period", strconv.Itoa(s.period))
		}
		u, err := url.Parse(l.issue(t, user, args...).URI)
		if err != nil {
			t.Fatal(err)
		}
		hands = append(hands, s.inOathtool(user, "--base32", u.Query().Get("secret")))
	}
	return hands
}
