package cluster

import (
	"bytes"
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
	// Requests to the leader at once, each with all that waited when it left.
	senders = 4

	// Between two tries.
	retryPause = 20 * time.Millisecond

	maxReplies = 8 << 20 // bytes
)

// errNoLeader says that nobody is known to lead.
var errNoLeader = errors.New("no leader is known")

// parcel is a command on its way to another node.
type parcel struct {
	ctx    context.Context
	raw    []byte
	answer chan reply // holds one
}

// ask puts a command to whoever leads until there is a decision, a refusal, or
// the caller's time is up. It is the same request at each try, so that what was
// decided once is what is answered.
func (n *Node) ask(ctx context.Context, o events.Origin, asked request) (reply, error) {
	// Where this node leads there is nothing to be written.
	written := sync.OnceValues(func() ([]byte, error) { return encodeCommand(o, asked) })
	last := reply{Fate: notLeader}
	for {
		r, err := n.askOnce(ctx, written, o, asked)
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
		case <-n.stopping:
			return last, fmt.Errorf("this node stops: %w", last.err())
		case <-time.After(retryPause):
		}
	}
}

func (n *Node) askOnce(ctx context.Context, written func() ([]byte, error), o events.Origin, asked request) (reply, error) {
	var answer chan reply
	if n.batcher.leads() {
		p := newProposal(ctx, o, asked)
		n.batcher.submit(p)
		answer = p.answer
	} else {
		raw, err := written()
		if err != nil {
			return reply{}, err
		}
		p := parcel{ctx: ctx, raw: raw, answer: make(chan reply, 1)}
		select {
		case n.outbox <- p:
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

// send takes parcels, and sends all that wait in one request, until ctx ends.
func (n *Node) send(ctx context.Context) {
	for {
		select {
		case p := <-n.outbox:
			n.deliver(ctx, n.collect(p))
		case <-ctx.Done():
			return
		}
	}
}

func (n *Node) collect(first parcel) []parcel {
	batch, size := []parcel{first}, len(first.raw)
	for len(batch) < maxCommands && size < maxCommandBytes {
		select {
		case p := <-n.outbox:
			if p.ctx.Err() == nil {
				batch, size = append(batch, p), size+len(p.raw)
			}
		default:
			return batch
		}
	}
	return batch
}

func (n *Node) deliver(ctx context.Context, batch []parcel) {
	commands := make([][]byte, len(batch))
	for i, p := range batch {
		commands[i] = p.raw
	}
	replies, err := n.sendTo(ctx, commands)
	if err != nil {
		n.log.DebugContext(ctx, "leader not reached", "err", err)
		fate := unknown // it may have got there
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

func (n *Node) sendTo(ctx context.Context, commands [][]byte) ([]reply, error) {
	_, leader := n.raft.LeaderWithID()
	if leader == "" || string(leader) == n.id.ID {
		return nil, errNoLeader // or this node, before it is ready to lead
	}
	body, err := encodeRequest(commands)
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(ctx, n.c.CommitTimeout+time.Second)
	defer cancel()
	answer, err := n.call(ctx, http.MethodPost, string(leader), "/decide", body, maxReplies)
	if err != nil {
		return nil, err
	}
	return decodeReplies(answer, len(commands))
}

// call sends a request to another node and reads the whole answer, up to limit
// bytes.
func (n *Node) call(ctx context.Context, method, id, path string, body []byte, limit int64) ([]byte, error) {
	req, err := http.NewRequestWithContext(ctx, method, "https://"+id+path, bytes.NewReader(body))
	if err != nil {
		return nil, err
	}
	resp, err := n.link.Client().Do(req)
	if err != nil {
		return nil, err
	}
	defer func() { _ = resp.Body.Close() }()
	data, err := io.ReadAll(io.LimitReader(resp.Body, limit+1))
	switch {
	case err != nil:
		return nil, fmt.Errorf("reading the answer of %s to %s: %w", id, path, err)
	case resp.StatusCode != http.StatusOK:
		return nil, fmt.Errorf("%s answers %s to %s: %.200s", id, resp.Status, path, data)
	case int64(len(data)) > limit:
		return nil, fmt.Errorf("%s answers more than %d bytes to %s", id, limit, path)
	}
	return data, nil
}

// decide serves the commands that other nodes forward.
func (n *Node) decide(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(r.Body)
	if err != nil {
		http.Error(w, "request cannot be read", http.StatusBadRequest)
		return
	}
	list, err := decodeRequest(body)
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	peer := nameOf(link.Peer(r.Context()))
	proposals := make([]*proposal, len(list))
	for i, raw := range list {
		o, asked, err := decodeCommand(raw)
		o.Node = peer // is who the certificate says
		p := newProposal(r.Context(), o, asked)
		proposals[i] = p
		if err != nil || !forwardable(asked) {
			p.answer <- reply{Fate: malformed}
			continue
		}
		n.batcher.submit(p)
	}
	answer, err := encodeReplies(await(r.Context(), proposals))
	if err != nil {
		http.Error(w, "answer cannot be written", http.StatusInternalServerError)
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

// forwardable says whether a command may come from another node. What a node
// may note about others, the leader sees for itself.
func forwardable(asked request) bool {
	note, ok := asked.body().(engine.Note)
	if !ok {
		return true
	}
	switch e := note.Event.(type) {
	case events.PasscodeRejected:
		return e.User == "" && e.Serial == ""
	case events.ClockSkewed, events.TokencodeNotSent:
		return true
	default:
		return false
	}
}
