package nodetest

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"sync"
	"time"

	"keyfob/engine"
	"keyfob/events"
)

// Node is a node without a cluster. It checks and decides by the engine's rules
// and keeps the state in memory. Its methods may be called from any goroutine.
type Node struct {
	Keys // seals nothing: see there
	Notes

	now func() time.Time

	mu       sync.Mutex // guards the fields below; held for each decision
	state    *engine.State
	sequence uint64
	tickets  map[string]ticket
	fault    error
}

// ticket is a conversation that a user holds. A cluster seals it into the text
// that travels with the client; here the text is a number.
type ticket struct {
	engine.Ticket
	door   events.Door
	client string
	holder string
}

// New returns a node with an empty state.
func New(now func() time.Time) *Node {
	return &Node{now: now, state: engine.NewState(), tickets: make(map[string]ticket)}
}

// Fail makes the node unable to decide; nil ends that.
func (n *Node) Fail(err error) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.fault = err
}

// Ready returns why the node cannot decide, nil if it can.
func (n *Node) Ready() error {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.fault
}

// State is the present state.
func (n *Node) State() *engine.State {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.state
}

// able returns why a request cannot be decided. mu is held.
func (n *Node) able(ctx context.Context) error {
	switch {
	case n.fault != nil:
		return fmt.Errorf("%w: %w", engine.ErrUndecided, n.fault)
	case ctx.Err() != nil:
		return fmt.Errorf("%w: %w", engine.ErrUndecided, ctx.Err())
	}
	return nil
}

// Authenticate decides an attempt.
func (n *Node) Authenticate(ctx context.Context, a engine.Attempt) (engine.Outcome, error) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if a.Origin.Request.IsZero() {
		return engine.Outcome{}, fmt.Errorf("the attempt has no request id: %w", engine.ErrUndecided)
	}
	if err := n.able(ctx); err != nil {
		return engine.Outcome{}, err
	}
	var held *engine.Ticket
	if a.Conversation != "" {
		t, ok := n.ticket(a.Conversation, a.Origin, a.Holder)
		if !ok {
			return engine.Outcome{Reason: events.ReasonConversationExpired, Reference: a.Origin.Reference}, nil
		}
		held = &t
	}
	now := events.At(n.now())
	checked, err := engine.Check(ctx, engine.CheckInput{State: n.state, Keys: n.Keys, Attempt: a, Ticket: held, Now: now})
	if err != nil {
		return engine.Outcome{}, fmt.Errorf("%w: %w", engine.ErrUndecided, err)
	}
	d, err := engine.DecideLogin(n.state, a.Origin, checked.Command, now)
	if err != nil {
		return engine.Outcome{}, fmt.Errorf("%w: %w", engine.ErrUndecided, err)
	}
	n.apply(now, d.Drafts)
	out, next := engine.Finish(n.state, checked, d, n.sequence, now)
	if next != nil {
		out.Conversation = strconv.Itoa(len(n.tickets) + 1)
		n.tickets[out.Conversation] = ticket{*next, a.Origin.Door, a.Origin.Client, a.Holder}
	}
	return out, nil
}

// ticket returns the ticket of a conversation that began there. mu is held.
func (n *Node) ticket(conversation string, o events.Origin, holder string) (engine.Ticket, bool) {
	t, ok := n.tickets[conversation]
	return t.Ticket, ok && t.door == o.Door && t.client == o.Client && t.holder == holder
}

// apply commits events. mu is held.
func (n *Node) apply(now events.Time, drafts []events.Draft) {
	next := n.state.Copy()
	for _, d := range drafts {
		next.Apply(now, d)
		n.sequence++
	}
	n.state = next
}

// Prompt returns the current step of a conversation.
func (n *Node) Prompt(ctx context.Context, conversation string, o events.Origin) (engine.Prompt, error) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if err := n.able(ctx); err != nil {
		return engine.Prompt{}, err
	}
	t, ok := n.ticket(conversation, o, "")
	if !ok {
		return engine.Prompt{}, engine.ErrConversation
	}
	return engine.PromptFor(n.state, t, events.At(n.now()))
}

// Do executes a command.
func (n *Node) Do(ctx context.Context, o events.Origin, c engine.Command) error {
	n.mu.Lock()
	defer n.mu.Unlock()
	if err := n.able(ctx); err != nil {
		return err
	}
	now := events.At(n.now())
	d, err := engine.Decide(n.state, o, c, now)
	var refusal *engine.Refusal
	if errors.As(err, &refusal) {
		return refusal
	}
	if err != nil {
		return fmt.Errorf("%w: %w", engine.ErrUndecided, err)
	}
	n.apply(now, d.Drafts)
	return nil
}
