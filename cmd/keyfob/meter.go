package main

import (
	"fmt"
	"io"
	"os"
	"strings"
	"sync"
	"time"

	"golang.org/x/term"
)

// redrawEvery is how often a bar on a terminal is drawn anew, at most. Elsewhere
// each time is a line, every sayEvery.
const redrawEvery = 100 * time.Millisecond

// meter says how far a long piece of work is. What is done soon says nothing.
type meter struct {
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

func (e *environment) meter(what string, total int) *meter {
	m := &meter{out: e.Err, now: e.Now, what: what, total: total, began: e.Now(), last: e.Now()}
	if f, ok := e.Err.(*os.File); ok {
		m.terminal = term.IsTerminal(int(f.Fd()))
	}
	return m
}

// add says that n more are done.
func (m *meter) add(n int) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.done += n
	now, every := m.now(), sayEvery
	if m.terminal {
		every = redrawEvery
	}
	if now.Sub(m.last) < every {
		return
	}
	m.last, m.drawn = now, true
	line := m.what + " " + m.bar() + m.left(now)
	if m.terminal {
		line = "\r" + line + clearLine
	} else {
		line += "\n"
	}
	_, _ = io.WriteString(m.out, line)
}

// end takes the bar away.
func (m *meter) end() {
	if m.terminal && m.drawn {
		_, _ = io.WriteString(m.out, "\r"+clearLine)
	}
}

func (m *meter) bar() string {
	text := fmt.Sprintf("%d of %d", m.done, m.total)
	if !m.terminal {
		return text
	}
	const width = 30
	full := width * m.done / max(m.total, 1)
	return strings.Repeat("█", full) + strings.Repeat("░", width-full) + " " + text
}

// left is how long it will take, if it goes on like this.
func (m *meter) left(now time.Time) string {
	if m.done == 0 {
		return ""
	}
	left := time.Duration(float64(now.Sub(m.began)) / float64(m.done) * float64(m.total-m.done))
	return fmt.Sprintf(", %d s left", int(left.Seconds()+1))
}
