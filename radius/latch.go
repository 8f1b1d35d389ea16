package radius

import (
	"context"
	"encoding/binary"
	"net/netip"
	"sync"
	"time"

	"keyfob/engine"
	"keyfob/events"
)

// latch remembers which addresses of a client have sent a valid
// Message-Authenticator, from that packet on and until the cluster has it on
// record. A stranger who takes the attribute out of a later request is then
// noticed (CVE-2024-3596).
type latch struct {
	mu    sync.Mutex // guards asked
	asked map[netip.Addr]time.Time
}

const (
	latchAgain = 10 * time.Second // when a record has not come to pass
	latchQueue = 256
	// latchLimit bounds memory for one client. Beyond it addresses are held
	// only once they are on record.
	latchLimit = 1 << 16
)

func newLatch() *latch { return &latch{asked: make(map[netip.Addr]time.Time)} }

func (l *latch) holds(from netip.Addr) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	_, ok := l.asked[from]
	return ok
}

// hold reports whether the cluster is to be asked to put the address on
// record.
func (l *latch) hold(from netip.Addr, now time.Time) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	last, known := l.asked[from]
	if known && now.Sub(last) < latchAgain {
		return false
	}
	if known || len(l.asked) < latchLimit {
		l.asked[from] = now
	}
	return true
}

// latched is an address to be put on record.
type latched struct {
	client  *client
	address netip.Addr
}

// latch notes a properly signed request. It does not wait; what does not fit
// into the queue is tried again with a later request.
func (s *Server) latch(c *client, from netip.Addr, now time.Time) {
	if c.policy != policyAuto {
		return
	}
	if _, recorded := c.signed[from]; recorded || !c.latch.hold(from, now) {
		return
	}
	select {
	case s.latches <- latched{c, from}:
	default:
	}
}

// recordLatches has addresses put on record until ctx ends.
func (s *Server) recordLatches(ctx context.Context) {
	for {
		select {
		case <-ctx.Done():
			return
		case l := <-s.latches:
			s.recordLatch(ctx, l)
		}
	}
}

func (s *Server) recordLatch(ctx context.Context, l latched) {
	ctx, cancel := context.WithTimeout(ctx, s.cfg.Timeout)
	defer cancel()
	origin := events.Origin{
		Request:  s.latchRequest(l),
		Node:     s.cfg.Node,
		Site:     s.siteOf(l.client),
		Door:     events.DoorRADIUS,
		Client:   l.client.name,
		SourceIP: l.address.String(),
		Actor:    "system",
	}
	command := engine.LatchClient{Client: l.client.name, Address: l.address.String()}
	if err := s.node.Do(ctx, origin, command); err != nil && ctx.Err() == nil {
		s.notices.complain(FailedLatch, l.client.name, l.address, s.now(), err)
	}
}

// latchRequest names one try.
func (s *Server) latchRequest(l latched) events.Request {
	d := newDigest("latch")
	d.add([]byte(s.cfg.Node))
	d.add([]byte(l.client.name))
	d.add(l.address.AsSlice())
	d.add(binary.BigEndian.AppendUint64(nil, uint64(s.now().UnixNano()))) //nolint:gosec // any number will do
	return d.request()
}
