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

// The file layout; all numbers are big-endian:
//
//	header   magic 8, number before the first record 8, hash there 32,
//	         length of the cluster's name 1, the name 63, zeros 12, CRC 4
//	frame    length 4, CRC of length and record 4, record
//	footer   zeros 4, offset of every indexInterval-th record 4 each,
//	         last number 8, last hash 32, end of the frames 8,
//	         number of offsets 4, CRC of the footer 4, magic 8
const (
	headerSize    = 128
	frameSize     = 8
	footerSize    = 64 // without the offsets
	indexInterval = 256
	maxRecord     = 16 << 20 // more than any log entry
	maxName       = 63
	headerMagic   = "keyfobJ1"
	footerMagic   = "keyfobE1"
	suffix        = ".journal"
	tmpSuffix     = ".tmp" // of a file being written
)

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// file is the part of *os.File that segments use.
type file interface {
	io.ReaderAt
	io.WriterAt
	io.Closer
	Stat() (os.FileInfo, error)
	Truncate(size int64) error
	Sync() error
}

func openFile(path string, flag int) (file, error) { return os.OpenFile(path, flag, 0o600) }

// segment describes one segment file. A copy can be read from while the original
// grows.
type segment struct {
	path    string
	base    events.Chain // the chain before its first record
	last    uint64
	head    events.Hash // hash of the last record
	end     int64       // end of its frames
	sealed  bool
	offsets []uint32 // of every indexInterval-th record; once sealed, only in the file
}

func newSegment(path string, base events.Chain) *segment {
	return &segment{path: path, base: base, last: base.Sequence, head: base.Head, end: headerSize}
}

// added counts one more record, whose frame ends at end. The caller sets head.
func (s *segment) added(end int64) {
	if (s.last-s.base.Sequence)%indexInterval == 0 {
		s.offsets = append(s.offsets, uint32(s.end))
	}
	s.last, s.end = s.last+1, end
}

// Damage is the error for a file whose content is not what was written.
type Damage struct {
	File     string
	Offset   int64
	Sequence uint64 // of the record expected there
	Err      error
}

func (d *Damage) Error() string {
	return fmt.Sprintf("%s is damaged at offset %d, record %d: %v", d.File, d.Offset, d.Sequence, d.Err)
}

func (d *Damage) Unwrap() error { return d.Err }

var (
	errShort = errors.New("unexpected end of file")
	errSum   = errors.New("checksum mismatch")
	errForm  = errors.New("invalid format")
)

func (s *segment) damage(offset int64, sequence uint64, err error) error {
	return &Damage{File: s.path, Offset: offset, Sequence: sequence, Err: err}
}

func segmentName(first uint64) string { return fmt.Sprintf("%020d%s", first, suffix) }

// segmentNames lists the segments of a directory by number.
func segmentNames(dir string) ([]string, error) { return namesEnding(dir, suffix) }

// namesEnding lists the files of a directory with a suffix, by name.
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
		return nil, fmt.Errorf("the cluster's name has %d bytes; the maximum is %d", len(base.Cluster), maxName)
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

// readHeader reads the header of a segment.
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
		return nil, s.damage(0, s.base.Sequence+1, fmt.Errorf("the file name should be %s", want))
	}
	s.last, s.head = s.base.Sequence, s.base.Head
	return s, nil
}

// follows checks that s can follow a segment: on the same chain, or after a gap.
func (s *segment) follows(before *segment) error {
	last, head := uint64(0), events.Hash{}
	if before != nil {
		last, head = before.last, before.head
	}
	switch {
	case s.base.Sequence < last:
		return s.damage(0, s.base.Sequence+1, fmt.Errorf("%w: %s already contains records up to %d", errForm, before.path, last))
	case s.base.Sequence == last && s.base.Head != head:
		return s.damage(0, s.base.Sequence+1, events.ErrChain)
	}
	return nil
}

// encodeFooter returns the footer of a segment.
func (s *segment) encodeFooter() []byte {
	b := make([]byte, 4, 4+4*len(s.offsets)+footerSize)
	for _, o := range s.offsets {
		b = binary.BigEndian.AppendUint32(b, o)
	}
	b = binary.BigEndian.AppendUint64(b, s.last)
	b = append(b, s.head[:]...)
	b = binary.BigEndian.AppendUint64(b, uint64(s.end))
	b = binary.BigEndian.AppendUint32(b, uint32(len(s.offsets)))
	b = binary.BigEndian.AppendUint32(b, crc32.Checksum(b, castagnoli))
	return append(b, footerMagic...)
}

// readSealed reads the header and footer of a sealed segment.
func readSealed(path string, f file) (*segment, error) {
	s, err := readHeader(path, f)
	if err != nil {
		return nil, err
	}
	info, err := f.Stat()
	if err != nil {
		return nil, err
	}
	return s, s.readFooter(f, info.Size())
}

// readFooter reads the footer of a file of the given size.
func (s *segment) readFooter(r io.ReaderAt, size int64) error {
	bad := func(err error) error {
		return s.damage(max(size-footerSize, 0), s.base.Sequence+1, fmt.Errorf("footer: %w", err))
	}
	b := make([]byte, footerSize)
	if size < headerSize+4+footerSize {
		return bad(errShort)
	}
	if _, err := r.ReadAt(b, size-footerSize); err != nil {
		return err
	}
	n := int64(binary.BigEndian.Uint32(b[48:]))
	end := int64(binary.BigEndian.Uint64(b[40:]))
	if string(b[56:]) != footerMagic || end < headerSize || end+4+4*n+footerSize != size {
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
	if last < s.base.Sequence || (last-s.base.Sequence+indexInterval-1)/indexInterval != uint64(n) {
		return bad(errForm)
	}
	s.last, s.head, s.end, s.sealed = last, events.Hash(b[8:40]), end, true
	return nil
}
