package events

import (
	"bytes"
	"crypto/ed25519"
	"crypto/sha256"
	"errors"
	"fmt"
	"strconv"
	"sync"
)

// ErrChain is returned when a record does not link to the record before it.
var ErrChain = errors.New("the chain is broken")

// Chain is a position in the chain of records. The zero value is before the
// first record.
//
// The hash of a record is
//
//	SHA-256(hash of the record before, 32 bytes || canonical bytes)
//
// where the canonical bytes are the record's CloudEvents JSON without
// data.hash. A consumer of the stream needs only a JSON library and SHA-256
// (docs/PROTOCOL.md). What the JSON does not show, such as sealed secrets, is
// covered by data.body: the SHA-256 of origin and event in binary form.
type Chain struct {
	Cluster  string
	Sequence uint64
	Head     Hash
}

// Next turns a draft into the next record and advances. The first record of a
// cluster already carries its name.
func (c *Chain) Next(index uint64, at Time, d Draft) Record {
	r := Record{Sequence: c.Sequence + 1, Index: index, Time: at, Prev: c.Head, Draft: d}
	cluster := c.clusterOf(d.Event)
	r.Hash = hashOf(cluster, &r)
	*c = Chain{Cluster: cluster, Sequence: r.Sequence, Head: r.Hash}
	return r
}

// Verify checks that r is the next record. The error is ErrChain with the
// reason.
func (c Chain) Verify(r Record) error {
	switch {
	case r.Sequence != c.Sequence+1:
		return fmt.Errorf("%w: record %d follows record %d", ErrChain, r.Sequence, c.Sequence)
	case r.Prev != c.Head:
		return fmt.Errorf("%w: record %d names another predecessor", ErrChain, r.Sequence)
	case r.Hash != hashOf(c.clusterOf(r.Event), &r):
		return fmt.Errorf("%w: record %d has been changed", ErrChain, r.Sequence)
	}
	return nil
}

// Follow verifies r and advances.
func (c *Chain) Follow(r Record) error {
	if err := c.Verify(r); err != nil {
		return err
	}
	*c = Chain{Cluster: c.clusterOf(r.Event), Sequence: r.Sequence, Head: r.Hash}
	return nil
}

func (c Chain) clusterOf(e Event) string {
	if f, ok := e.(ClusterFounded); ok {
		return f.Cluster
	}
	return c.Cluster
}

// scratch is the working memory of one hash. Every node hashes every event.
type scratch struct {
	body bytes.Buffer
	json []byte
	data Data
}

var scratches = sync.Pool{New: func() any { return &scratch{json: make([]byte, 0, 2048)} }}

func hashOf(cluster string, r *Record) Hash {
	s := scratches.Get().(*scratch)
	defer scratches.Put(s)
	s.json = append(s.json[:0], r.Prev[:]...)
	s.json, _ = s.canonical(s.json, cluster, r)
	return sha256.Sum256(s.json)
}

// digest returns data.body, which covers what the JSON does not show.
func (s *scratch) digest(d Draft) Hash {
	s.body.Reset()
	if err := encoding.MarshalToBuffer(wire(d), &s.body); err != nil {
		panic(fmt.Sprintf("events: %T cannot be written down: %v", d.Event, err))
	}
	return sha256.Sum256(s.body.Bytes())
}

// CheckpointText returns the text that the signature of a checkpoint covers
// (docs/PROTOCOL.md).
func CheckpointText(cluster string, sequence uint64, head Hash) []byte {
	return []byte("keyfob checkpoint v1\n" + cluster + "\n" + strconv.FormatUint(sequence, 10) + "\n" + head.String() + "\n")
}

// Verify reports whether the signature is valid for the key that the checkpoint
// names. The reader must know whether that key is the cluster's.
func (e CheckpointSigned) Verify(cluster string) error {
	if len(e.Key) != ed25519.PublicKeySize {
		return fmt.Errorf("checkpoint at record %d: a key of %d bytes", e.Sequence, len(e.Key))
	}
	if !ed25519.Verify(e.Key, CheckpointText(cluster, e.Sequence, e.Head), e.Signature) {
		return fmt.Errorf("checkpoint at record %d: the signature is wrong", e.Sequence)
	}
	return nil
}
