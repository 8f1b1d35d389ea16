package journal

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"

	"keyfob/events"
)

// Report is the result of Verify.
type Report struct {
	Cluster     string
	First, Last uint64      // the range of valid records
	Head        events.Hash // hash of Last
	Checkpoints int         // checkpoints found, all with valid signatures
	FirstKey    []byte      // key that signed the first of them; the caller decides whether it is the cluster's
	Key         []byte      // key that signed the last; each change in between is signed by the key before
	Unfinished  int64       // bytes of an incomplete write at the end
	Broken      uint64      // first broken record, 0 if there is none
	Problem     string      // what is wrong with it
}

// Verify checks the directory of a journal, a single segment, or a file of JSON
// Lines in the format of the audit stream. A directory must start at record 1. A
// file may start anywhere; the hash before its first record is then taken as
// given. progress, if not nil, is called for every record. An error means that
// the check could not be performed.
func Verify(path string, progress func(sequence uint64)) (Report, error) {
	v := &verifier{progress: progress}
	err := v.path(path)
	var damage *Damage
	if errors.As(err, &damage) {
		v.broken(damage.Sequence, damage)
		err = nil
	}
	if err == nil && v.report.Last == 0 && v.report.Broken == 0 {
		err = errors.New("no records found")
	}
	if err != nil {
		return Report{}, fmt.Errorf("verifying %s: %w", path, err)
	}
	return v.report, nil
}

// verifier follows a chain and stops at the first broken record.
type verifier struct {
	report   Report
	progress func(uint64)
	anywhere bool // a single file, which need not start at record 1
	chain    events.Chain
	recent   [4096]events.Hash // hashes by number, to check checkpoints
}

func (v *verifier) path(path string) error {
	info, err := os.Stat(path)
	if err != nil {
		return err
	}
	if info.IsDir() {
		return v.directory(path)
	}
	f, err := os.Open(path)
	if err != nil {
		return err
	}
	defer f.Close()
	magic := make([]byte, len(headerMagic))
	if _, err := f.ReadAt(magic, 0); err != nil && err != io.EOF {
		return err
	}
	switch {
	case string(magic) == headerMagic:
		v.anywhere = true
		return v.segment(f, path, true)
	case magic[0] == '{':
		return v.lines(f)
	}
	return errors.New("neither a journal segment nor JSON Lines")
}

func (v *verifier) directory(dir string) error {
	names, err := segmentNames(dir)
	if err != nil {
		return err
	}
	for i, name := range names {
		path := filepath.Join(dir, name)
		f, err := os.Open(path)
		if err != nil {
			return err
		}
		err = v.segment(f, path, i == len(names)-1)
		f.Close()
		if err != nil || v.report.Broken != 0 {
			return err
		}
	}
	return nil
}

// segment checks one segment. last allows an incomplete write at its end.
func (v *verifier) segment(f file, path string, last bool) error {
	s, err := readHeader(path, f)
	var damage *Damage
	if errors.As(err, &damage) {
		damage.Sequence = v.chain.Sequence + 1
	}
	if err != nil {
		return err
	}
	if v.anywhere {
		v.chain = s.base
	}
	if v.chain == (events.Chain{}) {
		v.chain.Cluster = s.base.Cluster
	}
	if s.base.Sequence > v.chain.Sequence {
		v.broken(v.chain.Sequence+1, fmt.Errorf("records %d to %d are missing", v.chain.Sequence+1, s.base.Sequence))
		return nil
	}
	if s.base != v.chain {
		return s.damage(0, s.base.Sequence+1, events.ErrChain)
	}
	return v.frames(f, s, last)
}

func (v *verifier) frames(f file, s *segment, last bool) error {
	info, err := f.Stat()
	if err != nil {
		return err
	}
	size := info.Size()
	for r := newFrames(f, headerSize, size); ; {
		at := r.at
		b, err := r.next()
		switch {
		case errors.Is(err, errFooter):
			sealed := *s
			if err := sealed.readFooter(f, size); err != nil {
				return s.damage(at, v.chain.Sequence+1, err)
			}
			if sealed.last != v.chain.Sequence || sealed.head != v.chain.Head || sealed.end != at {
				return s.damage(at, v.chain.Sequence+1, fmt.Errorf("footer: %w", errForm))
			}
			return nil
		case last && (errors.Is(err, io.EOF) || errors.Is(err, errShort)):
			v.report.Unfinished = size - at
			return nil
		case errors.Is(err, io.EOF):
			return s.damage(at, v.chain.Sequence+1, errShort)
		case isBroken(err):
			return s.damage(at, v.chain.Sequence+1, err)
		case err != nil:
			return err
		}
		record, err := events.DecodeRecord(b)
		if err == nil {
			err = v.record(record)
		}
		if err != nil {
			return s.damage(at, v.chain.Sequence+1, err)
		}
	}
}

func (v *verifier) record(r events.Record) error {
	next := v.chain
	if err := next.Follow(r); err != nil {
		return err
	}
	var err error
	switch e := r.Event.(type) {
	case events.CheckpointSigned:
		err = v.checkpoint(e)
	case events.RootKeyRotated:
		err = v.newKey(e)
	default:
	}
	if err != nil {
		return err
	}
	v.moved(next)
	return nil
}

// newKey follows a change of the key that signs checkpoints.
func (v *verifier) newKey(e events.RootKeyRotated) error {
	if err := e.Verify(v.chain.Cluster); err != nil {
		return err
	}
	if err := v.signedBy(e.CheckpointKeyBefore); err != nil {
		return err
	}
	v.report.Key = bytes.Clone(e.CheckpointKey)
	return nil
}

// signedBy checks that a key is the one that signs.
func (v *verifier) signedBy(key []byte) error {
	if v.report.Key == nil {
		v.report.FirstKey, v.report.Key = bytes.Clone(key), bytes.Clone(key)
	}
	if !bytes.Equal(v.report.Key, key) {
		return fmt.Errorf("signed with key %x, but the key is %x and no record changes it", key, v.report.Key)
	}
	return nil
}

// moved records the new end of the chain.
func (v *verifier) moved(to events.Chain) {
	v.chain = to
	v.recent[to.Sequence%uint64(len(v.recent))] = to.Head
	if v.report.First == 0 {
		v.report.First = to.Sequence
	}
	v.report.Cluster, v.report.Last, v.report.Head = to.Cluster, to.Sequence, to.Head
	if v.progress != nil {
		v.progress(to.Sequence)
	}
}

// checkpoint checks a signature, and the signed head if that record is recent
// enough.
func (v *verifier) checkpoint(c events.CheckpointSigned) error {
	if err := c.Verify(v.chain.Cluster); err != nil {
		return err
	}
	n := uint64(len(v.recent))
	held := v.report.First > 0 && c.Sequence >= v.report.First && c.Sequence <= v.chain.Sequence && c.Sequence+n > v.chain.Sequence
	if c.Sequence > v.chain.Sequence || held && v.recent[c.Sequence%n] != c.Head {
		return fmt.Errorf("the checkpoint for record %d has a different head", c.Sequence)
	}
	v.report.Checkpoints++
	return v.signedBy(c.Key)
}

func (v *verifier) broken(sequence uint64, err error) {
	v.report.Broken, v.report.Problem = sequence, err.Error()
}
