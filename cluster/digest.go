package cluster

import (
	"context"
	"fmt"
	"sync/atomic"

	"keyfob/events"
	"keyfob/fsm"
)

// stateDigest is the digest of the state right after a checkpoint, so that all
// nodes compute it at the same record.
type stateDigest struct {
	_        struct{} `cbor:",toarray"`
	Sequence uint64
	Digest   events.Hash
}

// digests compares the digest of this node's state with the other nodes'. The
// chain of hashes detects nodes that folded different events; digests detect
// nodes that folded the same events into different states.
type digests struct {
	*self
	replica *replica
	peers   *peers
	fail    func(error)
	own     atomic.Pointer[stateDigest]
}

// latest is the digest after the last checkpoint, zero if there was none.
func (d *digests) latest() stateDigest {
	if own := d.own.Load(); own != nil {
		return *own
	}
	return stateDigest{}
}

// compare stops the node if a majority has another digest than this node.
func (d *digests) compare(ctx context.Context) {
	own := d.latest()
	if view := d.replica.machine.Checkpoint(); view != nil && view.Sequence != own.Sequence {
		digest, err := fsm.Digest(view.State)
		if err != nil {
			d.fail(fmt.Errorf("computing the digest of the state at record %d: %w", view.Sequence, err))
			return
		}
		own = stateDigest{Sequence: view.Sequence, Digest: digest}
		d.own.Store(&own)
	}
	if own.Sequence == 0 {
		return
	}
	voters, same := 0, 1
	others := make(map[events.Hash]int)
	for _, m := range d.replica.members() {
		if !m.Voter {
			continue
		}
		voters++
		beat, ok := d.peers.of(m.ID)
		if !ok || m.ID == d.id.ID || beat.Digest.Sequence != own.Sequence {
			continue
		}
		if beat.Digest.Digest == own.Digest {
			same++
		} else {
			others[beat.Digest.Digest]++
		}
	}
	for _, count := range others {
		d.log.ErrorContext(ctx, "states differ between nodes", "sequence", own.Sequence, "alike", same, "different", count)
		if count > voters/2 {
			d.fail(fmt.Errorf("the state of this node after record %d differs from that of the majority; "+
				"remove the node from the cluster and join it again with an empty data directory", own.Sequence))
		}
	}
}
