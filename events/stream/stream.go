// Package stream carries the journal to its readers by NATS JetStream. It is
// the only package that knows NATS.
//
// # One stream, the same everywhere
//
// The sequence of the stream is the number of the record. A message is
// published with the sequence that the stream must have before it, so that
// JetStream itself refuses whatever would be a gap or a repeat, for any length
// of time, however many publishers there are; the message's id, which JetStream
// remembers for a while only, is for consumers. A Publisher that starts, or that
// was refused, looks at what the stream really holds, compares the last message
// with the record of that number, and goes on behind it. So a stream that was
// deleted, or put back to an older state, heals from the journal; and one that
// holds other messages than the journal is a fork, and is left alone.
//
// # Two ways
//
// By default each node feeds its own embedded Server from its own journal, and
// a consumer may move to another node and go on at the same number. A site with
// a NATS of its own gives its URL; then the node that leads publishes there.
//
// # What the disk is asked
//
// The embedded server writes its files through every ten seconds (syncInterval)
// and not with each message. What its acknowledgement is worth is how much the
// publisher might have to send again, and no more: the journal is kept for ever,
// and lies on the same disk. To wait for the disk at each message would make
// logins, which wait for the same disk, slower and the evidence no safer.
// A server elsewhere is another matter: there `sync_interval: always` and three
// replicas keep what a consumer has already seen.
package stream

import (
	"errors"
	"time"

	"keyfob/events"
)

// Name is the stream, Subjects what it takes in (events.Subject).
const (
	Name     = "KEYFOB_AUDIT"
	Subjects = "keyfob.audit.>"
)

const (
	syncInterval = 10 * time.Second
	contentType  = "application/cloudevents+json"
)

// ErrFork says that the stream and the journal do not tell the same story.
var ErrFork = errors.New("the stream holds other messages than the journal")

// Journal is what is published.
type Journal interface {
	// Read returns up to limit records from a number on, none behind the last.
	Read(from uint64, limit int) ([]events.Record, error)
	// Last is the number and the hash of the last record.
	Last() (uint64, events.Hash)
	// Cluster is the cluster's name.
	Cluster() string
	// Whole reports whether no record is missing.
	Whole() bool
	// Changed is closed when any of this changes.
	Changed() <-chan struct{}
}
