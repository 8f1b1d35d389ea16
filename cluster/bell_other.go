//go:build !linux

package cluster

import (
	"os"
	"sync"
	"time"
)

// bell is a timer of Go: when it rings depends a little on what else the
// process does, see holder.
type bell struct {
	timer  *time.Timer
	closed chan struct{}
	once   sync.Once
}

func newBell() (*bell, error) {
	b := &bell{timer: time.NewTimer(time.Hour), closed: make(chan struct{})}
	b.timer.Stop()
	return b, nil
}

// ring has the bell ring once after a while, and at no other time.
func (b *bell) ring(after time.Duration) { b.timer.Reset(after) }

// wait returns when the bell has rung; the error says that it is closed.
func (b *bell) wait() error {
	select {
	case <-b.timer.C:
		return nil
	case <-b.closed:
		return os.ErrClosed
	}
}

func (b *bell) close() error {
	b.once.Do(func() { close(b.closed) })
	return nil
}
