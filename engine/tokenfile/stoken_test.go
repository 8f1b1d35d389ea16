package tokenfile

import (
	"bytes"
	"encoding/hex"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"keyfob/engine/tokencode"
)

// stoken runs the real stoken program with its own home directory.
func stoken(t *testing.T, args ...string) string {
	t.Helper()
	if _, err := exec.LookPath("stoken"); err != nil {
		t.Skip("stoken is not installed")
	}
	cmd := exec.CommandContext(t.Context(), "stoken", append(args, "--batch")...)
	cmd.Env = append(os.Environ(), "HOME="+t.TempDir())
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("stoken %q: %v\n%s", args, err, out)
	}
	return strings.TrimSpace(string(out))
}

// chance generates deterministic test data.
type chance struct{ *rand.Rand }

func newChance(seed uint64) chance { return chance{rand.New(rand.NewPCG(seed, 25))} }

func (c chance) Read(p []byte) (int, error) {
	for i := range p {
		p[i] = byte(c.Uint32())
	}
	return len(p), nil
}

// text generates strings that contain special characters of XML, URIs and shells.
func (c chance) text(limit int) string {
	alphabet := []rune("abcXYZ 0189 &<>\"'%+=;:/\\äßЖ漢-_.")
	var b strings.Builder
	for range c.IntN(limit + 1) {
		if r := alphabet[c.IntN(len(alphabet))]; b.Len()+len(string(r)) <= limit {
			b.WriteRune(r)
		}
	}
	return strings.Trim(b.String(), " -")
}

func (c chance) token() Token {
	seed := make(tokencode.Seed, 16)
	_, _ = c.Read(seed)
	serial := fmt.Sprintf("%012d", c.Int64N(1e12))
	return Token{
		Serial: serial,
		Seed:   seed,
		Params: tokencode.Params{
			Kind:   tokencode.SecurID,
			Digits: 6 + 2*c.IntN(2),
			Period: time.Duration(30*(1+c.IntN(2))) * time.Second,
			Serial: serial,
		},
		PINStyle: []tokencode.PINStyle{tokencode.Fob, tokencode.PINpad}[c.IntN(2)],
		Born:     time.Date(2020, 1, 1, 0, 0, 0, 0, time.UTC),
		Expires:  time.Date(2027+c.IntN(10), 1, 1+c.IntN(300), 0, 0, 0, 0, time.UTC),
		User:     c.text(20),
		Name:     c.text(20),
	}
}

// agree compares our passcode with stoken's at a time before the expiry date.
func agree(t *testing.T, c chance, tok Token, args ...string) {
	t.Helper()
	at := time.Unix(1e9+c.Int64N(8e8), 0)
	args = append([]string{"tokencode", fmt.Sprintf("--use-time=%d", at.Unix())}, args...)
	pin := ""
	if tok.PINStyle == tokencode.PINpad {
		pin = fmt.Sprint(1000 + c.IntN(999000))
		args = append(args, "--pin="+pin)
	}
	want := stoken(t, args...)
	gen, err := tokencode.New(tok.Params, tok.Seed)
	if err != nil {
		t.Fatal(err)
	}
	got, err := tok.PINStyle.Passcode(pin, gen.At(tokencode.Interval(tok.Params, at)))
	if err != nil || got != want {
		t.Errorf("token %s at %d: ours %s, %v, stoken's %s %q", tok.Serial, at.Unix(), got, err, want, args)
	}
}

func write(t *testing.T, data []byte) string {
	t.Helper()
	name := filepath.Join(t.TempDir(), "token")
	if err := os.WriteFile(name, data, 0o600); err != nil {
		t.Fatal(err)
	}
	return name
}

func readOne(t *testing.T, data string, o Options) Token {
	t.Helper()
	got, err := Read(strings.NewReader(data), o)
	if err != nil {
		t.Fatalf("%v\n%.200s", err, data)
	}
	if len(got.Tokens) != 1 || len(got.Refused) != 0 {
		t.Fatalf("%d tokens, refused %v\n%.200s", len(got.Tokens), got.Refused, data)
	}
	return got.Tokens[0]
}

const randomTokens = 12

// TestTokensOfStokenAreRead reads tokens issued by stoken in each of its formats.
func TestTokensOfStokenAreRead(t *testing.T) {
	for i := range uint64(randomTokens) {
		c := newChance(i)
		tok := c.token()
		tok.Seed = make(tokencode.Seed, 16) // stoken generates the seed
		var template bytes.Buffer
		o := SDTIDOptions{Origin: "o" + c.text(30), Dest: c.text(40), Name: c.text(40)}
		if err := WriteSDTID(&template, []Token{tok}, o, c); err != nil {
			t.Fatal(err)
		}
		// With a custom origin and no password, stoken issues files that it cannot read.
		filePassword, newPassword := "p"+c.text(30), c.text(30)
		issued := stoken(t, "issue", "--template="+write(t, template.Bytes()), "--new-password="+filePassword)
		file := write(t, []byte(issued))
		got := readOne(t, issued, Options{Password: Secret(filePassword)})
		if got.Serial != tok.Serial || !got.Expires.Equal(tok.Expires) || got.User != clean(tok.User) || got.Params != tok.Params {
			t.Errorf("read back as %+v, issued as %+v", got, tok)
		}
		source := []string{"--file=" + file, "--password=" + filePassword}
		agree(t, c, got, source...)

		device := []string{"", deviceClasses[c.IntN(2)], "d82c-467c-56fb-2058-edf8-add6"}[c.IntN(3)]
		for _, form := range []string{"", "--blocks", "--iphone", "--android", "--v3", "--sdtid"} {
			if form == "--sdtid" && newPassword == "" {
				continue // stoken cannot read its own output in this case
			}
			args := append([]string{"export", "--new-password=" + newPassword}, source...)
			if form != "" {
				args = append(args, form)
			}
			if device != "" && form != "--sdtid" {
				args = append(args, "--new-devid="+device)
			}
			options := Options{Password: Secret(newPassword)}
			if len(device) < 36 {
				options.DeviceID = device
			}
			if again := readOne(t, stoken(t, args...), options); !bytes.Equal(again.Seed, got.Seed) || again.Params != got.Params || again.PINStyle != got.PINStyle {
				t.Errorf("form %s: read as %+v, want %+v", form, again, got)
			}
		}
	}
}

// TestStokenReadsOurTokens writes each format and compares passcodes.
func TestStokenReadsOurTokens(t *testing.T) {
	for i := range uint64(randomTokens) {
		c := newChance(100 + i)
		tok := c.token()
		password := c.text(30)
		device := []string{"", deviceClasses[c.IntN(2)], hex.EncodeToString([]byte(tok.Seed[:12]))}[c.IntN(3)]
		for _, o := range []CTFOptions{{Version: 2}, {Version: 2, Link: true}, {Version: 3}} {
			o.Password, o.DeviceID = Secret(password), device
			text, err := WriteCTF(tok, o, c)
			if err != nil {
				t.Fatal(err)
			}
			agree(t, c, tok, "--token="+text, "--password="+password, "--devid="+device)
			back := readOne(t, text, Options{Password: Secret(password), DeviceID: device})
			if back.Serial != tok.Serial || !bytes.Equal(back.Seed, tok.Seed) || !back.Expires.Equal(tok.Expires) {
				t.Errorf("%+v: read back as %+v", o, back)
			}
		}
		var file bytes.Buffer
		o := SDTIDOptions{Password: Secret(password), Origin: "o" + c.text(30), Dest: c.text(40), Name: c.text(40)}
		if err := WriteSDTID(&file, []Token{tok}, o, c); err != nil {
			t.Fatal(err)
		}
		agree(t, c, tok, "--file="+write(t, file.Bytes()), "--password="+password)
	}
}

// TestStokenReadsOurTokensWithoutExpiry checks the last expiry date that we write.
func TestStokenReadsOurTokensWithoutExpiry(t *testing.T) {
	c := newChance(7)
	tok := c.token()
	tok.Expires = time.Time{}
	for _, version := range []int{2, 3} {
		text, err := WriteCTF(tok, CTFOptions{Version: version}, c)
		if err != nil {
			t.Fatal(err)
		}
		agree(t, c, tok, "--token="+text)
	}
	var file bytes.Buffer
	if err := WriteSDTID(&file, []Token{tok}, SDTIDOptions{Origin: "o"}, c); err != nil {
		t.Fatal(err)
	}
	agree(t, c, tok, "--file="+write(t, file.Bytes()))
}
