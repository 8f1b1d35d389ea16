package admin

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/spf13/cobra"

	"keyfob/api"
	"keyfob/cmd/keyfob/cli"
	"keyfob/cmd/keyfob/fob"
	"keyfob/engine/tokencode"
)

// replaced is one token that got a replacement.
type replaced struct {
	User           string `json:"user"`
	Old            string `json:"old"`
	Serial         string `json:"serial"` // of the new token
	Page           string `json:"page"`   // file with its QR code
	ActivationCode string `json:"activation_code,omitempty"`
}

// replacing holds the flags of token replace-exposed.
type replacing struct {
	limit  int
	pages  string
	issuer string
}

func (e *commands) tokenReplaceExposed() *cobra.Command {
	r, out := e.Remote(), &cli.Output{}
	var o replacing
	c := cli.Command("replace-exposed", "Issue new apps for tokens whose seeds a removed node may hold", func(c *cobra.Command, _ []string) error {
		switch {
		case o.limit < 1:
			return cli.Usagef("--limit must be at least 1, it is %d", o.limit)
		case o.pages == "":
			return cli.Usagef("--pages DIRECTORY is missing: the pages show the users their new apps")
		}
		tokens, left, err := exposedTokens(c.Context(), r)
		if err != nil {
			return err
		}
		if err := os.Mkdir(o.pages, 0o700); err != nil && !errors.Is(err, fs.ErrExist) {
			return fmt.Errorf("creating the directory of the pages: %w", err)
		}
		done := []replaced{}
		for _, t := range tokens[:min(o.limit, len(tokens))] {
			one, err := e.replaceExposed(c, r, t, o)
			if err != nil {
				return errors.Join(fmt.Errorf("replacing token %s, after %d others: %w", t.Serial, len(done), err), e.showReplaced(out, done))
			}
			done = append(done, one)
		}
		e.Say("%d tokens get a new app; the old one works until the first login with the new one. %d more are exposed, %d of them with a device of its own",
			len(done), len(tokens)-len(done)+left, left)
		return e.showReplaced(out, done)
	})
	f := c.Flags()
	f.IntVar(&o.limit, "limit", 50, "how many tokens, at most")
	f.StringVar(&o.pages, "pages", "", "write an HTML page with the QR code for each user to this `DIRECTORY`")
	f.StringVar(&o.issuer, "issuer", "keyfob", "what the app shows above the user's name")
	return out.Flag(r.Because(c))
}

func (e *commands) showReplaced(out *cli.Output, done []replaced) error {
	return out.Show(e.Out, done, func(t *cli.Table) {
		t.Row("USER", "OLD", "NEW", "PAGE", "ACTIVATION CODE")
		for _, one := range done {
			t.Row(one.User, one.Old, one.Serial, one.Page, one.ActivationCode)
		}
	})
}

// exposedTokens returns the exposed apps that have a user and no replacement yet, and
// how many other exposed tokens there are.
func exposedTokens(ctx context.Context, r *cli.Remote) (apps []api.Token, others int, err error) {
	all, err := r.ListTokens(ctx, api.ListTokensQuery{})
	if err != nil {
		return nil, 0, err
	}
	replacements := make(map[string]bool)
	for _, t := range all {
		replacements[t.Replaces] = true
	}
	for _, t := range all {
		switch {
		case !t.Exposed || t.User == "" || replacements[t.Serial]:
		case t.Kind == string(tokencode.TOTP) || t.Kind == string(tokencode.HOTP):
			apps = append(apps, t)
		default:
			others++
		}
	}
	return apps, others, nil
}

// replaceExposed issues one token. Its page is written first: a token that nobody can
// install is of no use.
func (e *commands) replaceExposed(c *cobra.Command, r *cli.Remote, old api.Token, o replacing) (replaced, error) {
	one := replaced{User: old.User, Old: old.Serial}
	t, err := fob.Make(e.Now(), tokencode.TOTP, old.User, o.issuer)
	if err != nil {
		return one, err
	}
	one.Serial, one.Page = t.Serial, filepath.Join(o.pages, t.Serial+".html")
	uri, err := t.URI()
	if err != nil {
		return one, err
	}
	page, err := tokenPage(issued{User: old.User, Serial: t.Serial, Kind: string(tokencode.TOTP), URI: uri})
	if err != nil {
		return one, err
	}
	if err := cli.CreateFile(one.Page, cli.Content(page)); err != nil {
		return one, err
	}
	_, err = r.AddToken(c.Context(), api.AddTokenRequest{CommandRequest: r.Reason(c), TokenRecord: fob.Record(t)})
	if err != nil {
		return one, errors.Join(err, os.Remove(one.Page))
	}
	given, err := r.ReplaceToken(c.Context(), old.Serial, api.ReplaceTokenRequest{CommandRequest: r.Reason(c), Replacement: t.Serial})
	if err != nil {
		return one, errors.Join(err, os.Remove(one.Page), r.DeleteToken(c.Context(), t.Serial, r.Why(c)))
	}
	one.ActivationCode = given.ActivationCode
	return one, nil
}
