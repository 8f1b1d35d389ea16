package cluster

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"time"

	"github.com/hashicorp/raft"

	"keyfob/cluster/link"
	"keyfob/engine"
	"keyfob/events"
)

// invitation lets one machine join: it says where the cluster is, how to know
// it, and holds the secret that proves the invitation and seals the root key.
type invitation struct {
	Cluster   string   `cbor:"1,keyasint"`
	Addresses []string `cbor:"2,keyasint"`
	Pin       string   `cbor:"3,keyasint"` // of the CA
	Secret    []byte   `cbor:"4,keyasint"`
}

const (
	invitationPrefix = "keyfob-join-"
	inviteSecretSize = 32
	maxInvitation    = 8 << 10 // bytes of text

	// DefaultInviteTTL is how long an invitation is good if nobody says.
	DefaultInviteTTL = time.Hour
)

func (i invitation) digest() events.Hash { return sha256.Sum256(i.Secret) }

func (i invitation) text() (string, error) {
	raw, err := wireEncoding.Marshal(i)
	if err != nil {
		return "", fmt.Errorf("writing invitation: %w", err)
	}
	return invitationPrefix + base64.RawURLEncoding.EncodeToString(raw), nil
}

// parseInvitation reads what text wrote. The error quotes nothing of it.
func parseInvitation(text string) (invitation, error) {
	var i invitation
	body, ok := strings.CutPrefix(strings.TrimSpace(text), invitationPrefix)
	if !ok || len(body) > maxInvitation {
		return i, fmt.Errorf("this is no invitation: one begins with %s", invitationPrefix)
	}
	raw, err := base64.RawURLEncoding.DecodeString(body)
	if err == nil {
		err = wireDecoding.Unmarshal(raw, &i)
	}
	if err != nil || len(i.Secret) != inviteSecretSize || len(i.Addresses) == 0 {
		return invitation{}, errors.New("the invitation is damaged: copy all of it")
	}
	return i, nil
}

// Invite makes an invitation for one machine, good once until ttl has passed.
func (n *Node) Invite(ctx context.Context, o events.Origin, ttl time.Duration) (string, error) {
	i := invitation{Cluster: n.id.Cluster, Pin: link.Pin(n.id.CA), Secret: make([]byte, inviteSecretSize)}
	if _, err := io.ReadFull(rand.Reader, i.Secret); err != nil {
		return "", fmt.Errorf("making invitation: %w", err)
	}
	for _, m := range n.members() {
		i.Addresses = append(i.Addresses, m.Address)
	}
	if ttl <= 0 {
		ttl = DefaultInviteTTL
	}
	err := n.Do(ctx, o, engine.Invite{Digest: i.digest(), Expires: events.At(n.c.Now().Add(ttl))})
	if err != nil {
		return "", err
	}
	return i.text()
}

// RemoveNode takes a member away: its certificate is refused from then on. The
// leader takes it out of Raft's configuration within a second.
func (n *Node) RemoveNode(ctx context.Context, o events.Origin, name string) error {
	return n.Do(ctx, o, engine.RemoveNode{Node: name})
}

// Transfer makes another node the leader; an empty name leaves the choice to
// Raft. The origin is that of the command, for the log.
func (n *Node) Transfer(ctx context.Context, o events.Origin, name string) error {
	ctx, cancel := context.WithTimeout(ctx, n.c.Patience)
	defer cancel()
	leader, err := n.leaderNow(ctx)
	if err != nil {
		return err
	}
	n.log.InfoContext(ctx, "leadership is to be handed over", "to", name, "actor", o.Actor)
	if string(leader) == n.id.ID {
		return n.transfer(name)
	}
	_, err = n.call(ctx, http.MethodPost, string(leader), "/transfer", []byte(name), maxPulse)
	if err != nil {
		return undecided(err)
	}
	return nil
}

func (n *Node) transfer(name string) error {
	if name == "" {
		return undecidedOr(outcome(n.raft.LeadershipTransfer(), n.dead))
	}
	for _, m := range n.members() {
		if nameOf(m.ID) != name {
			continue
		}
		if m.ID == n.id.ID {
			return nil
		}
		if !m.Voter {
			return &engine.Refusal{Code: "conflict", Text: fmt.Sprintf("node %s has no vote yet: wait until it has caught up", name)}
		}
		return undecidedOr(outcome(n.raft.LeadershipTransferToServer(raft.ServerID(m.ID), raft.ServerAddress(m.Address)), n.dead))
	}
	return &engine.Refusal{Code: "not_found", Text: fmt.Sprintf("there is no node %q in the cluster", name)}
}

func undecidedOr(err error) error {
	if err == nil {
		return nil
	}
	return fmt.Errorf("handing over leadership: %w", undecided(err))
}

// handOver serves Transfer for another node.
func (n *Node) handOver(w http.ResponseWriter, r *http.Request) {
	name, err := io.ReadAll(io.LimitReader(r.Body, 256))
	if err == nil {
		err = n.transfer(string(name))
	}
	if err != nil {
		http.Error(w, err.Error(), http.StatusConflict)
	}
}

// admit serves the addition of a machine to Raft's configuration, for the
// member that it asked to join. The state must know it already.
func (n *Node) admit(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(r.Body)
	var m member
	if err == nil {
		err = wireDecoding.Unmarshal(body, &m)
	}
	if err == nil {
		err = n.addServer(m)
	}
	if err != nil {
		http.Error(w, err.Error(), http.StatusConflict)
	}
}

func (n *Node) addServer(m member) error {
	if !n.batcher.leads() {
		return errNoLeader
	}
	record := n.State().Node(nameOf(m.ID))
	if record == nil || record.Address != m.Address {
		return fmt.Errorf("node %s was not admitted", m.ID)
	}
	for _, other := range n.members() {
		switch {
		case other.ID == m.ID:
			return nil // a retry
		case nameOf(other.ID) == nameOf(m.ID):
			// It was removed, or the name would not have been given again.
			if err := outcome(n.raft.RemoveServer(raft.ServerID(other.ID), 0, configTimeout), n.dead); err != nil {
				return fmt.Errorf("removing node %s: %w", other.ID, err)
			}
		}
	}
	f := n.raft.AddNonvoter(raft.ServerID(m.ID), raft.ServerAddress(m.Address), 0, configTimeout)
	if err := outcome(f, n.dead); err != nil {
		return fmt.Errorf("adding node %s: %w", m.ID, err)
	}
	return nil
}
