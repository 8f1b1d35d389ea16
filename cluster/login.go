package cluster

import (
	"context"
	"errors"
	"fmt"
	"time"

	"keyfob/cluster/refusal"
	"keyfob/cluster/vault"
	"keyfob/engine"
	"keyfob/events"
	"keyfob/fsm"
)

const (
	// How often an attempt is checked anew because the token's secrets have
	// changed in the meantime.
	maxStale = 3

	// How long this node may lag behind what the leader has decided.
	lagTimeout = time.Second
)

// Authenticate asks the cluster for the outcome of an attempt. An error wraps
// engine.ErrUndecided or engine.ErrBusy and means that nobody may be let in.
// A refusal comes back at a fixed time after the attempt arrived.
func (n *Node) Authenticate(ctx context.Context, a engine.Attempt) (engine.Outcome, error) {
	if a.Origin.Request.IsZero() {
		return engine.Outcome{}, fmt.Errorf("an attempt without a request id: %w", engine.ErrUndecided)
	}
	if !n.doors.enter() {
		return engine.Outcome{}, fmt.Errorf("this node stops: %w", engine.ErrUndecided)
	}
	defer n.doors.leave()
	a.Origin = n.from(a.Origin)
	pass := refusal.PassFor(n.State(), a)
	if wait := n.gate.Enter(pass, n.c.Now()); wait > 0 {
		return n.throttled(ctx, a, wait)
	}
	crowded := n.vault.Crowded()
	out, err := n.login(ctx, a)
	n.gate.Leave(pass, countsAsFailure(ctx, out, err), n.c.Now())
	switch {
	case errors.Is(err, vault.ErrBusy): // so the tokencode was right, which is not to be shown
	case err != nil:
		return engine.Outcome{}, undecided(err)
	case out.Verdict != engine.Reject:
		return out, nil
	case out.Reason == events.ReasonUserUnknown || out.Reason == events.ReasonConversationExpired:
		n.countRefusal(a, out.Reason)
	}
	if err := errors.Join(err, n.delay(ctx, a.Arrived)); err != nil {
		return engine.Outcome{}, err
	}
	if crowded && a.Conversation == "" {
		// Whoever's tokencode was right hears at such a time that this node is
		// busy, and so must everybody else. The refusal is recorded: the same
		// request gets it later.
		return engine.Outcome{}, fmt.Errorf("too many PINs wait to be verified: %w", engine.ErrBusy)
	}
	return out, nil
}

// from completes an origin with what this node knows.
func (n *Node) from(o events.Origin) events.Origin {
	o.Node = n.c.Node
	if o.Site == "" {
		o.Site = n.c.Site
	}
	return o
}

// undecided makes every error one of the two that doors know.
func undecided(err error) error {
	if errors.Is(err, engine.ErrUndecided) || errors.Is(err, engine.ErrBusy) {
		return err
	}
	return fmt.Errorf("%w: %w", engine.ErrUndecided, err)
}

// login has an attempt checked and decided, within this node's patience.
func (n *Node) login(ctx context.Context, a engine.Attempt) (engine.Outcome, error) {
	ctx, cancel := context.WithTimeout(ctx, n.c.Patience)
	defer cancel()
	if a.Session != "" {
		a.Origin.Request = n.repeatable(a)
	}
	view := n.machine.View()
	var ticket *engine.Ticket
	if a.Conversation != "" {
		var err error
		if ticket, err = n.openTicket(ticketPlace(a.Origin, a.Holder), a.Conversation); err != nil {
			return engine.Outcome{Reason: events.ReasonConversationExpired, Reference: a.Origin.Reference}, nil
		}
		if view, err = n.lag(ctx, ticket.Sequence); err != nil {
			return engine.Outcome{}, err
		}
	}
	for tries := 1; ; tries++ {
		now, sound := n.clock.Time(view.Time)
		checked, err := engine.Check(ctx, engine.CheckInput{
			State: view.State, Keys: n.keys, Attempt: a, Ticket: ticket, Now: now, Common: n.c.CommonPINs, Untimed: !sound,
			Sends: n.Sends,
		})
		if err != nil {
			return engine.Outcome{}, fmt.Errorf("checking an attempt: %w", err)
		}
		r, err := n.ask(ctx, a.Origin, loginRequest(checked.Command))
		if err == nil {
			return n.finish(ctx, a, checked, r)
		}
		if !errors.Is(err, engine.ErrStale) || tries == maxStale {
			return engine.Outcome{}, err
		}
		if view, err = n.lag(ctx, r.Sequence); err != nil {
			return engine.Outcome{}, err
		}
	}
}

// lag waits until this node has applied the record numbered sequence.
func (n *Node) lag(ctx context.Context, sequence uint64) (*fsm.View, error) {
	ctx, cancel := context.WithTimeout(ctx, lagTimeout)
	defer cancel()
	return n.machine.Wait(ctx, sequence)
}

// finish makes the outcome for the door. One that leaves a conversation open
// waits until this node can show its next step.
func (n *Node) finish(ctx context.Context, a engine.Attempt, c engine.Checked, r reply) (engine.Outcome, error) {
	view := n.machine.View()
	if answer := r.Decision.Answer; answer.Verdict == engine.Challenge || answer.Conversation != nil {
		var err error
		if view, err = n.lag(ctx, r.Sequence); err != nil {
			return engine.Outcome{}, err
		}
	}
	now, _ := n.clock.Time(view.Time)
	out, next := engine.Finish(view.State, c, r.Decision, r.Sequence, now)
	if next == nil {
		return out, nil
	}
	sealed, err := n.sealTicket(ticketPlace(a.Origin, a.Holder), *next)
	if err != nil {
		return engine.Outcome{}, err
	}
	out.Conversation = sealed
	if d := next.Delivery; d != nil {
		d.Wanted = func() bool { return n.State().AnswersTo(out.User, next.ID, next.Turn) }
		d.NotSent = func(way, result string) {
			n.observe(a.Origin, events.TokencodeNotSent{Serial: d.Serial, User: out.User, Way: way, Result: result})
		}
		n.c.Deliver(*d)
	}
	return out, nil
}

// Sends reports whether this node has a way of sending tokencodes to an address.
func (n *Node) Sends(address engine.Secret) bool {
	return n.c.Deliver != nil && (n.c.Sends == nil || n.c.Sends(address))
}

// A conversation opens only at the door and for the client that it began with.
// An application says itself which client it is, so there it takes the holder
// too: the API token.
func ticketPlace(o events.Origin, holder string) vault.Identity {
	place := vault.Identity{Table: "conversations", Record: o.Client, Field: string(o.Door)}
	if holder != "" {
		place.Field += " " + holder
	}
	return place
}

func (n *Node) sealTicket(place vault.Identity, t engine.Ticket) (string, error) {
	plain, err := wireEncoding.Marshal(t)
	if err != nil {
		return "", fmt.Errorf("encoding a conversation: %w", err)
	}
	return n.vault.SealText(vault.Conversations, place, plain), nil
}

func (n *Node) openTicket(place vault.Identity, text string) (*engine.Ticket, error) {
	plain, err := n.vault.OpenText(vault.Conversations, place, text)
	if err != nil {
		return nil, err
	}
	var t engine.Ticket
	if err := wireDecoding.Unmarshal(plain, &t); err != nil {
		return nil, fmt.Errorf("decoding a conversation: %w", err)
	}
	return &t, nil
}

// Prompt is the step at which a conversation stands, to be shown again.
// engine.ErrConversation when it is over, or none of ours.
func (n *Node) Prompt(ctx context.Context, conversation string, o events.Origin) (engine.Prompt, error) {
	ticket, err := n.openTicket(ticketPlace(o, ""), conversation)
	if err != nil {
		return engine.Prompt{}, fmt.Errorf("%w: %w", engine.ErrConversation, err)
	}
	view, err := n.lag(ctx, ticket.Sequence)
	if err != nil {
		return engine.Prompt{}, undecided(err)
	}
	now, _ := n.clock.Time(view.Time)
	return engine.PromptFor(view.State, *ticket, now)
}

// Do carries out an administrator's command. The error is a *engine.Refusal, or
// wraps engine.ErrUndecided or engine.ErrBusy. On return the change can be read
// on this node, unless it lags by more than a second.
func (n *Node) Do(ctx context.Context, o events.Origin, c engine.Command) error {
	if !n.doors.enter() {
		return fmt.Errorf("this node stops: %w", engine.ErrUndecided)
	}
	defer n.doors.leave()
	if o.Request.IsZero() {
		o.Request = newRequest()
	}
	ctx, cancel := context.WithTimeout(ctx, n.c.Patience)
	defer cancel()
	r, err := n.ask(ctx, n.from(o), commandRequest{c})
	var refusal *engine.Refusal
	if errors.As(err, &refusal) {
		return refusal
	}
	if err != nil {
		return undecided(err)
	}
	if _, err := n.lag(ctx, r.Sequence); err != nil {
		n.log.InfoContext(ctx, "a command is done and not to be seen here yet", "err", err)
	}
	return nil
}
