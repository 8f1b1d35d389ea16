package cluster

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/hashicorp/raft"

	"keyfob/cluster/raftlog"
	"keyfob/cluster/vault"
	"keyfob/engine"
	"keyfob/events"
)

// addUsers writes count records.
func (r *rig) addUsers(prefix string, count int) {
	r.t.Helper()
	n := r.leader()
	together(count, func(i int) {
		if err := n.Do(r.t.Context(), admin(), engine.AddUser{User: fmt.Sprintf("%s%d", prefix, i)}); err != nil {
			r.t.Error(err)
		}
	})
}

func TestNewNodeGetsASnapshotAndTheJournalFromItsPeers(t *testing.T) {
	r := newClusterOf(t, 1, func(c *Config) { c.TrailingLogs = 1 })
	// More than fits into one answer.
	r.addUsers("early", 2*backfillRecords)
	if err := r.nodes[0].replica.raft.Snapshot().Error(); err != nil {
		t.Fatal(err)
	}
	r.addUsers("late", 10)
	n2 := r.join("n2")
	r.ready(2)
	if s := n2.replica.raft.Stats(); s["last_snapshot_index"] == "0" {
		t.Fatal("no snapshot was installed: the test proves nothing")
	}
	r.eventually("a whole journal", func() error {
		if !n2.Journal().Whole() {
			return errors.New("not yet")
		}
		return nil
	})
	r.sameEverywhere()
	var chain events.Chain
	for record, err := range n2.Journal().Records(t.Context(), 1, false) {
		if err == nil {
			err = chain.Follow(record)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	// The records are on its disk.
	r.kill(n2)
	r.start(n2)
	r.ready(2)
	if !n2.Journal().Whole() {
		t.Fatal("the journal has a hole after a restart")
	}
}

func TestSnapshotsAreTakenByLogSize(t *testing.T) {
	r := newClusterOf(t, 1, func(c *Config) { c.SnapshotBytes, c.TrailingLogs = 8<<10, 1 })
	r.addUsers("user", 200)
	r.eventually("a snapshot, and a shorter log", func() error {
		first, err := r.nodes[0].store.FirstIndex()
		if err == nil && first < 3 {
			err = fmt.Errorf("the log begins at %d", first)
		}
		return err
	})
	n := r.nodes[0]
	r.kill(n)
	r.start(n)
	r.ready(1)
	if n.State().User("user199") == nil {
		t.Fatal("lost behind the snapshot")
	}
}

// After an fsync that failed nobody knows what is on the disk.
func TestFailedLogWriteStopsTheNode(t *testing.T) {
	r := newCluster(t, 1)
	n := r.nodes[0]
	if err := n.store.Close(); err != nil {
		t.Fatal(err)
	}
	_ = n.Do(t.Context(), admin(), engine.AddUser{User: "ada"})
	select {
	case err := <-n.done:
		n.done = nil
		if err == nil || !strings.Contains(err.Error(), "writing the log") {
			t.Fatalf("it stopped with %v", err)
		}
	case <-time.After(20 * time.Second):
		t.Fatal("it goes on")
	}
}

// A flipped bit on the disk must not become another command.
func TestFlippedBitInTheLogStopsTheNode(t *testing.T) {
	r := newCluster(t, 1)
	r.addUsers("user", 3)
	n := r.nodes[0]
	r.kill(n)
	log, err := raftlog.Open(n.config.file(dirRaft), func(err error) { t.Error(err) })
	if err != nil {
		t.Fatal(err)
	}
	last, err := log.LastIndex()
	if err != nil {
		t.Fatal(err)
	}
	var entry raft.Log
	for entry.Type = raft.LogNoop; entry.Type != raft.LogCommand; last-- {
		if err := log.GetLog(last, &entry); err != nil {
			t.Fatal(err)
		}
	}
	entry.Data[len(entry.Data)/2] ^= 4
	if err := errors.Join(log.StoreLog(&entry), log.Close()); err != nil {
		t.Fatal(err)
	}
	r.start(n)
	select {
	case err := <-n.done:
		n.done = nil
		if !errors.Is(err, vault.ErrDamaged) || strings.Contains(err.Error(), "\n") {
			t.Fatalf("it stopped with %v", err)
		}
	case <-time.After(20 * time.Second):
		t.Fatal("it goes on")
	}
}

// A node whose state differs from the fold of the events detects that at the next
// checkpoint, and stops.
func TestNodeWithADifferentStateStops(t *testing.T) {
	r := newClusterOf(t, 3, func(c *Config) { c.CheckpointEvery = 300 * time.Millisecond })
	f := r.fob("ada")
	r.known(f)
	r.ready(3)
	different := r.follower()
	different.replica.View().State.Token(f.serial).Last = 99 // like a flipped bit in memory
	r.addUsers("more", 1)
	select {
	case err := <-different.done:
		different.done = nil
		if err == nil || !strings.Contains(err.Error(), "differs from that of the majority") {
			t.Fatalf("it stopped with %v", err)
		}
	case <-time.After(20 * time.Second):
		t.Fatal("it goes on")
	}
	r.leader() // the others continue
}

func TestCheckpointsAreSignedAndCorrect(t *testing.T) {
	r := newClusterOf(t, 1, func(c *Config) { c.CheckpointEvery, c.CheckpointAfter = time.Hour, 10 })
	n := r.nodes[0]
	r.addUsers("user", 40)
	var found int
	r.eventually("a checkpoint", func() error {
		found = 0
		heads := map[uint64]events.Hash{}
		for record, err := range n.Journal().Records(t.Context(), 1, false) {
			if err != nil {
				return err
			}
			heads[record.Sequence] = record.Hash
			e, ok := record.Event.(events.CheckpointSigned)
			if !ok {
				continue
			}
			found++
			if err := e.Verify(n.Cluster()); err != nil {
				t.Fatal(err)
			}
			if heads[e.Sequence] != e.Head || !n.CheckpointKey().Equal(ed(e.Key)) {
				t.Fatalf("checkpoint %+v, the chain was at %v", e, heads[e.Sequence])
			}
		}
		if found == 0 {
			return errors.New("none")
		}
		return nil
	})
	if found > 8 {
		t.Fatalf("%d checkpoints of 40 records", found)
	}
}
