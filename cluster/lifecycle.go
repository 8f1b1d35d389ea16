package cluster

import (
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"keyfob/engine"
)

// lifecycle tracks how a node stops: gracefully, by failure, or at once.
type lifecycle struct {
	requests requests      // in progress
	stopping chan struct{} // closed when requests are no longer retried
	failed   chan struct{} // closed by fail
	killed   chan struct{} // closed by kill
	closed   chan struct{} // closed when all files are closed
	err      error         // why failed is closed
	running  atomic.Bool   // Run or Close has taken over

	failOnce, stopOnce, killOnce, closeOnce sync.Once
}

func newLifecycle() *lifecycle {
	l := &lifecycle{
		stopping: make(chan struct{}), failed: make(chan struct{}),
		killed: make(chan struct{}), closed: make(chan struct{}),
	}
	l.requests.empty = sync.NewCond(&l.requests.mu)
	return l
}

// fail stops the node because it must not continue.
func (l *lifecycle) fail(err error) {
	l.failOnce.Do(func() {
		l.err = err
		close(l.failed)
	})
}

func (l *lifecycle) stop() { l.stopOnce.Do(func() { close(l.stopping) }) }
func (l *lifecycle) kill() { l.killOnce.Do(func() { close(l.killed) }) }
func (l *lifecycle) done() { l.closeOnce.Do(func() { close(l.closed) }) }

// result is the error that the node ends with: why it failed, otherwise err.
func (l *lifecycle) result(err error) error {
	select {
	case <-l.failed:
		return l.err
	default:
		return err
	}
}

// errStopping is why a stopping node decides nothing.
var errStopping = fmt.Errorf("this node is stopping: %w", engine.ErrUndecided)

// requests counts the requests in progress.
type requests struct {
	mu      sync.Mutex // guards the fields below
	empty   *sync.Cond
	count   int
	refused error // why no request may start
}

// begin starts a request, which end ends. The error says why none may start.
func (r *requests) begin() error {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.refused == nil {
		r.count++
	}
	return r.refused
}

// refuse admits no further request.
func (r *requests) refuse(reason error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.refused == nil {
		r.refused = reason
	}
}

func (r *requests) end() {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.count--; r.count == 0 {
		r.empty.Broadcast()
	}
}

// drain admits no further request and waits until all have ended or the timeout
// has passed.
func (r *requests) drain(timeout time.Duration) {
	r.refuse(errStopping)
	r.mu.Lock()
	defer r.mu.Unlock()
	late := false
	timer := time.AfterFunc(timeout, func() {
		r.mu.Lock()
		defer r.mu.Unlock()
		late = true
		r.empty.Broadcast()
	})
	defer timer.Stop()
	for r.count > 0 && !late {
		r.empty.Wait()
	}
}
