package fsm

import (
	"bufio"
	"bytes"
	"crypto/sha256"
	"errors"
	"fmt"
	"hash"
	"io"

	"github.com/fxamacker/cbor/v2"
	"github.com/hashicorp/raft"

	"keyfob/engine"
	"keyfob/events"
	"keyfob/events/strictcbor"
)

// A snapshot is a sequence of CBOR items: a header, one row per record, and a
// final row with the digest of everything before.
const (
	snapshotMagic   = "keyfob state"
	snapshotVersion = 1

	// closing is the table of the final row.
	closing engine.Table = 0
)

type header struct {
	_        struct{} `cbor:",toarray"`
	Magic    string
	Version  uint
	Sequence uint64
	Head     events.Hash
	Index    uint64
	Time     events.Time
}

type row struct {
	_      struct{} `cbor:",toarray"`
	Table  engine.Table
	Record cbor.RawMessage
}

var (
	encoder = strictcbor.Encoding()
	decoder = strictcbor.Decoding(strictcbor.Limits{Nesting: 16})
)

// Digest returns the SHA-256 of all records of a state. Equal states have equal
// digests.
func Digest(s *engine.State) (events.Hash, error) {
	sum := sha256.New()
	err := writeRows(encoder.NewEncoder(sum), s)
	return events.Hash(sum.Sum(nil)), err
}

func writeRows(out *cbor.Encoder, s *engine.State) error {
	for table, record := range s.Records {
		raw, err := encoder.Marshal(record)
		if err == nil {
			err = out.Encode(row{Table: table, Record: raw})
		}
		if err != nil {
			return fmt.Errorf("writing table %d: %w", table, err)
		}
	}
	return nil
}

// Snapshot captures the present view. Raft writes it later, while entries are
// applied.
func (m *Machine) Snapshot() (raft.FSMSnapshot, error) {
	if m.halted {
		return nil, ErrHalted
	}
	return &snapshot{view: m.View(), machine: m}, nil
}

type snapshot struct {
	view    *View
	machine *Machine
}

// Persist writes the snapshot. Raft truncates its log afterwards, so the
// journal must be on disk first.
func (s *snapshot) Persist(sink raft.SnapshotSink) error {
	err := s.machine.c.Journal.Sync()
	if err == nil {
		err = s.write(sink)
	}
	if err != nil {
		return errors.Join(fmt.Errorf("writing snapshot %s: %w", sink.ID(), err), sink.Cancel())
	}
	return sink.Close()
}

func (s *snapshot) write(w io.Writer) error {
	sealed := s.machine.c.SealSnapshot(w)
	buffered := bufio.NewWriterSize(sealed, 64<<10)
	if err := Write(buffered, s.view); err != nil {
		return err
	}
	return errors.Join(buffered.Flush(), sealed.Close())
}

// Release implements raft.FSMSnapshot.
func (s *snapshot) Release() {}

// Write writes a view, unsealed, for snapshots and backups. Read reads it.
func Write(w io.Writer, v *View) error {
	sum := sha256.New()
	out := encoder.NewEncoder(io.MultiWriter(w, sum))
	err := out.Encode(header{
		Magic:    snapshotMagic,
		Version:  snapshotVersion,
		Sequence: v.Sequence,
		Head:     v.Head,
		Index:    v.Index,
		Time:     v.Time,
	})
	if err != nil {
		return err
	}
	if err := writeRows(out, v.State); err != nil {
		return err
	}
	raw, err := encoder.Marshal(sum.Sum(nil))
	if err != nil {
		return err
	}
	return out.Encode(row{Table: closing, Record: raw})
}

// Read reads what Write wrote, into a new state. It returns the whole state or
// an error.
func Read(r io.Reader) (*View, error) {
	in, sum := decoder.NewDecoder(r), sha256.New()
	var h header
	if err := next(in, &h, sum); err != nil {
		return nil, fmt.Errorf("reading header: %w", err)
	}
	if h.Magic != snapshotMagic {
		return nil, errors.New("not a snapshot of a keyfob state")
	}
	if h.Version != snapshotVersion {
		return nil, fmt.Errorf("version %d is not supported; this program reads version %d", h.Version, snapshotVersion)
	}
	v := &View{
		State:    &engine.State{},
		Sequence: h.Sequence,
		Head:     h.Head,
		Index:    h.Index,
		Time:     h.Time,
		next:     make(chan struct{}),
	}
	if err := readRows(in, v.State, sum); err != nil {
		return nil, err
	}
	// Nothing may follow. A sealed stream is authenticated as a whole only at its
	// end.
	var rest cbor.RawMessage
	if err := in.Decode(&rest); !errors.Is(err, io.EOF) {
		return nil, fmt.Errorf("unexpected data after the end: %w", errors.Join(err, io.ErrUnexpectedEOF))
	}
	return v, nil
}

// next reads an item and adds it to the sum.
func next(in *cbor.Decoder, item any, sum hash.Hash) error {
	var raw cbor.RawMessage
	if err := in.Decode(&raw); err != nil {
		return err
	}
	_, _ = sum.Write(raw)
	return decoder.Unmarshal(raw, item)
}

func readRows(in *cbor.Decoder, into *engine.State, sum hash.Hash) error {
	for n := 1; ; n++ {
		want := sum.Sum(nil)
		var r row
		if err := next(in, &r, sum); err != nil {
			return fmt.Errorf("reading row %d: %w", n, err)
		}
		fill := func(record any) error { return decoder.Unmarshal(r.Record, record) }
		if r.Table == closing {
			var written []byte
			if err := fill(&written); err != nil {
				return fmt.Errorf("reading digest: %w", err)
			}
			if !bytes.Equal(written, want) {
				return errors.New("the snapshot was altered: its digest differs")
			}
			return nil
		}
		if err := into.PutRecord(r.Table, fill); err != nil {
			return fmt.Errorf("reading row %d of table %d: %w", n, r.Table, err)
		}
	}
}

// Restore replaces the state by that of a snapshot. If the snapshot cannot be
// read in full, the state does not change.
func (m *Machine) Restore(r io.ReadCloser) error {
	defer func() { _ = r.Close() }()
	next, err := Read(bufio.NewReaderSize(m.c.OpenSnapshot(r), 64<<10))
	if err != nil {
		return fmt.Errorf("restoring snapshot: %w", err)
	}
	if err := m.c.Journal.Restored(next.Sequence, next.Head); err != nil {
		return fmt.Errorf("restoring snapshot at record %d: %w", next.Sequence, err)
	}
	if err := m.changeKeys(m.View(), next); err != nil {
		return fmt.Errorf("restoring snapshot at record %d: %w", next.Sequence, err)
	}
	m.publish(m.View(), next)
	return nil
}
