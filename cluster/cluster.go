// Package cluster is this node: it checks here, asks the leader, commits, and
// only then answers.
//
// # The life of a login
//
// A door hands an engine.Attempt to any node. The node runs engine.Check with
// its own keys on its own copy of the state (login.go), which leaves evidence
// without a secret in it, and sends the evidence to the leader (forward.go).
// The leader gathers what arrived while the last batch was being committed,
// decides each in order on a scratch copy of the state, and proposes the events
// of all as one entry of the log (batch.go). When the entry is applied, and not
// before, the answers go out. No commit, no accept.
//
// # What may go wrong
//
// A reject is an outcome. Whatever keeps the cluster from deciding (no leader,
// a commit whose fate is unknown, a clock that is not to be trusted) is an
// error that wraps engine.ErrUndecided or engine.ErrBusy. A request has its id
// before it is first sent, the same at each retry and each leader, and the
// state remembers what was answered; so a retry after an unknown outcome gets
// the answer that was decided, and spends nothing twice.
//
// # One batch at a time
//
// Since only one batch is under way, the applied state is always what the next
// is decided on: there is no overlay of things decided and not yet committed
// that could be wrong. If the fate of a batch is unknown, the next one waits
// until it is known. The sequence check in fsm is the fence across a change of
// leader.
//
// # What else a node does
//
// Nodes feel each other's pulse (pulse.go): clock, place in the log, version,
// digest of the state. From that come readiness, the clock's soundness
// (package clock), lost and returned nodes, promotion of newcomers (members.go) and
// the discovery of a replica that has gone astray. The leader signs a
// checkpoint of the chain every minute (duty.go). A node whose journal has a
// hole, because it was restored from a snapshot, fills it from the others
// (fill.go).
//
// The data directory (identity.go) holds nothing in the clear but the key
// file, where that is the seal provider.
package cluster

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"path/filepath"
	"regexp"
	"time"

	"keyfob/cluster/vault"
	"keyfob/engine"
)

// Config is how a node is made.
type Config struct {
	Node      string // this node's name, unique in the cluster
	Site      string // where it stands; part of the subjects of the audit stream
	Data      string // directory of everything it keeps
	Listen    string // host:port where the other nodes connect
	Advertise string // host:port that they are told; empty: Listen
	Version   string // of the program, shown in Status

	// Seal wraps the root key. Nil is a key file in Data, which Found and Join
	// make: it protects backups of everything else, not a stolen disk.
	Seal  vault.Provider
	Vault vault.Config

	Heartbeat     time.Duration // silence of the leader after which a follower calls an election, default 2s
	Lease         time.Duration // silence of the majority after which a leader steps down, default 1s
	Pulse         time.Duration // how often nodes exchange clocks and places, default 1s
	ClockLimit    time.Duration // how far clocks may differ, default 2s
	LostAfter     time.Duration // silence after which a node is lost, default 5s
	Patience      time.Duration // how long a request may wait for an answer, default 5s
	CommitTimeout time.Duration // after which a commit's outcome is unknown to the caller, default 4s
	Linger        time.Duration // how long a batch may wait to grow; 0 switches it off, default 200µs

	Queue           int           // commands that may wait on the leader, default 4096
	Refusals        int           // refused attempts held back at once, default 16384
	SnapshotBytes   uint64        // log bytes applied between snapshots, default 64 MiB
	TrailingLogs    uint64        // log entries kept behind a snapshot, default 2048
	CheckpointEvery time.Duration // default 1m
	CheckpointAfter uint64        // records, default 1000
	SampleEvery     time.Duration // how often guesses at unknown users are written down, default 10s

	Now func() time.Time
	Log *slog.Logger

	// Dial opens connections to other nodes; nil is TCP. Tests cut the network
	// here.
	Dial func(ctx context.Context, network, addr string) (net.Conn, error)
	// Observe is told of each committed batch: its events, and how long the
	// commit took. It must not block. Nil is allowed.
	Observe func(events int, took time.Duration)
	// CommonPINs may not be chosen; nil: the built-in list. It is looked at by
	// the node that is asked, so all nodes should have the same.
	CommonPINs engine.PINList
	// Deliver sends a tokencode to its user. It must not block. Nil: this node
	// sends none. Sends reports whether there is a way to an address; nil: to all.
	Deliver func(engine.Delivery)
	Sends   func(address engine.Secret) bool
}

// DefaultConfig is the configuration that works; Node, Data, Listen and Log
// have still to be said.
func DefaultConfig() Config {
	return Config{
		Site:            "hq",
		Vault:           vault.DefaultConfig(),
		Heartbeat:       2 * time.Second,
		Lease:           time.Second,
		Pulse:           time.Second,
		ClockLimit:      2 * time.Second,
		LostAfter:       5 * time.Second,
		Patience:        5 * time.Second,
		CommitTimeout:   4 * time.Second,
		Linger:          200 * time.Microsecond,
		Queue:           4096,
		Refusals:        16384,
		SnapshotBytes:   64 << 20,
		TrailingLogs:    2048,
		CheckpointEvery: time.Minute,
		CheckpointAfter: 1000,
		SampleEvery:     10 * time.Second,
		Now:             time.Now,
	}
}

// Names become part of node ids, which stand in certificates and URLs.
var nameForm = regexp.MustCompile(`^[A-Za-z0-9]([A-Za-z0-9._-]{0,51}[A-Za-z0-9])?$`)

// Validate reports all that is wrong with c.
func (c Config) Validate() error {
	var errs []error
	want := func(ok bool, format string, args ...any) {
		if !ok {
			errs = append(errs, fmt.Errorf(format, args...))
		}
	}
	want(nameForm.MatchString(c.Node), "node name %q: want 1 to 53 letters, digits, and inner dots, hyphens and underscores", c.Node)
	want(c.Data != "", "no data directory")
	_, _, err := net.SplitHostPort(c.Listen)
	want(err == nil, "cluster address %q: want host:port", c.Listen)
	host, port, err := net.SplitHostPort(c.advertise())
	want(err == nil && host != "" && port != "0" && !net.ParseIP(host).IsUnspecified(),
		"advertised address %q: want a host:port that other nodes can dial", c.advertise())
	want(c.Now != nil, "no clock")
	want(c.Log != nil, "no logger")
	for name, d := range map[string]time.Duration{
		"heartbeat": c.Heartbeat, "lease": c.Lease, "pulse": c.Pulse, "clock limit": c.ClockLimit,
		"lost after": c.LostAfter, "patience": c.Patience, "commit timeout": c.CommitTimeout,
		"checkpoint every": c.CheckpointEvery, "sample every": c.SampleEvery,
	} {
		want(d > 0, "%s must be more than 0, it is %v", name, d)
	}
	want(c.Lease <= c.Heartbeat, "lease %v is longer than heartbeat %v", c.Lease, c.Heartbeat)
	want(c.Linger >= 0 && c.Linger <= 50*time.Millisecond, "linger %v: want 0 to 50ms", c.Linger)
	want(c.Queue > 0 && c.Refusals > 0, "queue and refusals must be at least 1")
	want(c.SnapshotBytes > 0 && c.TrailingLogs > 0 && c.CheckpointAfter > 0,
		"snapshot bytes, trailing logs and checkpoint after must be at least 1")
	return errors.Join(append(errs, c.Vault.Validate())...)
}

func (c Config) advertise() string {
	if c.Advertise != "" {
		return c.Advertise
	}
	return c.Listen
}

func (c Config) file(name string) string { return filepath.Join(c.Data, name) }

// provider is what wraps the root key.
func (c Config) provider() vault.Provider {
	if c.Seal != nil {
		return c.Seal
	}
	return vault.NewKeyFile(c.file(fileSeal))
}
