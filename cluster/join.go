package cluster

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"slices"
	"strings"
	"time"

	"keyfob/cluster/link"
	"keyfob/cluster/vault"
	"keyfob/engine"
	"keyfob/events"
)

// Join makes this machine a member of the cluster that issued the invitation, and
// writes c.Data. After Open the node catches up by itself.
//
// If an administrator must approve it first, awaits is called with the fingerprint of
// this machine's keys, and Join waits until that happens, until the invitation expires,
// or until ctx ends.
func Join(ctx context.Context, invited string, c Config, awaits func(fingerprint string)) error {
	if err := c.Validate(); err != nil {
		return err
	}
	i, err := parseInvitation(invited)
	if err != nil {
		return err
	}
	if i.Node != c.Node {
		return fmt.Errorf("the invitation is for node %s, but the configuration says %s: change node, or ask for another invitation", i.Node, c.Node)
	}
	if err := c.reachableFrom(i.Addresses); err != nil {
		return err
	}
	if err := resolves(ctx, c.advertise()); err != nil {
		return fmt.Errorf("the advertised address %s is of no use: %w; set cluster.advertise", c.advertise(), err)
	}
	if err := c.Vacant(); err != nil {
		return err
	}
	keys, err := newNodeKeys()
	if err != nil {
		return err
	}
	answer, err := c.await(ctx, i, keys, awaits)
	if err != nil {
		return err
	}
	root, err := vault.OpenRootFrom(answer.Root, keys.seal, i.Secret, i.Cluster, answer.ID)
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
	}, keys)
}

// await asks again and again until the machine is a member. Once the request is known
// to the cluster, members that do not answer are asked again, too.
func (c Config) await(ctx context.Context, i invitation, keys nodeKeys, awaits func(fingerprint string)) (joinAnswer, error) {
	public := keys.seal.Public().Bytes()
	j := joinRequest{Secret: i.Secret, Node: c.Node, Address: c.advertise(), CSR: keys.csr, SealKey: public}
	tick := time.NewTicker(2 * c.HeartbeatInterval)
	defer tick.Stop()
	known := false
	for {
		answer, err := c.ask(ctx, i, nodeID(c.Node, keys.hash), j)
		var refusal *engine.Refusal
		switch {
		case err == nil || errors.As(err, &refusal):
			return answer, err
		case errors.Is(err, errAwaited):
			if !known {
				awaits(engine.Fingerprint(c.Node, keys.hash, public))
			}
			known = true
		case !known:
			return answer, err
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return answer, fmt.Errorf("waiting for the approval: %w", ctx.Err())
		}
		if events.At(c.Now()) > i.Expires {
			return answer, errors.New("the invitation has expired and nobody has approved this machine: ask for a new one")
		}
	}
}

// reachableFrom returns an error if this node's address is a loopback address
// and the members are on other machines.
func (c Config) reachableFrom(members []string) error {
	if isLoopback(c.advertise()) && !slices.ContainsFunc(members, isLoopback) {
		return fmt.Errorf("the advertised address %s is a loopback address, which the members (%s) cannot reach: "+
			"set cluster.advertise to an address of this machine", c.advertise(), strings.Join(members, ", "))
	}
	return nil
}

func isLoopback(addr string) bool {
	host, _, err := net.SplitHostPort(addr)
	return err == nil && (strings.EqualFold(host, "localhost") || net.ParseIP(host).IsLoopback())
}

// ask sends the request to one member after the other.
func (c Config) ask(ctx context.Context, i invitation, id string, j joinRequest) (joinAnswer, error) {
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
		if errors.Is(err, errAwaited) {
			return answer, err
		}
		if err == nil {
			err = wireDecoding.Unmarshal(raw, &answer)
		}
		if err == nil && (link.Pin(answer.CA) != i.Pin || answer.ID != id) {
			err = errors.New("the answer does not belong to this request")
		}
		if err == nil {
			return answer, nil
		}
		errs = append(errs, fmt.Errorf("joining through %s: %w", addr, err))
		var refusal *engine.Refusal
		if errors.As(err, &refusal) {
			return joinAnswer{}, errors.Join(errs...) // the others would say the same
		}
	}
	err = errors.Join(errs...)
	if !isLoopback(j.Address) && !slices.ContainsFunc(i.Addresses, func(addr string) bool { return !isLoopback(addr) }) {
		err = fmt.Errorf("%w; the members advertise only loopback addresses: "+
			"a cluster of several machines needs addresses that all of them can reach (cluster.advertise)", err)
	}
	return joinAnswer{}, err
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
	case resp.StatusCode == http.StatusAccepted:
		return nil, errAwaited
	case resp.StatusCode != http.StatusOK:
		return nil, fmt.Errorf("the answer is %s: %s", resp.Status, bytes.TrimSpace(raw))
	}
	return raw, nil
}
