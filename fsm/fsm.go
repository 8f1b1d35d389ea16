// Package fsm is the engine's state, kept the same on every node by Raft.
//
// It makes no decisions. What the log carries are events that a leader decided
// (events.Batch, sealed); the machine folds them into the state, gives each its
// place in the chain, and hands it to the journal. It needs no key for any of
// this but the one that opens the log's entries: seeds, PIN tags and shared
// secrets are opaque bytes to it.
//
// The one thing it may refuse is a batch decided on a version that is no longer
// current, and every node refuses it alike. That happens only when leadership
// changed while the batch was under way; it is the fence that makes "one
// tokencode, one login" hold across the change, whatever a deposed leader still
// had in its hands.
//
// A batch that is current and names another chain head than ours means that
// this replica or the leader has gone astray. So does an entry that does not
// open. Going on would be a lie, so the machine halts: it applies nothing more,
// takes no snapshot, and says why once.
//
// What readers get is a View: an immutable copy of the state with its number,
// exchanged whole after each batch. Whoever holds a View is never disturbed and
// never disturbs; so a snapshot of a million tokens costs logins nothing.
package fsm

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"sync/atomic"

	"github.com/hashicorp/raft"

	"keyfob/engine"
	"keyfob/events"
)

// ErrConflict is the result of a batch that was decided on a version of the
// state that is no longer current. Nothing happened; decide again.
var ErrConflict = errors.New("decided on a version that is no longer current")

// ErrHalted is the result of every batch after the machine has halted.
var ErrHalted = errors.New("state machine has halted")

// Journal takes the records, in order. Those that it holds already come again
// after a restart, when Raft replays its log; it must compare and skip them.
type Journal interface {
	Append(records []events.Record) error
	// Sync returns when all that was appended is safe.
	Sync() error
	// Restored says that the state jumped to the record numbered sequence,
	// where the chain stands at head. Records up to it may be missing.
	Restored(sequence uint64, head events.Hash) error
}

// Config is what a machine is made of; all of it is required.
type Config struct {
	// Open opens an entry of the log.
	Open    func(sealed []byte) ([]byte, error)
	Journal Journal
	// SealSnapshot and OpenSnapshot put a snapshot out of strangers' reach.
	SealSnapshot func(io.Writer) io.WriteCloser
	OpenSnapshot func(io.Reader) io.Reader
	// Halt is told, once, why the machine stopped. It must not wait for Raft.
	Halt func(error)
}

// View is the state after a batch. It does not change.
type View struct {
	State    *engine.State
	Sequence uint64      // of the last record folded in
	Head     events.Hash // of the chain at Sequence
	Index    uint64      // of the last log entry folded in
	Time     events.Time // the stamp of the last batch

	next chan struct{}
}

// Follow folds a record into a view that is nobody else's yet, such as a
// backup's. It must be the next one of the chain.
func (v *View) Follow(r events.Record) error {
	chain := events.Chain{Cluster: v.State.Cluster.ID, Sequence: v.Sequence, Head: v.Head}
	if err := chain.Follow(r); err != nil {
		return err
	}
	v.State.Apply(r.Time, r.Draft)
	v.Sequence, v.Head, v.Index, v.Time = chain.Sequence, chain.Head, r.Index, r.Time
	return nil
}

// Next is closed when a newer view has taken this one's place.
func (v *View) Next() <-chan struct{} { return v.next }

// Machine implements raft.FSM. Raft calls it from one goroutine; View, Marked
// and Wait may be called from any.
type Machine struct {
	c          Config
	view       atomic.Pointer[View]
	checkpoint atomic.Pointer[View]
	bytes      atomic.Uint64
	halted     bool // by Raft's goroutine only
}

var _ raft.FSM = (*Machine)(nil)

// New is a machine before the first record.
func New(c Config) *Machine {
	m := &Machine{c: c}
	m.view.Store(&View{State: engine.NewState(), next: make(chan struct{})})
	return m
}

// View is the present state.
func (m *Machine) View() *View { return m.view.Load() }

// Marked is the state right after a signed checkpoint: one that all nodes can
// name alike, to compare its Digest. It is not that of every checkpoint, or
// large states would be digested all the time. Nil before the first.
func (m *Machine) Checkpoint() *View { return m.checkpoint.Load() }

// Bytes is how many bytes of log entries were applied since the start.
func (m *Machine) Bytes() uint64 { return m.bytes.Load() }

// Wait returns the first view seen that holds the record numbered sequence.
func (m *Machine) Wait(ctx context.Context, sequence uint64) (*View, error) {
	for {
		v := m.View()
		if v.Sequence >= sequence {
			return v, nil
		}
		select {
		case <-v.next:
		case <-ctx.Done():
			return nil, fmt.Errorf("waiting for record %d, at %d: %w", sequence, v.Sequence, ctx.Err())
		}
	}
}

// Apply folds one entry of the log in. The result is nil, ErrConflict or
// ErrHalted.
func (m *Machine) Apply(entry *raft.Log) any {
	if m.halted {
		return ErrHalted
	}
	m.bytes.Add(uint64(len(entry.Data)))
	err := m.apply(entry)
	if err != nil && !errors.Is(err, ErrConflict) {
		return m.halt(fmt.Errorf("applying log entry %d: %w", entry.Index, err))
	}
	return err
}

func (m *Machine) apply(entry *raft.Log) error {
	plain, err := m.c.Open(entry.Data)
	if err != nil {
		return err
	}
	batch, err := events.DecodeBatch(plain)
	if err != nil {
		return err
	}
	now := m.View()
	if batch.Base != now.Sequence {
		return ErrConflict
	}
	if batch.Head != now.Head {
		return fmt.Errorf("this node has gone astray: its chain at record %d is %v, the leader's is %v", now.Sequence, now.Head, batch.Head)
	}

	next := &View{
		State: now.State.Copy(),
		Index: entry.Index,
		Time:  batch.Time,
		next:  make(chan struct{}),
	}
	chain := events.Chain{Cluster: now.State.Cluster.ID, Sequence: now.Sequence, Head: now.Head}
	records := make([]events.Record, 0, len(batch.Drafts))
	checkpoint := false
	for _, d := range batch.Drafts {
		next.State.Apply(batch.Time, d)
		records = append(records, chain.Next(entry.Index, batch.Time, d))
		if _, ok := d.Event.(events.CheckpointSigned); ok {
			checkpoint = true
		}
	}
	next.Sequence, next.Head = chain.Sequence, chain.Head
	// The journal first: what a view shows has been handed on.
	if err := m.c.Journal.Append(records); err != nil {
		return fmt.Errorf("writing journal: %w", err)
	}
	m.publish(now, next)
	if checkpoint && worthDigesting(next) {
		m.checkpoint.Store(next)
	}
	return nil
}

// digestSize is how many users and tokens are digested at each checkpoint, on
// the average.
const digestSize = 20_000

// worthDigesting chooses the checkpoints to mark, the same on every node: all
// of them in a small state, and one in a hundred, by the hash, in one that is a
// hundred times as large.
func worthDigesting(v *View) bool {
	return uint64(binary.BigEndian.Uint32(v.Head[:]))%uint64(1+v.State.Size()/digestSize) == 0
}

func (m *Machine) publish(before, next *View) {
	m.view.Store(next)
	close(before.next)
}

func (m *Machine) halt(err error) error {
	m.halted = true
	m.c.Halt(err)
	return fmt.Errorf("%w: %w", ErrHalted, err)
}
