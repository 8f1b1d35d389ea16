package admin

import (
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"keyfob/api"
	"keyfob/cmd/keyfob/cli"
	"keyfob/cmd/keyfob/fob"
	"keyfob/engine/tokenfile"
)

// Imported is the result for one token of a file.
type Imported struct {
	Serial   string   `json:"serial,omitempty"`
	Line     int      `json:"line,omitempty"`
	Kind     string   `json:"kind,omitempty"`
	Result   string   `json:"result"` // imported, importable, known, refused, undecided
	Why      string   `json:"why,omitempty"`
	Warnings []string `json:"warnings,omitempty"`
	// ActivationCode is as in api.ImportedToken.
	ActivationCode string `json:"activation_code,omitempty"`
}

func (e *commands) tokenImport() *cobra.Command {
	j, out := &importJob{env: e, remote: e.Remote()}, &cli.Output{}
	var source fob.Source
	var form string
	var dryRun, partial, addUsers bool
	c := cli.Command("import FILE", "Import tokens from a file: sdtid, CTF, PSKC, otpauth, CSV or stoken", func(c *cobra.Command, args []string) error {
		result, err := e.readFile(args[0], source)
		if err != nil {
			return err
		}
		j.reason, j.unknownUsers = j.remote.Reason(c), api.UnknownLeave
		if addUsers {
			j.unknownUsers = api.UnknownAdd
		}
		j.gather(result, form)
		failure := j.run(c.Context(), dryRun, partial)
		if failure != nil && !j.answered() {
			return failure
		}
		if err := out.Show(e.Out, j.rows, func(tw *cli.Table) { importRows(tw, j.rows) }); err != nil {
			return err
		}
		for _, note := range result.Notes {
			e.Say("%s", note)
		}
		if failure == nil {
			e.Say("%s", j.summary(dryRun))
		}
		return failure
	})
	source.Flags(c)
	f := c.Flags()
	f.StringVar(&form, "form", "", "fob, pinpad or app: the windows of tokens whose records have none (default by format and PIN style)")
	f.BoolVar(&dryRun, "dry-run", false, "check and report only")
	f.BoolVar(&partial, "partial", false, "import the other tokens even if some are refused")
	f.BoolVar(&addUsers, "add-users", false, "add unknown owners as users (default: leave their tokens unassigned)")
	return out.Listing(j.remote.Because(c))
}

// readFile reads a file of tokens, or standard input for "-".
func (e *commands) readFile(name string, source fob.Source) (tokenfile.Result, error) {
	if name == "-" && source.PasswordFile == "-" {
		return tokenfile.Result{}, cli.Usagef("standard input cannot be both the tokens and their password")
	}
	in := e.In
	if name != "-" {
		f, err := os.Open(name)
		if err != nil {
			return tokenfile.Result{}, fmt.Errorf("reading tokens: %w", err)
		}
		defer f.Close()
		in = f
	}
	o, err := source.Options(e.Environment)
	if err != nil {
		return tokenfile.Result{}, err
	}
	o.Now = e.Now()
	result, err := tokenfile.Read(in, o)
	switch {
	case errors.Is(err, tokenfile.ErrNeedPassword):
		return result, fmt.Errorf("%s: %w: give --password-file", name, err)
	case err != nil:
		return result, fmt.Errorf("%s: %w", name, err)
	}
	return result, nil
}

// run imports the tokens: all of them, after the server has checked that it can
// import every one, or, if partial, those that it can.
func (j *importJob) run(ctx context.Context, dryRun, partial bool) error {
	if dryRun || !partial {
		if err := j.send(ctx, true); err != nil {
			return err
		}
		if n := j.count(api.ResultRefused); n > 0 && !partial {
			return fmt.Errorf("%d of %d tokens were refused, so none was imported; correct the file, or use --partial", n, len(j.rows))
		}
	}
	if dryRun {
		return nil
	}
	err := j.send(ctx, false)
	refused, undecided := j.count(api.ResultRefused), j.count(api.ResultUndecided)
	switch {
	case err != nil || undecided > 0:
		if err == nil {
			err = fmt.Errorf("the cluster did not decide on %d tokens", undecided)
		}
		return fmt.Errorf("%w; %d tokens are known to be imported: import the file again, imported tokens stay as they are", err, j.count(api.ResultImported))
	case refused > 0 && !partial: // each was importable when it was checked
		return fmt.Errorf("%d of %d tokens were refused because something was changed during the import; the others are imported: correct the file and import it again, imported tokens stay as they are", refused, len(j.rows))
	}
	return nil
}

// answered reports whether the server has answered for any token.
func (j *importJob) answered() bool { return j.count("") < len(j.tokens) || len(j.tokens) == 0 }

func (j *importJob) summary(dryRun bool) string {
	text := fmt.Sprintf("%d tokens imported", j.count(api.ResultImported))
	if dryRun {
		text = fmt.Sprintf("%d tokens would be imported", j.count(api.ResultImportable))
	}
	if n := j.count(api.ResultKnown); n > 0 {
		text += fmt.Sprintf(", %d already present and unchanged", n)
	}
	text += fmt.Sprintf(", %d refused", j.count(api.ResultRefused))
	if slices.ContainsFunc(j.rows, func(r Imported) bool { return r.ActivationCode != "" }) {
		text += "; activation codes are shown only once, deliver them separately from the tokens"
	}
	return text
}

func importRows(tw *cli.Table, rows []Imported) {
	activated := slices.ContainsFunc(rows, func(r Imported) bool { return r.ActivationCode != "" })
	head := []any{"SERIAL", "LINE", "KIND", "RESULT", "WHY"}
	if activated {
		head = append(head, "ACTIVATION CODE")
	}
	tw.Row(head...)
	for _, r := range rows {
		line := ""
		if r.Line > 0 {
			line = fmt.Sprint(r.Line)
		}
		why := r.Why
		for _, w := range r.Warnings {
			why += " (" + w + ")"
		}
		cells := []any{r.Serial, line, r.Kind, r.Result, strings.TrimSpace(why)}
		if activated {
			cells = append(cells, r.ActivationCode)
		}
		tw.Row(cells...)
	}
}
