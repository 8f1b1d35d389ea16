package vault

import "context"

// gate lets a number of callers work at once, a number wait, and sends the rest
// away at once: 64 callers of Argon2id together do less work than two.
type gate struct {
	admitted chan struct{} // holds those who work or wait
	working  chan struct{}
}

func newGate(working, waiting int) gate {
	return gate{admitted: make(chan struct{}, working+waiting), working: make(chan struct{}, working)}
}

// enter waits for a turn; after it returned nil the caller owes a leave.
func (g gate) enter(ctx context.Context) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	select {
	case g.admitted <- struct{}{}:
	default:
		return ErrBusy
	}
	select {
	case g.working <- struct{}{}:
		return nil
	case <-ctx.Done():
		<-g.admitted
		return ctx.Err()
	}
}

func (g gate) leave() {
	<-g.working
	<-g.admitted
}

// full reports whether the next to come is sent away.
func (g gate) full() bool { return len(g.admitted) == cap(g.admitted) }
