package admin

import (
	"context"
	"fmt"
	"net/http"
	"sync/atomic"

	"golang.org/x/sync/errgroup"

	"keyfob/api"
	"keyfob/cmd/keyfob/cli"
	"keyfob/engine/tokenfile"
)

const (
	batchSize  = 500 // tokens in one request, the API's most
	batchAhead = 2   // requests at once: one is read while the other is decided
	takersBack = 16  // requests at once that take an import back
)

// Bounds of the windows that a token's own record may ask for, the engine's.
const (
	widestSmall = 20
	widestLarge = 1000
)

// importJob is one run of token import.
type importJob struct {
	env          *commands
	remote       *cli.Remote
	reason       string
	unknownUsers string

	tokens []cli.TokenRecord
	rows   []Imported // those of tokens come first, in the same order
}

// newBatch is api.ImportTokensRequest with seeds that are really sent.
type newBatch struct {
	Reason       string            `json:"reason"`
	Tokens       []cli.TokenRecord `json:"tokens"`
	DryRun       bool              `json:"dry_run,omitempty"`
	UnknownUsers string            `json:"unknown_users"`
}

// gather makes the job of what was read.
func (j *importJob) gather(result tokenfile.Result, form string) {
	for _, t := range result.Tokens {
		n := cli.FromFile(t)
		n.User, n.Form = t.User, form
		if form == "" && (result.Format == tokenfile.CTF || result.Format == tokenfile.StokenRC) {
			n.Form = "app" // what these formats are for
		}
		var odd string
		if n.Windows, odd = windowsOf(t.Windows); odd != "" {
			t.Warnings = append(t.Warnings, odd)
		}
		j.tokens = append(j.tokens, n)
		j.rows = append(j.rows, Imported{Serial: t.Serial, Kind: n.Kind, Warnings: t.Warnings})
	}
	for _, r := range result.Refused {
		j.rows = append(j.rows, Imported{Serial: r.Serial, Line: r.Line, Result: api.ResultRefused, Why: r.Why()})
	}
}

// windowsOf are the windows of a record as the server takes them, and what was
// changed about them.
func windowsOf(w tokenfile.Windows) (*api.Windows, string) {
	if w == (tokenfile.Windows{}) {
		return nil, ""
	}
	if w.Small < 1 || w.Medium < w.Small || w.Large < w.Medium {
		return nil, fmt.Sprintf("its record asks for the windows %d, %d, %d, which is no order; those of its form apply", w.Small, w.Medium, w.Large)
	}
	small, medium, large := min(w.Small, widestSmall), min(w.Medium, widestLarge), min(w.Large, widestLarge)
	odd := ""
	if small != w.Small || large != w.Large {
		odd = fmt.Sprintf("its record asks for the windows %d, %d, %d; it gets %d, %d, %d", w.Small, w.Medium, w.Large, small, medium, large)
	}
	return &api.Windows{Small: int64(small), Medium: int64(medium), Large: int64(large)}, odd
}

// send has the server say what becomes of each token, or would, and keeps it in
// the rows.
func (j *importJob) send(ctx context.Context, dryRun bool) error {
	if j.remote.Client == nil { // before there are several who would
		if err := j.remote.Connect(); err != nil {
			return err
		}
	}
	what := "taking in"
	if dryRun {
		what = "checking"
	}
	p := j.env.Meter(what, len(j.tokens))
	defer p.End()
	g, ctx := errgroup.WithContext(ctx)
	g.SetLimit(batchAhead)
	for at := 0; at < len(j.tokens) && ctx.Err() == nil; at += batchSize {
		g.Go(func() error {
			end := min(at+batchSize, len(j.tokens))
			b := newBatch{Reason: j.reason, Tokens: j.tokens[at:end], DryRun: dryRun, UnknownUsers: j.unknownUsers}
			var list api.List[api.ImportedToken]
			if err := j.remote.Call(ctx, http.MethodPost, "/tokens/import", b, &list); err != nil {
				return err
			}
			if len(list.Items) != len(b.Tokens) {
				return fmt.Errorf("the node answered %d tokens where %d were sent", len(list.Items), len(b.Tokens))
			}
			for i, r := range list.Items {
				row := &j.rows[at+i]
				row.Result, row.Why, row.ActivationCode = r.Result, r.Why, r.ActivationCode
			}
			p.Add(len(b.Tokens))
			return nil
		})
	}
	return g.Wait()
}

// count is how many tokens came to a result.
func (j *importJob) count(result string) int {
	n := 0
	for _, r := range j.rows {
		if r.Result == result {
			n++
		}
	}
	return n
}

// takeBack deletes what this run has taken in.
func (j *importJob) takeBack(ctx context.Context) error {
	p := j.env.Meter("taking back", j.count(api.ResultImported))
	defer p.End()
	var left atomic.Int64
	left.Store(int64(j.count(api.ResultImported)))
	g, ctx := errgroup.WithContext(ctx)
	g.SetLimit(takersBack)
	for i := range j.tokens {
		r := &j.rows[i]
		if r.Result != api.ResultImported {
			continue
		}
		g.Go(func() error {
			if err := j.remote.Call(ctx, http.MethodDelete, cli.At("tokens", r.Serial)+because("import was taken back"), nil, nil); err != nil {
				return err
			}
			r.Result, r.Why, r.ActivationCode = "taken back", "", ""
			left.Add(-1)
			p.Add(1)
			return nil
		})
	}
	if err := g.Wait(); err != nil {
		return fmt.Errorf("%d tokens were taken in and could not be taken back: %w", left.Load(), err)
	}
	return nil
}
