// Package stream publishes the journal to NATS JetStream. It is the only
// package that imports NATS.
//
// # One stream, the same everywhere
//
// The stream sequence of a message is the sequence number of its record. Each
// message names the last sequence that the stream must have before it, so
// JetStream rejects every gap and every repeat, however late it comes and
// however many publishers there are. JetStream remembers message IDs only for
// a short time; they are there for consumers. When a Publisher starts, or a
// publish is rejected, it reads the end of the stream, compares the last message
// with the record of that number, and continues after it. A stream that was
// deleted or restored to an older state is therefore refilled from the journal.
//
// A stream that differs from the journal (ErrDiffers) is set aside and written anew
// if the server is embedded. On a site's own NATS it is not touched: publishing
// stops until an operator has looked.
//
// # Embedded or external
//
// By default each node feeds its own embedded Server from its own journal. A
// consumer can move to another node and continue at the same number. A site
// with its own NATS configures a URL; the leader then publishes there.
//
// A write error stops JetStream until its server is started anew. The embedded one
// is, as soon as its disk accepts writes.
//
// # Readers
//
// An embedded Server accepts only the readers that it was given with
// SetReaders. Reader credentials are signed with a key that exists once, at
// issue; the server keeps the public half. Each reader has an account of its own
// and sees its own consumers only (proxy). Removing its key from the list
// invalidates the credentials, closes their connections and deletes the consumers.
//
// # Identities
//
// No secret of NATS is stored or derived from another (authority): a copy of a
// node's disk contains nothing that logs in at a server.
//
// # Durability
//
// The embedded server syncs its files every ten seconds (syncInterval), not on
// each message. Its acknowledgement only tells the publisher what it need not
// send again: the journal is kept for ever, on the same disk. Waiting for the
// disk on each message would slow down logins, which wait for the same disk,
// and would add no safety. On an external server, set `sync_interval: always`
// and three replicas, so that messages already consumed are not lost.
package stream

import (
	"errors"
	"time"

	"keyfob/events"
)

// Name is the stream, Subjects the subjects it stores (events.Subject).
const (
	Name     = "KEYFOB_AUDIT"
	Subjects = "keyfob.audit.>"
)

const (
	syncInterval = 10 * time.Second
	contentType  = "application/cloudevents+json"
)

// ErrDiffers is returned when the stream is not a copy of the journal: it holds
// other messages, lacks some, or has another configuration.
var ErrDiffers = errors.New("the stream differs from the journal")

// Journal is the source of the records to publish.
type Journal interface {
	// Read returns up to limit records starting at from; none past the last one.
	Read(from uint64, limit int) ([]events.Record, error)
	// Last returns the number and the hash of the last record.
	Last() (uint64, events.Hash)
	// Cluster returns the cluster's name.
	Cluster() string
	// Whole reports whether no record is missing.
	Whole() bool
	// Changed returns a channel that is closed at the next change to any of these.
	Changed() <-chan struct{}
}
