package cluster

import (
	"log/slog"

	"github.com/hashicorp/raft"
)

// RaftLog is a node's log on disk, for measuring Raft without a node around it.
type RaftLog struct{ *logStore }

// OpenRaftLog opens the log in a directory, or makes it.
func OpenRaftLog(dir string) (RaftLog, error) {
	store, err := openLog(dir, func(error) {}) // Raft answers the error, too
	return RaftLog{store}, err
}

// Commits counts the transactions that stored entries. Each is two fsyncs.
func (l RaftLog) Commits() uint64 { return l.commits.Load() }

// RaftConfig returns the settings that a node with the default configuration
// gives Raft.
func RaftConfig(id string, log *slog.Logger) *raft.Config {
	return DefaultConfig().raft(id, raftLogger(log))
}
