package main

import (
	"bytes"
	"crypto/rand"
	"errors"
	"fmt"
	"math/big"
	"os"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"keyfob/engine/tokencode"
	"keyfob/engine/tokenfile"
)

// issued is what token issue answers. It holds the seed, inside the URI.
type issued struct {
	User   string `json:"user"`
	Serial string `json:"serial"`
	Kind   string `json:"kind"`
	URI    string `json:"uri,omitempty"`
	File   string `json:"file,omitempty"` // instead of the URI
	// ActivationCode is as in api.GivenToken; it stands on no page.
	ActivationCode string `json:"activation_code,omitempty"`
}

// issuing says what token is made, and how it is handed over.
type issuing struct {
	kind, issuer, algorithm, pinStyle, expires string
	digits, period                             int
	sdtid, passwordFile, deviceID, page        string
}

func (e *environment) tokenIssue() *cobra.Command {
	r, out := e.remote(), &output{}
	var o issuing
	c := command("issue USER", "Make a software token for a user: a URI and a QR code for an app, or a file", func(c *cobra.Command, args []string) error {
		t, err := o.make(e.Now(), args[0])
		if err != nil {
			return err
		}
		made := issued{Serial: t.Serial, Kind: o.kind, File: o.sdtid}
		if made.URI, err = e.handOver(t, o); err != nil {
			return err
		}
		n := newToken{Reason: r.why(c), tokenRecord: fromFile(t)}
		n.User = args[0]
		if t.Params.Kind == tokencode.SecurID {
			n.Form = "app"
		}
		added, err := r.addToken(c.Context(), n)
		if err != nil {
			if o.sdtid != "" {
				err = errors.Join(err, os.Remove(o.sdtid)) // of a token that nobody knows
			}
			return err
		}
		made.User, made.ActivationCode = added.User, added.ActivationCode
		if o.page != "" {
			page, err := tokenPage(made)
			if err == nil {
				err = createFile(o.page, page)
			}
			if err != nil {
				return fmt.Errorf("token %s is issued, but %w", made.Serial, err)
			}
		}
		how := "Its app reads this, shown only this once:"
		if made.File != "" {
			how = "Its app reads the file, with the password:"
		}
		e.say("token %s belongs to %s; %s. %s", added.Serial, added.User, nextLogin(added), how)
		return e.showIssued(out, made)
	})
	o.flags(c)
	return out.flag(r.because(c))
}

// showIssued shows what an app reads, and then the activation code: whoever
// reads the first out of the window need not see the second.
func (e *environment) showIssued(out *output, made issued) error {
	err := out.show(e.Out, made, func(tw *tabwriter.Writer) {
		if made.URI == "" {
			row(tw, made.File)
			return
		}
		fmt.Fprintln(tw, made.URI)
		if err := writeQR(tw, made.URI); err != nil {
			e.say("no QR code: %v", err)
		}
	})
	if err != nil || out.format == "json" {
		return err
	}
	return e.showActivation(made.User, made.ActivationCode)
}

func (o *issuing) flags(c *cobra.Command) {
	f := c.Flags()
	f.StringVar(&o.kind, "kind", "totp", "totp, hotp or securid")
	f.IntVar(&o.digits, "digits", 0, "of a tokencode, 6 to 8 (default 6; securid 8)")
	f.IntVar(&o.period, "period", 0, "seconds that a tokencode lives, 30 or 60 (default 30; securid 60)")
	f.StringVar(&o.algorithm, "algorithm", "", "totp and hotp: SHA1, SHA256 or SHA512 (default SHA1, which every app knows)")
	f.StringVar(&o.pinStyle, "pin-style", "", "fob: PIN, then tokencode; pinpad: the PIN is typed into the app (securid); none (default fob; securid pinpad)")
	f.StringVar(&o.expires, "expires", "", "the last `DAY`, as 2029-12-31 (default never; securid three years)")
	f.StringVar(&o.issuer, "issuer", "keyfob", "what the app shows above the user's name")
	f.StringVar(&o.page, "page", "", "write this `FILE` too, an HTML page with the QR code, to be printed or handed over")
	f.StringVar(&o.sdtid, "sdtid", "", "securid: write this `FILE` instead of a link; needs --password-file")
	f.StringVar(&o.passwordFile, "password-file", "", "securid: `FILE` with a password that protects the link or the file, - for standard input")
	f.StringVar(&o.deviceID, "device-id", "", "securid: the device that the link is bound to, as its app shows it")
}

// make makes the token.
func (o issuing) make(now time.Time, user string) (tokenfile.Token, error) {
	t, err := makeToken(now, tokencode.Kind(o.kind), user, o.issuer)
	if err != nil {
		return t, err
	}
	if o.digits != 0 {
		t.Params.Digits = o.digits
	}
	if o.period != 0 {
		t.Params.Period = time.Duration(o.period) * time.Second
	}
	if o.algorithm != "" {
		t.Params.Algorithm = tokencode.Algorithm(o.algorithm)
	}
	if o.pinStyle != "" {
		t.PINStyle = tokencode.PINStyle(o.pinStyle)
	}
	if o.expires != "" {
		last, err := time.Parse(time.DateOnly, o.expires)
		if err != nil {
			return t, usagef("--expires %q is not a day like 2029-12-31", o.expires)
		}
		t.Expires = last.AddDate(0, 0, 1)
	}
	securid := t.Params.Kind == tokencode.SecurID
	switch err := t.Params.Validate(); {
	case err != nil:
		return t, usagef("%w", err)
	case !t.Expires.IsZero() && !now.Before(t.Expires):
		return t, usagef("--expires %s is over", o.expires)
	case !securid && (o.sdtid != "" || o.passwordFile != "" || o.deviceID != ""):
		return t, usagef("--sdtid, --password-file and --device-id are for --kind securid")
	case o.sdtid != "" && o.passwordFile == "":
		return t, usagef("--sdtid needs --password-file: without one, whoever has the file has the token")
	case o.sdtid != "" && o.page != "":
		return t, usagef("--page shows a link, and with --sdtid there is none")
	case o.sdtid != "" && o.deviceID != "":
		return t, usagef("--device-id binds a link, not a file")
	}
	return t, nil
}

// handOver writes the token for its app: to a file, or as the URI that is
// answered.
func (e *environment) handOver(t tokenfile.Token, o issuing) (uri string, err error) {
	if o.passwordFile == "" && o.deviceID == "" {
		return t.URI()
	}
	var password string
	if o.passwordFile != "" {
		if password, err = e.readSecret(o.passwordFile); err != nil {
			return "", err
		}
	}
	if o.sdtid == "" {
		link := tokenfile.CTFOptions{Version: 2, Link: true, Password: tokenfile.Secret(password), DeviceID: o.deviceID}
		return tokenfile.WriteCTF(t, link, rand.Reader)
	}
	var b bytes.Buffer
	file := tokenfile.SDTIDOptions{Password: tokenfile.Secret(password), Origin: o.issuer, Name: t.Serial}
	if err := tokenfile.WriteSDTID(&b, []tokenfile.Token{t}, file, rand.Reader); err != nil {
		return "", err
	}
	return "", createFile(o.sdtid, b.Bytes())
}

// createFile writes a file that was not there, for its owner alone.
func createFile(name string, content []byte) error {
	f, err := os.OpenFile(name, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return fmt.Errorf("writing token: %w", err)
	}
	_, err = f.Write(content)
	if err = errors.Join(err, f.Sync(), f.Close()); err != nil {
		return fmt.Errorf("writing token: %w", errors.Join(err, os.Remove(name)))
	}
	return nil
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
