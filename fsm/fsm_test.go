package fsm_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"maps"
	"reflect"
	"sync"
	"testing"

	"github.com/fxamacker/cbor/v2"
	"github.com/google/go-cmp/cmp"
	"github.com/hashicorp/raft"
	"pgregory.net/rapid"

	"keyfob/engine"
	"keyfob/events"
	"keyfob/fsm"
)

func TestStateIsTheFoldOfTheJournal(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		r := newReplica()
		for _, s := range history(rt) {
			r.commit(t, s.at, s.draft)
		}
		folded, chain := engine.NewState(), events.Chain{}
		for _, record := range r.journal.records {
			if err := chain.Follow(record); err != nil {
				rt.Fatal(err)
			}
			folded.Apply(record.Time, record.Draft)
		}
		if got, want := digest(t, folded), digest(t, r.View().State); got != want {
			rt.Fatalf("folded journal is %v, machine is %v", got, want)
		}
		if v := r.View(); chain.Head != v.Head || chain.Sequence != v.Sequence {
			rt.Fatalf("journal ends at %d %v, machine stands at %d %v", chain.Sequence, chain.Head, v.Sequence, v.Head)
		}
	})
}

func TestHowBatchesAreCutDoesNotMatter(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		whole := history(rt)
		one, cut := newReplica(), newReplica()
		for _, s := range whole {
			one.commit(t, s.at, s.draft)
		}
		for len(whole) > 0 {
			n := 1
			for n < len(whole) && whole[n].at == whole[0].at && rapid.Bool().Draw(rt, "longer") {
				n++
			}
			var drafts []events.Draft
			for _, s := range whole[:n] {
				drafts = append(drafts, s.draft)
			}
			cut.commit(t, whole[0].at, drafts...)
			whole = whole[n:]
		}
		if got, want := digest(t, cut.View().State), digest(t, one.View().State); got != want {
			rt.Fatalf("cut otherwise the digest is %v, not %v", got, want)
		}
	})
}

func TestSnapshotAtEveryPointRestoresTheSame(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		r := newReplica()
		for _, s := range history(rt) {
			r.commit(t, s.at, s.draft)
			sink := &sink{}
			snapshot, err := r.Snapshot()
			if err != nil {
				rt.Fatal(err)
			}
			if err := snapshot.Persist(sink); err != nil {
				rt.Fatal(err)
			}
			if r.journal.synced != len(r.journal.records) {
				rt.Fatal("the snapshot was written before the journal was safe")
			}
			again := newReplica()
			if err := again.Restore(io.NopCloser(&sink.Buffer)); err != nil {
				rt.Fatal(err)
			}
			got, want := again.View(), r.View()
			if digest(t, got.State) != digest(t, want.State) {
				rt.Fatalf("at record %d the restored state differs", want.Sequence)
			}
			if got.Sequence != want.Sequence || got.Head != want.Head || got.Time != want.Time || got.Index != want.Index {
				rt.Fatalf("restored to %+v, want %+v", got, want)
			}
			if again.journal.restored != want.Sequence {
				rt.Fatalf("the journal was told of record %d, not of %d", again.journal.restored, want.Sequence)
			}
		}
	})
}

func TestBatchDecidedOnAnotherVersionIsRefusedAlike(t *testing.T) {
	a, b := newReplica(), newReplica()
	for _, r := range []*replica{a, b} {
		r.commit(t, 1, founded())
		before := r.View()
		for _, base := range []uint64{0, 2, 99} {
			err := r.entry(t, events.Batch{Base: base, Head: before.Head, Time: 2, Drafts: []events.Draft{{Event: events.UserAdded{User: "eve"}}}})
			if !errors.Is(err, fsm.ErrConflict) {
				t.Fatalf("batch on %d: %v, want a conflict", base, err)
			}
		}
		if r.View() != before {
			t.Fatal("a refused batch changed the view")
		}
		if len(r.journal.records) != 1 || r.halted != nil {
			t.Fatalf("a refused batch left %d records, halt %v", len(r.journal.records), r.halted)
		}
		r.commit(t, 3, events.Draft{Event: events.UserAdded{User: "ada"}})
	}
	if diff := cmp.Diff(a.View().Head, b.View().Head); diff != "" {
		t.Fatal(diff)
	}
}

func TestReplicaThatWentAstrayHalts(t *testing.T) {
	for name, breakIt := range map[string]func(*replica) error{
		"another chain": func(r *replica) error {
			return r.entry(t, events.Batch{Base: 1, Head: events.Hash{1}, Time: 2})
		},
		"unreadable entry": func(r *replica) error { return r.raw([]byte("not a batch")) },
		"full disk": func(r *replica) error {
			r.journal.broken = errors.New("no space left on device")
			v := r.View()
			return r.entry(t, events.Batch{Base: 1, Head: v.Head, Time: 2, Drafts: []events.Draft{{Event: events.UserAdded{User: "ada"}}}})
		},
	} {
		t.Run(name, func(t *testing.T) {
			r := newReplica()
			r.commit(t, 1, founded())
			before := r.View()
			if err := breakIt(r); !errors.Is(err, fsm.ErrHalted) {
				t.Fatalf("got %v, want a halt", err)
			}
			if r.halted == nil {
				t.Fatal("nobody was told why")
			}
			r.journal.broken = nil
			err := r.entry(t, events.Batch{Base: 1, Head: before.Head, Time: 2, Drafts: []events.Draft{{Event: events.UserAdded{User: "ada"}}}})
			if !errors.Is(err, fsm.ErrHalted) || r.View() != before {
				t.Fatalf("it went on: %v", err)
			}
			if _, err := r.Snapshot(); !errors.Is(err, fsm.ErrHalted) {
				t.Fatalf("it took a snapshot: %v", err)
			}
		})
	}
}

// TestPolicyOfAnOldSnapshotHasTheDefaultsOfWhatItDoesNotSay takes the settings
// that came later out of a policy; a zero that is said stays.
func TestPolicyOfAnOldSnapshotHasTheDefaultsOfWhatItDoesNotSay(t *testing.T) {
	const firstLater = 40
	for _, keys := range []uint64{firstLater, 1000} {
		old := engine.NewState()
		old.Policy.EmergencyCodes, old.Policy.PINHistory, old.Policy.LockAfter = 0, 0, 7
		next := &engine.State{}
		for table, record := range old.Records {
			raw, err := cbor.Marshal(record)
			if err != nil {
				t.Fatal(err)
			}
			var head, policy map[uint64]cbor.RawMessage
			if err := errors.Join(cbor.Unmarshal(raw, &head), cbor.Unmarshal(head[2], &policy)); err != nil {
				t.Fatal(err)
			}
			maps.DeleteFunc(policy, func(key uint64, _ cbor.RawMessage) bool { return key >= keys })
			if head[2], err = cbor.Marshal(policy); err != nil {
				t.Fatal(err)
			}
			if raw, err = cbor.Marshal(head); err != nil {
				t.Fatal(err)
			}
			if err := next.PutRecord(table, func(into any) error { return cbor.Unmarshal(raw, into) }); err != nil {
				t.Fatal(err)
			}
		}
		want := old.Policy
		if keys == firstLater {
			want.EmergencyCodes = engine.DefaultPolicy().EmergencyCodes
		}
		if diff := cmp.Diff(want, next.Policy); diff != "" {
			t.Errorf("without the keys from %d on (-want +got):\n%s", keys, diff)
		}
	}
}

func TestDamagedSnapshotIsRefusedWhole(t *testing.T) {
	r := newReplica()
	r.commit(t, 1, founded(), events.Draft{Event: events.UserAdded{User: "ada"}})
	var good bytes.Buffer
	if err := fsm.Write(&good, r.View()); err != nil {
		t.Fatal(err)
	}
	other := newReplica()
	other.commit(t, 1, founded())
	before := other.View()
	restore := func(b []byte) error { return other.Restore(io.NopCloser(bytes.NewReader(b))) }
	for i := range good.Len() {
		flipped := bytes.Clone(good.Bytes())
		flipped[i] ^= 1
		if err := restore(flipped); err == nil {
			t.Fatalf("a bit flipped in byte %d was not noticed", i)
		}
	}
	for _, cut := range [][]byte{nil, good.Bytes()[:good.Len()-1], good.Bytes()[:good.Len()/2], append(bytes.Clone(good.Bytes()), 0)} {
		if err := restore(cut); err == nil {
			t.Fatalf("snapshot of %d of %d bytes was restored", len(cut), good.Len())
		}
	}
	if other.View() != before || other.journal.restored != 0 {
		t.Fatal("what was not restored changed the state or the journal")
	}
}

// The holder of a view sees the same state forever, also while it is copied,
// written down and left behind.
func TestViewsAreNotDisturbed(t *testing.T) {
	r := newReplica()
	r.commit(t, 1, founded(), events.Draft{Event: events.UserAdded{User: "ada"}})
	held := r.View()
	want := digest(t, held.State)
	var readers sync.WaitGroup
	for range 4 {
		readers.Go(func() {
			for r.View().Sequence < 200 {
				scratch := held.State.Copy()
				scratch.Apply(5, events.Draft{Event: events.UserAdded{User: "eve"}})
				_ = fsm.Write(io.Discard, r.View())
			}
		})
	}
	for i := range 200 {
		r.commit(t, events.Time(i+2), events.Draft{Event: events.FailureCounted{User: "ada", Failures: uint32(i)}})
	}
	readers.Wait()
	if got := digest(t, held.State); got != want {
		t.Fatalf("the view held became %v, it was %v", got, want)
	}
}

func TestWaitReturnsWithTheRecord(t *testing.T) {
	r := newReplica()
	done := make(chan *fsm.View, 1)
	go func() {
		v, err := r.Wait(t.Context(), 2)
		if err != nil {
			t.Error(err)
		}
		done <- v
	}()
	r.commit(t, 1, founded())
	r.commit(t, 2, events.Draft{Event: events.UserAdded{User: "ada"}})
	if v := <-done; v.Sequence < 2 || v.State.User("ada") == nil {
		t.Fatalf("got the view at %d", v.Sequence)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := r.Wait(ctx, 3); !errors.Is(err, context.Canceled) {
		t.Fatalf("got %v", err)
	}
}

func TestDigestCheckpointIsKept(t *testing.T) {
	r := newReplica()
	r.commit(t, 1, founded())
	if r.Checkpoint() != nil {
		t.Fatal("there is a digest checkpoint before the first checkpoint")
	}
	r.commit(t, 2, events.Draft{Event: events.CheckpointSigned{Sequence: 1}})
	r.commit(t, 3, events.Draft{Event: events.UserAdded{User: "ada"}})
	if m := r.Checkpoint(); m == nil || m.Sequence != 2 {
		t.Fatalf("digest checkpoint %+v", m)
	}
}

// A field of the state that Records leaves out would be lost with the first
// snapshot, and missed by every digest.
func TestEveryFieldOfTheStateIsWrittenDown(t *testing.T) {
	written := []string{"Cluster", "Policy", "Time", "users", "tokens", "clients", "apiTokens", "auditReaders", "sessions", "nodes", "invitations", "deleted", "approvals", "done"}
	var fields []string
	for f := range reflect.TypeFor[engine.State]().Fields() {
		if f.Name != "copying" { // a lock
			fields = append(fields, f.Name)
		}
	}
	if diff := cmp.Diff(written, fields); diff != "" {
		t.Fatalf("engine.State has other fields than engine/tables.go writes down (-written +present):\n%s", diff)
	}
}

func FuzzRead(f *testing.F) {
	r := newReplica()
	r.commit(f, 1, founded(), events.Draft{Event: events.UserAdded{User: "ada"}},
		events.Draft{Event: events.ClientAdded{Client: "vpn", Prefix: "192.0.2.0/24", Sealed: []byte{1}, Dialect: "rsa"}})
	var good bytes.Buffer
	if err := fsm.Write(&good, r.View()); err != nil {
		f.Fatal(err)
	}
	f.Add(good.Bytes())
	f.Add([]byte{0x85})
	f.Fuzz(func(t *testing.T, b []byte) {
		v, err := fsm.Read(bytes.NewReader(b))
		if err != nil {
			return
		}
		var again bytes.Buffer
		if err := fsm.Write(&again, v); err != nil {
			t.Fatalf("what was read cannot be written: %v", err)
		}
		if _, err := fsm.Read(&again); err != nil {
			t.Fatalf("what was written cannot be read: %v", err)
		}
	})
}

// sink is a snapshot on its way to the disk.
type sink struct {
	bytes.Buffer
	cancelled bool
}

func (s *sink) ID() string    { return "test" }
func (s *sink) Cancel() error { s.cancelled = true; return nil }
func (s *sink) Close() error  { return nil }

var _ raft.SnapshotSink = (*sink)(nil)

func TestSnapshotThatCannotBeWrittenIsCancelled(t *testing.T) {
	r := newReplica()
	r.commit(t, 1, founded())
	snapshot, err := r.Snapshot()
	if err != nil {
		t.Fatal(err)
	}
	r.journal.broken = errors.New("input/output error")
	s := &sink{}
	if err := snapshot.Persist(s); err == nil || !s.cancelled || s.Len() != 0 {
		t.Fatalf("persisted with %v, cancelled %v, %d bytes", err, s.cancelled, s.Len())
	}
}
