package admin

import (
	"context"
	"fmt"
	"slices"

	"golang.org/x/sync/errgroup"

	"keyfob/api"
	"keyfob/cmd/keyfob/cli"
	"keyfob/cmd/keyfob/fob"
	"keyfob/engine"
	"keyfob/engine/tokenfile"
)

const (
	batchSize  = 500 // tokens per request, the maximum of the API
	batchAhead = 2   // requests at once: one is read while the other is decided
)

// importJob is one run of token import.
type importJob struct {
	env          *commands
	remote       *cli.Remote
	reason       api.CommandRequest
	unknownUsers string

	tokens []api.TokenRecord
	rows   []Imported // those of tokens come first, in the same order
}

// gather adds the tokens that were read to the job.
func (j *importJob) gather(result tokenfile.Result, form string) {
	for _, t := range result.Tokens {
		n := fob.Record(t)
		n.User, n.Form = t.User, form
		if form == "" && (result.Format == tokenfile.CTF || result.Format == tokenfile.StokenRC) {
			n.Form = "app" // these formats are for apps
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

// windowsOf returns the windows of a record within the bounds of the engine, and
// what was changed about them.
func windowsOf(w tokenfile.Windows) (*api.Windows, string) {
	if w == (tokenfile.Windows{}) {
		return nil, ""
	}
	if w.Small < 1 || w.Medium < w.Small || w.Large < w.Medium {
		return nil, fmt.Sprintf("its record has windows %d, %d, %d, which are not in ascending order; those of its form apply", w.Small, w.Medium, w.Large)
	}
	small, medium, large := min(w.Small, engine.MaxOwnSmall), min(w.Medium, engine.MaxOwnLarge), min(w.Large, engine.MaxOwnLarge)
	odd := ""
	if small != w.Small || large != w.Large {
		odd = fmt.Sprintf("its record has windows %d, %d, %d; limited to %d, %d, %d", w.Small, w.Medium, w.Large, small, medium, large)
	}
	return &api.Windows{Small: int64(small), Medium: int64(medium), Large: int64(large)}, odd
}

// send has the server import each token, or say what it would do, and keeps the
// answers in the rows.
func (j *importJob) send(ctx context.Context, dryRun bool) error {
	what := "importing"
	if dryRun {
		what = "checking"
	}
	p := j.env.Meter(what, len(j.tokens))
	defer p.End()
	g, ctx := errgroup.WithContext(ctx)
	g.SetLimit(batchAhead)
	for _, places := range batches(j.tokens, batchSize) {
		if ctx.Err() != nil {
			break
		}
		g.Go(func() error {
			b := api.ImportTokensRequest{CommandRequest: j.reason, DryRun: dryRun, UnknownUsers: j.unknownUsers}
			for _, i := range places {
				b.Tokens = append(b.Tokens, j.tokens[i])
			}
			results, err := j.remote.ImportTokens(ctx, b)
			if err != nil {
				return err
			}
			if len(results) != len(b.Tokens) {
				return fmt.Errorf("the node answered %d tokens where %d were sent", len(results), len(b.Tokens))
			}
			for k, r := range results {
				row := &j.rows[places[k]]
				row.Result, row.Why, row.ActivationCode = r.Result, r.Why, r.ActivationCode
			}
			p.Add(len(b.Tokens))
			return nil
		})
	}
	return g.Wait()
}

// batches divides tokens into requests of at most size, by their places. The
// tokens of one user are in one request, because the server checks a request as
// a whole: it refuses those that are too many for their user. Only the tokens of
// a user who has more than a request holds are divided.
func batches(tokens []api.TokenRecord, size int) [][]int {
	var groups [][]int
	ofUser := map[string]int{}
	for i, t := range tokens {
		name, err := engine.Canonical(t.User)
		if t.User == "" || err != nil {
			groups = append(groups, []int{i})
			continue
		}
		g, ok := ofUser[name]
		if !ok {
			g = len(groups)
			ofUser[name], groups = g, append(groups, nil)
		}
		groups[g] = append(groups[g], i)
	}
	var all [][]int
	var batch []int
	for _, g := range groups {
		if len(batch)+len(g) > size && len(batch) > 0 {
			all, batch = append(all, batch), nil
		}
		for part := range slices.Chunk(g, size) {
			if len(batch)+len(part) > size {
				all, batch = append(all, batch), nil
			}
			batch = append(batch, part...)
		}
	}
	if len(batch) > 0 {
		all = append(all, batch)
	}
	return all
}

// count returns how many tokens have a result.
func (j *importJob) count(result string) int {
	n := 0
	for _, r := range j.rows {
		if r.Result == result {
			n++
		}
	}
	return n
}
