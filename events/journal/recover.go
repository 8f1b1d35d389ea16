package journal

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"os"
	"path/filepath"

	"keyfob/events"
)

// recoverLast reads the whole of the last segment. What is broken behind the
// record numbered safe is a torn end: s.end is where it begins, torn its size.
func recoverLast(path string, f file, safe uint64) (s *segment, torn int64, err error) {
	if s, err = readHeader(path, f); err != nil {
		return nil, 0, err
	}
	info, err := f.Stat()
	if err != nil {
		return nil, 0, err
	}
	var record []byte // the last good one
	r := newFrames(f, headerSize, info.Size())
	for err == nil {
		var next []byte
		if next, err = r.next(); err != nil {
			break
		}
		if (s.last-s.base.Sequence)%stride == 0 {
			s.offsets = append(s.offsets, uint32(s.end))
		}
		s.last, s.end = s.last+1, r.at
		record = append(record[:0], next...)
	}
	torn = info.Size() - s.end
	if errors.Is(err, errSeal) {
		sealed := *s
		if sealed.readSeal(f, info.Size()) == nil && sealed.last == s.last && sealed.end == s.end {
			sealed.offsets = nil
			return &sealed, 0, nil
		}
	}
	switch {
	case err == io.EOF:
		torn = 0
	case !isBroken(err):
		return nil, 0, err
	case s.last < safe:
		return nil, 0, s.damage(s.end, s.last+1, err)
	}
	if record == nil {
		return s, torn, nil
	}
	last, err := events.DecodeRecord(record)
	if err == nil && last.Sequence != s.last {
		err = fmt.Errorf("%w: record %d stands where record %d should", errForm, last.Sequence, s.last)
	}
	if err != nil {
		return nil, 0, s.damage(s.end-int64(frameSize+len(record)), s.last, err)
	}
	s.head = last.Hash
	return s, torn, nil
}

// isBroken tells what the bytes say from what the disk says.
func isBroken(err error) bool {
	return errors.Is(err, errShort) || errors.Is(err, errSum) || errors.Is(err, errForm) || errors.Is(err, errSeal)
}

// mark is how far the journal was safe when Sync returned.
type mark struct {
	Sequence uint64
	Head     events.Hash
}

const (
	markName = "synced"
	markSize = 8 + 32 + 4
)

func readMark(dir string) (mark, error) {
	path := filepath.Join(dir, markName)
	b, err := os.ReadFile(path)
	if errors.Is(err, os.ErrNotExist) {
		return mark{}, nil
	}
	if err != nil {
		return mark{}, err
	}
	if len(b) != markSize || crc32.Checksum(b[:markSize-4], castagnoli) != binary.BigEndian.Uint32(b[markSize-4:]) {
		return mark{}, &Damage{File: path, Err: errSum}
	}
	return mark{binary.BigEndian.Uint64(b), events.Hash(b[8:40])}, nil
}

func (j *Journal) writeMark(m mark) error {
	b := binary.BigEndian.AppendUint64(nil, m.Sequence)
	b = append(b, m.Head[:]...)
	b = binary.BigEndian.AppendUint32(b, crc32.Checksum(b, castagnoli))
	f, err := j.create(markName, b)
	if err != nil {
		return err
	}
	return f.Close()
}

// create makes a file with its first bytes safe, under its name or not at all.
// It is left open.
func (j *Journal) create(name string, pieces ...[]byte) (file, error) {
	path := filepath.Join(j.dir, name)
	f, err := j.open(path+unfinished, os.O_RDWR|os.O_CREATE|os.O_TRUNC)
	if err != nil {
		return nil, err
	}
	_, err = f.WriteAt(bytes.Join(pieces, nil), 0)
	if err == nil {
		err = f.Sync()
	}
	if err == nil {
		err = os.Rename(path+unfinished, path)
	}
	if err == nil {
		err = syncDir(j.dir)
	}
	if err != nil {
		f.Close()
		return nil, errors.Join(err, ignoreMissing(os.Remove(path+unfinished)))
	}
	return f, nil
}

func ignoreMissing(err error) error {
	if errors.Is(err, os.ErrNotExist) {
		return nil
	}
	return err
}

// syncDir makes a directory's names safe.
func syncDir(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}
