// Package fsm replicates the state of the engine with Raft.
//
// It makes no decisions. The log contains events that a leader decided
// (events.Batch, sealed). The machine folds them into the state, links each to
// the chain, and passes it to the journal. It needs only the key that opens log
// entries: seeds, PIN tags and shared secrets are opaque bytes.
//
// It refuses only batches that were decided on a state that is no longer
// current, and every node refuses the same ones. This happens only if the leader
// changed while the batch was in flight. It is the fence that makes "one
// tokencode, one login" hold across a change of leader.
//
// If a current batch names another chain head, this replica or the leader has
// diverged. The same applies to an entry that cannot be opened. The machine then
// halts: it applies nothing more, takes no snapshot, and reports the reason once.
//
// Readers get a View: an immutable copy of the state with its sequence number,
// replaced as a whole after each batch. Readers and writers do not block each
// other, so a snapshot of a million tokens does not delay logins.
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

// ErrConflict is the result of a batch that was decided on a state that is no
// longer current. Nothing happened; decide again.
var ErrConflict = errors.New("decided on a version that is no longer current")

// ErrHalted is the result of every batch after the machine has halted.
var ErrHalted = errors.New("state machine has halted")

// ErrLeft is returned by KeysChanged if the node is no longer a member and gets no
// further keys. Its machine applies nothing more. The node still votes until the
// others have taken it out of Raft's configuration.
var ErrLeft = errors.New("this node is no longer a member")

// Journal receives the records in order. After a restart, Raft replays its log
// and records that the journal already holds come again; it must compare and
// skip them.
type Journal interface {
	Append(records []events.Record) error
	// Sync returns when all appended records are on disk.
	Sync() error
	// Restored reports that the state jumped to the record numbered sequence, with
	// the chain at head. Records up to it may be missing.
	Restored(sequence uint64, head events.Hash) error
}

// Config is the configuration of a machine. All fields are required.
type Config struct {
	// Open opens a sealed log entry.
	Open    func(sealed []byte) ([]byte, error)
	Journal Journal
	// SealSnapshot and OpenSnapshot encrypt and decrypt a snapshot.
	SealSnapshot func(io.Writer) io.WriteCloser
	OpenSnapshot func(io.Reader) io.Reader
	// KeysChanged is called when the root key has changed, before the state that says
	// so can be read: entries after this one may be sealed under the new version. An
	// error halts the machine; ErrLeft does so without a call of Halt.
	KeysChanged func(engine.RootKeys) error
	// Halt is called once with the reason when the machine halts. It must not wait
	// for Raft.
	Halt func(error)
}

// View is the state after a batch. It does not change.
type View struct {
	State    *engine.State
	Sequence uint64      // of the last record
	Head     events.Hash // of the chain at Sequence
	Index    uint64      // of the last log entry
	Time     events.Time // of the last batch

	next chan struct{}
}

// Follow folds the next record of the chain into a view that is not shared yet,
// such as that of a backup.
func (v *View) Follow(r events.Record) error {
	chain := events.Chain{Cluster: v.State.Cluster.ID, Sequence: v.Sequence, Head: v.Head}
	if err := chain.Follow(r); err != nil {
		return err
	}
	v.State.Apply(r.Time, r.Draft)
	v.Sequence, v.Head, v.Index, v.Time = chain.Sequence, chain.Head, r.Index, r.Time
	return nil
}

// Next returns a channel that is closed when a newer view exists.
func (v *View) Next() <-chan struct{} { return v.next }

// Machine implements raft.FSM. Raft calls it from one goroutine; View,
// Checkpoint and Wait may be called from any.
type Machine struct {
	c          Config
	view       atomic.Pointer[View]
	checkpoint atomic.Pointer[View]
	bytes      atomic.Uint64
	left       atomic.Bool
	halted     bool // used by Raft's goroutine only
}

var _ raft.FSM = (*Machine)(nil)

// New returns a machine before the first record.
func New(c Config) *Machine {
	m := &Machine{c: c}
	m.view.Store(&View{State: engine.NewState(), next: make(chan struct{})})
	return m
}

// View returns the present state.
func (m *Machine) View() *View { return m.view.Load() }

// Checkpoint returns the state after a signed checkpoint, for comparing digests
// between nodes. All nodes choose the same checkpoints. For large states not
// every checkpoint is chosen, because digests are expensive. Nil before the
// first.
func (m *Machine) Checkpoint() *View { return m.checkpoint.Load() }

// Bytes returns the size of all log entries applied since the start.
func (m *Machine) Bytes() uint64 { return m.bytes.Load() }

// Wait returns the first view that contains the record numbered sequence.
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

// Apply folds in one log entry. The result is nil, ErrConflict or ErrHalted.
func (m *Machine) Apply(entry *raft.Log) any {
	if m.halted {
		return ErrHalted
	}
	m.bytes.Add(uint64(len(entry.Data)))
	err := m.apply(entry)
	if errors.Is(err, ErrLeft) {
		m.halted = true
		m.left.Store(true)
		return ErrHalted
	}
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
	// The journal comes first: a view shows only records that the journal has.
	if err := m.c.Journal.Append(records); err != nil {
		return fmt.Errorf("writing journal: %w", err)
	}
	err = m.changeKeys(now, next)
	if err != nil && !errors.Is(err, ErrLeft) {
		return err
	}
	m.publish(now, next)
	if err != nil {
		return err
	}
	if checkpoint && worthDigesting(next) {
		m.checkpoint.Store(next)
	}
	return nil
}

// digestSize is the average number of users and tokens digested per checkpoint.
const digestSize = 20_000

// worthDigesting selects the checkpoints to digest, by their hash, the same on
// every node: all of them for a small state, one in a hundred for a state a
// hundred times as large.
func worthDigesting(v *View) bool {
	return uint64(binary.BigEndian.Uint32(v.Head[:]))%uint64(1+v.State.Size()/digestSize) == 0
}

// changeKeys reports a change of the root key.
func (m *Machine) changeKeys(before, next *View) error {
	was, is := before.State.Cluster.Keys, next.State.Cluster.Keys
	if was.Version == is.Version && was.Oldest == is.Oldest {
		return nil
	}
	return m.c.KeysChanged(is)
}

// Left reports whether the machine stopped with ErrLeft.
func (m *Machine) Left() bool { return m.left.Load() }

func (m *Machine) publish(before, next *View) {
	m.view.Store(next)
	close(before.next)
}

func (m *Machine) halt(err error) error {
	m.halted = true
	m.c.Halt(err)
	return fmt.Errorf("%w: %w", ErrHalted, err)
}
