package api

import (
	"context"
	"errors"
	"fmt"

	"golang.org/x/sync/errgroup"

	"keyfob/engine"
	"keyfob/events"
)

// ImportTokensRequest is tokens to be taken in, each by itself: what is wrong with one
// does not keep out the others.
type ImportTokensRequest struct {
	CommandRequest
	Tokens       []TokenRecord `json:"tokens" minItems:"1" maxItems:"500" nullable:"false"`
	DryRun       bool          `json:"dry_run,omitempty" doc:"Say what would become of each, and change nothing."`
	UnknownUsers string        `json:"unknown_users,omitempty" enum:"refuse,leave,add" doc:"Of a token for a user who is not there: refuse it (the default), leave it without an owner, or add the user."`
}

// What to do with a token for a user who is not there; the default refuses it.
const (
	UnknownLeave = "leave"
	UnknownAdd   = "add"
)

type importTokensInput struct{ Body ImportTokensRequest }

// maxBytes implements long: 500 tokens with the longest seeds.
func (*importTokensInput) maxBytes() int64 { return 1 << 20 }

// ImportedToken is what became of one token of a batch.
type ImportedToken struct {
	Serial string `json:"serial"`
	Result string `json:"result" enum:"imported,importable,known,refused,undecided" doc:"importable: of a dry run. known: it is here with this seed, and was not touched. undecided: ask again."`
	Why    string `json:"why,omitempty"`
	// ActivationCode is as in GivenToken.
	ActivationCode string `json:"activation_code,omitempty" doc:"Made where pin.first asks for one, and shown only this once: a PIN that proves the owner at the first use, and must be changed then."`
}

// What becomes of a token.
const (
	ResultImported   = "imported"
	ResultImportable = "importable"
	ResultKnown      = "known"
	ResultRefused    = "refused"
	ResultUndecided  = "undecided"
)

// importTokens takes in a batch. Its tokens are decided at the same time, so
// that the leader finds them waiting and writes them down together.
func (a *API) importTokens(ctx context.Context, in *importTokensInput) (*answer[List[ImportedToken]], error) {
	b := importing{API: a, batch: in.Body, state: a.cfg.Node.State(), results: make([]ImportedToken, len(in.Body.Tokens))}
	commands, err := b.prepare()
	if err != nil {
		return nil, err
	}
	if !in.Body.DryRun {
		select {
		case a.importing <- struct{}{}:
			defer func() { <-a.importing }()
		case <-ctx.Done():
			return nil, ctx.Err()
		}
		if err := b.addUsers(ctx, commands); err != nil {
			return nil, err
		}
		b.carryOut(ctx, commands)
	}
	return answered(List[ImportedToken]{Items: b.results}), nil
}

// importing is one batch on its way in.
type importing struct {
	*API
	batch   ImportTokensRequest
	state   *engine.State
	results []ImportedToken
}

// prepare makes the commands of those tokens that nothing speaks against, by
// their place in the batch, and says of all what is known so far.
func (b *importing) prepare() (map[int]engine.ImportToken, error) {
	commands := make(map[int]engine.ImportToken, len(b.batch.Tokens))
	seen := make(map[string]bool, len(b.batch.Tokens))
	for i, record := range b.batch.Tokens {
		r := &b.results[i]
		r.Serial, r.Result = record.Serial, ResultImportable
		command, err := b.look(record, r)
		if err == nil && seen[record.Serial] {
			err = &engine.Refusal{Code: engine.Exists, Text: "token " + record.Serial + " stands earlier in the batch"}
		}
		seen[record.Serial] = true
		var refusal *engine.Refusal
		switch {
		case errors.As(err, &refusal):
			r.Result, r.Why = ResultRefused, refusal.Text
		case err != nil:
			return nil, err
		case r.Result == ResultImportable:
			commands[i] = command
		}
	}
	return commands, nil
}

// look is what the present state and the rules say of a token.
func (b *importing) look(record TokenRecord, r *ImportedToken) (engine.ImportToken, error) {
	var none engine.ImportToken
	arrived, err := record.arrive()
	if err != nil {
		return none, err
	}
	defer clear(arrived.seed)
	if old := b.state.Token(record.Serial); old != nil {
		return none, b.compare(old, arrived, r)
	}
	command, err := b.seal(arrived)
	if err != nil {
		return none, err
	}
	asked := command
	if command.User != "" && b.state.User(command.User) == nil {
		switch b.batch.UnknownUsers {
		case UnknownLeave:
			r.Why = fmt.Sprintf("belongs to nobody: there is no user %q", command.User)
			command.User, asked.User = "", ""
		case UnknownAdd:
			asked.User = "" // who is added before the token is taken in
			if _, err := engine.Canonical(command.User); err != nil {
				return none, &engine.Refusal{Code: engine.Invalid, Text: fmt.Sprintf("%q cannot be a user: %v", command.User, err)}
			}
		}
	}
	_, err = engine.Decide(b.state, events.Origin{}, asked, events.At(b.cfg.Now()))
	return command, err
}

// compare says of a token that is here already whether it is this one. If so
// nothing is done: what it was used for and its PIN are not in any file.
func (b *importing) compare(old *engine.Token, arrived arrival, r *ImportedToken) error {
	same, err := b.cfg.Seal.SameSeed(old.Serial, old.Seed, engine.Secret(arrived.seed))
	if err != nil {
		return err
	}
	e := arrived.imported()
	switch {
	case !same:
		return &engine.Refusal{Code: engine.Exists, Text: "there is a token " + old.Serial + " already, with another seed"}
	case e.Kind != old.Kind || e.Algorithm != old.Algorithm || e.Digits != old.Digits || e.Period != old.Period || e.PINStyle != old.PINStyle:
		return &engine.Refusal{Code: engine.Exists, Text: fmt.Sprintf("there is a token %s already, with this seed, but it is %s of %d digits every %d s, PIN style %s",
			old.Serial, old.Kind, old.Digits, old.Period, old.PINStyle)}
	}
	r.Result, r.Why = ResultKnown, "known already; its last used interval and its PIN are untouched"
	return nil
}

// addUsers adds the users who are not there, where that was asked for.
func (b *importing) addUsers(ctx context.Context, commands map[int]engine.ImportToken) error {
	if b.batch.UnknownUsers != UnknownAdd {
		return nil
	}
	missing := map[string]bool{}
	for _, c := range commands {
		if c.User != "" && b.state.User(c.User) == nil {
			missing[c.User] = true
		}
	}
	errs := make(chan error, len(missing))
	for name := range missing {
		go func() { errs <- b.do(ctx, b.batch.Reason, engine.AddUser{User: name}) }()
	}
	var first error
	for range missing {
		var refusal *engine.Refusal
		// A user whom somebody has added meanwhile is there; for whom the rules
		// refuse, the token is refused in turn.
		if err := <-errs; err != nil && !errors.As(err, &refusal) && first == nil {
			first = err
		}
	}
	return first
}

const (
	// atOnce is how many tokens of a batch are decided at the same time: enough
	// that the leader writes many down together, and fewer than would fill an
	// entry of its log, so that logins come in between.
	atOnce = 100

	// activatedAtOnce is how many where each needs an activation code: its slow
	// hash must not crowd out those of logins.
	activatedAtOnce = 2
)

func (b *importing) carryOut(ctx context.Context, commands map[int]engine.ImportToken) {
	var all errgroup.Group
	all.SetLimit(atOnce)
	if b.state.Policy.FirstPIN == engine.FirstPINByActivationCode {
		all.SetLimit(activatedAtOnce)
	}
	for i := range b.results {
		if c, ok := commands[i]; ok {
			all.Go(func() error { b.take(ctx, c, &b.results[i]); return nil })
		}
	}
	_ = all.Wait() // each result has its own
}

func (b *importing) take(ctx context.Context, c engine.ImportToken, r *ImportedToken) {
	o, err := b.origin(ctx, b.batch.Reason)
	var code engine.Secret
	if err == nil {
		code, err = b.cfg.Remedies.GiveOut(ctx, o, c)
	}
	var refusal *engine.Refusal
	switch {
	case err == nil:
		r.Result, r.ActivationCode = ResultImported, code.Reveal()
	case errors.As(err, &refusal):
		r.Result, r.Why = ResultRefused, refusal.Text
	default:
		b.cfg.Log.WarnContext(ctx, "import undecided", "serial", r.Serial, "err", err)
		r.Result, r.Why = ResultUndecided, "the cluster did not decide in time; import it again"
	}
}
