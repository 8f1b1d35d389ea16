package radius

import "keyfob/engine"

// findSecret finds the shared secret that a packet is signed with, the new one
// first, and sets it as the secret of the request.
func (s *Server) findSecret(r *request, at, count int) Cause {
	if !signedWith(r.secret, r.packet, at, count) {
		if r.oldSecret == nil || !signedWith(r.oldSecret, r.packet, at, count) {
			return DropSignature
		}
		if cause := s.oldSecretEnded(r); cause != "" {
			return cause
		}
		r.secret = r.oldSecret
	}
	r.oldSecret = nil
	return ""
}

// signedWith reports whether a packet is signed with a secret. The Request
// Authenticator of an Accounting-Request covers the whole packet (RFC 2866,
// section 3); that of other requests is random.
func signedWith(secret *sharedSecret, p Packet, at, count int) bool {
	vector := p.Authenticator()
	if p.Code() == AccountingRequest {
		vector = Authenticator{}
		if !secret.authentic(p, vector) {
			return false
		}
	}
	return count == 0 || secret.signed(p, at, vector)
}

// findSecretByPassword is findSecret for a login without a Message-Authenticator.
// Only the password tells which secret was used: under another secret it decodes
// to random bytes, and about one in 370,000 such passwords is text. A request whose
// password is text under neither secret is dropped.
func (s *Server) findSecretByPassword(r *request) Cause {
	if r.oldSecret == nil || !r.fields.hasPAP || opens(r, r.secret) || !opens(r, r.oldSecret) {
		return ""
	}
	if cause := s.oldSecretEnded(r); cause != "" {
		return cause
	}
	r.secret = r.oldSecret
	return ""
}

func opens(r *request, secret *sharedSecret) bool {
	_, ok := openPassword(r, secret)
	return ok
}

// openPassword decodes the password. It reports false if the result is not text,
// which means that it was made with another secret.
func openPassword(r *request, secret *sharedSecret) (engine.Secret, bool) {
	typed, err := secret.reveal(r.fields.password, r.packet.Authenticator())
	return typed, err == nil && (typed == "" || isText([]byte(typed.Reveal())))
}

// noteSecret reports to the cluster that a client has used its new shared secret.
// The request must have proved that it was made with its secret.
func (s *Server) noteSecret(r *request) {
	c := r.client
	if !c.awaited || r.secret != c.secret || !c.secretSeen.due(r.arrived) {
		return
	}
	s.report(c, r.source, engine.RecordSecretSeen{Client: c.name, Revision: c.record.Revision, Address: r.source.String()})
}

// oldSecretEnded returns why the client's old secret is not accepted, or "". A
// node that is not level with the cluster, or whose clock is off, does not know
// whether the old secret has ended, and does not accept it.
func (s *Server) oldSecretEnded(r *request) Cause {
	switch {
	case !r.arrived.Before(r.client.oldUntil):
		return DropOldSecret
	case s.node.Ready() != nil:
		return DropNotReady
	default:
		return ""
	}
}
