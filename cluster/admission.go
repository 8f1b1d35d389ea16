package cluster

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"time"

	"keyfob/cluster/link"
	"keyfob/cluster/vault"
	"keyfob/engine"
	"keyfob/events"
)

const (
	maxJoinAnswer  = 1 << 20 // bytes
	resolveTimeout = 5 * time.Second
)

// joinRequest is the request of a machine with an invitation. The secret is sent
// only to a node whose CA matches the pin of the invitation.
type joinRequest struct {
	Secret  []byte `cbor:"1,keyasint"`
	Node    string `cbor:"2,keyasint"` // the name of the new node
	Address string `cbor:"3,keyasint"`
	CSR     []byte `cbor:"4,keyasint"`
	SealKey []byte `cbor:"5,keyasint"`
}

// joinAnswer makes the machine a member.
type joinAnswer struct {
	ID          string   `cbor:"1,keyasint"`
	Certificate []byte   `cbor:"2,keyasint"`
	CA          []byte   `cbor:"3,keyasint"`
	Root        []byte   `cbor:"4,keyasint"` // the root key, sealed for the machine's key and under the invitation's secret
	Members     []member `cbor:"5,keyasint"`
}

// admission admits new nodes to the cluster.
type admission struct {
	*self
	replica *replica
	batcher *batcher
	client  peerClient
	vault   *vault.Vault
	keys    *keychain
	refusal func(events.Origin, events.Sampled)
	do      func(context.Context, events.Origin, engine.Command) error
}

// handler serves machines that want to join.
func (a *admission) handler() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("POST /join", func(w http.ResponseWriter, r *http.Request) {
		answer, err := a.join(r)
		var refusal *engine.Refusal
		switch {
		case errors.As(err, &refusal):
			http.Error(w, refusal.Text, http.StatusForbidden)
		case errors.Is(err, errAwaited):
			w.WriteHeader(http.StatusAccepted)
		case err != nil:
			a.log.WarnContext(r.Context(), "join failed", "err", err)
			http.Error(w, "the cluster cannot admit a node now", http.StatusServiceUnavailable)
		default:
			_, _ = w.Write(answer)
		}
	})
	return mux
}

func (a *admission) join(r *http.Request) ([]byte, error) {
	body, err := io.ReadAll(r.Body)
	if err != nil {
		return nil, fmt.Errorf("reading a request to join: %w", err)
	}
	var j joinRequest
	if err := wireDecoding.Unmarshal(body, &j); err != nil || len(j.Secret) != inviteSecretSize || !nodeName.MatchString(j.Node) {
		return nil, &engine.Refusal{Code: engine.Invalid, Text: "this version cannot read the request to join"}
	}
	key, err := link.RequestKey(j.CSR)
	if err == nil {
		_, err = vault.ParseNodePublic(j.SealKey)
	}
	if err != nil {
		return nil, &engine.Refusal{Code: engine.Invalid, Text: "the request to join has no usable keys"}
	}
	ctx, cancel := context.WithTimeout(r.Context(), 3*a.c.RequestTimeout)
	defer cancel()
	o := events.Origin{Door: events.DoorSystem, Actor: "invitation"}
	if host, _, err := net.SplitHostPort(r.RemoteAddr); err == nil {
		o.SourceIP = host
	}
	m := member{ID: nodeID(j.Node, key), Address: j.Address}
	if err := a.ask(ctx, o, j, key); err != nil {
		return nil, err
	}
	if !a.replica.belongs(m.ID) {
		return nil, errAwaited
	}
	if err := a.introduce(ctx, m); err != nil {
		return nil, err
	}
	answer, err := a.welcome(ctx, j, m)
	if err != nil {
		return nil, err
	}
	a.log.InfoContext(ctx, "node joined", "member", j.Node, "address", j.Address)
	return wireEncoding.Marshal(answer)
}

// errAwaited means that an administrator must approve the machine first.
var errAwaited = errors.New("the request to join waits for an approval")

// ask has the engine check the invitation and record the request, or the new member.
func (a *admission) ask(ctx context.Context, o events.Origin, j joinRequest, key events.Hash) error {
	digest := events.Hash(sha256.Sum256(j.Secret))
	var refusal *engine.Refusal
	err := a.reachable(ctx, digest, j.Address)
	if err == nil {
		err = a.do(ctx, o, engine.AdmitNode{Node: j.Node, Address: j.Address, Invitation: digest, Key: key, SealKey: j.SealKey})
	}
	if errors.As(err, &refusal) {
		a.log.WarnContext(ctx, "request to join refused", "member", j.Node, "address", j.Address, "source", o.SourceIP, "err", refusal.Text)
		a.refusal(o, events.InvitationRefused{Node: j.Node, Problem: refusal.Text})
	}
	return err
}

// reachable refuses an address that this node cannot resolve, before the invitation is
// used. It looks up nothing for a machine without an invitation.
func (a *admission) reachable(ctx context.Context, invitation events.Hash, address string) error {
	if !a.replica.state().Invited(invitation) {
		return nil // the leader decides
	}
	if err := resolves(ctx, address); err != nil {
		return &engine.Refusal{Code: engine.Invalid, Text: fmt.Sprintf("node %s cannot use the address %.100s: %v; "+
			"set cluster.advertise to an address that every node can resolve and reach", a.c.Node, address, err)}
	}
	return nil
}

// resolves returns an error if the host of an address has no IP address.
func resolves(ctx context.Context, address string) error {
	if err := CheckAdvertise(address); err != nil {
		return err
	}
	host, _, err := net.SplitHostPort(address)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, resolveTimeout)
	defer cancel()
	_, err = net.DefaultResolver.LookupNetIP(ctx, "ip", host)
	return err
}

// introduce has the present leader add the member.
func (a *admission) introduce(ctx context.Context, m member) error {
	body, err := wireEncoding.Marshal(m)
	if err != nil {
		return err
	}
	for {
		leader, err := a.replica.waitForLeader(ctx)
		if err != nil {
			return err
		}
		if leader == a.id.ID {
			err = a.addServer(m)
		} else {
			_, err = a.client.call(ctx, http.MethodPost, leader, "/members", body, maxHeartbeat)
		}
		if err == nil {
			return nil
		}
		select {
		case <-time.After(10 * retryPause):
		case <-ctx.Done():
			return err
		}
	}
}

// welcome issues the certificate and seals the root key for the new member. Both
// keys are open only during the call.
func (a *admission) welcome(ctx context.Context, j joinRequest, m member) (joinAnswer, error) {
	// The newcomer has no box of an earlier rotation, so it must get all versions now.
	for a.replica.state().Node(j.Node) == nil {
		select {
		case <-time.After(retryPause):
		case <-ctx.Done():
			return joinAnswer{}, fmt.Errorf("waiting for the record that admits %s: %w", j.Node, ctx.Err())
		}
	}
	of := a.replica.state().Cluster
	certificate, err := issue(a.vault, of, j.CSR, m.ID, a.c.Now())
	if err != nil {
		return joinAnswer{}, err
	}
	root, err := a.keys.root(ctx)
	if err != nil {
		return joinAnswer{}, err
	}
	defer root.Wipe()
	public, err := vault.ParseNodePublic(j.SealKey)
	if err != nil {
		return joinAnswer{}, err
	}
	wrapped, err := root.SealFor(public, j.Secret, a.id.Cluster, m.ID)
	if err != nil {
		return joinAnswer{}, err
	}
	return joinAnswer{ID: m.ID, Certificate: certificate, CA: of.Certificate, Root: wrapped, Members: a.replica.members()}, nil
}

// serve adds a machine to Raft's configuration, for the member that it asked to
// join. The state must know it already.
func (a *admission) serve(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(r.Body)
	var m member
	if err == nil {
		err = wireDecoding.Unmarshal(body, &m)
	}
	if err == nil {
		err = a.addServer(m)
	}
	if err != nil {
		http.Error(w, err.Error(), http.StatusConflict)
	}
}

func (a *admission) addServer(m member) error {
	if !a.batcher.leads() {
		return errNoLeader
	}
	record := a.replica.state().Node(nameOf(m.ID))
	if record == nil || record.Address != m.Address || m.ID != nodeID(record.Name, record.Key) {
		return fmt.Errorf("node %s was not admitted", m.ID)
	}
	for _, other := range a.replica.members() {
		switch {
		case other.ID == m.ID:
			return nil // this is a retry
		case nameOf(other.ID) == nameOf(m.ID):
			// It was removed, otherwise its name could not be used again.
			if err := a.replica.remove(other.ID); err != nil {
				return fmt.Errorf("removing node %s: %w", other.ID, err)
			}
		}
	}
	m.Key = record.Key
	if err := a.file.remember(append(a.replica.members(), m)); err != nil {
		return err
	}
	if err := a.replica.addNonvoter(m); err != nil {
		return fmt.Errorf("adding node %s: %w", m.ID, err)
	}
	return nil
}
