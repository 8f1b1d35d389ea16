package raftlog

import (
	"context"
	"io"
	"log/slog"
	"sync"
	"time"

	"github.com/hashicorp/go-hclog"
)

// NewLogger returns a logger for Raft that writes to log, two levels lower. Raft
// logs an error a hundred times a second for a peer that does not answer. What
// operators should act on, the node logs itself, once.
func NewLogger(log *slog.Logger) hclog.Logger {
	l := hclog.NewInterceptLogger(&hclog.LoggerOptions{Name: "raft", Level: hclog.Info, Output: io.Discard})
	l.RegisterSink(&sink{log: log, next: make(map[string]time.Time)})
	return l
}

// logEvery is how often the same error of Raft is logged.
const logEvery = time.Minute

type sink struct {
	log *slog.Logger

	mu   sync.Mutex           // guards next
	next map[string]time.Time // by message; Raft has a few dozen
}

// Accept implements hclog.SinkAdapter.
func (s *sink) Accept(name string, level hclog.Level, msg string, args ...any) {
	to := slog.LevelDebug
	if level >= hclog.Error && s.due(msg, time.Now()) {
		to = slog.LevelInfo
	}
	s.log.Log(context.Background(), to, "raft", append([]any{"part", name, "said", msg}, args...)...)
}

func (s *sink) due(msg string, now time.Time) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if now.Before(s.next[msg]) {
		return false
	}
	s.next[msg] = now.Add(logEvery)
	return true
}
