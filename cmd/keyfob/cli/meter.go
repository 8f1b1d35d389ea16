package cli

import (
	"fmt"
	"io"
	"os"
	"strings"
	"sync"
	"time"

	"golang.org/x/term"
)

// redrawEvery is the shortest time between two updates of a bar on a terminal.
// Elsewhere a line is printed every sayEvery.
const redrawEvery = 100 * time.Millisecond

const SayEvery = 2 * time.Second

// ClearLine clears the line of a terminal from the cursor to the end (ECMA-48).
const ClearLine = "\x1b[K"

// Meter shows the progress of a long task. A short task shows nothing.
type Meter struct {
	out      io.Writer
	terminal bool
	now      func() time.Time
	what     string
	total    int

	mu          sync.Mutex // guards below
	done        int
	began, last time.Time
	drawn       bool
}

func (e *Environment) Meter(what string, total int) *Meter {
	m := &Meter{out: e.Err, now: e.Now, what: what, total: total, began: e.Now(), last: e.Now()}
	if f, ok := e.Err.(*os.File); ok {
		m.terminal = term.IsTerminal(int(f.Fd()))
	}
	return m
}

// Add counts n more as done.
func (m *Meter) Add(n int) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.done += n
	now, every := m.now(), SayEvery
	if m.terminal {
		every = redrawEvery
	}
	if now.Sub(m.last) < every {
		return
	}
	m.last, m.drawn = now, true
	line := m.what + " " + m.bar() + m.left(now)
	if m.terminal {
		line = "\r" + line + ClearLine
	} else {
		line += "\n"
	}
	_, _ = io.WriteString(m.out, line)
}

// End removes the bar.
func (m *Meter) End() {
	if m.terminal && m.drawn {
		_, _ = io.WriteString(m.out, "\r"+ClearLine)
	}
}

func (m *Meter) bar() string {
	text := fmt.Sprintf("%d of %d", m.done, m.total)
	if !m.terminal {
		return text
	}
	const width = 30
	full := width * m.done / max(m.total, 1)
	return strings.Repeat("█", full) + strings.Repeat("░", width-full) + " " + text
}

// left estimates the remaining time.
func (m *Meter) left(now time.Time) string {
	if m.done == 0 {
		return ""
	}
	left := time.Duration(float64(now.Sub(m.began)) / float64(m.done) * float64(m.total-m.done))
	return fmt.Sprintf(", %d s left", int(left.Seconds()+1))
}

// Reader counts the bytes that are read from r.
func (m *Meter) Reader(r io.Reader) io.Reader { return metered{r, m} }

// metered is a reader whose bytes are counted.
type metered struct {
	io.Reader
	meter *Meter
}

// Read implements io.Reader.
func (m metered) Read(b []byte) (int, error) {
	n, err := m.Reader.Read(b)
	m.meter.Add(n)
	return n, err
}
