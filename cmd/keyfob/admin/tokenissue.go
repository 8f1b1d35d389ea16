package admin

import (
	"bytes"
	"crypto/rand"
	"errors"
	"fmt"
	"os"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"keyfob/api"
	"keyfob/cmd/keyfob/cli"
	"keyfob/cmd/keyfob/fob"
	"keyfob/engine/tokencode"
	"keyfob/engine/tokenfile"
)

// issued is the result of token issue. The URI contains the seed.
type issued struct {
	User   string `json:"user"`
	Serial string `json:"serial"`
	Kind   string `json:"kind"`
	URI    string `json:"uri,omitempty"`
	File   string `json:"file,omitempty"` // instead of the URI
	// ActivationCode is as in api.GivenToken; it is not printed on the page.
	ActivationCode string `json:"activation_code,omitempty"`
}

// issuing holds the flags of token issue.
type issuing struct {
	kind, issuer, algorithm, pinStyle, expires string
	digits, period                             int
	sdtid, passwordFile, deviceID, page        string
}

func (e *commands) tokenIssue() *cobra.Command {
	r, out := e.Remote(), &cli.Output{}
	var o issuing
	c := cli.Command("issue USER", "Issue a software token: a URI and a QR code for an app, or a file", func(c *cobra.Command, args []string) error {
		t, err := o.make(e.Now(), args[0])
		if err != nil {
			return err
		}
		made := issued{Serial: t.Serial, Kind: o.kind, File: o.sdtid}
		if made.URI, err = e.handOver(t, o); err != nil {
			return err
		}
		n := api.AddTokenRequest{CommandRequest: r.Reason(c), TokenRecord: fob.Record(t)}
		n.User = args[0]
		if t.Params.Kind == tokencode.SecurID {
			n.Form = "app"
		}
		added, err := r.AddToken(c.Context(), n)
		if err != nil {
			if o.sdtid != "" {
				err = errors.Join(err, os.Remove(o.sdtid)) // its token does not exist
			}
			return err
		}
		made.User, made.ActivationCode = added.User, added.ActivationCode
		if o.page != "" {
			page, err := tokenPage(made)
			if err == nil {
				err = cli.CreateFile(o.page, cli.Content(page))
			}
			if err != nil {
				return fmt.Errorf("token %s was issued, but %w", made.Serial, err)
			}
		}
		how := "For the app, shown only once:"
		if made.File != "" {
			how = "For the app, with the password, in this file:"
		}
		e.Say("token %s assigned to %s; %s. %s", added.Serial, added.User, nextLogin(added), how)
		return e.showIssued(out, made)
	})
	o.flags(c)
	return out.Flag(r.Because(r.Completes(c, cli.Users)))
}

// showIssued shows what the app reads, and below it the activation code, so that
// the two can be shown separately.
func (e *commands) showIssued(out *cli.Output, made issued) error {
	err := out.Show(e.Out, made, func(tw *cli.Table) {
		if made.URI == "" {
			tw.Row(made.File)
			return
		}
		fmt.Fprintln(tw, made.URI)
		if err := writeQR(tw, made.URI); err != nil {
			e.Say("no QR code: %v", err)
		}
	})
	if err != nil || out.JSON() {
		return err
	}
	return e.showActivation(made.User, made.ActivationCode)
}

func (o *issuing) flags(c *cobra.Command) {
	f := c.Flags()
	f.StringVar(&o.kind, "kind", "totp", "totp, hotp or securid")
	f.IntVar(&o.digits, "digits", 0, digitsHelp())
	f.IntVar(&o.period, "period", 0, periodHelp())
	f.StringVar(&o.algorithm, "algorithm", "", "totp and hotp: SHA1, SHA256 or SHA512 (default SHA1, which every app knows)")
	f.StringVar(&o.pinStyle, "pin-style", "", "fob: PIN, then tokencode; pinpad: the PIN is typed into the app (securid); none (default fob; securid pinpad)")
	f.StringVar(&o.expires, "expires", "", "last `DAY` of validity, as 2029-12-31 (default never; securid three years)")
	f.StringVar(&o.issuer, "issuer", "keyfob", "what the app shows above the user's name")
	f.StringVar(&o.page, "page", "", "also write this `FILE`, an HTML page with the QR code to print or hand over")
	f.StringVar(&o.sdtid, "sdtid", "", "securid: write this `FILE` instead of a link; needs --password-file")
	f.StringVar(&o.passwordFile, "password-file", "", "securid: `FILE` with a password that protects the link or the file, - for standard input")
	f.StringVar(&o.deviceID, "device-id", "", "securid: the device that the link is bound to, as its app shows it")
}

// digitsHelp and periodHelp state the bounds and the defaults of the engine.
func digitsHelp() string {
	return fmt.Sprintf("of a tokencode, %d to %d (default %d; securid %d)",
		tokencode.MinDigits, tokencode.MaxDigits, usual(tokencode.TOTP).Digits, usual(tokencode.SecurID).Digits)
}

func periodHelp() string {
	seconds := make([]string, 0, 2)
	for _, p := range tokencode.Periods() {
		seconds = append(seconds, fmt.Sprint(p.Seconds()))
	}
	return fmt.Sprintf("seconds that a tokencode lives, %s (default %.0f; securid %.0f)",
		strings.Join(seconds, " or "), usual(tokencode.TOTP).Period.Seconds(), usual(tokencode.SecurID).Period.Seconds())
}

func usual(kind tokencode.Kind) tokencode.Params { return tokencode.Params{Kind: kind}.WithDefaults() }

// make generates the token.
func (o issuing) make(now time.Time, user string) (tokenfile.Token, error) {
	t, err := fob.Make(now, tokencode.Kind(o.kind), user, o.issuer)
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
			return t, cli.Usagef("--expires %q is not a date like 2029-12-31", o.expires)
		}
		t.Expires = last.AddDate(0, 0, 1)
	}
	securid := t.Params.Kind == tokencode.SecurID
	switch err := t.Params.Validate(); {
	case err != nil:
		return t, cli.Usagef("%w", err)
	case !t.Expires.IsZero() && !now.Before(t.Expires):
		return t, cli.Usagef("--expires %s is in the past", o.expires)
	case !securid && (o.sdtid != "" || o.passwordFile != "" || o.deviceID != ""):
		return t, cli.Usagef("--sdtid, --password-file and --device-id are for --kind securid")
	case o.sdtid != "" && o.passwordFile == "":
		return t, cli.Usagef("--sdtid needs --password-file: without a password, anyone with the file has the token")
	case o.sdtid != "" && o.page != "":
		return t, cli.Usagef("--page shows a link, which --sdtid does not make")
	case o.sdtid != "" && o.deviceID != "":
		return t, cli.Usagef("--device-id binds a link, not a file")
	}
	return t, nil
}

// handOver writes the token for its app to a file, or returns it as a URI.
func (e *commands) handOver(t tokenfile.Token, o issuing) (uri string, err error) {
	if o.passwordFile == "" && o.deviceID == "" {
		return t.URI()
	}
	var password string
	if o.passwordFile != "" {
		if password, err = e.ReadSecret(o.passwordFile); err != nil {
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
	return "", cli.CreateFile(o.sdtid, cli.Content(b.Bytes()))
}
