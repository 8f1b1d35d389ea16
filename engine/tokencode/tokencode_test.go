package tokencode

import (
	"bytes"
	"encoding/json"
	"fmt"
	"log/slog"
	"math"
	"math/rand/v2"
	"strings"
	"testing"
	"time"
)

// examples returns at least one token of every kind. The conformance test fails for a
// kind without an example.
func examples() map[Kind][]Params {
	return map[Kind][]Params{
		TOTP: {
			{Kind: TOTP, Algorithm: SHA1, Digits: 6, Period: 30 * time.Second},
			{Kind: TOTP, Algorithm: SHA256, Digits: 7, Period: 60 * time.Second},
			{Kind: TOTP, Algorithm: SHA512, Digits: 8, Period: 30 * time.Second},
		},
		HOTP: {{Kind: HOTP, Algorithm: SHA1, Digits: 6}},
		SecurID: {
			{Kind: SecurID, Digits: 8, Period: 60 * time.Second, Serial: "000123456789"},
			{Kind: SecurID, Digits: 6, Period: 30 * time.Second, Serial: "123456789"},
		},
	}
}

var exampleSeed = Seed("0123456789abcdef")

func newGenerator(t testing.TB, p Params) *Generator {
	t.Helper()
	g, err := New(p, exampleSeed)
	if err != nil {
		t.Fatal(err)
	}
	return g
}

// TestEveryKindConforms checks that all kinds behave as the engine requires.
func TestEveryKindConforms(t *testing.T) {
	for _, kind := range Kinds() {
		params := examples()[kind]
		if len(params) == 0 {
			t.Errorf("no example of kind %s", kind)
		}
		for _, p := range params {
			t.Run(fmt.Sprintf("%s/%s/%v", kind, p.Algorithm, p.Period), func(t *testing.T) { conforms(t, p) })
		}
	}
}

func conforms(t *testing.T, p Params) {
	rnd := rand.New(rand.NewPCG(1, 2))
	base := Interval(p, time.Date(2026, 12, 31, 23, 30, 0, 0, time.UTC))
	g := newGenerator(t, p)
	seen := map[string]int{}
	for range 300 {
		interval := base + rnd.Int64N(200) - 100
		code := g.At(interval)
		if len(code) != p.Digits || !isDigits(code) {
			t.Fatalf("interval %d: %q is not %d digits", interval, code, p.Digits)
		}
		if fresh := newGenerator(t, p).At(interval); fresh != code {
			t.Fatalf("interval %d: %s from a used generator, %s from a new one", interval, code, fresh)
		}
		if got := string(g.Append([]byte("1234"), interval)); got != "1234"+code {
			t.Fatalf("Append made %s of 1234 and %s", got, code)
		}
		if !g.Matches(interval, code) {
			t.Fatalf("interval %d does not match its own tokencode", interval)
		}
		changed := []byte(code)
		changed[rnd.IntN(len(code))] ^= 1
		for _, bad := range []string{string(changed), code[1:], "0" + code, code + "\x00", "", strings.Repeat("0", 100)} {
			if g.Matches(interval, bad) {
				t.Fatalf("interval %d: %q matches, its tokencode is %s", interval, bad, code)
			}
		}
		seen[code]++
	}
	if len(seen) < 100 {
		t.Errorf("only %d tokencodes in 200 intervals", len(seen))
	}
	for _, absurd := range []int64{math.MinInt64, -1, 0, 1, math.MaxInt64} {
		if code := g.At(absurd); len(code) != p.Digits || !isDigits(code) {
			t.Errorf("interval %d: %q", absurd, code)
		}
	}
	if _, err := New(p, nil); err == nil {
		t.Error("an empty seed was accepted")
	}
	if _, err := New(p, make([]byte, MaxSeed+1)); err == nil {
		t.Error("a seed over the limit was accepted")
	}
}

func TestScanningAllocatesNothingPerTokencode(t *testing.T) {
	for _, params := range examples() {
		for _, p := range params {
			g := newGenerator(t, p)
			base := Interval(p, time.Date(2026, 7, 1, 12, 30, 0, 0, time.UTC))
			wrong := strings.Repeat("0", p.Digits)
			g.At(base)
			n := testing.AllocsPerRun(100, func() {
				for i := base - 10; i <= base+10; i++ {
					g.Matches(i, wrong)
				}
			})
			if n != 0 {
				t.Errorf("%s %s: %v allocations in a window", p.Kind, p.Algorithm, n)
			}
		}
	}
}

func TestValidateReportsAllProblems(t *testing.T) {
	cases := []struct {
		p    Params
		want []string
	}{
		{Params{}, []string{"0 digits", `unknown kind ""`}},
		{Params{Kind: TOTP, Digits: 9}, []string{"9 digits", `algorithm ""`, "period 0s"}},
		{Params{Kind: TOTP, Algorithm: "MD5", Digits: 5, Period: 15 * time.Second}, []string{"5 digits", `"MD5"`, "period 15s"}},
		{Params{Kind: HOTP, Algorithm: SHA1, Digits: 6, Period: 30 * time.Second}, []string{"HOTP is not time-based"}},
		{Params{Kind: SecurID, Algorithm: SHA1, Digits: 6, Serial: "12345678901x"}, []string{"algorithm", "12345678901x", "period"}},
		{Params{Kind: SecurID, Digits: 6, Period: time.Minute, Serial: "1234567890123"}, []string{"1 to 12 digits"}},
		{Params{Kind: SecurID, Digits: 6, Period: time.Minute, Serial: "12345678٣"}, []string{"1 to 12 digits"}},
		{Params{Kind: SecurID, Digits: 6, Period: time.Minute}, []string{"1 to 12 digits"}},
	}
	for _, c := range cases {
		err := c.p.Validate()
		if err == nil {
			t.Errorf("%+v was accepted", c.p)
			continue
		}
		for _, want := range c.want {
			if !strings.Contains(err.Error(), want) {
				t.Errorf("%+v: %q does not contain %q", c.p, err, want)
			}
		}
		if _, err := New(c.p, exampleSeed); err == nil {
			t.Errorf("New accepted %+v", c.p)
		}
	}
	for _, params := range examples() {
		for _, p := range params {
			if err := p.Validate(); err != nil {
				t.Errorf("%+v: %v", p, err)
			}
		}
	}
	if _, err := New(examples()[SecurID][0], make([]byte, 20)); err == nil {
		t.Error("SecurID accepted a seed of 20 bytes")
	}
}

func TestIntervalBeginsAtStart(t *testing.T) {
	for _, period := range []time.Duration{30 * time.Second, 60 * time.Second} {
		p := Params{Kind: TOTP, Period: period}
		for _, at := range []int64{0, 1, 29, 30, 59, 60, -1, -30, -31, 1753970430} {
			i := Interval(p, time.Unix(at, 0))
			start := Start(p, i)
			if late := time.Unix(at, 0).Sub(start); late < 0 || late >= period {
				t.Errorf("%d s is %v after the start of its interval %d of %v", at, late, i, period)
			}
		}
	}
	hotp := Params{Kind: HOTP}
	if Interval(hotp, time.Unix(1753970430, 0)) != 0 || !Start(hotp, 7).IsZero() {
		t.Error("the HOTP interval depends on the clock")
	}
}

func TestLeadingZerosOfTheSerialAreIgnored(t *testing.T) {
	long, short := examples()[SecurID][0], examples()[SecurID][0]
	short.Serial = strings.TrimLeft(long.Serial, "0")
	if a, b := newGenerator(t, long).At(1), newGenerator(t, short).At(1); a != b {
		t.Errorf("serial %s shows %s, serial %s shows %s", long.Serial, a, short.Serial, b)
	}
}

func TestSeedIsNeverPrinted(t *testing.T) {
	var out bytes.Buffer
	seed := Seed("hunter2hunter2hu")
	holder := struct{ Seed Seed }{seed}
	for _, verb := range []string{"%s", "%v", "%+v", "%#v", "%x", "%X", "%q", "%d"} {
		fmt.Fprintf(&out, verb+" "+verb+"\n", seed, holder)
	}
	out.WriteString(seed.String() + seed.GoString())
	slog.New(slog.NewTextHandler(&out, nil)).Info("token", "seed", seed, "holder", holder)
	slog.New(slog.NewJSONHandler(&out, nil)).Info("token", "seed", seed, "holder", holder)
	if err := json.NewEncoder(&out).Encode(holder); err != nil {
		t.Fatal(err)
	}
	for _, leak := range []string{"hunter", fmt.Sprintf("%x", "hunter"), fmt.Sprintf("%X", "hunter"), "104 117 110", "0x68, 0x75", "aHVudGVy"} {
		if strings.Contains(out.String(), leak) {
			t.Errorf("%q leaked in %s", leak, out.String())
		}
	}
	if !strings.Contains(out.String(), redacted) {
		t.Error("nothing was printed")
	}
}
