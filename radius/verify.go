package radius

import "keyfob/engine"

// verify checks a packet against the rules about signatures and returns the
// first rule that it breaks, or "".
func (s *Server) verify(r *request) Cause {
	p := r.packet
	at, count := p.offset(MessageAuthenticator)
	switch {
	case !r.transport.accepts(p.Code()):
		return DropCode
	case count > 1:
		return DropSignedTwice
	case count == 1 && int(p[at-1]) != authenticatorLength+2:
		return DropMalformed
	}
	if count == 0 && p.Code() != AccountingRequest {
		return verifyUnsigned(r)
	}
	if cause := s.findSecret(r, at, count); cause != "" {
		return cause
	}
	if p.Code() == AccessRequest && !r.transport.encrypted() {
		s.noteSigner(r.client, r.source, r.arrived)
	}
	s.noteSecret(r)
	return ""
}

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
// password is text under neither secret is refused with the new one.
func (s *Server) findSecretByPassword(r *request) Cause {
	if r.oldSecret == nil || !r.fields.hasPAP || decodesToText(r, r.secret) || !decodesToText(r, r.oldSecret) {
		return ""
	}
	if cause := s.oldSecretEnded(r); cause != "" {
		return cause
	}
	r.secret = r.oldSecret
	return ""
}

func decodesToText(r *request, secret *sharedSecret) bool {
	typed, err := secret.reveal(r.fields.password, r.packet.Authenticator())
	return err == nil && (typed == "" || isText([]byte(typed.Reveal())))
}

// noteSecret reports the first use of a new shared secret, which the secret of
// the request is known to have been used for.
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

// verifyUnsigned checks a packet without a Message-Authenticator. A proxy adds
// Proxy-State with bytes of its own choice, which is what a forger needs
// (CVE-2024-3596). Status-Server (RFC 5997, section 3) and EAP (RFC 3579,
// section 3.2) must be signed. For everything else TLS replaces the signature.
func verifyUnsigned(r *request) Cause {
	_, proxied := r.packet.Lookup(ProxyState)
	_, eap := r.packet.Lookup(EAPMessage)
	switch {
	case eap, r.packet.Code() == StatusServer:
		return DropUnsigned
	case r.transport.encrypted():
		return ""
	case proxied:
		return DropProxied
	case r.client.mustSign(r.source):
		return DropUnsigned
	default:
		return ""
	}
}
