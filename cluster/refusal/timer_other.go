//go:build !linux

package refusal

import (
	"os"
	"sync"
	"time"
)

// timer is a Go timer. Its precision depends on the load of the process; see
// Delay.
type timer struct {
	timer  *time.Timer
	closed chan struct{}
	once   sync.Once
}

func newTimer() (*timer, error) {
	t := &timer{timer: time.NewTimer(time.Hour), closed: make(chan struct{})}
	t.timer.Stop()
	return t, nil
}

// set makes the timer fire once, replacing an earlier setting.
func (t *timer) set(after time.Duration) { t.timer.Reset(after) }

// wait returns when the timer has fired, or an error when it is closed.
func (t *timer) wait() error {
	select {
	case <-t.timer.C:
		return nil
	case <-t.closed:
		return os.ErrClosed
	}
}

func (t *timer) close() error {
	t.once.Do(func() { close(t.closed) })
	return nil
}
