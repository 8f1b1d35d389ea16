package admin

import (
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"keyfob/api"
	"keyfob/cmd/keyfob/cli"
	"keyfob/engine"
)

func (e *commands) tokenAdd() *cobra.Command {
	r, out := e.Remote(), &cli.Output{}
	var n api.AddTokenRequest
	var secretFile, pinFile string
	var sent onDemandFlags
	c := cli.Command("add", "Add a token with a known secret, or one whose tokencodes are sent", func(c *cobra.Command, _ []string) error {
		n.CommandRequest = r.Reason(c)
		if n.Kind == engine.KindOnDemand {
			return e.addOnDemand(c.Context(), r, out, n, sent)
		}
		if n.Serial == "" || secretFile == "" || sent.given() {
			return cli.Usagef("--kind %s needs --serial and --secret-file, and does not take --mail, --phone or --pin-temporary", n.Kind)
		}
		seed, err := e.ReadSecret(secretFile)
		if err != nil {
			return err
		}
		n.Seed = api.Secret(seed)
		if pinFile != "" {
			pin, err := e.ReadSecret(pinFile)
			if err != nil {
				return err
			}
			n.PIN = api.Secret(pin)
		}
		t, err := r.AddToken(c.Context(), n)
		if err != nil {
			return err
		}
		if t.User == "" {
			return e.given(out, t, "token %s added; assign it with keyfob token assign %s USER", t.Serial, t.Serial)
		}
		return e.given(out, t, "token %s added and assigned to %s; %s", t.Serial, t.User, nextLogin(t))
	})
	f := c.Flags()
	f.StringVar(&n.Serial, "serial", "", "serial number (default for ondemand: random)")
	f.StringVar(&n.Kind, "kind", "totp", "totp, hotp, securid, or ondemand (tokencodes are sent)")
	f.StringVar(&secretFile, "secret-file", "", "`FILE` with the secret, - for standard input")
	f.StringVar(&n.Encoding, "encoding", "base32", "encoding of the secret: base32 or hex")
	f.IntVar(&n.Digits, "digits", 0, fmt.Sprintf("%s; ondemand %d to %d, default %d)",
		strings.TrimSuffix(digitsHelp(), ")"), engine.MinSentDigits, engine.MaxSentDigits, engine.DefaultSentDigits))
	f.IntVar(&n.PeriodSeconds, "period", 0, periodHelp())
	f.StringVar(&n.Algorithm, "algorithm", "", "SHA1, SHA256 or SHA512 (default SHA1)")
	f.Int64Var(&n.Counter, "counter", 0, "hotp: next counter value")
	f.StringVar(&n.PINStyle, "pin-style", "", "fob, pinpad or none (default fob: PIN, then tokencode)")
	f.StringVar(&n.PINSource, "pin-source", "", "own, generated or either: who makes a new PIN (default by policy)")
	f.StringVar(&pinFile, "pin-file", "", "`FILE` with the present PIN of the token")
	f.StringVar(&n.User, "user", "", "owner of the token")
	sent.flags(c)
	r.CompletesFlag(c, "user", cli.Users)
	return out.Flag(r.Because(r.Completes(c)))
}
