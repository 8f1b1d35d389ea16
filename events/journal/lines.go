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
	"strconv"
	"strings"

	"keyfob/events"
)

// line is the part of a message that the check needs.
type line struct {
	ID, Source, Type string
	Data             struct {
		Sequence   uint64
		Prev, Hash string
		Details    struct {
			Checkpoint           uint64
			Head, Key, Signature string

			Version         uint8
			KeyBefore       string `json:"key_before"`
			SignatureBefore string `json:"signature_before"`
		}
	}
}

// lines checks JSON Lines as docs/PROTOCOL.md describes.
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
		return errors.New("not a message: hash or prev missing")
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
		return fmt.Errorf("found record %s, expected record %d", l.ID, next.Sequence)
	case prev != v.chain.Head:
		return fmt.Errorf("%w: record %d does not follow the record before it", events.ErrChain, next.Sequence)
	case sha256.Sum256(append(prev[:], canonical...)) != head:
		return fmt.Errorf("%w: record %d was modified", events.ErrChain, next.Sequence)
	}
	v.chain.Cluster = next.Cluster
	switch l.Type {
	case "keyfob.integrity.checkpoint.v1":
		err = v.lineCheckpoint(l)
	case "keyfob.cluster.root_key_rotated.v1":
		err = v.lineNewKey(l)
	}
	if err != nil {
		return err
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
		return errors.New("checkpoint without head, key or signature")
	}
	return v.checkpoint(c)
}

func (v *verifier) lineNewKey(l line) error {
	d := l.Data.Details
	e := events.RootKeyRotated{Version: d.Version}
	var errs [4]error
	e.CheckpointKeyBefore, errs[0] = hex.DecodeString(d.KeyBefore)
	e.CheckpointKey, errs[1] = hex.DecodeString(d.Key)
	e.SignatureBefore, errs[2] = hex.DecodeString(d.SignatureBefore)
	e.Signature, errs[3] = hex.DecodeString(d.Signature)
	if err := errors.Join(errs[:]...); err != nil {
		return fmt.Errorf("change of the checkpoint key: %w", err)
	}
	return v.newKey(e)
}

// canonicalLine returns the canonical form of a message, without its hash.
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
