package cluster

import (
	"context"
	"fmt"
	"net/http"
	"sync"
	"time"

	"keyfob/cluster/clock"
	"keyfob/cluster/link"
	"keyfob/events"
)

// heartbeat is what a node reports about itself when asked.
type heartbeat struct {
	_        struct{} `cbor:",toarray"`
	Version  string
	Now      int64 // nanoseconds since 1970, by its clock
	Leading  bool  // it takes commands
	Sound    bool  // a majority agrees with its clock
	Last     uint64
	Commit   uint64
	Sequence uint64
	Members  []member // as it knows them
	Digest   stateDigest
	Left     bool // it knows that it was removed, and follows no longer
	Audit    AuditReport
	CA       string // pin of the CA that issued its certificate
}

const maxHeartbeat = 64 << 10 // bytes

// heartbeats exchanges heartbeats with all members and draws the conclusions
// about this node's clock and state.
type heartbeats struct {
	*self
	replica  *replica
	members  *membership
	batcher  *batcher
	clock    *clock.Clock
	client   peerClient
	link     *link.Link
	recorder *recorder
	digests  digests
	audit    *auditReports
	disputed bool // used by run's goroutine: the clock was found wrong
}

// run exchanges heartbeats until ctx ends.
func (h *heartbeats) run(ctx context.Context) {
	tick := time.NewTicker(h.c.HeartbeatInterval)
	defer tick.Stop()
	for {
		h.exchange(ctx)
		h.checkClock(ctx)
		h.digests.compare(ctx)
		select {
		case <-tick.C:
		case <-ctx.Done():
			return
		}
	}
}

// exchange asks all other members for their heartbeat.
func (h *heartbeats) exchange(ctx context.Context) {
	var ids, voters []string
	for _, m := range h.members.known() {
		ids = append(ids, m.ID)
		if m.Voter {
			voters = append(voters, m.ID)
		}
	}
	h.members.peers.keep(ids)
	if err := h.file.remember(h.replica.members()); err != nil {
		h.log.WarnContext(ctx, "members not saved", "err", err)
	}
	h.clock.SetVoters(voters, h.id.ID)
	h.link.Recheck()

	ctx, cancel := context.WithTimeout(ctx, max(h.c.HeartbeatInterval, time.Second))
	defer cancel()
	var calls sync.WaitGroup
	for _, id := range ids {
		if id != h.id.ID {
			calls.Go(func() {
				if err := h.ask(ctx, id); err != nil {
					h.log.DebugContext(ctx, "no heartbeat", "member", id, "err", err)
				}
			})
		}
	}
	calls.Wait()
}

// ask asks one node for its heartbeat.
func (h *heartbeats) ask(ctx context.Context, id string) error {
	asked, start := h.c.Now(), time.Now()
	body, err := h.client.call(ctx, http.MethodGet, id, "/pulse", nil, maxHeartbeat)
	if err != nil {
		return err
	}
	var beat heartbeat
	if err := wireDecoding.Unmarshal(body, &beat); err != nil {
		return fmt.Errorf("%w: %w", errWire, err)
	}
	h.clock.Read(id, time.Unix(0, beat.Now), asked, time.Since(start))
	h.members.peers.store(id, beat, h.replica.raft.CommitIndex())
	return nil
}

// serve answers another node with this node's heartbeat.
func (h *heartbeats) serve(w http.ResponseWriter, _ *http.Request) {
	body, err := wireEncoding.Marshal(h.own())
	if err != nil {
		http.Error(w, "the heartbeat cannot be encoded", http.StatusInternalServerError)
		return
	}
	_, _ = w.Write(body)
}

func (h *heartbeats) own() heartbeat {
	return heartbeat{
		Version:  h.c.Version,
		Leading:  h.batcher.leads(),
		Sound:    h.clock.Sound(),
		Last:     h.replica.raft.LastIndex(),
		Commit:   h.replica.raft.CommitIndex(),
		Sequence: h.replica.View().Sequence,
		Members:  h.replica.members(),
		Digest:   h.digests.latest(),
		Left:     h.replica.machine.Left(),
		Audit:    h.audit.own(),
		CA:       link.Pin(h.file.now().CA),
		Now:      h.c.Now().UnixNano(),
	}
}

// checkClock records when this node's clock no longer agrees with the majority,
// and gives up leadership while it does not.
func (h *heartbeats) checkClock(ctx context.Context) {
	check := h.clock.Check()
	if check.Disputed && !h.disputed {
		h.log.WarnContext(ctx, "clock differs from the cluster's; only logins with event-based tokens are decided",
			"offset_ms", check.Offset.Milliseconds())
		h.recorder.record(h.system(), events.ClockSkewed{Node: h.c.Node, Offset: check.Offset.Milliseconds()})
	}
	if h.disputed && check.Sound {
		h.log.InfoContext(ctx, "clock agrees with the cluster's again")
	}
	h.disputed = check.Disputed || h.disputed && !check.Sound
	if h.disputed && h.replica.leads() {
		h.stepDown(ctx)
	}
}

// stepDown hands leadership to a voter whose clock is sound. If there is none,
// no other node would be a better leader.
func (h *heartbeats) stepDown(ctx context.Context) {
	for _, m := range h.replica.members() {
		if beat, ok := h.members.peers.recent(m.ID); !ok || !m.Voter || !beat.Sound {
			continue
		}
		h.log.WarnContext(ctx, "handing over leadership because of the clock", "to", nameOf(m.ID))
		if h.replica.transferTo(m) == nil {
			return
		}
	}
}
