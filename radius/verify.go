package radius

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
	r.signed = count == 1 || r.transport.encrypted()
	if count == 0 && p.Code() != AccountingRequest {
		return verifyUnsigned(r)
	}
	if cause := s.findSecret(r, at, count); cause != "" {
		return cause
	}
	if p.Code() == AccessRequest && !r.transport.encrypted() {
		s.noteSigner(r)
	}
	s.noteSecret(r)
	return ""
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
	default:
		return r.client.unsigned(r.source)
	}
}
