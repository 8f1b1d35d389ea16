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

// Config configures a node.
type Config struct {
	Node      string // name of this node, unique in the cluster
	Site      string // its site; part of the subjects of the audit stream
	Data      string // directory of everything the node stores
	Listen    string // host:port for connections from other nodes
	Advertise string // host:port that other nodes dial; default: Listen
	Version   string // of the program, shown in Status

	// Seal wraps the root key. Nil means a key file in Data, which Bootstrap and
	// Join create. A key file protects backups of everything else, but not a
	// stolen disk.
	Seal  vault.Provider
	Vault vault.Config

	ElectionTimeout   time.Duration // silence of the leader before a follower calls an election, default 2s
	LeaderLease       time.Duration // silence of the majority before a leader steps down, default 1s
	HeartbeatInterval time.Duration // between exchanges of clocks and log positions, default 1s
	ClockLimit        time.Duration // how far clocks may differ, default 2s
	LostAfter         time.Duration // silence before a node counts as lost, default 5s
	RequestTimeout    time.Duration // how long a request may wait for its answer, default 5s
	CommitTimeout     time.Duration // before the outcome of a commit is reported as unknown, default 4s
	BatchWait         time.Duration // how long a batch may wait for more commands; 0 disables it, default 200µs

	Queue           int           // commands that may wait on the leader, default 4096
	HeldRefusals    int           // refusals held at once, default 16384
	SnapshotBytes   uint64        // log bytes applied between snapshots, default 64 MiB
	TrailingLogs    uint64        // log entries kept behind a snapshot, default 2048
	CheckpointEvery time.Duration // longest time between signed checkpoints, default 1m
	CheckpointAfter uint64        // most records between signed checkpoints, default 1000
	SampleEvery     time.Duration // between records of sampled refusals, default 10s

	Now func() time.Time
	Log *slog.Logger

	// Dial opens connections to other nodes. Nil means TCP. Tests cut the
	// network here.
	Dial func(ctx context.Context, network, addr string) (net.Conn, error)
	// Observe is called for each committed batch with the number of its events
	// and the time of the commit. It must not block. It may be nil.
	Observe func(events int, took time.Duration)
	// CommonPINs may not be chosen. Nil means the built-in list. The receiving
	// node checks it, so all nodes should have the same.
	CommonPINs engine.PINList
	// Deliver sends a tokencode to its user. It must not block. Nil means that
	// this node sends none. Sends reports whether an address can be reached; nil
	// means that all can.
	Deliver func(engine.Delivery)
	Sends   func(address engine.Secret) bool
}

// DefaultConfig returns the default configuration. Set Node, Data, Listen and
// Log.
func DefaultConfig() Config {
	return Config{
		Site:              "hq",
		Vault:             vault.DefaultConfig(),
		ElectionTimeout:   2 * time.Second,
		LeaderLease:       time.Second,
		HeartbeatInterval: time.Second,
		ClockLimit:        2 * time.Second,
		LostAfter:         5 * time.Second,
		RequestTimeout:    5 * time.Second,
		CommitTimeout:     4 * time.Second,
		BatchWait:         200 * time.Microsecond,
		Queue:             4096,
		HeldRefusals:      16384,
		SnapshotBytes:     64 << 20,
		TrailingLogs:      2048,
		CheckpointEvery:   time.Minute,
		CheckpointAfter:   1000,
		SampleEvery:       10 * time.Second,
		Now:               time.Now,
	}
}

// nodeName is the form of node names, which become part of node ids in
// certificates and URLs.
var nodeName = regexp.MustCompile(`^[A-Za-z0-9]([A-Za-z0-9._-]{0,51}[A-Za-z0-9])?$`)

// CheckNodeName returns an error if a node cannot have this name.
func CheckNodeName(name string) error {
	if nodeName.MatchString(name) {
		return nil
	}
	return fmt.Errorf("node name %q: want 1 to 53 letters, digits, and inner dots, hyphens and underscores", name)
}

// CheckAdvertise returns an error if other nodes cannot dial the address.
func CheckAdvertise(address string) error {
	host, port, err := net.SplitHostPort(address)
	if err == nil && host != "" && port != "0" && !net.ParseIP(host).IsUnspecified() {
		return nil
	}
	return fmt.Errorf("advertised address %q: want a host:port that other nodes can dial", address)
}

// Validate reports all errors in c.
func (c Config) Validate() error {
	errs := []error{CheckNodeName(c.Node), CheckAdvertise(c.advertise())}
	want := func(ok bool, format string, args ...any) {
		if !ok {
			errs = append(errs, fmt.Errorf(format, args...))
		}
	}
	want(c.Data != "", "no data directory")
	_, _, err := net.SplitHostPort(c.Listen)
	want(err == nil, "cluster address %q: want host:port", c.Listen)
	want(c.Now != nil, "no clock")
	want(c.Log != nil, "no logger")
	for name, d := range map[string]time.Duration{
		"election timeout": c.ElectionTimeout, "leader lease": c.LeaderLease, "heartbeat interval": c.HeartbeatInterval,
		"clock limit": c.ClockLimit, "lost after": c.LostAfter, "request timeout": c.RequestTimeout,
		"commit timeout": c.CommitTimeout, "checkpoint every": c.CheckpointEvery, "sample every": c.SampleEvery,
	} {
		want(d > 0, "%s is %v: want more than 0", name, d)
	}
	want(c.LeaderLease <= c.ElectionTimeout, "leader lease %v is longer than the election timeout %v", c.LeaderLease, c.ElectionTimeout)
	want(c.BatchWait >= 0 && c.BatchWait <= 50*time.Millisecond, "batch wait %v: want 0 to 50ms", c.BatchWait)
	want(c.Queue > 0 && c.HeldRefusals > 0, "queue and held refusals must be at least 1")
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

// silentAfter is the age at which a heartbeat no longer says anything about its
// node.
func (c Config) silentAfter() time.Duration { return 3 * max(c.HeartbeatInterval, time.Second) }

func (c Config) file(name string) string { return filepath.Join(c.Data, name) }

// provider wraps the root key.
func (c Config) provider() vault.Provider {
	if c.Seal != nil {
		return c.Seal
	}
	return vault.NewKeyFile(c.file(fileSeal))
}
