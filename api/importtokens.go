package api

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"golang.org/x/sync/errgroup"

	"keyfob/engine"
	"keyfob/events"
)

// ImportTokensRequest imports several tokens. If one is refused, the others are
// still imported.
type ImportTokensRequest struct {
	CommandRequest
	Tokens       []TokenRecord `json:"tokens" minItems:"1" maxItems:"500" nullable:"false"`
	DryRun       bool          `json:"dry_run,omitempty" doc:"Report what would happen to each token, and change nothing."`
	UnknownUsers string        `json:"unknown_users,omitempty" enum:"refuse,leave,add" doc:"If the user of a token does not exist: refuse the token (the default), leave it unassigned, or add the user."`
}

// What to do with a token of a user who does not exist; the default refuses it.
const (
	UnknownLeave = "leave"
	UnknownAdd   = "add"
)

type importTokensInput struct{ Body ImportTokensRequest }

// maxBytes implements largeRequest: 500 tokens with the longest seeds.
func (*importTokensInput) maxBytes() int64 { return 1 << 20 }

// ImportedToken is the result of one token of an import.
type ImportedToken struct {
	Serial string `json:"serial"`
	Result string `json:"result" enum:"imported,importable,known,refused,undecided,waiting" doc:"importable: result of a dry run. known: the token exists with this seed and was not changed. undecided: import it again. waiting: it is for an administrator, and a second one must approve it."`
	Why    string `json:"why,omitempty"`
	// ActivationCode is as in GivenToken.
	ActivationCode string `json:"activation_code,omitempty" doc:"Only with pin.first=activation_code, and shown only this once: a PIN for the first login, which must be changed then."`
}

// The results.
const (
	ResultImported   = "imported"
	ResultImportable = "importable"
	ResultKnown      = "known"
	ResultRefused    = "refused"
	ResultUndecided  = "undecided"
	ResultWaiting    = "waiting"
)

// importTokens imports a batch. Each token is first tried on a copy of the state.
// Those that the rules accept are then decided concurrently, so that the leader
// commits them together.
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
		if slices.ContainsFunc(b.results, func(r ImportedToken) bool { return r.Result == ResultRefused || r.Result == ResultUndecided }) {
			noteProblem(ctx, "partly_refused")
		}
	}
	return answered(List[ImportedToken]{Items: b.results}), nil
}

// importing is one batch being imported.
type importing struct {
	*API
	batch    ImportTokensRequest
	before   *engine.State
	after    *engine.State              // a copy, on which the batch is tried
	commands map[int]engine.ImportToken // of the tokens that can be imported, by their index in the batch
	results  []ImportedToken
}

// preview imports the batch into the copy, token by token. It makes the commands
// and sets the results.
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
	checked, err := record.check(b.before.Policy)
	if err != nil {
		return none, err
	}
	defer clear(checked.seed)
	if old := b.before.Token(record.Serial); old != nil {
		if err := b.compare(old, checked, r); err != nil {
			return none, err
		}
	}
	if again {
		return none, &engine.Refusal{Code: engine.Exists, Text: "token " + record.Serial + " is in the batch twice"}
	}
	if r.Result == ResultKnown {
		return none, nil
	}
	command, err := b.seal(checked)
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

// decide executes a command on the copy.
func (b *importing) decide(c engine.Command) error {
	now := events.At(b.cfg.Now())
	d, err := engine.Decide(b.after, events.Origin{}, c, now)
	for _, draft := range d.Drafts {
		if d.Waits == "" {
			b.after.Apply(now, draft)
		}
	}
	return err
}

// compare reports whether a token that exists is this one. If so it is left
// unchanged: no file has its last used interval and its PIN.
func (b *importing) compare(old *engine.Token, checked checkedToken, r *ImportedToken) error {
	same, err := b.cfg.Seal.SameSeed(old.Serial, old.Seed, engine.Secret(checked.seed))
	if err != nil {
		return err
	}
	e := checked.token
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

// addUsers adds the users who do not exist, if that was requested.
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
		// A refusal is no error: someone else may have added the user. If not, the
		// token is refused.
		if err := <-errs; err != nil && !errors.As(err, &refusal) && first == nil {
			first = err
		}
	}
	return first
}

const (
	// atOnce is how many tokens of a batch are decided concurrently: enough for the
	// leader to commit many together, and too few to fill a log entry, so that
	// logins are not held up.
	atOnce = 100

	// activatedAtOnce is the same for tokens that need activation codes, whose slow
	// hashes must not hold up those of logins.
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
	_ = all.Wait() // errors are in the results
}

func (b *importing) take(ctx context.Context, c engine.ImportToken, r *ImportedToken) {
	o, err := b.origin(ctx, b.batch.Reason)
	var code engine.Secret
	if err == nil {
		code, err = b.cfg.Remedies.GiveOut(ctx, o, c)
	}
	var waits *engine.Waiting
	var refusal *engine.Refusal
	switch {
	case err == nil:
		r.Result, r.ActivationCode = ResultImported, code.Reveal()
	case errors.As(err, &waits):
		r.Result, r.Why, r.ActivationCode = ResultWaiting, waits.Error(), code.Reveal()
	case errors.As(err, &refusal):
		r.Result, r.Why = ResultRefused, refusal.Text
	default:
		b.cfg.Log.WarnContext(ctx, "import undecided", "serial", r.Serial, "err", err)
		r.Result, r.Why = ResultUndecided, "the cluster did not decide in time; import it again"
	}
}
