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

// maxSigners bounds the memory used for one client. When it is used up, all
// addresses must sign.
const maxSigners = 1 << 10

// testIdentifier is the NAS-Identifier of requests that are made by hand. They
// may come from the machine of a gateway that does not sign, and must not oblige
// it to. It is believed in signed requests only, where nobody can forge it.
const testIdentifier = "keyfob-test"

func newSigners() *signers { return &signers{reported: make(map[netip.Addr]time.Time)} }

func (s *signers) has(from netip.Addr) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	_, ok := s.reported[from]
	return ok || len(s.reported) >= maxSigners
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

// noteSigner remembers that the address of a request has signed, if the client's
// policy is auto and the request is no test.
func (s *Server) noteSigner(r *request) {
	c, from := r.client, r.source
	if c.policy != policyAuto || c.recorded(from) {
		return
	}
	if name, _ := r.packet.Lookup(NASIdentifier); string(name) == testIdentifier || !c.signers.add(from, r.arrived) {
		return
	}
	s.report(c, from, engine.RecordSigned{Client: c.name, Address: from.String()})
}
