package raftlog

import (
	"bytes"
	"log/slog"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

func TestRaftErrorsAreLoggedOnceAMinute(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var out bytes.Buffer
		l := NewLogger(slog.New(slog.NewTextHandler(&out, nil)))
		start := time.Now()
		for time.Since(start) < 3*time.Minute-time.Second {
			l.Error("failed to heartbeat to", "peer", "n2")
			<-time.After(100 * time.Millisecond)
		}
		l.Error("failed to appendEntries to", "peer", "n2")
		l.Warn("heartbeat timeout reached")
		if beats, lines := strings.Count(out.String(), "failed to heartbeat to"), strings.Count(out.String(), "\n"); beats != 3 || lines != 4 {
			t.Errorf("%d errors, %d lines:\n%s", beats, lines, out.String())
		}
	})
}
