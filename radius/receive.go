package radius

import (
	"errors"
	"net/netip"
)

// errRepeated means that an attribute that a login depends on occurs twice.
var errRepeated = errors.New("attribute occurs more than once")

// receiveDatagram takes in a UDP packet of n bytes. The client is the one that
// its source address belongs to. Like receive, it reports whether the request
// was handed over.
func (s *Server) receiveDatagram(r *request, n int) bool {
	found, ok := s.clients.lookup(plain(r.from.Addr()), s.now())
	if !ok {
		r.source = plain(r.from.Addr())
		cause, err := s.causeForStranger(DropUnknownClient)
		s.drop(r, nil, cause, err)
		return false
	}
	r.client, r.secret, r.oldSecret = found, found.secret, found.oldSecret
	return s.receive(r, n)
}

// causeForStranger returns why an unknown client gets no answer: the given
// cause, unless this node may not have learned of the client yet.
func (s *Server) causeForStranger(cause Cause) (Cause, error) {
	if err := s.node.CaughtUp(); err != nil {
		return DropNotCaughtUp, err
	}
	return cause, nil
}

// receive takes in a known client's packet of n bytes. It reports whether the
// request was handed to a worker; if not, the caller may reuse it.
func (s *Server) receive(r *request, n int) bool {
	r.arrived = s.now()
	r.source = plain(r.from.Addr())
	packet, err := Parse(r.buffer[:n])
	if err != nil {
		s.dropInvalid(r, DropMalformed, err)
		return false
	}
	r.packet, r.fields = packet, fields{}
	if cause := s.verify(r); cause != "" {
		s.dropInvalid(r, cause, nil)
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

// enqueue hands an Access-Request to the workers if it is new and there is
// room for it.
func (s *Server) enqueue(r *request) bool {
	var once bool
	if r.fields, once = fieldsOf(r.packet); !once {
		s.drop(r, r.client, DropMalformed, errRepeated)
		return false
	}
	r.id = requestID(r)
	key := exchangeKey{from: r.from, code: r.packet.Code(), id: r.packet.ID()}
	known, response, fresh := s.duplicates.begin(key, r.id, r.arrived)
	switch {
	case fresh:
		r.exchange = known
	case response == nil:
		s.drop(r, r.client, DropInProgress, nil)
		return false
	default:
		r.transport.send(r, response)
		s.cfg.Observer.Answered(r.client.name, response.Code(), 0)
		return false
	}
	if cause := s.reserve(r.client); cause != "" {
		s.duplicates.forget(known)
		s.drop(r, r.client, cause, nil)
		return false
	}
	s.queue <- r
	return true
}

// reserve makes room for a request, or returns why there is none. The limit
// per client keeps a VPN that is flooded from taking the room of the others.
func (s *Server) reserve(c *client) Cause {
	if c.load.Add(1) > int64(s.cfg.PerClient) {
		c.load.Add(-1)
		return DropClientBusy
	}
	if s.outstanding.Add(1) > int64(s.cfg.Outstanding) {
		s.outstanding.Add(-1)
		c.load.Add(-1)
		return DropBusy
	}
	return ""
}

// release frees the room of a request and returns the request to the pool.
func (s *Server) release(r *request) {
	r.client.load.Add(-1)
	s.outstanding.Add(-1)
	r.packet, r.fields, r.transport, r.exchange = nil, fields{}, nil, nil
	r.client, r.secret, r.oldSecret = nil, nil, nil
	s.requests.Put(r)
}

// dropInvalid drops a packet that breaks the protocol. If that shows that the
// two ends do not understand each other, it ends the connection (RFC 6613,
// section 2.6.4).
func (s *Server) dropInvalid(r *request, cause Cause, err error) {
	s.drop(r, r.client, cause, err)
	if cause == DropMalformed || cause == DropSignature || cause == DropSignedTwice {
		r.transport.disconnect()
	}
}

// drop counts and logs a packet that gets no answer. c is nil if the client is
// not known.
func (s *Server) drop(r *request, c *client, cause Cause, err error) {
	name := ""
	if c != nil {
		name = c.name
	}
	s.cfg.Observer.Dropped(name, cause)
	s.warn(cause, name, r.source, err)
}

func (s *Server) warn(cause Cause, client string, source netip.Addr, err error) {
	s.warnings.log(cause, client, source, s.now(), err)
}
