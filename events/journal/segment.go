package journal

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"os"
	"path/filepath"
	"strings"

	"keyfob/events"
)

// The layout, all numbers big-endian:
//
//	header   magic 8, number before the first record 8, hash there 32,
//	         length of the cluster's name 1, the name 63, zeros 12, CRC 4
//	frame    length 4, CRC of length and record 4, record
//	seal     zeros 4, offset of every stride-th record 4 each,
//	         last number 8, last hash 32, where the frames end 8,
//	         how many offsets 4, CRC of the seal 4, magic 8
const (
	headerSize  = 128
	frameSize   = 8
	sealSize    = 64 // without the offsets
	stride      = 256
	maxRecord   = 16 << 20 // more than any entry of the log
	maxName     = 63
	headerMagic = "keyfobJ1"
	sealMagic   = "keyfobE1"
	suffix      = ".journal"
	unfinished  = ".tmp" // of a file that is being made
)

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// file is what a segment needs of an *os.File.
type file interface {
	io.ReaderAt
	io.WriterAt
	io.Closer
	Stat() (os.FileInfo, error)
	Truncate(size int64) error
	Sync() error
}

func openFile(path string, flag int) (file, error) { return os.OpenFile(path, flag, 0o600) }

// segment is what is known of one file. A copy of it can be read from while
// the original grows.
type segment struct {
	path    string
	base    events.Chain // before its first record
	last    uint64
	head    events.Hash // at last
	end     int64       // where its frames end
	sealed  bool
	offsets []uint32 // of every stride-th record; in the file once sealed
}

// Damage is a file that does not hold what was once written to it.
type Damage struct {
	File     string
	Offset   int64
	Sequence uint64 // of the record that should have been there
	Err      error
}

func (d *Damage) Error() string {
	return fmt.Sprintf("%s is damaged at offset %d, record %d: %v", d.File, d.Offset, d.Sequence, d.Err)
}

func (d *Damage) Unwrap() error { return d.Err }

var (
	errShort = errors.New("the file ends too early")
	errSum   = errors.New("the checksum is wrong")
	errForm  = errors.New("the form is wrong")
)

func (s *segment) damage(offset int64, sequence uint64, err error) error {
	return &Damage{File: s.path, Offset: offset, Sequence: sequence, Err: err}
}

func segmentName(first uint64) string { return fmt.Sprintf("%020d%s", first, suffix) }

// segmentNames is the segments of a directory in order of number.
func segmentNames(dir string) ([]string, error) { return namesEnding(dir, suffix) }

// namesEnding lists a directory, in order of name.
func namesEnding(dir, end string) (names []string, err error) {
	entries, err := os.ReadDir(dir)
	for _, e := range entries {
		if strings.HasSuffix(e.Name(), end) {
			names = append(names, e.Name())
		}
	}
	return names, err
}

func encodeHeader(base events.Chain) ([]byte, error) {
	if len(base.Cluster) > maxName {
		return nil, fmt.Errorf("the cluster's name has %d bytes, at most %d are allowed", len(base.Cluster), maxName)
	}
	b := make([]byte, 0, headerSize)
	b = append(b, headerMagic...)
	b = binary.BigEndian.AppendUint64(b, base.Sequence)
	b = append(b, base.Head[:]...)
	b = append(b, byte(len(base.Cluster)))
	b = append(b, base.Cluster...)
	b = append(b, make([]byte, headerSize-4-len(b))...)
	return binary.BigEndian.AppendUint32(b, crc32.Checksum(b, castagnoli)), nil
}

// readHeader begins a segment.
func readHeader(path string, r io.ReaderAt) (*segment, error) {
	s := &segment{path: path, end: headerSize}
	b := make([]byte, headerSize)
	if _, err := r.ReadAt(b, 0); err != nil {
		if !errors.Is(err, io.EOF) {
			return nil, err
		}
		return nil, s.damage(0, 0, errShort)
	}
	body, name := b[:headerSize-4], b[49:49+maxName]
	if crc32.Checksum(body, castagnoli) != binary.BigEndian.Uint32(b[headerSize-4:]) {
		return nil, s.damage(0, 0, errSum)
	}
	if string(b[:8]) != headerMagic || b[48] > maxName {
		return nil, s.damage(0, 0, errForm)
	}
	s.base = events.Chain{
		Sequence: binary.BigEndian.Uint64(b[8:]),
		Head:     events.Hash(b[16:48]),
		Cluster:  string(name[:b[48]]),
	}
	if want := segmentName(s.base.Sequence + 1); filepath.Base(path) != want {
		return nil, s.damage(0, s.base.Sequence+1, fmt.Errorf("its name should be %s", want))
	}
	s.last, s.head = s.base.Sequence, s.base.Head
	return s, nil
}

// follows reports whether s may stand behind a segment: on the same chain, or
// behind a hole.
func (s *segment) follows(before *segment) error {
	last, head := uint64(0), events.Hash{}
	if before != nil {
		last, head = before.last, before.head
	}
	switch {
	case s.base.Sequence < last:
		return s.damage(0, s.base.Sequence+1, fmt.Errorf("%w: %s already goes up to record %d", errForm, before.path, last))
	case s.base.Sequence == last && s.base.Head != head:
		return s.damage(0, s.base.Sequence+1, events.ErrChain)
	}
	return nil
}

// encodeSeal is what ends a finished segment.
func (s *segment) encodeSeal() []byte {
	b := make([]byte, 4, 4+4*len(s.offsets)+sealSize)
	for _, o := range s.offsets {
		b = binary.BigEndian.AppendUint32(b, o)
	}
	b = binary.BigEndian.AppendUint64(b, s.last)
	b = append(b, s.head[:]...)
	b = binary.BigEndian.AppendUint64(b, uint64(s.end))
	b = binary.BigEndian.AppendUint32(b, uint32(len(s.offsets)))
	b = binary.BigEndian.AppendUint32(b, crc32.Checksum(b, castagnoli))
	return append(b, sealMagic...)
}

// readSealed reads both ends of a finished segment.
func readSealed(path string, f file) (*segment, error) {
	s, err := readHeader(path, f)
	if err != nil {
		return nil, err
	}
	info, err := f.Stat()
	if err != nil {
		return nil, err
	}
	return s, s.readSeal(f, info.Size())
}

// readSeal reads the seal that ends at size.
func (s *segment) readSeal(r io.ReaderAt, size int64) error {
	bad := func(err error) error {
		return s.damage(max(size-sealSize, 0), s.base.Sequence+1, fmt.Errorf("seal: %w", err))
	}
	b := make([]byte, sealSize)
	if size < headerSize+4+sealSize {
		return bad(errShort)
	}
	if _, err := r.ReadAt(b, size-sealSize); err != nil {
		return err
	}
	n := int64(binary.BigEndian.Uint32(b[48:]))
	end := int64(binary.BigEndian.Uint64(b[40:]))
	if string(b[56:]) != sealMagic || end < headerSize || end+4+4*n+sealSize != size {
		return bad(errForm)
	}
	whole := make([]byte, size-end)
	if _, err := r.ReadAt(whole, end); err != nil {
		return err
	}
	if crc32.Checksum(whole[:len(whole)-12], castagnoli) != binary.BigEndian.Uint32(b[52:]) {
		return bad(errSum)
	}
	last := binary.BigEndian.Uint64(b)
	if last < s.base.Sequence || (last-s.base.Sequence+stride-1)/stride != uint64(n) {
		return bad(errForm)
	}
	s.last, s.head, s.end, s.sealed = last, events.Hash(b[8:40]), end, true
	return nil
}
