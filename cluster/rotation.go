package cluster

import (
	"context"
	"fmt"
	"sync"
	"time"

	"keyfob/cluster/vault"
	"keyfob/engine"
	"keyfob/events"
)

// resealBatch is how many values are sealed again in one record, about 40 KB.
const resealBatch = 256

// rotation is the leader's task that completes a rotation of the root key: it has
// every value in the state sealed again, waits until all members have cleaned their
// disks, and lets the old versions be forgotten. It keeps nothing: what is left to
// do is what the state says, so any leader goes on at any point.
type rotation struct {
	*self
	replica *replica
	vault   *vault.Vault
	census  *census
	start   func(context.Context) error // makes a new version
	newCA   func(context.Context) error // replaces the cluster's CA
	record  func(context.Context, events.Event) (reply, error)
	delayed string // the last reason of a delay, logged once
}

// run works until ctx ends.
func (r *rotation) run(ctx context.Context) {
	tick := time.NewTicker(r.c.HeartbeatInterval)
	defer tick.Stop()
	for {
		select {
		case <-tick.C:
		case <-ctx.Done():
			return
		}
		err := r.step(ctx)
		if err == nil || ctx.Err() != nil {
			r.delayed = ""
			continue
		}
		if err.Error() != r.delayed {
			r.delayed = err.Error()
			r.log.WarnContext(ctx, "rotation of the root key delayed", "err", err)
		}
	}
}

// step does what can be done now.
func (r *rotation) step(ctx context.Context) error {
	state := r.replica.state()
	keys := state.Cluster.Keys
	if keys.Wanted != "" && state.Node(r.c.Node) != nil {
		return r.start(ctx)
	}
	if !keys.Rotating() {
		return nil
	}
	if keys.CA < keys.Version { // a removed node knows the CA's key
		if err := r.newCA(ctx); err != nil {
			return err
		}
		state = r.replica.state()
	}
	if err := r.reseal(ctx, state); err != nil {
		return err
	}
	if err := r.nudge(ctx); err != nil {
		return err
	}
	state = r.replica.state()
	if left, _ := r.census.count(state); left > 0 || state.Cluster.Keys.Version != keys.Version ||
		len(state.WaitingFor()) > 0 || state.NeedsOldKey(events.At(r.c.Now())) {
		return nil
	}
	_, err := r.record(ctx, events.RootKeyDropped{Oldest: keys.Version})
	if err == nil {
		r.log.InfoContext(ctx, "root key rotated", "version", keys.Version)
	}
	return err
}

// nudge commits an empty record if the last entry of the log is about Raft itself. Raft
// takes no snapshot while a change of its configuration is behind the last command, and
// the members wait for a snapshot.
func (r *rotation) nudge(ctx context.Context) error {
	view := r.replica.View()
	if len(view.State.WaitingFor()) == 0 || view.Index >= r.replica.raft.AppliedIndex() {
		return nil
	}
	_, err := r.record(ctx, events.RecordsResealed{Version: view.State.Cluster.Keys.Version})
	return err
}

// reseal seals every value of a state that is under an older version again. A value
// that was changed meanwhile is under the present version already.
func (r *rotation) reseal(ctx context.Context, state *engine.State) error {
	version := state.Cluster.Keys.Version
	batch := make([]events.Resealed, 0, resealBatch)
	var first error
	for v := range state.Sealed {
		if engine.KeyVersion(v.Value) >= version {
			continue
		}
		again, err := r.again(v)
		if err != nil {
			first = fmt.Errorf("sealing %v of %q again: %w", v.Place.Kind, v.Place.Record, err)
			continue
		}
		if batch = append(batch, again); len(batch) < resealBatch {
			continue
		}
		if err := r.commit(ctx, version, batch); err != nil {
			return err
		}
		batch = batch[:0]
	}
	if len(batch) > 0 {
		if err := r.commit(ctx, version, batch); err != nil {
			return err
		}
	}
	return first
}

func (r *rotation) again(v engine.SealedValue) (events.Resealed, error) {
	purpose, place, err := sealedAt(v.Place)
	if err != nil {
		return events.Resealed{}, err
	}
	sealed, err := r.vault.Move(purpose, place, place, v.Value)
	return events.Resealed{Place: v.Place, Before: engine.DigestOf(v.Value), Sealed: sealed}, err
}

// commit has a batch recorded. It then rests for as long as that took, so that logins
// go on.
func (r *rotation) commit(ctx context.Context, version uint8, batch []events.Resealed) error {
	began := time.Now()
	if _, err := r.record(ctx, events.RecordsResealed{Version: version, Values: batch}); err != nil {
		return fmt.Errorf("recording values that were sealed again: %w", err)
	}
	select {
	case <-time.After(time.Since(began)):
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// census counts the values of the state that are left to be sealed again. For a million
// tokens that takes most of a second, so a count is used again for twenty times as long as
// it took. An old count only delays what waits for it: the number never grows.
type census struct {
	mu        sync.Mutex // guards the fields below
	version   uint8
	until     time.Time
	left, all int
}

func (c *census) count(s *engine.State) (left, all int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	began, version := time.Now(), s.Cluster.Keys.Primary()
	if c.version != version || began.After(c.until) {
		c.left, c.all = countSealed(s)
		c.version, c.until = version, time.Now().Add(20*time.Since(began))
	}
	return c.left, c.all
}

func countSealed(s *engine.State) (left, all int) {
	for v := range s.Sealed {
		all++
		if engine.KeyVersion(v.Value) < s.Cluster.Keys.Primary() {
			left++
		}
	}
	return left, all
}
