package journal

import (
	"bufio"
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"keyfob/events"
)

// Report is what a check of a chain came to.
type Report struct {
	Cluster     string
	First, Last uint64      // the records that are good and follow each other
	Head        events.Hash // at Last
	Checkpoints int         // that were met, each with a good signature
	Key         []byte      // that signed them; whether it is the cluster's is for the reader to know
	Unfinished  int64       // bytes of a write that was under way or cut short at the very end
	Broken      uint64      // the first record that is not as it was, 0 when all is whole
	Problem     string      // what is wrong with it
}

// Verify checks a journal's directory, one of its segments, or a file of JSON
// Lines as Export writes them. A directory must begin with record 1; a file may
// begin anywhere, and its first record is believed as to what came before it.
// progress, when not nil, is told of every record. The error says that nothing
// could be found out.
func Verify(path string, progress func(sequence uint64)) (Report, error) {
	v := &verifier{progress: progress}
	err := v.path(path)
	var damage *Damage
	if errors.As(err, &damage) {
		v.broken(damage.Sequence, damage)
		err = nil
	}
	if err == nil && v.report.Last == 0 && v.report.Broken == 0 {
		err = errors.New("no records in it")
	}
	if err != nil {
		return Report{}, fmt.Errorf("verifying %s: %w", path, err)
	}
	return v.report, nil
}

// verifier walks along a chain. What it finds broken it reports, and stops.
type verifier struct {
	report   Report
	progress func(uint64)
	anywhere bool // a file by itself: it need not begin with record 1
	chain    events.Chain
	recent   [4096]events.Hash // by number, to hold checkpoints against
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
	return errors.New("neither a segment of a journal nor JSON Lines")
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

// segment checks one segment, the last of its directory perhaps.
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
		case errors.Is(err, errSeal):
			sealed := *s
			if err := sealed.readSeal(f, size); err != nil {
				return s.damage(at, v.chain.Sequence+1, err)
			}
			if sealed.last != v.chain.Sequence || sealed.head != v.chain.Head || sealed.end != at {
				return s.damage(at, v.chain.Sequence+1, fmt.Errorf("seal: %w", errForm))
			}
			return nil
		case last && (err == io.EOF || errors.Is(err, errShort)):
			v.report.Unfinished = size - at
			return nil
		case err == io.EOF:
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
	c, ok := r.Event.(events.CheckpointSigned)
	if ok {
		if err := v.checkpoint(c); err != nil {
			return err
		}
	}
	v.moved(next)
	return nil
}

// moved takes note of where the chain stands now.
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

// checkpoint checks a signature, and the head that was signed where it is
// still at hand.
func (v *verifier) checkpoint(c events.CheckpointSigned) error {
	if err := c.Verify(v.chain.Cluster); err != nil {
		return err
	}
	n := uint64(len(v.recent))
	held := v.report.First > 0 && c.Sequence >= v.report.First && c.Sequence <= v.chain.Sequence && c.Sequence+n > v.chain.Sequence
	if c.Sequence > v.chain.Sequence || held && v.recent[c.Sequence%n] != c.Head {
		return fmt.Errorf("the checkpoint of record %d names another head", c.Sequence)
	}
	v.report.Checkpoints++
	v.report.Key = bytes.Clone(c.Key)
	return nil
}

func (v *verifier) broken(sequence uint64, err error) {
	v.report.Broken, v.report.Problem = sequence, err.Error()
}

// line is what the check needs of a message.
type line struct {
	ID, Source, Type string
	Data             struct {
		Sequence   uint64
		Prev, Hash string
		Details    struct {
			Checkpoint           uint64
			Head, Key, Signature string
		}
	}
}

// lines follows the recipe of docs/PROTOCOL.md.
func (v *verifier) lines(f io.Reader) error {
	scanner := bufio.NewScanner(f)
	scanner.Buffer(nil, 1<<20)
	for scanner.Scan() {
		if err := v.line(scanner.Bytes()); err != nil {
			v.broken(v.chain.Sequence+1, err)
			return nil
		}
	}
	if errors.Is(scanner.Err(), bufio.ErrTooLong) {
		v.broken(v.chain.Sequence+1, scanner.Err())
		return nil
	}
	return scanner.Err()
}

func (v *verifier) line(text []byte) error {
	var l line
	if err := json.Unmarshal(text, &l); err != nil {
		return fmt.Errorf("not a message: %w", err)
	}
	var head, prev events.Hash
	if !unhex(prev[:], l.Data.Prev) || !unhex(head[:], l.Data.Hash) {
		return errors.New("not a message: no hash")
	}
	if v.report.First == 0 && l.Data.Sequence > 1 {
		v.chain = events.Chain{Sequence: l.Data.Sequence - 1, Head: prev}
	}
	canonical, err := canonicalLine(text)
	if err != nil {
		return err
	}
	next := events.Chain{Cluster: strings.TrimPrefix(l.Source, "/keyfob/"), Sequence: v.chain.Sequence + 1, Head: head}
	switch {
	case l.Data.Sequence > next.Sequence:
		return fmt.Errorf("records %d to %d are missing", next.Sequence, l.Data.Sequence-1)
	case l.Data.Sequence != next.Sequence || l.ID != strconv.FormatUint(next.Sequence, 10):
		return fmt.Errorf("record %s stands where record %d should", l.ID, next.Sequence)
	case prev != v.chain.Head:
		return fmt.Errorf("%w: record %d names another predecessor", events.ErrChain, next.Sequence)
	case sha256.Sum256(append(prev[:], canonical...)) != head:
		return fmt.Errorf("%w: record %d has been changed", events.ErrChain, next.Sequence)
	}
	if l.Type == "keyfob.integrity.checkpoint.v1" {
		v.chain.Cluster = next.Cluster
		if err := v.lineCheckpoint(l); err != nil {
			return err
		}
	}
	v.moved(next)
	return nil
}

func (v *verifier) lineCheckpoint(l line) error {
	d := l.Data.Details
	c := events.CheckpointSigned{Sequence: d.Checkpoint}
	var keyErr, signErr error
	c.Key, keyErr = hex.DecodeString(d.Key)
	c.Signature, signErr = hex.DecodeString(d.Signature)
	if keyErr != nil || signErr != nil || !unhex(c.Head[:], d.Head) {
		return errors.New("a checkpoint without head, key or signature")
	}
	return v.checkpoint(c)
}

// canonicalLine is a message without its hash, as it was hashed.
func canonicalLine(text []byte) ([]byte, error) {
	decoder := json.NewDecoder(bytes.NewReader(text))
	decoder.UseNumber()
	var message map[string]any
	if err := decoder.Decode(&message); err != nil {
		return nil, fmt.Errorf("not a message: %w", err)
	}
	data, ok := message["data"].(map[string]any)
	if !ok {
		return nil, errors.New("not a message: no data")
	}
	delete(data, "hash")
	var b bytes.Buffer
	encoder := json.NewEncoder(&b)
	encoder.SetEscapeHTML(false)
	if err := encoder.Encode(message); err != nil {
		return nil, err
	}
	return bytes.TrimSuffix(b.Bytes(), []byte("\n")), nil
}

func unhex(into []byte, text string) bool {
	if len(text) != 2*len(into) {
		return false
	}
	_, err := hex.Decode(into, []byte(text))
	return err == nil
}
