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

// recoverLast reads all frames of the last segment. Broken data after the synced
// record is an incomplete write: s.end is its offset, torn its size.
func recoverLast(path string, f file, synced uint64) (s *segment, torn int64, err error) {
	if s, err = readHeader(path, f); err != nil {
		return nil, 0, err
	}
	info, err := f.Stat()
	if err != nil {
		return nil, 0, err
	}
	var record []byte // the last intact one
	r := newFrames(f, headerSize, info.Size())
	for err == nil {
		var next []byte
		if next, err = r.next(); err != nil {
			break
		}
		s.added(r.at)
		record = append(record[:0], next...)
	}
	torn = info.Size() - s.end
	if errors.Is(err, errFooter) {
		sealed := *s
		if sealed.readFooter(f, info.Size()) == nil && sealed.last == s.last && sealed.end == s.end {
			sealed.offsets = nil
			return &sealed, 0, nil
		}
	}
	switch {
	case errors.Is(err, io.EOF):
		torn = 0
	case !isBroken(err):
		return nil, 0, err
	case s.last < synced:
		return nil, 0, s.damage(s.end, s.last+1, err)
	}
	if record == nil {
		return s, torn, nil
	}
	last, err := events.DecodeRecord(record)
	if err == nil && last.Sequence != s.last {
		err = fmt.Errorf("%w: found record %d, expected record %d", errForm, last.Sequence, s.last)
	}
	if err != nil {
		return nil, 0, s.damage(s.end-int64(frameSize+len(record)), s.last, err)
	}
	s.head = last.Hash
	return s, torn, nil
}

// isBroken distinguishes broken content from an I/O error.
func isBroken(err error) bool {
	return errors.Is(err, errShort) || errors.Is(err, errSum) || errors.Is(err, errForm) || errors.Is(err, errFooter)
}

// syncPoint is the last record that was durable when Sync returned.
type syncPoint struct {
	Sequence uint64
	Head     events.Hash
}

const (
	syncPointName = "synced"
	syncPointSize = 8 + 32 + 4
)

func readSyncPoint(dir string) (syncPoint, error) {
	path := filepath.Join(dir, syncPointName)
	b, err := os.ReadFile(path)
	if errors.Is(err, os.ErrNotExist) {
		return syncPoint{}, nil
	}
	if err != nil {
		return syncPoint{}, err
	}
	if len(b) != syncPointSize || crc32.Checksum(b[:syncPointSize-4], castagnoli) != binary.BigEndian.Uint32(b[syncPointSize-4:]) {
		return syncPoint{}, &Damage{File: path, Err: errSum}
	}
	return syncPoint{binary.BigEndian.Uint64(b), events.Hash(b[8:40])}, nil
}

func (j *Journal) writeSyncPoint(m syncPoint) error {
	b := binary.BigEndian.AppendUint64(nil, m.Sequence)
	b = append(b, m.Head[:]...)
	b = binary.BigEndian.AppendUint32(b, crc32.Checksum(b, castagnoli))
	f, err := j.create(syncPointName, b)
	if err != nil {
		return err
	}
	return f.Close()
}

// create creates a file with its first bytes durable, or no file at all. The file
// is returned open.
func (j *Journal) create(name string, pieces ...[]byte) (file, error) {
	path := filepath.Join(j.dir, name)
	f, err := j.open(path+tmpSuffix, os.O_RDWR|os.O_CREATE|os.O_TRUNC)
	if err != nil {
		return nil, err
	}
	_, err = f.WriteAt(bytes.Join(pieces, nil), 0)
	if err == nil {
		err = f.Sync()
	}
	if err == nil {
		err = os.Rename(path+tmpSuffix, path)
	}
	if err == nil {
		err = syncDir(j.dir)
	}
	if err != nil {
		f.Close()
		return nil, errors.Join(err, ignoreMissing(os.Remove(path+tmpSuffix)))
	}
	return f, nil
}

func ignoreMissing(err error) error {
	if errors.Is(err, os.ErrNotExist) {
		return nil
	}
	return err
}

// syncDir makes the entries of a directory durable.
func syncDir(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}
