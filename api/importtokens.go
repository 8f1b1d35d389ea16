package api

import (
	"context"
	"errors"
	"fmt"

	"golang.org/x/sync/errgroup"

	"keyfob/engine"
	"keyfob/events"
)

// ImportTokensRequest is tokens to be imported. A token that is refused does not keep
// out the others.
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

// importTokens imports a batch. What the rules say of each token is found first,
// on a copy of the state; the others are decided at the same time, so that the
// leader finds them waiting and commits them together.
func (a *API) importTokens(ctx context.Context, in *importTokensInput) (*answer[List[ImportedToken]], error) {
	state := a.cfg.Node.State()
	b := importing{
		API: a, batch: in.Body, before: state, after: state.Copy(),
		commands: make(map[int]engine.ImportToken, len(in.Body.Tokens)),
		results:  make([]ImportedToken, len(in.Body.Tokens)),
	}
	if err := b.preview(); err != nil {
		return nil, err
	}
	if !in.Body.DryRun {
		select {
		case a.importing <- struct{}{}:
			defer func() { <-a.importing }()
		case <-ctx.Done():
			return nil, ctx.Err()
		}
		if err := b.addUsers(ctx); err != nil {
			return nil, err
		}
		b.carryOut(ctx)
	}
	return answered(List[ImportedToken]{Items: b.results}), nil
}

// importing is one batch being imported.
type importing struct {
	*API
	batch    ImportTokensRequest
	before   *engine.State
	after    *engine.State              // a copy, on which the batch is carried out first
	commands map[int]engine.ImportToken // of the tokens that can be imported, by their place in the batch
	results  []ImportedToken
}

// preview carries the batch out on the copy, token by token. It makes the
// commands and says what becomes of each token.
func (b *importing) preview() error {
	seen := make(map[string]bool, len(b.batch.Tokens))
	for i, record := range b.batch.Tokens {
		r := &b.results[i]
		r.Serial, r.Result = record.Serial, ResultImportable
		command, err := b.try(record, seen[record.Serial], r)
		seen[record.Serial] = true
		var refusal *engine.Refusal
		switch {
		case errors.As(err, &refusal):
			r.Result, r.Why = ResultRefused, refusal.Text
		case err != nil:
			return err
		case r.Result == ResultImportable:
			b.commands[i] = command
		}
	}
	return nil
}

// try imports one token into the copy.
func (b *importing) try(record TokenRecord, again bool, r *ImportedToken) (engine.ImportToken, error) {
	var none engine.ImportToken
	arrived, err := record.arrive()
	if err != nil {
		return none, err
	}
	defer clear(arrived.seed)
	if old := b.before.Token(record.Serial); old != nil {
		if err := b.compare(old, arrived, r); err != nil {
			return none, err
		}
	}
	if again {
		return none, &engine.Refusal{Code: engine.Exists, Text: "token " + record.Serial + " is in the batch twice"}
	}
	if r.Result == ResultKnown {
		return none, nil
	}
	command, err := b.seal(arrived)
	if err != nil {
		return none, err
	}
	if command.User != "" && b.after.User(command.User) == nil {
		switch b.batch.UnknownUsers {
		case UnknownLeave:
			r.Why = fmt.Sprintf("not assigned: user %q not found", command.User)
			command.User = ""
		case UnknownAdd:
			if err := b.decide(engine.AddUser{User: command.User}); err != nil {
				return none, err
			}
		}
	}
	return command, b.decide(command)
}

// decide carries a command out on the copy.
func (b *importing) decide(c engine.Command) error {
	now := events.At(b.cfg.Now())
	d, err := engine.Decide(b.after, events.Origin{}, c, now)
	for _, draft := range d.Drafts {
		b.after.Apply(now, draft)
	}
	return err
}

// compare says of a token that is known whether it is this one. If so nothing is
// done: its last used interval and its PIN are not in any file.
func (b *importing) compare(old *engine.Token, arrived arrival, r *ImportedToken) error {
	same, err := b.cfg.Seal.SameSeed(old.Serial, old.Seed, engine.Secret(arrived.seed))
	if err != nil {
		return err
	}
	e := arrived.token
	switch {
	case !same:
		return &engine.Refusal{Code: engine.Exists, Text: "token " + old.Serial + " already exists, with another seed"}
	case e.Kind != old.Kind || e.Algorithm != old.Algorithm || e.Digits != old.Digits || e.Period != old.Period || e.PINStyle != old.PINStyle:
		return &engine.Refusal{Code: engine.Exists, Text: fmt.Sprintf("token %s already exists with this seed, but as %s with %d digits every %d s, PIN style %s",
			old.Serial, old.Kind, old.Digits, old.Period, old.PINStyle)}
	}
	r.Result, r.Why = ResultKnown, "already known; its last used interval and its PIN are unchanged"
	return nil
}

// addUsers adds the users of the tokens who are not known, if that was asked for.
func (b *importing) addUsers(ctx context.Context) error {
	missing := map[string]bool{}
	for _, c := range b.commands {
		if b.batch.UnknownUsers == UnknownAdd && c.User != "" && b.before.User(c.User) == nil {
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
		// A user who was added meanwhile is there. If a user is refused, the token
		// is refused in turn.
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

func (b *importing) carryOut(ctx context.Context) {
	var all errgroup.Group
	all.SetLimit(atOnce)
	if b.before.Policy.FirstPIN == engine.FirstPINByActivationCode {
		all.SetLimit(activatedAtOnce)
	}
	for i := range b.results {
		if c, ok := b.commands[i]; ok {
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
