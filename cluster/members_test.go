package cluster

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"keyfob/cluster/link"
	"keyfob/cluster/raftlog"
	"keyfob/engine"
	"keyfob/events"
)

func TestInvitationExpires(t *testing.T) {
	r := newCluster(t, 1)
	invited, err := r.nodes[0].Invite(t.Context(), admin(), Invitee{Node: "n2", TTL: time.Minute, Approved: true})
	if err != nil {
		t.Fatal(err)
	}
	r.advance("", 2*time.Minute)
	var refusal *engine.Refusal
	if err := Join(t.Context(), invited, r.config("n2"), nil); !errors.As(err, &refusal) {
		t.Fatalf("an hour late it hears %v", err)
	}
}

func TestInvalidInvitationIsRefused(t *testing.T) {
	r := newCluster(t, 1)
	good, err := r.nodes[0].Invite(t.Context(), admin(), Invitee{Node: "n2", Approved: true})
	if err != nil {
		t.Fatal(err)
	}
	for _, bad := range []string{"", "n1:7400", good[:len(good)-8], good + "AAAA", invitationPrefix, strings.ToUpper(good)} {
		err := Join(t.Context(), bad, r.config("n2"), nil)
		if err == nil {
			t.Fatalf("joined with %q", bad)
		}
		if strings.Contains(err.Error(), good[20:60]) {
			t.Fatalf("the error quotes the invitation: %v", err)
		}
	}
	// An invitation of another cluster with this one's address: the pin does not match.
	other := newCluster(t, 1)
	foreign, err := other.nodes[0].Invite(t.Context(), admin(), Invitee{Node: "n2", Approved: true})
	if err != nil {
		t.Fatal(err)
	}
	i, err := parseInvitation(foreign)
	if err != nil {
		t.Fatal(err)
	}
	i.Addresses = []string{r.nodes[0].config.Listen}
	text, err := i.text()
	if err != nil {
		t.Fatal(err)
	}
	if err := Join(t.Context(), text, r.config("n2"), nil); err == nil || !strings.Contains(err.Error(), "pin") {
		t.Fatalf("a cluster that is not the pinned one: %v", err)
	}
}

func TestRemovedNodeGetsNoAnswers(t *testing.T) {
	r := newCluster(t, 3)
	gone := r.follower()
	if err := r.leader().RemoveNode(t.Context(), admin(), gone.name); err != nil {
		t.Fatal(err)
	}
	r.eventually("the removal", func() error {
		for _, n := range r.nodes {
			if n != gone && len(n.replica.members()) != 2 {
				return fmt.Errorf("%s knows %d members", n.name, len(n.replica.members()))
			}
		}
		return nil
	})
	var other *testNode
	for _, n := range r.nodes {
		if n != gone {
			other = n
		}
	}
	r.eventually("its connections to end", func() error {
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if _, err := gone.peers.call(ctx, http.MethodGet, other.id.ID, "/pulse", nil, maxHeartbeat); err == nil {
			return errors.New("it is answered still")
		}
		return nil
	})
	r.eventually("the others to dial it no more", func() error {
		_, err := other.peers.call(t.Context(), http.MethodGet, gone.id.ID, "/pulse", nil, maxHeartbeat)
		if !errors.Is(err, link.ErrNotMember) {
			return fmt.Errorf("dialling it: %w", err)
		}
		return nil
	})
	if _, err := gone.Authenticate(t.Context(), r.attempt("ada", "x")); !errors.Is(err, engine.ErrUndecided) {
		t.Fatalf("the removed node answers a login: %v", err)
	}
	// The name can be used again: with another key it is another node.
	r.kill(gone)
	r.nodes = withoutNode(r.nodes, gone)
	r.join(gone.name)
	r.ready(3)
}

func withoutNode(all []*testNode, gone *testNode) (left []*testNode) {
	for _, n := range all {
		if n != gone {
			left = append(left, n)
		}
	}
	return left
}

func TestRemovedLeaderHandsOver(t *testing.T) {
	r := newCluster(t, 3)
	gone := r.leader()
	if err := gone.RemoveNode(t.Context(), admin(), gone.name); err != nil {
		t.Fatal(err)
	}
	r.eventually("another leader and two members", func() error {
		for _, n := range r.nodes {
			if n != gone && n.Leads() && len(n.replica.members()) == 2 {
				return nil
			}
		}
		return errors.New("not yet")
	})
}

func TestTransferMovesLeadership(t *testing.T) {
	r := newCluster(t, 3)
	target := r.follower()
	for _, asked := range r.nodes {
		if err := asked.Transfer(t.Context(), admin(), target.name); err != nil {
			t.Fatalf("asked %s: %v", asked.name, err)
		}
		r.eventually(target.name+" to lead", func() error {
			if !target.Leads() {
				return errors.New("it does not")
			}
			return nil
		})
		r.ready(3)
		target = r.follower()
	}
	var refusal *engine.Refusal
	if err := r.leader().Transfer(t.Context(), admin(), "n9"); !errors.As(err, &refusal) {
		t.Fatalf("transfer to nobody: %v", err)
	}
}

func TestStatusHasTheDocumentedFields(t *testing.T) {
	r := newCluster(t, 3)
	s, err := r.nodes[1].Status(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	raw, err := json.Marshal(s)
	if err != nil {
		t.Fatal(err)
	}
	var seen struct {
		Leader string
		Nodes  []map[string]any
	}
	if err := json.Unmarshal(raw, &seen); err != nil {
		t.Fatal(err)
	}
	if seen.Leader != r.leader().name || len(seen.Nodes) != 3 {
		t.Fatalf("status is %s", raw)
	}
	for _, n := range seen.Nodes {
		for _, key := range []string{"name", "address", "state", "voter", "last_index", "sequence", "clock_offset_ms", "version"} {
			if _, ok := n[key]; !ok {
				t.Fatalf("status lacks %q: %s", key, raw)
			}
		}
		if n["voter"] != true || n["version"] != "test" || n["last_index"].(float64) == 0 {
			t.Fatalf("status is %s", raw)
		}
	}
}

func TestLostAndReturnedNodesAreRecorded(t *testing.T) {
	r := newCluster(t, 3)
	lost := r.follower()
	r.kill(lost)
	r.eventually("the loss", func() error {
		if !r.leader().State().Node(lost.name).Lost {
			return errors.New("not recorded")
		}
		return nil
	})
	// Also by a leader that has not heard from it.
	r.start(lost)
	r.eventually("the return", func() error {
		if r.leader().State().Node(lost.name).Lost {
			return errors.New("not recorded")
		}
		return nil
	})
	old := r.leader()
	r.kill(old)
	r.eventually("the loss of the old leader", func() error {
		if !r.leader().State().Node(old.name).Lost {
			return errors.New("not recorded")
		}
		return nil
	})
}

// A node that was down while others joined does not know a leader among them. It must
// learn of it from the members that it knows.
func TestNodeLearnsOfNewNodesAfterDowntime(t *testing.T) {
	r := newCluster(t, 3)
	away := r.follower()
	r.kill(away)
	newcomer := &testNode{name: "n4", config: r.config("n4")}
	r.nodes[0], r.nodes[indexOf(r.nodes, r.leader())] = r.leader(), r.nodes[0]
	r.joinAs(newcomer)
	r.ready(4)
	if err := r.leader().Transfer(t.Context(), admin(), "n4"); err != nil {
		t.Fatal(err)
	}
	r.eventually("n4 to lead", func() error {
		if !newcomer.Leads() {
			return errors.New("it does not")
		}
		return nil
	})
	r.start(away)
	r.ready(4)
}

func indexOf(all []*testNode, n *testNode) int {
	for i := range all {
		if all[i] == n {
			return i
		}
	}
	return -1
}

func TestForeignAndBrokenDirectoriesAreRefused(t *testing.T) {
	r := newCluster(t, 1)
	n := r.nodes[0]
	refused := func(c Config, want string) {
		t.Helper()
		node, err := Open(c)
		if err == nil {
			_ = node.Close()
		}
		if err == nil || !strings.Contains(err.Error(), want) || strings.Contains(err.Error(), "\n") {
			t.Fatalf("got %v, want one line with %q", err, want)
		}
	}
	r.kill(n)
	other := n.config
	other.Node = "n7"
	refused(other, `node "n1", but the configuration says "n7"`)
	empty := n.config
	empty.Data = t.TempDir()
	refused(empty, "holds no node")
	moved := n.config
	moved.Advertise = "127.0.0.1:1"
	refused(moved, "joined with address")
	if _, err := Bootstrap(t.Context(), n.config); err == nil || !strings.Contains(err.Error(), "already holds a node") {
		t.Fatalf("founded on top of a node: %v", err)
	}

	first, err := Open(n.config)
	if err != nil {
		t.Fatal(err)
	}
	second := n.config
	second.Listen, second.Advertise = "127.0.0.1:0", n.config.Listen
	refused(second, "another keyfob runs")
	if err := first.Close(); err != nil {
		t.Fatal(err)
	}

	key := filepath.Join(n.config.Data, fileSeal)
	good, err := os.ReadFile(key)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(key, make([]byte, len(good)), 0o600); err != nil {
		t.Fatal(err)
	}
	refused(n.config, "root key")
	if err := os.WriteFile(key, good, 0o600); err != nil {
		t.Fatal(err)
	}
	log := filepath.Join(n.config.Data, dirRaft, raftlog.File)
	if err := os.Rename(log, log+".away"); err != nil {
		t.Fatal(err)
	}
	refused(n.config, "has lost its log")
	if err := os.Rename(log+".away", log); err != nil {
		t.Fatal(err)
	}
	r.start(n)
	r.ready(1)
}

func TestFirstRecordsDescribeTheCluster(t *testing.T) {
	r := newCluster(t, 1)
	records, err := r.nodes[0].Journal().Read(1, 3)
	if err != nil {
		t.Fatal(err)
	}
	if e, ok := records[0].Event.(events.ClusterFounded); !ok || e.Cluster != r.nodes[0].Cluster() {
		t.Fatalf("record 1 is %+v", records[0])
	}
	if e, ok := records[1].Event.(events.NodeJoined); !ok || e.Node != "n1" {
		t.Fatalf("record 2 is %+v", records[1])
	}
	token := r.nodes[0].State().APIToken(adminTokenName)
	if token == nil || token.Role != engine.RoleAdmin || token.Digest != digestOf(r.token) {
		t.Fatalf("the administrator's token is %+v", token)
	}
}
