package cluster

import (
	"bytes"
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"

	"keyfob/cluster/link"
	"keyfob/engine"
	"keyfob/events"
)

// invitation permits one machine to join. It contains the addresses of the
// cluster, the pin of its CA, and the secret that proves the invitation and seals
// the root key.
type invitation struct {
	Cluster   string      `cbor:"1,keyasint"`
	Addresses []string    `cbor:"2,keyasint"`
	Pin       string      `cbor:"3,keyasint"` // of the CA
	Secret    []byte      `cbor:"4,keyasint"`
	Node      string      `cbor:"5,keyasint"` // the name to join under
	Expires   events.Time `cbor:"6,keyasint"`
}

const (
	invitationPrefix = "keyfob-join-"
	inviteSecretSize = 32
	maxInvitation    = 8 << 10 // bytes of text

	// DefaultInviteTTL is how long an invitation is valid by default, MaxInviteTTL
	// at most.
	DefaultInviteTTL = 15 * time.Minute
	MaxInviteTTL     = time.Hour
)

func (i invitation) digest() events.Hash { return sha256.Sum256(i.Secret) }

func (i invitation) text() (string, error) {
	raw, err := wireEncoding.Marshal(i)
	if err != nil {
		return "", fmt.Errorf("encoding the invitation: %w", err)
	}
	return invitationPrefix + base64.RawURLEncoding.EncodeToString(raw), nil
}

// parseInvitation decodes an invitation. The error does not quote it.
func parseInvitation(text string) (invitation, error) {
	var i invitation
	body, ok := strings.CutPrefix(strings.TrimSpace(text), invitationPrefix)
	if !ok || len(body) > maxInvitation {
		return i, fmt.Errorf("this is not an invitation: an invitation begins with %s", invitationPrefix)
	}
	raw, err := base64.RawURLEncoding.DecodeString(body)
	if err == nil {
		err = wireDecoding.Unmarshal(raw, &i)
	}
	if err != nil || len(i.Secret) != inviteSecretSize || len(i.Addresses) == 0 || i.Node == "" {
		return invitation{}, errors.New("the invitation is damaged or incomplete: copy all of it")
	}
	return i, nil
}

// awaitCA waits, for as long as a request may, until the CA is not about to be replaced
// because of a rotation: that would end the invitation.
func (n *Node) awaitCA(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, n.c.RequestTimeout)
	defer cancel()
	for {
		c := n.State().Cluster
		if c.Keys.Wanted == "" && c.Keys.CA >= c.Keys.Version && bytes.Equal(c.Certificate, n.file.now().CA) {
			return
		}
		select {
		case <-time.After(retryPause):
		case <-ctx.Done():
			return
		}
	}
}

// Invitee describes the machine that an invitation is for.
type Invitee struct {
	Node     string        // the name to join under
	TTL      time.Duration // how long the invitation is valid; 0: DefaultInviteTTL
	Approved bool          // the root key leaves without an approval of the machine's keys
}

// Invite issues an invitation for one machine. It is returned also if the command
// waits for an approval, and not valid before.
func (n *Node) Invite(ctx context.Context, o events.Origin, to Invitee) (string, error) {
	if to.TTL <= 0 {
		to.TTL = DefaultInviteTTL
	}
	if to.TTL > MaxInviteTTL {
		return "", &engine.Refusal{Code: engine.Invalid, Text: fmt.Sprintf("an invitation may be valid for at most %v", MaxInviteTTL)}
	}
	i := invitation{
		Cluster: n.id.Cluster, Secret: make([]byte, inviteSecretSize),
		Node: to.Node, Expires: events.At(n.c.Now().Add(to.TTL)),
	}
	if _, err := io.ReadFull(rand.Reader, i.Secret); err != nil {
		return "", fmt.Errorf("creating the invitation: %w", err)
	}
	for _, m := range n.replica.members() {
		i.Addresses = append(i.Addresses, m.Address)
	}
	n.awaitCA(ctx)
	err := n.Do(ctx, o, engine.Invite{Digest: i.digest(), Expires: i.Expires, Node: to.Node, Approved: to.Approved})
	var waits *engine.Waiting
	if err != nil && !errors.As(err, &waits) {
		return "", err
	}
	i.Pin = link.Pin(n.State().Cluster.Certificate) // of a state that holds the invitation
	text, bad := i.text()
	return text, errors.Join(err, bad)
}
