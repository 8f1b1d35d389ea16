package main

import (
	"crypto/rand"
	"fmt"
	"io"
	"math/big"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"
	"rsc.io/qr"

	"keyfob/engine/tokencode"
	"keyfob/engine/tokenfile"
)

// issued is what token issue answers. It holds the seed, inside the URI.
type issued struct {
	User   string `json:"user"`
	Serial string `json:"serial"`
	Kind   string `json:"kind"`
	URI    string `json:"uri"`
}

func (e *environment) tokenIssue() *cobra.Command {
	r, out := e.remote(), &output{}
	var kind, issuer string
	c := command("issue USER", "Make a software token for a user: a URI and a QR code for an app", func(c *cobra.Command, args []string) error {
		t, err := makeToken(e.Now(), tokencode.Kind(kind), args[0], issuer)
		if err != nil {
			return err
		}
		uri, err := t.URI()
		if err != nil {
			return err
		}
		n := newToken{tokenRecord: fromFile(t)}
		n.User, n.Reason = args[0], r.why(c)
		if t.Params.Kind == tokencode.SecurID {
			n.Form = "app"
		}
		added, err := r.addToken(c.Context(), n)
		if err != nil {
			return err
		}
		e.say("token %s belongs to %s; %s. Its app reads this, shown this once:", added.Serial, added.User, nextLogin(added))
		return out.show(e.Out, issued{User: added.User, Serial: added.Serial, Kind: added.Kind, URI: uri}, func(tw *tabwriter.Writer) {
			fmt.Fprintln(tw, uri)
			if err := writeQR(tw, uri); err != nil {
				e.say("no QR code: %v", err)
			}
		})
	})
	c.Flags().StringVar(&kind, "kind", "totp", "totp, hotp or securid")
	c.Flags().StringVar(&issuer, "issuer", "keyfob", "what the app shows above the user's name")
	return out.flag(r.because(c))
}

// makeToken makes a software token with a seed of its own, 160 bits as RFC
// 4226, section 4, recommends; SecurID has 128.
func makeToken(now time.Time, kind tokencode.Kind, user, issuer string) (tokenfile.Token, error) {
	t := tokenfile.Token{User: user, Issuer: issuer, PINStyle: tokencode.Fob}
	seed := make([]byte, 20)
	switch kind {
	case tokencode.TOTP:
		t.Params = tokencode.Params{Kind: kind, Algorithm: tokencode.SHA1, Digits: 6, Period: 30 * time.Second}
	case tokencode.HOTP:
		t.Params = tokencode.Params{Kind: kind, Algorithm: tokencode.SHA1, Digits: 6}
	case tokencode.SecurID:
		seed = seed[:16]
		t.PINStyle = tokencode.PINpad
		t.Expires = now.AddDate(3, 0, 0).UTC().Truncate(24 * time.Hour)
		t.Params = tokencode.Params{Kind: kind, Digits: 8, Period: time.Minute}
	default:
		return t, usagef("--kind %q: want totp, hotp or securid", kind)
	}
	if _, err := rand.Read(seed); err != nil {
		return t, fmt.Errorf("making seed: %w", err)
	}
	serial, err := newSerial()
	t.Seed, t.Serial, t.Params.Serial = seed, serial, serial
	return t, err
}

// newSerial is twelve random digits, the form that SecurID demands.
func newSerial() (string, error) {
	n, err := rand.Int(rand.Reader, big.NewInt(1e12))
	if err != nil {
		return "", fmt.Errorf("making serial: %w", err)
	}
	return fmt.Sprintf("%012d", n), nil
}

// writeQR draws a QR code with half blocks, dark on light and with the quiet
// zone that scanners need, whatever the terminal's colours.
func writeQR(w io.Writer, text string) error {
	code, err := qr.Encode(text, qr.M)
	if err != nil {
		return fmt.Errorf("drawing: %w", err)
	}
	const quiet = 2
	light := func(x, y int) bool { return !code.Black(x, y) }
	for y := -quiet; y < code.Size+quiet; y += 2 {
		line := ""
		for x := -quiet; x < code.Size+quiet; x++ {
			switch upper, lower := light(x, y), light(x, y+1); {
			case upper && lower:
				line += "█"
			case upper:
				line += "▀"
			case lower:
				line += "▄"
			default:
				line += " "
			}
		}
		fmt.Fprintln(w, line)
	}
	return nil
}
