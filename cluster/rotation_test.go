package cluster

import (
	"crypto/rand"
	"errors"
	"fmt"
	"os"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/hashicorp/raft"

	"keyfob/cluster/raftlog"
	"keyfob/cluster/vault"
	"keyfob/engine"
	"keyfob/events"
	"keyfob/fsm"
)

// rotated waits until a rotation is complete on every node, and on their disks.
func (r *rig) rotated(version uint8) {
	r.t.Helper()
	r.eventually(fmt.Sprintf("version %d of the root key", version), func() error {
		for _, n := range r.nodes {
			if n.done == nil {
				continue
			}
			keys := n.State().Cluster.Keys
			if keys.Primary() != version || keys.Rotating() || len(keys.Live) > 1 {
				return fmt.Errorf("%s: version %d, oldest %d, waiting for %v", n.name, keys.Primary(), keys.OldestLive(), n.State().WaitingFor())
			}
			if on, err := r.versionsOnDisk(n); err != nil || len(on) != 1 {
				return fmt.Errorf("%s: versions %v in its file: %w", n.name, on, errors.Join(err, errors.New("not yet")))
			}
		}
		return nil
	})
}

func (r *rig) versionsOnDisk(n *testNode) ([]byte, error) {
	root, err := vault.LoadRoot(r.t.Context(), n.config.file(fileRoot), n.config.provider(), n.id.Cluster)
	if err != nil {
		return nil, err
	}
	defer root.Wipe()
	return root.Versions(), nil
}

// thief is the vault of somebody with a copy of a node's directory.
func (r *rig) thief(n *testNode) (*vault.Vault, nodeKeys) {
	r.t.Helper()
	stolen := n.config
	stolen.Data = r.t.TempDir()
	for _, name := range []string{fileIdentity, fileRoot, fileSeal} {
		data, err := os.ReadFile(n.config.file(name))
		if err == nil {
			err = os.WriteFile(stolen.file(name), data, 0o600)
		}
		if err != nil {
			r.t.Fatal(err)
		}
	}
	root, err := vault.LoadRoot(r.t.Context(), stolen.file(fileRoot), stolen.provider(), n.id.Cluster)
	if err != nil {
		r.t.Fatal(err)
	}
	v, err := vault.Open(root, n.id.Cluster, vault.DefaultConfig())
	if err != nil {
		r.t.Fatal(err)
	}
	id, err := stolen.loadIdentity()
	if err != nil {
		r.t.Fatal(err)
	}
	keys, err := stolen.openKeys(v, id)
	if err != nil {
		r.t.Fatal(err)
	}
	return v, keys
}

func TestRemovingANodeRotatesTheRootKey(t *testing.T) {
	r := newCluster(t, 3)
	f := r.fob("ada")
	r.known(f)
	gone := r.follower()
	thief, own := r.thief(gone)

	if err := r.leader().RemoveNode(t.Context(), admin(), gone.name); err != nil {
		t.Fatal(err)
	}
	<-gone.done
	gone.done = nil
	r.nodes = withoutNode(r.nodes, gone)
	r.rotated(2)
	r.want(r.leader(), r.attempt("ada", f.passcode(r.clock(""), 0)), engine.Accept)
	r.want(r.follower(), r.attempt("ada", f.passcode(r.clock(""), 1)), engine.Accept)
	late := r.fob("bob")
	r.known(late)
	r.sameEverywhere()

	n := r.leader()
	state := n.State()
	for v := range state.Sealed {
		purpose, place, err := sealedAt(v.Place)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := n.vault.Open(purpose, place, v.Value); err != nil {
			t.Errorf("a member cannot open %v: %v", v.Place, err)
		}
		if _, err := thief.Open(purpose, place, v.Value); err == nil {
			t.Errorf("the thief opens %v", v.Place)
		}
	}
	key, ok := state.Cluster.Keys.Key(2)
	if !ok || len(key.Boxes) != 2 {
		t.Fatalf("version 2 has %d boxes", len(key.Boxes))
	}
	for _, b := range key.Boxes {
		for _, id := range []string{gone.id.ID, r.nodes[0].id.ID, r.nodes[1].id.ID} {
			if _, err := thief.OpenNodeBox(b.Sealed, own.seal, id, 2); err == nil {
				t.Errorf("the thief opens the box of %s", b.For)
			}
		}
	}
	r.kill(n)
	entries, snapshots := r.thiefReads(n, thief)
	if entries != 0 || snapshots != 0 {
		t.Errorf("the thief opens %d log entries and %d snapshots of another node's disk", entries, snapshots)
	}
	r.start(n)
	r.ready(2)
	r.want(n, r.attempt("bob", late.passcode(r.clock(""), 1)), engine.Accept)
}

// thiefReads counts what a vault opens in the log and the snapshots of a node that is
// not running.
func (r *rig) thiefReads(n *testNode, thief *vault.Vault) (entries, snapshots int) {
	r.t.Helper()
	dir := n.config.file(dirRaft)
	log, err := raftlog.Open(dir, func(error) {})
	if err != nil {
		r.t.Fatal(err)
	}
	defer log.Close()
	first, _ := log.FirstIndex()
	last, _ := log.LastIndex()
	commands := 0
	for i := first; i <= last; i++ {
		var entry raft.Log
		if err := log.GetLog(i, &entry); err != nil {
			r.t.Fatal(err)
		}
		if entry.Type != raft.LogCommand {
			continue
		}
		commands++
		if _, err := openEntry(thief, entry.Data); err == nil {
			entries++
		}
	}
	store, err := raft.NewFileSnapshotStoreWithLogger(dir, snapshotsKept, raftlog.NewLogger(n.config.Log))
	if err != nil {
		r.t.Fatal(err)
	}
	list, err := store.List()
	if err != nil || len(list) == 0 || commands == 0 {
		r.t.Fatalf("%d commands and %d snapshots on the disk: %v", commands, len(list), err)
	}
	for _, meta := range list {
		_, in, err := store.Open(meta.ID)
		if err != nil {
			r.t.Fatal(err)
		}
		raw, err := readSnapshotKeys(in)
		if err != nil {
			r.t.Fatal(err)
		}
		if _, err := fsm.Read(thief.OpenReader(in, vault.Snapshots, snapshotPlace(raw))); err == nil {
			snapshots++
		}
		_ = in.Close()
	}
	return entries, snapshots
}

func TestRotationContinuesUnderALeaderKillAndARestart(t *testing.T) {
	r := newCluster(t, 3)
	fobs := make([]fob, 4)
	for i := range fobs {
		fobs[i] = r.fob(fmt.Sprintf("user%d", i))
		r.known(fobs[i])
	}
	for i := range 600 {
		r.fobOn(r.leader(), fmt.Sprintf("idle%d", i))
	}
	if err := r.leader().Do(t.Context(), admin(), engine.RotateKeys{}); err != nil {
		t.Fatal(err)
	}
	leader := r.leader()
	r.eventually("the rotation to be under way", func() error {
		if left, all := countSealed(leader.State()); leader.State().Cluster.Keys.Version != 2 || left == all {
			return errors.New("it has not begun")
		}
		return nil
	})
	r.kill(leader)
	restarted := r.follower()
	r.kill(restarted)
	r.start(restarted)
	r.start(leader)
	r.ready(3)
	for i, f := range fobs {
		r.want(r.nodes[i%3], r.attempt(f.user, f.passcode(r.clock(""), 0)), engine.Accept)
	}
	r.rotated(2)
	r.sameEverywhere()
	for i, f := range fobs {
		r.want(r.nodes[(i+1)%3], r.attempt(f.user, f.passcode(r.clock(""), 1)), engine.Accept)
	}
}

func TestMemberThatWasAwayFollowsARotation(t *testing.T) {
	r := newCluster(t, 3)
	f := r.fob("ada")
	r.known(f)
	away := r.follower()
	r.kill(away)
	for version := range uint8(2) {
		if err := r.leader().Do(t.Context(), admin(), engine.RotateKeys{}); version == 0 && err != nil {
			t.Fatal(err)
		}
	}
	r.eventually("the others to be done", func() error {
		if waiting := r.leader().State().WaitingFor(); len(waiting) != 1 || waiting[0] != away.name {
			return fmt.Errorf("waiting for %v", waiting)
		}
		return nil
	})
	if r.leader().State().Cluster.Keys.OldestLive() != 1 {
		t.Fatal("the old version was dropped although a member needs it")
	}
	r.start(away)
	r.ready(3)
	r.rotated(2)
	r.want(away, r.attempt("ada", f.passcode(r.clock(""), 0)), engine.Accept)
}

func TestRecordSealedUnderAnOldKeyIsRefused(t *testing.T) {
	r := newCluster(t, 1)
	n := r.nodes[0]
	old, err := n.SealClientSecret("vpn", "a secret of sixteen or more")
	if err != nil {
		t.Fatal(err)
	}
	if err := n.Do(t.Context(), admin(), engine.RotateKeys{}); err != nil {
		t.Fatal(err)
	}
	r.rotated(2)
	c := engine.AddClient{Client: events.ClientAdded{
		Client: "vpn", Prefix: "192.0.2.0/24", Dialect: "rsa", MessageAuthenticator: "auto", Sealed: old,
	}}
	var refusal *engine.Refusal
	if err := n.Do(t.Context(), admin(), c); !errors.As(err, &refusal) || refusal.Code != engine.Conflict {
		t.Errorf("a secret under the old key is stored: %v", err)
	}
}

// Users log in at three nodes all the time while the root key is rotated, the leader is
// killed and a follower restarts. Each user is right, so each is accepted, if not at one
// node, then at the next.
func TestNobodyIsRefusedDuringARotation(t *testing.T) {
	r := newCluster(t, 3)
	r.freeze()
	fobs := make([]fob, 300)
	for i := range fobs {
		fobs[i] = r.fobOn(r.leader(), fmt.Sprintf("user%d", i))
	}
	var nodes [3]atomic.Pointer[Node]
	for i, n := range r.nodes {
		nodes[i].Store(n.Node)
	}
	restart := func(n *testNode) {
		r.kill(n)
		r.start(n)
		nodes[slices.Index(r.nodes, n)].Store(n.Node)
	}
	var next atomic.Int64
	var callers sync.WaitGroup
	for range 3 {
		callers.Go(func() {
			for i := next.Add(1) - 1; i < int64(len(fobs)); i = next.Add(1) - 1 {
				a := r.attempt(fobs[i].user, fobs[i].passcode(r.clock(""), 0))
				a.Session = fobs[i].user
				for try := i; ; try++ {
					out, err := nodes[try%3].Load().Authenticate(t.Context(), a)
					if err != nil && t.Context().Err() == nil {
						continue // this node is down, or does not know the leader
					}
					if out.Verdict != engine.Accept {
						t.Errorf("%s is refused: %v, %v", a.User, out.Reason, err)
					}
					break
				}
			}
		})
	}
	r.eventually("a rotation", func() error { return r.leader().RotateKeys(t.Context(), admin()) })
	restart(r.leader())
	restart(r.follower())
	if next.Load() >= int64(len(fobs)) {
		t.Error("all logins were over before the nodes were disturbed")
	}
	callers.Wait()
	r.advance("", time.Hour) // no login from before can be repeated any more
	r.rotated(2)
	r.sameEverywhere()
}

// A gateway repeats a login at another node, after a rotation. It gets the answer of
// before, because the id of the login is looked for under the former key too.
func TestLoginFromBeforeARotationCanBeRepeated(t *testing.T) {
	r := newCluster(t, 3)
	f := r.fob("ada")
	a := r.attempt(f.user, f.passcode(r.clock(""), 0))
	a.Session = "a session"
	r.want(r.nodes[0], a, engine.Accept)
	if err := r.leader().RotateKeys(t.Context(), admin()); err != nil {
		t.Fatal(err)
	}
	r.eventually("version 2 at another node", func() error {
		if r.nodes[1].vault.Primary() != 2 {
			return errors.New("not yet")
		}
		return nil
	})
	again := a
	again.Origin.Request = newRequest()
	r.want(r.nodes[1], again, engine.Accept)
}

func TestTicketUnderTheNextKeyWaitsForIt(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		root, err := vault.NewRoot(rand.Reader)
		if err != nil {
			t.Fatal(err)
		}
		next, err := vault.NewRootVersion(rand.Reader, 2)
		if err != nil {
			t.Fatal(err)
		}
		v, err := vault.Open(root, "c", vault.DefaultConfig())
		if err != nil {
			t.Fatal(err)
		}
		k := &keychain{vault: v}
		took := func(version byte) time.Duration {
			began := time.Now()
			k.awaitVersion(t.Context(), version)
			return time.Since(began)
		}
		if took(1) != 0 || took(3) != 0 {
			t.Error("it waits for a version that it has, or that nobody has")
		}
		if d := took(2); d != lagTimeout {
			t.Errorf("it waits %v for a version that does not come", d)
		}
		came := make(chan time.Duration)
		go func() { came <- took(2) }()
		synctest.Wait()
		if err := v.Add(next); err != nil {
			t.Error(err)
		}
		if d := <-came; d > retryPause {
			t.Errorf("it goes on %v after the version came", d)
		}
	})
}
