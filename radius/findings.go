package radius

import (
	"context"
	"encoding/binary"
	"fmt"
	"net/netip"
	"sync/atomic"
	"time"

	"keyfob/engine"
	"keyfob/events"
)

// finding is something that a client's packets show and that the cluster is to
// record.
type finding struct {
	client  *client
	address netip.Addr
	command engine.Command
}

const findingQueue = 256

// reportAgain is how long a report may take to be recorded; then the finding is
// reported again.
const reportAgain = 10 * time.Second

// throttled limits how often one finding is reported.
type throttled struct{ last atomic.Int64 }

// due reports whether the finding is to be reported now.
func (t *throttled) due(now time.Time) bool {
	last := t.last.Load()
	return now.UnixNano()-last >= int64(reportAgain) && t.last.CompareAndSwap(last, now.UnixNano())
}

// report queues a finding. It never waits: a finding that does not fit into
// the queue is reported again with a later request.
func (s *Server) report(c *client, from netip.Addr, command engine.Command) {
	select {
	case s.findings <- finding{c, from, command}:
	default:
	}
}

// recordFindings has the queued findings recorded until ctx ends.
func (s *Server) recordFindings(ctx context.Context) {
	for {
		select {
		case <-ctx.Done():
			return
		case f := <-s.findings:
			s.record(ctx, f)
		}
	}
}

func (s *Server) record(ctx context.Context, f finding) {
	ctx, cancel := context.WithTimeout(ctx, s.cfg.Timeout)
	defer cancel()
	origin := events.Origin{
		Request:  s.findingID(f),
		Node:     s.cfg.Node,
		Site:     s.siteOf(f.client),
		Door:     events.DoorRADIUS,
		Client:   f.client.name,
		SourceIP: f.address.String(),
		Actor:    "system",
	}
	if err := s.node.Do(ctx, origin, f.command); err != nil && ctx.Err() == nil {
		s.warn(FailedRecord, f.client.name, f.address, err)
	}
}

// findingID returns a new request ID for recording a finding.
func (s *Server) findingID(f finding) events.Request {
	d := newDigest("finding")
	d.add([]byte(s.cfg.Node))
	d.add(fmt.Appendf(nil, "%T", f.command))
	d.add([]byte(f.client.name))
	d.add(f.address.AsSlice())
	d.add(binary.BigEndian.AppendUint64(nil, uint64(s.now().UnixNano()))) //nolint:gosec // any number will do
	return d.request()
}
