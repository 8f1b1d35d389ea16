package events

import (
	"bytes"
	"errors"
	"fmt"

	"github.com/fxamacker/cbor/v2"

	"keyfob/events/strictcbor"
)

// The binary form is one byte, the version of the format, and CBOR in core
// deterministic encoding (RFC 8949, section 4.2.1). The parts around an event
// are arrays and change only with the version. An event and its origin are maps
// with small numbers as keys. They may gain fields. A reader that does not know
// a field refuses the event: without the field, its state would differ from
// that of the other nodes.
//
// Only the deterministic form is decoded, so that equal values have equal bytes
// and equal digests everywhere.
const formatVersion = 1

// MaxDrafts is the most drafts that a batch may hold.
const MaxDrafts = 1 << 14

// ErrFormat is returned by all decoders for bytes that they cannot accept.
var ErrFormat = errors.New("not in a form that this version reads")

type wireDraft struct {
	_      struct{} `cbor:",toarray"`
	Kind   kind
	Origin Origin
	Event  Event
}

type wireBatch struct {
	_      struct{} `cbor:",toarray"`
	Base   uint64
	Head   Hash
	Time   Time
	Drafts []wireDraft
}

type wireRecord struct {
	_        struct{} `cbor:",toarray"`
	Sequence uint64
	Index    uint64
	Time     Time
	Prev     Hash
	Hash     Hash
	Draft    wireDraft
}

type wireEvent struct {
	_     struct{} `cbor:",toarray"`
	Kind  kind
	Event Event
}

// The same for decoding, where the kind selects the type.
type (
	rawDraft struct {
		_      struct{} `cbor:",toarray"`
		Kind   kind
		Origin Origin
		Event  cbor.RawMessage
	}
	rawBatch struct {
		_      struct{} `cbor:",toarray"`
		Base   uint64
		Head   Hash
		Time   Time
		Drafts []rawDraft
	}
	rawRecord struct {
		_        struct{} `cbor:",toarray"`
		Sequence uint64
		Index    uint64
		Time     Time
		Prev     Hash
		Hash     Hash
		Draft    rawDraft
	}
	rawEvent struct {
		_     struct{} `cbor:",toarray"`
		Kind  kind
		Event cbor.RawMessage
	}
)

var (
	encoding = strictcbor.Encoding()
	decoding = strictcbor.Decoding(strictcbor.Limits{Nesting: 8, Elements: MaxDrafts, Pairs: 64})
)

// EncodeBatch returns the binary form of a batch. The error says that it holds
// more than MaxDrafts.
func EncodeBatch(b Batch) ([]byte, error) {
	if len(b.Drafts) > MaxDrafts {
		return nil, fmt.Errorf("encoding a batch of %d drafts: at most %d are allowed", len(b.Drafts), MaxDrafts)
	}
	return appendBatch(make([]byte, 0, (1+len(b.Drafts))*typicalDraft), b)
}

// typicalDraft is more than most drafts need, in bytes.
const typicalDraft = 256

func appendBatch(dst []byte, b Batch) ([]byte, error) {
	w := wireBatch{Base: b.Base, Head: b.Head, Time: b.Time, Drafts: make([]wireDraft, len(b.Drafts))}
	for i, d := range b.Drafts {
		w.Drafts[i] = wire(d)
	}
	return appendForm(dst, &w)
}

// DecodeBatch reads what EncodeBatch wrote.
func DecodeBatch(data []byte) (Batch, error) {
	var w rawBatch
	if err := decode(data, &w); err != nil {
		return Batch{}, fmt.Errorf("decoding a batch: %w", err)
	}
	b := Batch{Base: w.Base, Head: w.Head, Time: w.Time, Drafts: make([]Draft, len(w.Drafts))}
	for i, d := range w.Drafts {
		var err error
		if b.Drafts[i], err = d.draft(); err != nil {
			return Batch{}, fmt.Errorf("decoding draft %d of a batch: %w", i, err)
		}
	}
	return b, same(data, b, appendBatch)
}

// EncodeRecord returns the binary form of a record.
func EncodeRecord(r Record) ([]byte, error) {
	return AppendRecord(make([]byte, 0, 2*typicalDraft), r)
}

// AppendRecord appends the binary form of a record to dst.
func AppendRecord(dst []byte, r Record) ([]byte, error) {
	return appendForm(dst, &wireRecord{
		Sequence: r.Sequence, Index: r.Index, Time: r.Time, Prev: r.Prev, Hash: r.Hash,
		Draft: wire(r.Draft),
	})
}

// DecodeRecord reads what EncodeRecord wrote. It does not check the hash; a
// Chain does.
func DecodeRecord(data []byte) (Record, error) {
	var w rawRecord
	if err := decode(data, &w); err != nil {
		return Record{}, fmt.Errorf("decoding a record: %w", err)
	}
	d, err := w.Draft.draft()
	if err != nil {
		return Record{}, fmt.Errorf("decoding record %d: %w", w.Sequence, err)
	}
	r := Record{Sequence: w.Sequence, Index: w.Index, Time: w.Time, Prev: w.Prev, Hash: w.Hash, Draft: d}
	return r, same(data, r, AppendRecord)
}

// MarshalEvent returns the binary form of one event, for a command that carries
// it.
func MarshalEvent(e Event) ([]byte, error) {
	return appendEvent(make([]byte, 0, typicalDraft), e)
}

func appendEvent(dst []byte, e Event) ([]byte, error) {
	return appendForm(dst, &wireEvent{Kind: classOf(e).kind, Event: e})
}

// UnmarshalEvent reads what MarshalEvent wrote.
func UnmarshalEvent(data []byte) (Event, error) {
	var w rawEvent
	if err := decode(data, &w); err != nil {
		return nil, fmt.Errorf("decoding an event: %w", err)
	}
	e, err := decodeEvent(w.Kind, w.Event)
	if err != nil {
		return nil, fmt.Errorf("decoding an event: %w", err)
	}
	return e, same(data, e, appendEvent)
}

func wire(d Draft) wireDraft {
	return wireDraft{Kind: classOf(d.Event).kind, Origin: d.Origin, Event: d.Event}
}

func (w *rawDraft) draft() (Draft, error) {
	e, err := decodeEvent(w.Kind, w.Event)
	return Draft{Origin: w.Origin, Event: e}, err
}

func decodeEvent(k kind, body []byte) (Event, error) {
	c, ok := byKind[k]
	if !ok {
		return nil, fmt.Errorf("%w: event kind %d is unknown", ErrFormat, k)
	}
	return c.decode(body)
}

// decodeBody decodes an event of one type, for the registry.
func decodeBody[T Event](body []byte) (Event, error) {
	var e T
	if err := decoding.Unmarshal(body, &e); err != nil {
		return nil, fmt.Errorf("%w: %T: %w", ErrFormat, e, err)
	}
	return e, nil
}

// appendForm appends the version of the format and v. After an error it returns
// dst.
func appendForm(dst []byte, v any) ([]byte, error) {
	b := bytes.NewBuffer(dst)
	b.WriteByte(formatVersion)
	if err := encoding.MarshalToBuffer(v, b); err != nil {
		return dst, fmt.Errorf("encoding: %w", err)
	}
	return b.Bytes(), nil
}

func decode(data []byte, v any) error {
	if len(data) == 0 {
		return fmt.Errorf("%w: no bytes", ErrFormat)
	}
	if data[0] != formatVersion {
		return fmt.Errorf("%w: format %d", ErrFormat, data[0])
	}
	if err := decoding.Unmarshal(data[1:], v); err != nil {
		return fmt.Errorf("%w: %w", ErrFormat, err)
	}
	return nil
}

// same checks that the decoded bytes are the deterministic encoding.
func same[T any](data []byte, v T, encode func(dst []byte, v T) ([]byte, error)) error {
	s := scratches.Get().(*scratch)
	defer scratches.Put(s)
	again, err := encode(s.json[:0], v)
	if err != nil {
		return err
	}
	s.json = again
	if !bytes.Equal(data, again) {
		return fmt.Errorf("%w: not the deterministic encoding", ErrFormat)
	}
	return nil
}
