// Package fsm is the engine's state, kept the same on every node by Raft.
//
// It makes no decisions. The log carries batches of events that a leader decided
// (events.Batch, sealed). The machine folds them into the state, adds them to
// the chain, and passes them to the journal. The only key it needs is the one
// that opens log entries; seeds, PINs and shared secrets are opaque bytes to it.
//
// It rejects only one thing: a batch decided on a version that is no longer
// current. Every node rejects it alike. This happens if the leadership changed
// while the batch was in progress, and it keeps "one tokencode, one login" true
// across the change.
//
// If a current batch names another chain head, or an entry cannot be opened, this
// replica or the leader has diverged. The machine then halts: it applies nothing
// more, takes no snapshot, and reports the reason once.
//
// Readers get a View: an immutable copy of the state with its number, replaced
// after each batch. Readers and writers do not block each other, so a snapshot
// of a million tokens does not delay logins.
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
// state that is no longer current. Nothing was changed; decide again.
var ErrConflict = errors.New("decided on a version that is no longer current")

// ErrHalted is the result of every batch after the machine has halted.
var ErrHalted = errors.New("state machine has halted")

// Journal stores the records, in order. After a restart Raft replays its log, so
// records that the journal has already are appended again; it must compare and
// skip them.
type Journal interface {
	Append(records []events.Record) error
	// Sync returns when all appended records are on disk.
	Sync() error
	// Restored reports that the state was replaced by a snapshot as of the
	// record numbered sequence, whose hash is head. Earlier records may be
	// missing.
	Restored(sequence uint64, head events.Hash) error
}

// Config configures a machine. All fields are required.
type Config struct {
	// Open opens a sealed log entry.
	Open    func(sealed []byte) ([]byte, error)
	Journal Journal
	// SealSnapshot and OpenSnapshot seal and open snapshots.
	SealSnapshot func(io.Writer) io.WriteCloser
	OpenSnapshot func(io.Reader) io.Reader
	// Halt is called once, with the reason, when the machine halts. It must not
	// wait for Raft.
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

// Follow folds a record into a view that is not shared yet, such as that of a
// backup. It must be the next record of the chain.
func (v *View) Follow(r events.Record) error {
	chain := events.Chain{Cluster: v.State.Cluster.ID, Sequence: v.Sequence, Head: v.Head}
	if err := chain.Follow(r); err != nil {
		return err
	}
	v.State.Apply(r.Time, r.Draft)
	v.Sequence, v.Head, v.Index, v.Time = chain.Sequence, chain.Head, r.Index, r.Time
	return nil
}

// Next returns a channel that is closed when a newer view replaces this one.
func (v *View) Next() <-chan struct{} { return v.next }

// Machine implements raft.FSM. Raft calls it from one goroutine; View,
// Checkpoint and Wait may be called from any.
type Machine struct {
	c          Config
	view       atomic.Pointer[View]
	checkpoint atomic.Pointer[View]
	bytes      atomic.Uint64
	halted     bool // used by Raft's goroutine only
}

var _ raft.FSM = (*Machine)(nil)

// New returns a machine without records.
func New(c Config) *Machine {
	m := &Machine{c: c}
	m.view.Store(&View{State: engine.NewState(), next: make(chan struct{})})
	return m
}

// View returns the present state.
func (m *Machine) View() *View { return m.view.Load() }

// Checkpoint returns the state after the latest digest checkpoint: a signed
// checkpoint at which nodes compare the Digest of their states. Large states
// skip most checkpoints, since a digest reads the whole state. The result is nil
// before the first.
func (m *Machine) Checkpoint() *View { return m.checkpoint.Load() }

// Bytes returns the number of bytes of log entries applied since the start.
func (m *Machine) Bytes() uint64 { return m.bytes.Load() }

// Wait waits for a view that contains the record numbered sequence.
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

// Apply folds one log entry into the state. The result is nil, ErrConflict or
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
		return fmt.Errorf("this node has diverged: its chain at record %d is %v, the leader's is %v", now.Sequence, now.Head, batch.Head)
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
	// The journal comes first: every record that a view contains is in it.
	if err := m.c.Journal.Append(records); err != nil {
		return fmt.Errorf("writing journal: %w", err)
	}
	m.publish(now, next)
	if checkpoint && worthDigesting(next) {
		m.checkpoint.Store(next)
	}
	return nil
}

// digestSize is the average number of users and tokens digested per checkpoint.
const digestSize = 20_000

// worthDigesting selects the digest checkpoints, the same on every node: all
// checkpoints of a small state, and one in a hundred, by the hash, of a state
// that is a hundred times as large.
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
