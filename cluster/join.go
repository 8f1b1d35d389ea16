package cluster

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"time"

	"keyfob/cluster/link"
	"keyfob/cluster/vault"
	"keyfob/engine"
	"keyfob/events"
)

const maxJoinAnswer = 1 << 20 // bytes

// joinRequest is what a machine with an invitation asks a member. The secret
// goes to nobody but a node that the invitation's pin vouches for.
type joinRequest struct {
	Secret  []byte `cbor:"1,keyasint"`
	Node    string `cbor:"2,keyasint"` // the name that it wants
	Address string `cbor:"3,keyasint"`
	CSR     []byte `cbor:"4,keyasint"`
}

// joinAnswer makes it a member.
type joinAnswer struct {
	ID          string   `cbor:"1,keyasint"`
	Certificate []byte   `cbor:"2,keyasint"`
	CA          []byte   `cbor:"3,keyasint"`
	Root        []byte   `cbor:"4,keyasint"` // the root key, sealed under the invitation's secret
	Members     []member `cbor:"5,keyasint"`
}

// id is the request id of the join's commands. A machine that did not hear the
// answer asks again with the same key, and is given the same.
func (j joinRequest) id() (r events.Request) {
	h := sha256.New()
	_ = wireEncoding.NewEncoder(h).Encode(j) // of byte strings and text
	copy(r[:], h.Sum(nil))
	return r
}

// joins serves machines that want to join.
func (n *Node) joins() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("POST /join", func(w http.ResponseWriter, r *http.Request) {
		answer, err := n.join(r)
		var refusal *engine.Refusal
		switch {
		case errors.As(err, &refusal):
			http.Error(w, refusal.Text, http.StatusForbidden)
		case err != nil:
			n.log.WarnContext(r.Context(), "a machine could not join", "err", err)
			http.Error(w, "the cluster cannot take a new node now", http.StatusServiceUnavailable)
		default:
			_, _ = w.Write(answer)
		}
	})
	return mux
}

func (n *Node) join(r *http.Request) ([]byte, error) {
	body, err := io.ReadAll(r.Body)
	if err != nil {
		return nil, fmt.Errorf("reading a request to join: %w", err)
	}
	var j joinRequest
	if err := wireDecoding.Unmarshal(body, &j); err != nil || len(j.Secret) != inviteSecretSize || !nameForm.MatchString(j.Node) {
		return nil, &engine.Refusal{Code: "invalid", Text: "this is not a request to join that this version understands"}
	}
	ctx, cancel := context.WithTimeout(r.Context(), 3*n.c.Patience)
	defer cancel()
	o := events.Origin{Request: j.id(), Door: events.DoorSystem, Actor: "invitation"}
	if host, _, err := net.SplitHostPort(r.RemoteAddr); err == nil {
		o.SourceIP = host
	}
	// The state is the judge of the invitation: it is spent by the same record
	// that makes the node a member.
	spent := events.Hash(sha256.Sum256(j.Secret))
	if err := n.Do(ctx, o, engine.AdmitNode{Node: j.Node, Address: j.Address, Invitation: spent}); err != nil {
		return nil, err
	}
	m := member{ID: nodeID(j.Node, j.CSR), Address: j.Address}
	if err := n.introduce(ctx, m); err != nil {
		return nil, err
	}
	answer, err := n.welcome(ctx, j, m)
	if err != nil {
		return nil, err
	}
	n.log.InfoContext(ctx, "node joins", "member", j.Node, "address", j.Address)
	return wireEncoding.Marshal(answer)
}

// introduce has the leader, whoever that is by then, add the member.
func (n *Node) introduce(ctx context.Context, m member) error {
	body, err := wireEncoding.Marshal(m)
	if err != nil {
		return err
	}
	for {
		leader, err := n.leaderNow(ctx)
		if err != nil {
			return err
		}
		if string(leader) == n.id.ID {
			err = n.addServer(m)
		} else {
			_, err = n.call(ctx, http.MethodPost, string(leader), "/members", body, maxPulse)
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

// welcome issues the certificate and seals the root key for the new member.
// Both keys are opened for this moment only.
func (n *Node) welcome(ctx context.Context, j joinRequest, m member) (joinAnswer, error) {
	certificate, err := issue(n.vault, n.State().Cluster, j.CSR, m.ID, n.c.Now())
	if err != nil {
		return joinAnswer{}, err
	}
	root, err := vault.LoadRoot(ctx, n.c.file(fileRoot), n.c.provider(), n.id.Cluster)
	if err != nil {
		return joinAnswer{}, err
	}
	defer root.Wipe()
	wrapped, err := root.SealFor(j.Secret, n.id.Cluster, m.ID)
	if err != nil {
		return joinAnswer{}, err
	}
	return joinAnswer{ID: m.ID, Certificate: certificate, CA: n.id.CA, Root: wrapped, Members: n.members()}, nil
}

// Join makes this machine a member of the cluster that invited it, and writes
// c.Data. The node that Open then opens catches up by itself.
func Join(ctx context.Context, invited string, c Config) error {
	if err := c.Validate(); err != nil {
		return err
	}
	i, err := parseInvitation(invited)
	if err != nil {
		return err
	}
	if err := c.Vacant(); err != nil {
		return err
	}
	key, csr, err := link.NewNodeKey()
	if err != nil {
		return err
	}
	answer, err := c.ask(ctx, i, joinRequest{Secret: i.Secret, Node: c.Node, Address: c.advertise(), CSR: csr})
	if err != nil {
		return err
	}
	root, err := vault.OpenRootFrom(answer.Root, i.Secret, i.Cluster, answer.ID)
	if err != nil {
		return err
	}
	defer root.Wipe()
	v, err := vault.Open(root, i.Cluster, c.Vault)
	if err != nil {
		return err
	}
	if err := c.emptyLog(0); err != nil {
		return err
	}
	return c.settle(ctx, root, v, identity{
		Format: identityFormat, Cluster: i.Cluster, Node: c.Node, ID: answer.ID, Address: c.advertise(),
		Certificate: answer.Certificate, CA: answer.CA, Members: answer.Members,
	}, key)
}

// ask asks one member after the other.
func (c Config) ask(ctx context.Context, i invitation, j joinRequest) (joinAnswer, error) {
	var answer joinAnswer
	body, err := wireEncoding.Marshal(j)
	if err != nil {
		return answer, err
	}
	var errs []error
	for _, addr := range i.Addresses {
		client := link.JoinClient(link.JoinConfig{Addr: addr, Pin: i.Pin, ClusterID: i.Cluster, Now: c.Now, Dial: c.Dial})
		raw, err := post(ctx, client, body)
		client.CloseIdleConnections()
		if err == nil {
			err = wireDecoding.Unmarshal(raw, &answer)
		}
		if err == nil && (link.Pin(answer.CA) != i.Pin || answer.ID != nodeID(j.Node, j.CSR)) {
			err = errors.New("its answer is not to this request")
		}
		if err == nil {
			return answer, nil
		}
		errs = append(errs, fmt.Errorf("joining by %s: %w", addr, err))
		var refusal *engine.Refusal
		if errors.As(err, &refusal) {
			break // the others would say the same
		}
	}
	return joinAnswer{}, errors.Join(errs...)
}

func post(ctx context.Context, client *http.Client, body []byte) ([]byte, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, "https://member/join", bytes.NewReader(body))
	if err != nil {
		return nil, err
	}
	resp, err := client.Do(req)
	if err != nil {
		return nil, err
	}
	defer func() { _ = resp.Body.Close() }()
	raw, err := io.ReadAll(io.LimitReader(resp.Body, maxJoinAnswer))
	switch {
	case err != nil:
		return nil, err
	case resp.StatusCode == http.StatusForbidden:
		return nil, &engine.Refusal{Code: "refused", Text: string(bytes.TrimSpace(raw))}
	case resp.StatusCode != http.StatusOK:
		return nil, fmt.Errorf("it answers %s: %s", resp.Status, bytes.TrimSpace(raw))
	}
	return raw, nil
}

// emptyLog makes the log of a node that knows no entry yet, so that a node
// without one can be told from a new one. The term is the last one there was.
func (c Config) emptyLog(term uint64) error {
	dir := c.file(dirRaft)
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return fmt.Errorf("making data directory: %w", err)
	}
	log, err := openLog(dir, func(error) {})
	if err != nil {
		return err
	}
	if term != 0 {
		err = log.SetUint64([]byte("CurrentTerm"), term) // by Raft's own name
	}
	return errors.Join(err, log.Close())
}
