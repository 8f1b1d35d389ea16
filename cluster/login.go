package cluster

import (
	"context"
	"encoding/base64"
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
	// How often an attempt is checked again because the token's secrets have
	// changed in the meantime.
	maxStale = 3

	// How long this node may lag behind the leader.
	lagTimeout = time.Second
)

// Authenticate has the cluster decide an attempt. An error wraps
// engine.ErrUndecided or engine.ErrBusy and means that nobody may be let in. A
// refusal returns at a fixed time after the attempt arrived.
func (n *Node) Authenticate(ctx context.Context, a engine.Attempt) (engine.Outcome, error) {
	if a.Origin.Request.IsZero() {
		return engine.Outcome{}, fmt.Errorf("the attempt has no request id: %w", engine.ErrUndecided)
	}
	if err := n.requests.begin(); err != nil {
		return engine.Outcome{}, err
	}
	defer n.requests.end()
	a.Origin = n.from(a.Origin)
	policy := n.State().Policy
	pass := refusal.PassFor(n.State(), a, n.userOf(a))
	if wait := n.refusals.gate.Enter(&pass, n.c.Now()); wait > 0 {
		n.refusals.count(a, events.ReasonThrottled)
		return n.refusals.throttled(ctx, a, policy.RefusalDelay, wait)
	}
	crowded := n.vault.Crowded()
	out, err := n.login(ctx, a)
	n.refusals.gate.Leave(pass, countsAsFailure(ctx, out, err), n.c.Now())
	if err == nil && out.Verdict == engine.Accept {
		n.refusals.gate.Remember(pass, out.User, n.c.Now())
	}
	switch {
	case errors.Is(err, vault.ErrBusy): // only a correct tokencode leads here, which must not show
	case err != nil:
		return engine.Outcome{}, undecided(err)
	case out.Verdict != engine.Reject:
		return out, nil
	case out.Reason == events.ReasonUserUnknown || out.Reason == events.ReasonConversationExpired:
		n.refusals.count(a, out.Reason)
	}
	if wait := pass.Wait(); wait > 0 {
		return n.refusals.throttled(ctx, a, policy.RefusalDelay, wait)
	}
	if err := errors.Join(err, n.refusals.hold(ctx, a.Arrived, policy.RefusalDelay)); err != nil {
		return engine.Outcome{}, err
	}
	if crowded && a.Conversation == "" {
		// A user whose tokencode is correct is told now that this node is busy,
		// so everybody else must be told the same. The refusal is recorded: the
		// same request gets it later.
		return engine.Outcome{}, fmt.Errorf("too many PINs wait to be verified: %w", engine.ErrBusy)
	}
	return out, nil
}

// userOf returns the user whom an attempt claims to be, or whose conversation it
// continues.
func (n *Node) userOf(a engine.Attempt) string {
	if a.Conversation == "" {
		return a.User
	}
	ticket, err := n.readTicket(ticketPlace(a.Origin, a.Holder), a.Conversation)
	if err != nil {
		return ""
	}
	return ticket.User
}

// undecided makes every error one of the two that doors handle.
func undecided(err error) error {
	if errors.Is(err, engine.ErrUndecided) || errors.Is(err, engine.ErrBusy) {
		return err
	}
	return fmt.Errorf("%w: %w", engine.ErrUndecided, err)
}

// login checks an attempt and has it decided, within the request timeout.
func (n *Node) login(ctx context.Context, a engine.Attempt) (engine.Outcome, error) {
	ctx, cancel := context.WithTimeout(ctx, n.c.RequestTimeout)
	defer cancel()
	view := n.replica.View()
	var ticket *engine.Ticket
	if a.Conversation != "" {
		var err error
		if ticket, err = n.openTicket(ctx, ticketPlace(a.Origin, a.Holder), a.Conversation); err != nil {
			return engine.Outcome{Reason: events.ReasonConversationExpired, Reference: a.Origin.Reference}, nil
		}
		if view, err = n.waitFor(ctx, ticket.Sequence); err != nil {
			return engine.Outcome{}, err
		}
	}
	for tries := 1; ; tries++ {
		now, sound := n.heartbeats.clock.Time(view.Time)
		under := n.requestKeys(&a, view.State, now)
		checked, err := engine.Check(ctx, engine.CheckInput{
			State: view.State, Keys: n.keys.under(under.version), Attempt: a, Ticket: ticket, Now: now, Common: n.c.CommonPINs, Untimed: !sound,
			Sends: n.Sends,
		})
		if err != nil {
			return engine.Outcome{}, fmt.Errorf("checking an attempt: %w", err)
		}
		checked.Command.Keys, checked.Command.Also = under.version, under.also
		r, err := n.forwarder.ask(ctx, a.Origin, loginRequest(checked.Command))
		if err == nil {
			return n.finish(ctx, a, checked, r)
		}
		if !errors.Is(err, engine.ErrStale) || tries == maxStale {
			return engine.Outcome{}, err
		}
		if view, err = n.waitFor(ctx, r.Sequence); err != nil {
			return engine.Outcome{}, err
		}
	}
}

// waitFor waits until this node has applied a record.
func (n *Node) waitFor(ctx context.Context, sequence uint64) (*fsm.View, error) {
	ctx, cancel := context.WithTimeout(ctx, lagTimeout)
	defer cancel()
	return n.replica.machine.Wait(ctx, sequence)
}

// finish returns the outcome for the door. If a conversation goes on, it waits
// until this node can show the next step.
func (n *Node) finish(ctx context.Context, a engine.Attempt, c engine.Checked, r reply) (engine.Outcome, error) {
	view := n.replica.View()
	if answer := r.Decision.Answer; answer.Verdict == engine.Challenge || answer.Conversation != nil {
		var err error
		if view, err = n.waitFor(ctx, r.Sequence); err != nil {
			return engine.Outcome{}, err
		}
	}
	now, _ := n.heartbeats.clock.Time(view.Time)
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
			n.recorder.record(a.Origin, events.TokencodeNotSent{Serial: d.Serial, User: out.User, Way: way, Result: result})
		}
		n.c.Deliver(*d)
	}
	return out, nil
}

// Sends reports whether this node can send tokencodes to an address.
func (n *Node) Sends(address engine.Secret) bool {
	return n.c.Deliver != nil && (n.c.Sends == nil || n.c.Sends(address))
}

// ticketPlace binds a conversation to the door and the client that began it. An
// application chooses its client name itself, so its API token (the holder) is
// part of the place too.
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

func (n *Node) openTicket(ctx context.Context, place vault.Identity, text string) (*engine.Ticket, error) {
	if sealed, err := base64.RawURLEncoding.DecodeString(text); err == nil {
		n.keychain.awaitVersion(ctx, engine.KeyVersion(sealed))
	}
	return n.readTicket(place, text)
}

// readTicket is openTicket with the keys that this node has now.
func (n *Node) readTicket(place vault.Identity, text string) (*engine.Ticket, error) {
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

// Prompt returns the current step of a conversation, to be shown again. The error
// wraps engine.ErrConversation if it is over or was not begun here.
func (n *Node) Prompt(ctx context.Context, conversation string, o events.Origin) (engine.Prompt, error) {
	ticket, err := n.openTicket(ctx, ticketPlace(o, ""), conversation)
	if err != nil {
		return engine.Prompt{}, fmt.Errorf("%w: %w", engine.ErrConversation, err)
	}
	view, err := n.waitFor(ctx, ticket.Sequence)
	if err != nil {
		return engine.Prompt{}, undecided(err)
	}
	now, _ := n.heartbeats.clock.Time(view.Time)
	return engine.PromptFor(view.State, *ticket, now)
}

// Do executes an administrator's command. The error is a *engine.Refusal, a
// *engine.Waiting, or wraps engine.ErrUndecided or engine.ErrBusy. On return the change can be read on this
// node, unless the node lags by more than a second.
func (n *Node) Do(ctx context.Context, o events.Origin, c engine.Command) error {
	if err := n.requests.begin(); err != nil {
		return err
	}
	defer n.requests.end()
	if o.Request.IsZero() {
		o.Request = newRequest()
	}
	ctx, cancel := context.WithTimeout(ctx, n.c.RequestTimeout)
	defer cancel()
	r, err := n.forwarder.ask(ctx, n.from(o), commandRequest{c})
	var refusal *engine.Refusal
	if errors.As(err, &refusal) {
		return refusal
	}
	if errors.Is(err, engine.ErrStale) {
		return &engine.Refusal{Code: engine.Conflict, Text: "the root key was rotated while this command was on its way, and nothing was changed; repeat the command"}
	}
	if err != nil {
		return undecided(err)
	}
	if _, err := n.waitFor(ctx, r.Sequence); err != nil {
		n.log.InfoContext(ctx, "command committed, but this node has not applied it yet", "err", err)
	}
	if id := r.Decision.Waits; id != "" {
		return &engine.Waiting{ID: id}
	}
	return nil
}
