package tokencode

import (
	"encoding/hex"
	"fmt"
	"math/rand/v2"
	"os/exec"
	"strings"
	"testing"
	"time"
)

func TestTokencodesAgreeWithOathtool(t *testing.T) {
	if _, err := exec.LookPath("oathtool"); err != nil {
		t.Skip("oathtool is not installed")
	}
	rnd := rand.New(rand.NewPCG(4226, 6238))
	const ahead = 20 // intervals in one run of the program
	for range 40 {
		seed := make([]byte, 16+rnd.IntN(80))
		for i := range seed {
			seed[i] = byte(rnd.Uint32())
		}
		p := Params{Kind: HOTP, Algorithm: SHA1, Digits: 6 + rnd.IntN(3)}
		first := rnd.Int64N(1 << 40)
		args := []string{"-w", fmt.Sprint(ahead - 1), "-d", fmt.Sprint(p.Digits)}
		if rnd.IntN(2) == 0 {
			args = append(args, "--hotp", "-c", fmt.Sprint(first))
		} else {
			p.Kind = TOTP
			p.Algorithm = []Algorithm{SHA1, SHA256, SHA512}[rnd.IntN(3)]
			p.Period = []time.Duration{30 * time.Second, time.Minute}[rnd.IntN(2)]
			now := time.Unix(rnd.Int64N(1<<32), 0)
			first = Interval(p, now)
			args = append(args, "--totp="+strings.ToLower(string(p.Algorithm)), "-s", p.Period.String(), "-N", fmt.Sprintf("@%d", now.Unix()))
		}
		out, err := exec.CommandContext(t.Context(), "oathtool", append(args, hex.EncodeToString(seed))...).Output()
		if err != nil {
			t.Fatalf("oathtool %v: %v", args, err)
		}
		g, err := New(p, seed)
		if err != nil {
			t.Fatal(err)
		}
		want := strings.Fields(string(out))
		if len(want) != ahead {
			t.Fatalf("oathtool %v returned %d tokencodes", args, len(want))
		}
		for i, code := range want {
			if got := g.At(first + int64(i)); got != code {
				t.Errorf("oathtool %v: tokencode %d is %s, got %s", args, i, code, got)
			}
		}
	}
}
