package cluster

import (
	"context"
	"fmt"
	"io"
	"net/http"

	"keyfob/engine"
	"keyfob/events"
)

// RemoveNode removes a member. The leader takes it out of Raft's configuration
// within a few seconds; from then on its certificate is refused.
func (n *Node) RemoveNode(ctx context.Context, o events.Origin, name string) error {
	return n.Do(ctx, o, engine.RemoveNode{Node: name})
}

// Transfer hands leadership to another node. If name is empty, Raft chooses it.
// The request is recorded first, with its actor and reason.
func (n *Node) Transfer(ctx context.Context, o events.Origin, name string) error {
	ctx, cancel := context.WithTimeout(ctx, n.c.RequestTimeout)
	defer cancel()
	leader, err := n.replica.waitForLeader(ctx)
	if err != nil {
		return err
	}
	if name != "" && name == nameOf(leader) {
		return nil
	}
	if _, err := n.transferTarget(name); err != nil {
		return err
	}
	if err := n.Do(ctx, o, engine.TransferLeadership{Node: name}); err != nil {
		return err
	}
	if leader, err = n.replica.waitForLeader(ctx); err != nil {
		return err
	}
	if leader == n.id.ID {
		return n.transfer(name)
	}
	_, err = n.peers.call(ctx, http.MethodPost, leader, "/transfer", []byte(name), maxHeartbeat)
	if err != nil {
		return undecided(err)
	}
	return nil
}

// transfer hands leadership to another node, from this one.
func (n *Node) transfer(name string) error {
	m, err := n.transferTarget(name)
	switch {
	case err != nil:
		return err
	case m.ID == n.id.ID:
		return nil
	case name == "":
		err = n.replica.transfer()
	default:
		err = n.replica.transferTo(m)
	}
	if err != nil {
		return fmt.Errorf("transferring leadership: %w", undecided(err))
	}
	return nil
}

// transferTarget finds a member that may lead; the zero member if name is empty.
func (n *Node) transferTarget(name string) (member, error) {
	if name == "" {
		return member{}, nil
	}
	for _, m := range n.replica.members() {
		switch {
		case nameOf(m.ID) != name:
		case !m.Voter:
			return member{}, &engine.Refusal{Code: engine.Conflict, Text: fmt.Sprintf("node %s has no vote yet; wait until it has caught up", name)}
		default:
			return m, nil
		}
	}
	return member{}, &engine.Refusal{Code: engine.NotFound, Text: fmt.Sprintf("node %q not found in the cluster", name), Help: engine.HelpListNodes}
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
