package radius

import (
	"net/netip"
)

// admitDatagram takes in a packet of n bytes that came over UDP, from the
// client to whom its source address belongs.
func (s *Server) admitDatagram(r *request, n int) bool {
	found, ok := s.clients.lookup(plain(r.from.Addr()), s.now())
	if !ok {
		r.source = plain(r.from.Addr())
		cause, err := s.stranger(DropUnknownClient)
		s.drop(r, nil, cause, err)
		return false
	}
	r.client, r.secret = found, found.secret
	return s.admit(r, n)
}

// stranger is the cause for which somebody unknown is met with silence: the one
// given, unless this node may be yet to hear of him.
func (s *Server) stranger(cause Cause) (Cause, error) {
	if err := s.node.CaughtUp(); err != nil {
		return DropNotCaughtUp, err
	}
	return cause, nil
}

// admit takes a client's packet of n bytes in. It reports whether the request
// is in other hands now; otherwise it may be used again for the next packet.
func (s *Server) admit(r *request, n int) bool {
	r.arrived = s.now()
	r.source = plain(r.from.Addr())
	packet, err := Parse(r.buffer[:n])
	if err != nil {
		s.refusePacket(r, DropMalformed, err)
		return false
	}
	r.packet, r.fields = packet, fields{}
	if cause := s.verify(r); cause != "" {
		s.refusePacket(r, cause, nil)
		return false
	}
	s.cfg.Observer.Received(r.client.name, packet.Code())
	switch packet.Code() {
	case StatusServer:
		s.status(r)
		return false
	case AccountingRequest:
		s.account(r)
		return false
	default:
		return s.enqueue(r)
	}
}

// verify holds a packet to the rules about signatures, and answers the first
// that it breaks.
func (s *Server) verify(r *request) Cause {
	p := r.packet
	at, count := p.offset(MessageAuthenticator)
	switch {
	case !r.port.takes(p.Code()):
		return DropCode
	case count > 1:
		return DropSignedTwice
	case count == 1 && int(p[at-1]) != authenticatorLength+2:
		return DropMalformed
	}
	if p.Code() == AccountingRequest {
		return verifyAccounting(p, r.secret, at, count)
	}
	if count == 0 {
		return s.verifyUnsigned(r)
	}
	if !r.secret.signed(p, at, p.Authenticator()) {
		return DropSignature
	}
	if p.Code() == AccessRequest && !r.port.secure {
		s.latch(r.client, r.source, r.arrived)
	}
	return ""
}

// verifyAccounting checks the Request Authenticator, which covers the whole
// packet (RFC 2866, section 3), and the other signature if there is one.
func verifyAccounting(p Packet, secret *sharedSecret, at, count int) Cause {
	if !secret.authentic(p, Authenticator{}) {
		return DropSignature
	}
	if count == 1 && !secret.signed(p, at, Authenticator{}) {
		return DropSignature
	}
	return ""
}

// verifyUnsigned is for a packet without a Message-Authenticator. A proxy adds
// Proxy-State with bytes of its own choice, which is what a forger needs
// (CVE-2024-3596). Status-Server (RFC 5997, section 3) and EAP (RFC 3579,
// section 3.2) are always signed. TLS does for all else what a signature would.
func (s *Server) verifyUnsigned(r *request) Cause {
	_, proxied := r.packet.Lookup(ProxyState)
	_, eap := r.packet.Lookup(EAPMessage)
	switch {
	case eap, r.packet.Code() == StatusServer:
		return DropUnsigned
	case r.port.secure:
		return ""
	case proxied:
		return DropProxied
	case r.client.owes(r.source):
		return DropUnsigned
	default:
		return ""
	}
}

// enqueue gives an Access-Request to the workers, if it is new and there is
// room for it.
func (s *Server) enqueue(r *request) bool {
	var once bool
	if r.fields, once = fieldsOf(r.packet); !once {
		s.drop(r, r.client, DropMalformed, errTwice)
		return false
	}
	r.id = packetName(r)
	key := exchangeKey{from: r.from, code: r.packet.Code(), id: r.packet.ID()}
	entry, response, fresh := s.duplicates.begin(key, r.id, r.arrived)
	switch {
	case fresh:
		r.entry = entry
	case response == nil:
		s.drop(r, r.client, DropInProgress, nil)
		return false
	default:
		s.send(r, response)
		s.cfg.Observer.Answered(r.client.name, response.Code(), 0)
		return false
	}
	if cause := s.enter(r.client); cause != "" {
		s.duplicates.forget(entry)
		s.drop(r, r.client, cause, nil)
		return false
	}
	s.queue <- r
	return true
}

// enter counts a request in. One client can have only so many, so that a VPN
// that is flooded, or floods, leaves room for the others.
func (s *Server) enter(c *client) Cause {
	if c.load.Add(1) > int64(s.cfg.PerClient) {
		c.load.Add(-1)
		return DropClientBusy
	}
	if s.outstanding.Add(1) > int64(s.cfg.Outstanding) {
		s.outstanding.Add(-1)
		c.load.Add(-1)
		return DropBusy
	}
	s.open.Add(1)
	return ""
}

// leave counts a request out and gives it back.
func (s *Server) leave(r *request) {
	r.client.load.Add(-1)
	s.outstanding.Add(-1)
	r.packet, r.fields, r.port, r.client, r.secret, r.entry = nil, fields{}, nil, nil, nil, nil
	s.requests.Put(r)
	s.open.Done()
}

// refusePacket drops a packet that is not as it must be. If that shows that
// the two ends do not understand each other, a connection ends with it
// (RFC 6613, section 2.6.4).
func (s *Server) refusePacket(r *request, cause Cause, err error) {
	s.drop(r, r.client, cause, err)
	if r.port.hangUp != nil && (cause == DropMalformed || cause == DropSignature || cause == DropSignedTwice) {
		r.port.hangUp()
	}
}

// drop counts a packet that is met with silence.
func (s *Server) drop(r *request, c *client, cause Cause, err error) {
	name := ""
	if c != nil {
		name = c.name
	}
	s.cfg.Observer.Dropped(name, cause)
	s.complain(cause, name, r.source, err)
}

func (s *Server) complain(cause Cause, client string, source netip.Addr, err error) {
	s.notices.complain(cause, client, source, s.now(), err)
}
