package cli

import (
	"bytes"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

func TestMeterDrawsABarOrWritesALine(t *testing.T) {
	for _, c := range []struct {
		terminal bool
		want     string
	}{
		{false, "taking in 500 of 1000, 4 s left\n"},
		{true, "\rtaking in " + strings.Repeat("█", 15) + strings.Repeat("░", 15) + " 500 of 1000, 4 s left" + ClearLine + "\r" + ClearLine},
	} {
		var out bytes.Buffer
		now := time.Date(2026, 11, 2, 12, 0, 0, 0, time.UTC)
		e := &Environment{Err: &out, Now: func() time.Time { return now }}
		m := e.Meter("taking in", 1000)
		m.terminal = c.terminal
		m.Add(0) // too early to say anything
		now = now.Add(3 * time.Second)
		m.Add(500)
		now = now.Add(time.Millisecond)
		m.Add(500) // too soon after
		m.End()
		if diff := cmp.Diff(c.want, out.String()); diff != "" {
			t.Errorf("terminal %v (-want +got):\n%s", c.terminal, diff)
		}
	}
}
