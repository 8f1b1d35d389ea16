package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"text/tabwriter"

	"github.com/spf13/cobra"

	"keyfob/api"
	"keyfob/engine/tokenfile"
)

// imported is what became of one token of a file.
type imported struct {
	Serial   string   `json:"serial,omitempty"`
	Line     int      `json:"line,omitempty"`
	Kind     string   `json:"kind,omitempty"`
	Result   string   `json:"result"` // imported, readable, refused
	Why      string   `json:"why,omitempty"`
	Warnings []string `json:"warnings,omitempty"`
}

// importJob is one run of token import.
type importJob struct {
	remote  *remote
	tokens  []tokenfile.Token
	rows    []imported
	refused int
	reason  string
}

func (e *environment) tokenImport() *cobra.Command {
	r, out := e.remote(), &output{}
	var format, passwordFile string
	var dryRun, partial bool
	c := command("import FILE", "Take in the tokens of a file: sdtid, CTF, PSKC, otpauth or CSV", func(c *cobra.Command, args []string) error {
		result, err := e.readFile(args[0], format, passwordFile)
		if err != nil {
			return err
		}
		job := &importJob{remote: r, reason: r.why(c)}
		if err := job.look(c.Context(), result); err != nil {
			return err
		}
		stopped := job.refused > 0 && !partial
		if !dryRun && !stopped {
			if err := job.carryOut(c.Context(), partial); err != nil {
				return err
			}
		}
		if err := out.show(e.Out, job.rows, func(tw *tabwriter.Writer) { importRows(tw, job.rows) }); err != nil {
			return err
		}
		for _, note := range result.Notes {
			e.say("%s", note)
		}
		switch {
		case stopped:
			return fmt.Errorf("%d of %d tokens were refused, so none was taken in; mend the file, or use --partial", job.refused, len(job.rows))
		case dryRun:
			e.say("%d tokens would be taken in, %d refused", len(job.rows)-job.refused, job.refused)
		default:
			e.say("%d tokens taken in, %d refused", len(job.rows)-job.refused, job.refused)
		}
		return nil
	})
	f := c.Flags()
	f.StringVar(&format, "format", "", "of the file; default is to recognise it")
	f.StringVar(&passwordFile, "password-file", "", "`FILE` with the password of the token file, - for standard input")
	f.BoolVar(&dryRun, "dry-run", false, "read and report, take in nothing")
	f.BoolVar(&partial, "partial", false, "take in what can be, though others are refused")
	return out.flag(r.because(c))
}

func (e *environment) readFile(name, format, passwordFile string) (tokenfile.Result, error) {
	o := tokenfile.Options{Format: tokenfile.Format(format), Now: e.Now()}
	if passwordFile != "" {
		password, err := e.readSecret(passwordFile)
		if err != nil {
			return tokenfile.Result{}, err
		}
		o.Password = tokenfile.Secret(password)
	}
	var in io.Reader = e.In
	if name != "-" {
		f, err := os.Open(name)
		if err != nil {
			return tokenfile.Result{}, fmt.Errorf("reading tokens: %w", err)
		}
		defer f.Close()
		in = f
	}
	result, err := tokenfile.Read(in, o)
	switch {
	case errors.Is(err, tokenfile.ErrNeedPassword):
		return result, fmt.Errorf("%s: %w: give --password-file", name, err)
	case err != nil:
		return result, fmt.Errorf("%s: %w", name, err)
	}
	return result, nil
}

// look says of each token what would become of it.
func (j *importJob) look(ctx context.Context, result tokenfile.Result) error {
	known := map[string]bool{}
	tokens, err := all[api.Token](ctx, j.remote, "/tokens", nil)
	if err != nil {
		return err
	}
	for _, t := range tokens {
		known[t.Serial] = true
	}
	for _, t := range result.Tokens {
		r := imported{Serial: t.Serial, Kind: string(t.Params.Kind), Result: "readable", Warnings: t.Warnings}
		if known[t.Serial] {
			r.Result, r.Why = "refused", "there is a token of this serial already"
			j.refused++
		} else {
			j.tokens = append(j.tokens, t)
		}
		j.rows = append(j.rows, r)
	}
	for _, r := range result.Refused {
		j.rows = append(j.rows, imported{Serial: r.Serial, Line: r.Line, Result: "refused", Why: r.Why()})
		j.refused++
	}
	return nil
}

// carryOut takes the tokens in, one after the other. Where one is refused that
// looked good, the ones before it are taken back, unless what can be taken in
// shall be.
func (j *importJob) carryOut(ctx context.Context, partial bool) error {
	var done []string
	for _, t := range j.tokens {
		n := fromFile(t)
		n.Reason = j.reason
		_, err := j.remote.addToken(ctx, n)
		var refusal *apiError
		switch {
		case err == nil:
			done = append(done, t.Serial)
			j.mark(t.Serial, "imported", "")
		case partial && errors.As(err, &refusal):
			j.mark(t.Serial, "refused", err.Error())
			j.refused++
		default:
			return j.takeBack(ctx, done, fmt.Errorf("token %s: %w", t.Serial, err))
		}
	}
	return nil
}

func (j *importJob) takeBack(ctx context.Context, done []string, cause error) error {
	for i, serial := range done {
		if err := j.remote.call(ctx, http.MethodDelete, at("tokens", serial)+because("import was taken back"), nil, nil); err != nil {
			return fmt.Errorf("%w; %d tokens were taken in before it and could not be taken back: %w", cause, len(done)-i, err)
		}
	}
	return fmt.Errorf("%w; none was taken in", cause)
}

func (j *importJob) mark(serial, result, why string) {
	for i := range j.rows {
		if j.rows[i].Serial == serial {
			j.rows[i].Result, j.rows[i].Why = result, why
			return
		}
	}
}

func importRows(tw *tabwriter.Writer, rows []imported) {
	row(tw, "SERIAL", "LINE", "KIND", "RESULT", "WHY")
	for _, r := range rows {
		line := ""
		if r.Line > 0 {
			line = fmt.Sprint(r.Line)
		}
		why := r.Why
		for _, w := range r.Warnings {
			why += " (" + w + ")"
		}
		row(tw, r.Serial, line, r.Kind, r.Result, why)
	}
}
