package cluster

import (
	"context"
	"fmt"
	"io"
	"net/http"

	"keyfob/engine"
	"keyfob/events"
)

// RemoveNode takes a member away: its certificate is refused from then on. The
// leader takes it out of Raft's configuration within a second.
func (n *Node) RemoveNode(ctx context.Context, o events.Origin, name string) error {
	return n.Do(ctx, o, engine.RemoveNode{Node: name})
}

// Transfer makes another node the leader; an empty name leaves the choice to
// Raft. The origin is that of the command, for the log.
func (n *Node) Transfer(ctx context.Context, o events.Origin, name string) error {
	ctx, cancel := context.WithTimeout(ctx, n.c.RequestTimeout)
	defer cancel()
	leader, err := n.replica.waitForLeader(ctx)
	if err != nil {
		return err
	}
	n.log.InfoContext(ctx, "leadership is to be handed over", "to", name, "actor", o.Actor)
	if leader == n.id.ID {
		return n.transfer(name)
	}
	_, err = n.peers.call(ctx, http.MethodPost, leader, "/transfer", []byte(name), maxHeartbeat)
	if err != nil {
		return undecided(err)
	}
	return nil
}

func (n *Node) transfer(name string) error {
	if name == "" {
		return undecidedOr(n.replica.transfer())
	}
	for _, m := range n.replica.members() {
		if nameOf(m.ID) != name {
			continue
		}
		if m.ID == n.id.ID {
			return nil
		}
		if !m.Voter {
			return &engine.Refusal{Code: "conflict", Text: fmt.Sprintf("node %s has no vote yet: wait until it has caught up", name)}
		}
		return undecidedOr(n.replica.transferTo(m))
	}
	return &engine.Refusal{Code: "not_found", Text: fmt.Sprintf("there is no node %q in the cluster", name)}
}

func undecidedOr(err error) error {
	if err == nil {
		return nil
	}
	return fmt.Errorf("handing over leadership: %w", undecided(err))
}

// serveTransfer executes Transfer for another node.
func (n *Node) serveTransfer(w http.ResponseWriter, r *http.Request) {
	name, err := io.ReadAll(io.LimitReader(r.Body, 256))
	if err == nil {
		err = n.transfer(string(name))
	}
	if err != nil {
		http.Error(w, err.Error(), http.StatusConflict)
	}
}
