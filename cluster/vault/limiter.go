package vault

import "context"

// limiter limits how many callers work at once and how many wait; it refuses all
// others immediately. 64 parallel callers of Argon2id get less done than two.
type limiter struct {
	admitted chan struct{} // callers that work or wait
	working  chan struct{}
}

func newLimiter(working, waiting int) limiter {
	return limiter{admitted: make(chan struct{}, working+waiting), working: make(chan struct{}, working)}
}

// enter waits until the caller may work. If it returns nil, leave must follow.
func (l limiter) enter(ctx context.Context) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	select {
	case l.admitted <- struct{}{}:
	default:
		return ErrBusy
	}
	select {
	case l.working <- struct{}{}:
		return nil
	case <-ctx.Done():
		<-l.admitted
		return ctx.Err()
	}
}

func (l limiter) leave() {
	<-l.working
	<-l.admitted
}

// full reports whether the next caller is refused.
func (l limiter) full() bool { return len(l.admitted) == cap(l.admitted) }
