package cluster

import (
	"context"
	"encoding/json"
	"errors"
	"net"
	"net/http"
	"os"
	"testing"
	"time"

	"github.com/hashicorp/raft"

	"keyfob/cluster/link"
	"keyfob/cluster/raftlog"
	"keyfob/cluster/vault"
	"keyfob/engine"
	"keyfob/events"
)

// thief has what the data directory of a member held: its identity, the root key and,
// from the log, the CA's key.
type thief struct {
	r    *rig
	id   identity
	keys nodeKeys
	ca   *link.CA

	address string // where it listens
}

// rob copies a node's secrets while it is a member.
func (r *rig) rob(n *testNode) *thief {
	r.t.Helper()
	th := &thief{r: r}
	raw, err := os.ReadFile(n.config.file(fileIdentity))
	if err == nil {
		err = json.Unmarshal(raw, &th.id)
	}
	if err != nil {
		r.t.Fatal(err)
	}
	root, err := vault.LoadRoot(r.t.Context(), n.config.file(fileRoot), n.config.provider(), th.id.Cluster)
	if err != nil {
		r.t.Fatal(err)
	}
	v, err := vault.Open(root, th.id.Cluster, n.config.Vault)
	if err != nil {
		r.t.Fatal(err)
	}
	if th.keys, err = n.config.openKeys(v, th.id); err != nil {
		r.t.Fatal(err)
	}
	state := n.State()
	key, err := v.Open(vault.CA, caPlace, state.Cluster.CAKey)
	if err != nil {
		r.t.Fatal(err)
	}
	if th.ca, err = link.LoadCA(state.Cluster.Certificate, key); err != nil {
		r.t.Fatal(err)
	}
	return th
}

// directory is the membership that the thief's own link uses.
type directory map[string]link.Member

func (d directory) Member(id string) (link.Member, bool) {
	m, ok := d[id]
	return m, ok
}

// as returns the thief's link in the name of a node, at an address, with a certificate of the stolen
// CA for a new key, or with the stolen certificate and key.
func (th *thief) as(id string, stolen bool, listen string, targets ...*testNode) *link.Link {
	th.r.t.Helper()
	known := directory{}
	for _, n := range targets {
		known[n.id.ID], _ = n.members.Member(n.id.ID)
	}
	cert, key := th.id.Certificate, th.keys.tls
	if !stolen {
		fresh, csr, err := link.NewNodeKey()
		if err != nil {
			th.r.t.Fatal(err)
		}
		if cert, err = th.ca.Issue(csr, id, time.Now()); err != nil {
			th.r.t.Fatal(err)
		}
		key = fresh
	}
	listener, err := net.Listen("tcp", listen)
	if err != nil {
		th.r.t.Fatal(err)
	}
	th.address = listener.Addr().String()
	th.r.t.Cleanup(func() { _ = listener.Close() })
	l, err := link.New(link.Config{
		Listener: listener, ClusterID: th.id.Cluster, NodeID: id, Certificate: cert, Key: key,
		CA: th.id.CA, Membership: known, Now: time.Now, Log: th.r.nodes[0].config.Log,
	})
	if err != nil {
		th.r.t.Fatal(err)
	}
	return l
}

// tries are what a thief does with a link to a node; each returns an error if it was
// refused.
func (th *thief) tries(l *link.Link, sender string, n *testNode) map[string]func() error {
	client := peerClient{l.Client()}
	call := func(method, path string, body []byte) error {
		ctx, cancel := context.WithTimeout(th.r.t.Context(), 5*time.Second)
		defer cancel()
		_, err := client.call(ctx, method, n.id.ID, path, body, maxReplies)
		return err
	}
	return map[string]func() error{
		"reads the heartbeat": func() error { return call(http.MethodGet, "/pulse", nil) },
		"reads the journal":   func() error { return call(http.MethodGet, "/journal?from=1&to=1", nil) },
		"makes an administrator's token": func() error {
			o := events.Origin{Request: newRequest(), Node: nameOf(sender), Door: events.DoorAPI, Actor: "root"}
			token := engine.IssueAPIToken{Token: events.APITokenIssued{Name: "stolen", Digest: digestOf("kf_stolen"), Role: "admin"}}
			raw, err := encodeCommand(o, commandRequest{token})
			if err != nil {
				return err
			}
			body, err := encodeRequest([][]byte{raw})
			if err != nil {
				return err
			}
			return call(http.MethodPost, "/decide", body)
		},
		"takes part in an election": func() error {
			transport := l.RaftTransport(raftlog.NewLogger(n.config.Log)).(raft.WithPreVote)
			defer func() { _ = transport.(raft.WithClose).Close() }()
			var answer raft.RequestPreVoteResponse
			return transport.RequestPreVote(raft.ServerID(n.id.ID), raft.ServerAddress(n.id.Address), &raft.RequestPreVoteRequest{
				RPCHeader: raft.RPCHeader{ProtocolVersion: raft.ProtocolVersionMax, ID: []byte(sender)}, Term: 1 << 40,
			}, &answer)
		},
	}
}

// What was on the disk of a removed node opens no connection, in nobody's name.
func TestThiefOfARemovedNodesDiskIsRefusedEverywhere(t *testing.T) {
	r := newCluster(t, 3)
	gone := r.follower()
	th := r.rob(gone)
	left := withoutNode(r.nodes, gone)
	one, other := left[0], left[1]
	if err := r.leader().RemoveNode(t.Context(), admin(), gone.name); err != nil {
		t.Fatal(err)
	}
	<-gone.done
	gone.done = nil
	r.nodes = left
	r.ready(2)

	for name, forged := range map[string]struct {
		id     string
		stolen bool
	}{
		"in another member's name":        {other.id.ID, false},
		"in the removed node's name":      {gone.id.ID, false},
		"in the target's own name":        {one.id.ID, false},
		"in a new name":                   {"n9.00000000", false},
		"with the removed node's own key": {gone.id.ID, true},
	} {
		l := th.as(forged.id, forged.stolen, "127.0.0.1:0", one)
		for what, try := range th.tries(l, forged.id, one) {
			if err := try(); err == nil {
				t.Errorf("%s, the thief %s", name, what)
			}
		}
	}
	if one.State().APIToken("stolen") != nil {
		t.Error("the thief's token is in the state")
	}
}

// The thief answers at the address of a member that is down.
func TestThiefCannotAnswerForAMember(t *testing.T) {
	r := newCluster(t, 3)
	gone := r.follower()
	th := r.rob(gone)
	left := withoutNode(r.nodes, gone)
	if err := r.leader().RemoveNode(t.Context(), admin(), gone.name); err != nil {
		t.Fatal(err)
	}
	<-gone.done
	gone.done = nil
	r.nodes = left
	r.ready(2)
	down := r.follower()
	asking := withoutNode(left, down)[0]
	r.kill(down)

	asked := make(chan struct{}, 1)
	l := th.as(down.id.ID, false, down.config.Listen, asking)
	ctx, stop := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() {
		ended <- l.Run(ctx, http.HandlerFunc(func(http.ResponseWriter, *http.Request) {
			select {
			case asked <- struct{}{}:
			default:
			}
		}), nil)
	}()
	defer func() { stop(); <-ended }()
	bound, cancel := context.WithTimeout(t.Context(), 5*time.Second)
	defer cancel()
	for i := range 3 {
		_, err := asking.peers.call(bound, http.MethodPost, down.id.ID, "/decide", []byte("passcodes"), maxReplies)
		if err == nil || errors.Is(err, context.DeadlineExceeded) {
			t.Fatalf("try %d: the node talks to the thief: %v", i, err)
		}
	}
	select {
	case <-asked:
		t.Error("a request of the node reached the thief")
	default:
	}
}

// A member says nothing in the name of another one, whatever its own key is good for.
func TestMemberActsInItsOwnNameOnly(t *testing.T) {
	r := newCluster(t, 3)
	leader, liar := r.leader(), r.follower()
	for name, c := range map[string]struct {
		claimed string
		command engine.Command
		want    fate
	}{
		"a command in the leader's name":   {leader.name, engine.AddUser{User: "eve"}, malformed},
		"a command in nobody's name":       {"", engine.AddUser{User: "eve"}, malformed},
		"the clock of another node":        {liar.name, engine.Note{Event: events.ClockSkewed{Node: leader.name, Offset: 5}}, malformed},
		"the loss of another node":         {liar.name, engine.Note{Event: events.NodeLost{Node: leader.name}}, malformed},
		"a command in its own name":        {liar.name, engine.AddUser{User: "ada"}, decided},
		"what its own administrators lack": {liar.name, engine.Note{Event: events.CommandDenied{Operation: "add-user"}}, decided},
	} {
		raw, err := encodeCommand(events.Origin{Request: newRequest(), Node: c.claimed, Door: events.DoorAPI, Actor: "root"}, commandRequest{c.command})
		if err != nil {
			t.Fatal(err)
		}
		body, err := encodeRequest([][]byte{raw})
		if err != nil {
			t.Fatal(err)
		}
		answer, err := liar.peers.call(t.Context(), http.MethodPost, leader.id.ID, "/decide", body, maxReplies)
		if err != nil {
			t.Fatal(err)
		}
		replies, err := decodeReplies(answer, 1)
		if err != nil || replies[0].Fate != c.want {
			t.Errorf("%s: %+v, %v", name, replies, err)
		}
	}
	if leader.State().User("eve") != nil {
		t.Error("a command in another node's name was executed")
	}
	for name, m := range map[string]member{
		"another key under a member's name": {ID: leader.name + ".00000000", Address: leader.id.Address},
		"a node that was never admitted":    {ID: "n9.00000000", Address: "192.0.2.9:7400"},
	} {
		body, err := wireEncoding.Marshal(m)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := liar.peers.call(t.Context(), http.MethodPost, leader.id.ID, "/members", body, maxReplies); err == nil {
			t.Errorf("%s was added", name)
		}
	}
}
