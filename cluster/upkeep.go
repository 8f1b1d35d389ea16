package cluster

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/hashicorp/raft"

	"keyfob/cluster/vault"
	"keyfob/engine"
	"keyfob/events"
)

// providerTimeout is how long the seal provider may take to save the root key.
const providerTimeout = 30 * time.Second

// upkeep brings what is on this node's disk under the present version of the root
// key: first the root key itself, then the node's own keys, then log and snapshots.
// A version leaves the root key's file only when nothing on the disk needs it. After
// a crash in between, what is missing comes again from the state.
type upkeep struct {
	*self
	keys    *keychain
	replica *replica
	report  func(context.Context, events.Event) error

	saved    []byte // versions in the root key's file; nil while the node is being created
	identity byte   // version that the node's own keys are sealed under

	warned  time.Time  // that the root key is old; used by run's goroutine
	mu      sync.Mutex // guards trouble
	trouble string     // why the disk is behind, empty if it is not
}

// run works until ctx ends.
func (u *upkeep) run(ctx context.Context) {
	if u.saved == nil {
		return
	}
	tick := time.NewTicker(u.c.HeartbeatInterval)
	defer tick.Stop()
	for {
		u.note(ctx, u.step(ctx))
		u.warnOfAge(ctx)
		select {
		case <-tick.C:
		case <-ctx.Done():
			return
		}
	}
}

// note keeps the reason of a failure for the status, and logs it when it is new.
func (u *upkeep) note(ctx context.Context, err error) {
	text := ""
	if err != nil {
		text = err.Error()
	}
	u.mu.Lock()
	before := u.trouble
	u.trouble = text
	u.mu.Unlock()
	if text != "" && text != before && ctx.Err() == nil {
		u.log.WarnContext(ctx, "keys on disk not renewed yet; trying again", "err", err)
	}
}

// warnOfAge says once a day that the policy wants a rotation.
func (u *upkeep) warnOfAge(ctx context.Context) {
	s, now := u.replica.state(), u.c.Now()
	if s.Cluster.Keys.Due(s.Policy, events.At(now)) && now.Sub(u.warned) >= 24*time.Hour {
		u.warned = now
		u.log.WarnContext(ctx, "root key is older than the policy allows; rotate it", "since", s.Cluster.Keys.Rotated.Std())
	}
}

// state is why the disk is behind, empty if it is not.
func (u *upkeep) state() string {
	u.mu.Lock()
	defer u.mu.Unlock()
	return u.trouble
}

func (u *upkeep) step(ctx context.Context) error {
	keys := u.keys.installed()
	live := u.keys.vault.Versions()
	if slices.ContainsFunc(live, func(v byte) bool { return !slices.Contains(u.saved, v) }) {
		if err := u.save(ctx, 0); err != nil {
			return err
		}
	}
	if primary := u.keys.vault.Primary(); u.identity != primary {
		if err := u.resealIdentity(); err != nil {
			return err
		}
		u.identity = primary
	}
	state := u.replica.state()
	waits := keys.Rotating() && state.Cluster.Keys.Reported(u.c.Node) < keys.Primary()
	if waits {
		left, _ := u.keys.census.count(state)
		waits = left == 0
	}
	forgets := len(u.saved) > len(live)
	if !waits && !forgets {
		return nil
	}
	if err := u.replica.compact(keys.Primary()); err != nil {
		return fmt.Errorf("compacting the log: %w", err)
	}
	if forgets {
		return u.save(ctx, keys.OldestLive())
	}
	return u.report(ctx, events.NodeKeysCurrent{Node: u.c.Node, Version: keys.Primary()})
}

// save writes the root key in all versions since oldest.
func (u *upkeep) save(ctx context.Context, oldest byte) error {
	ctx, cancel := context.WithTimeout(ctx, providerTimeout)
	defer cancel()
	root, err := u.keys.root(ctx)
	if err != nil {
		return err
	}
	defer root.Wipe()
	kept := root.Since(oldest)
	defer kept.Wipe()
	if err := u.c.saveRoot(ctx, kept, u.id.Cluster); err != nil {
		return err
	}
	u.saved = kept.Versions()
	return nil
}

func (k *keychain) installed() engine.RootKeys {
	k.mu.RLock()
	defer k.mu.RUnlock()
	return k.keys
}

// resealIdentity seals the node's own keys again.
func (u *upkeep) resealIdentity() error {
	id, v := u.file.now(), u.keys.vault
	key, err := v.Move(vault.CA, nodeKeyPlace(id.ID), nodeKeyPlace(id.ID), id.Key)
	if err != nil {
		return fmt.Errorf("sealing the node's key again: %w", err)
	}
	seal, err := v.Move(vault.CA, sealKeyPlace(id.ID), sealKeyPlace(id.ID), id.SealKey)
	if err != nil {
		return fmt.Errorf("sealing the node's seal key again: %w", err)
	}
	return u.file.change(func(id *identity) { id.Key, id.SealKey = key, seal })
}

// compact removes log entries and snapshots that are sealed under older versions of
// the root key than primary.
func (r *replica) compact(primary byte) error {
	current, err := r.firstUnder(primary)
	if err != nil {
		return err
	}
	first, err := r.store.FirstIndex()
	if err != nil {
		return err
	}
	if current > first {
		settings := r.raft.ReloadableConfig()
		kept := settings.TrailingLogs
		settings.TrailingLogs = min(kept, r.raft.LastIndex()-current+1)
		if err := r.raft.ReloadConfig(settings); err != nil {
			return err
		}
		err := r.await(r.raft.Snapshot())
		settings.TrailingLogs = kept
		if err := errors.Join(err, r.raft.ReloadConfig(settings)); err != nil {
			return err
		}
	}
	// Each snapshot pushes out the oldest of those that are kept.
	for range snapshotsKept {
		old, err := r.snapshotsBefore(primary)
		if err != nil || !old {
			return err
		}
		if err := r.await(r.raft.Snapshot()); err != nil {
			return err
		}
	}
	return nil
}

// firstUnder is the index of the first command in the log that is sealed under the
// primary version, or the one after the last entry.
func (r *replica) firstUnder(primary byte) (uint64, error) {
	first, err := r.store.FirstIndex()
	if err != nil {
		return 0, err
	}
	last, err := r.store.LastIndex()
	if err != nil {
		return 0, err
	}
	before := first // the log is clean up to here
	for i := first; i <= last && i != 0; i++ {
		var entry raft.Log
		err := r.store.GetLog(i, &entry)
		if errors.Is(err, raft.ErrLogNotFound) {
			continue // a snapshot of the leader took the place of what is missing here
		}
		if err != nil {
			return 0, err
		}
		if entry.Type != raft.LogCommand || len(entry.Data) <= entryHeader {
			continue
		}
		if engine.KeyVersion(entry.Data[entryHeader:]) >= primary {
			return before, nil
		}
		before = i + 1
	}
	return before, nil
}

// snapshotsBefore reports whether a snapshot on disk is sealed under an older version.
func (r *replica) snapshotsBefore(primary byte) (bool, error) {
	list, err := r.snapshots.List()
	if err != nil {
		return false, err
	}
	for _, meta := range list {
		_, in, err := r.snapshots.Open(meta.ID)
		if err != nil {
			return false, err
		}
		version, err := snapshotVersion(in)
		if err := errors.Join(err, in.Close()); err != nil {
			return false, fmt.Errorf("reading snapshot %s: %w", meta.ID, err)
		}
		if version < primary {
			return true, nil
		}
	}
	return false, nil
}
