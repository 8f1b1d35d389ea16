package radius

import (
	"net/netip"
	"sync"
	"time"

	"keyfob/engine"
)

// signers are the addresses of a client that have sent a valid
// Message-Authenticator, from that packet on and until the cluster has recorded
// it. A later request without the attribute is then known to be forged or
// stripped (CVE-2024-3596).
type signers struct {
	mu       sync.Mutex // guards reported
	reported map[netip.Addr]time.Time
}

// maxSigners bounds the memory used for one client. Beyond it an address must
// sign only once the cluster has recorded it.
const maxSigners = 1 << 16

func newSigners() *signers { return &signers{reported: make(map[netip.Addr]time.Time)} }

func (s *signers) has(from netip.Addr) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	_, ok := s.reported[from]
	return ok
}

// add reports whether the address is to be reported to the cluster.
func (s *signers) add(from netip.Addr, now time.Time) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	last, known := s.reported[from]
	if known && now.Sub(last) < reportAgain {
		return false
	}
	if known || len(s.reported) < maxSigners {
		s.reported[from] = now
	}
	return true
}

// noteSigner remembers that an address has signed, if the client's policy is
// auto.
func (s *Server) noteSigner(c *client, from netip.Addr, now time.Time) {
	if c.policy != policyAuto {
		return
	}
	if _, recorded := c.signed[from]; recorded || !c.signers.add(from, now) {
		return
	}
	s.report(c, from, engine.RecordSigned{Client: c.name, Address: from.String()})
}
