package cluster

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"sync"
	"time"

	"keyfob/cluster/link"
	"keyfob/engine"
	"keyfob/events"
)

const (
	// Requests to the leader at once, each with everything that was waiting.
	senders = 4

	// Commands that may wait to be sent.
	forwardQueue = 8192

	// Time between retries.
	retryPause = 20 * time.Millisecond

	maxReplies = 8 << 20 // bytes
)

// errNoLeader means that no leader is known.
var errNoLeader = errors.New("no leader is known")

// forwarder gets commands decided by the leader, whether that is this node or
// another one.
type forwarder struct {
	*self
	replica  *replica
	batcher  *batcher
	client   peerClient
	queue    chan forwarded // commands for another node
	stopping <-chan struct{}
}

// forwarded is a command on its way to the leader.
type forwarded struct {
	ctx    context.Context
	raw    []byte
	answer chan reply // of capacity 1
}

// ask asks the leader until there is a decision, a refusal, or ctx ends. Every
// try has the same request id, so the answer is what was decided the first time.
func (f *forwarder) ask(ctx context.Context, o events.Origin, asked request) (reply, error) {
	o.Node = f.c.Node // the leader accepts no other name from this node
	// Encoding is needed only if another node leads.
	written := sync.OnceValues(func() ([]byte, error) { return encodeCommand(o, asked) })
	last := reply{Fate: notLeader}
	for {
		r, err := f.askOnce(ctx, written, o, asked)
		if err != nil {
			return reply{}, err
		}
		if !r.again() {
			return r, r.err()
		}
		if r.Fate == unknown || last.Fate != unknown {
			last = r
		}
		select {
		case <-ctx.Done():
			return last, last.err()
		case <-f.stopping:
			return last, fmt.Errorf("this node is stopping: %w", last.err())
		case <-time.After(retryPause):
		}
	}
}

func (f *forwarder) askOnce(ctx context.Context, written func() ([]byte, error), o events.Origin, asked request) (reply, error) {
	var answer chan reply
	if f.batcher.leads() {
		p := newProposal(ctx, o, asked)
		f.batcher.submit(p)
		answer = p.answer
	} else {
		raw, err := written()
		if err != nil {
			return reply{}, err
		}
		p := forwarded{ctx: ctx, raw: raw, answer: make(chan reply, 1)}
		select {
		case f.queue <- p:
		default:
			return reply{Fate: busyNow}, nil
		}
		answer = p.answer
	}
	select {
	case r := <-answer:
		return r, nil
	case <-ctx.Done():
		return reply{Fate: unknown}, nil
	}
}

// run sends everything that is waiting in one request, again and again, until ctx
// ends.
func (f *forwarder) run(ctx context.Context) {
	for {
		select {
		case p := <-f.queue:
			f.send(ctx, f.collect(p))
		case <-ctx.Done():
			return
		}
	}
}

func (f *forwarder) collect(first forwarded) []forwarded {
	batch, size := []forwarded{first}, len(first.raw)
	for len(batch) < maxCommands && size < maxCommandBytes {
		select {
		case p := <-f.queue:
			if p.ctx.Err() == nil {
				batch, size = append(batch, p), size+len(p.raw)
			}
		default:
			return batch
		}
	}
	return batch
}

func (f *forwarder) send(ctx context.Context, batch []forwarded) {
	commands := make([][]byte, len(batch))
	for i, p := range batch {
		commands[i] = p.raw
	}
	replies, err := f.sendToLeader(ctx, commands)
	if err != nil {
		f.log.DebugContext(ctx, "leader not reachable", "err", err)
		fate := unknown // it may have arrived
		if errors.Is(err, errNoLeader) || errors.Is(err, link.ErrNotMember) {
			fate = notLeader
		}
		replies = make([]reply, len(batch))
		for i := range replies {
			replies[i].Fate = fate
		}
	}
	for i, p := range batch {
		p.answer <- replies[i]
	}
}

func (f *forwarder) sendToLeader(ctx context.Context, commands [][]byte) ([]reply, error) {
	leader := f.replica.leader()
	if leader == "" || leader == f.id.ID {
		return nil, errNoLeader // or this node, which is not ready to lead yet
	}
	body, err := encodeRequest(commands)
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(ctx, f.c.CommitTimeout+time.Second)
	defer cancel()
	answer, err := f.client.call(ctx, http.MethodPost, leader, "/decide", body, maxReplies)
	if err != nil {
		return nil, err
	}
	return decodeReplies(answer, len(commands))
}

// serve decides commands that other nodes forwarded.
func (f *forwarder) serve(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(r.Body)
	if err != nil {
		http.Error(w, "the request cannot be read", http.StatusBadRequest)
		return
	}
	list, err := decodeRequest(body)
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	peer := link.Peer(r.Context())
	proposals := make([]*proposal, len(list))
	for i, raw := range list {
		o, asked, err := decodeCommand(raw)
		p := newProposal(r.Context(), o, asked)
		proposals[i] = p
		switch {
		case err != nil:
			p.answer <- reply{Fate: malformed}
		case o.Node != nameOf(peer) || !reportable(o.Node, asked):
			f.log.WarnContext(r.Context(), "command refused: its sender acts for another node", "peer", peer, "claimed", o.Node)
			p.answer <- reply{Fate: malformed}
		default:
			f.batcher.submit(p)
		}
	}
	answer, err := encodeReplies(await(r.Context(), proposals))
	if err != nil {
		http.Error(w, "the answer cannot be encoded", http.StatusInternalServerError)
		return
	}
	_, _ = w.Write(answer)
}

func await(ctx context.Context, proposals []*proposal) []reply {
	replies := make([]reply, len(proposals))
	for i, p := range proposals {
		select {
		case replies[i] = <-p.answer:
		case <-ctx.Done():
			replies[i] = reply{Fate: unknown}
		}
	}
	return replies
}

// reportable reports whether a node may send a command. Of events, it may report only
// what it alone can know, and only about itself.
func reportable(node string, asked request) bool {
	note, ok := asked.body().(engine.Note)
	if !ok {
		return true
	}
	switch e := note.Event.(type) {
	case events.PasscodeRejected:
		return e.User == "" && e.Serial == ""
	case events.ClockSkewed:
		return e.Node == node
	case events.TokencodeNotSent, events.CommandDenied, events.APITokenRefused, events.InvitationRefused:
		return true
	case events.NodeKeysCurrent:
		return e.Node == node
	case events.StreamDiffered:
		return e.Node == node
	case events.PublishingFailed:
		return e.Node == node
	case events.PublishingResumed:
		return e.Node == node
	default:
		return false
	}
}
