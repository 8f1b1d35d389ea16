package radius

import (
	"errors"
	"net/netip"

	"keyfob/engine"
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
// room for it. What does not prove that its sender knows the shared secret is
// dropped before it takes any room.
func (s *Server) enqueue(r *request) bool {
	var once bool
	if r.fields, once = fieldsOf(r.packet); !once {
		s.drop(r, r.client, DropMalformed, errRepeated)
		return false
	}
	n := nonce{r.client.name, r.packet.Authenticator()}
	if s.exchanges.knows(n) {
		response, cause := s.exchanges.recall(newExchange(r, n), r.arrived)
		if s.settle(r, response, cause) {
			return false
		}
	}
	if cause := s.findSecretByPassword(r); cause != "" {
		s.drop(r, r.client, cause, nil)
		return false
	}
	switch refused := r.refusal(); {
	case refused == RefusedPassword && !r.signed:
		s.drop(r, r.client, DropPassword, nil)
		return false
	case refused != "":
		s.warn(refused, r.client.name, r.source, nil)
		s.reply(r, s.reject(r, engine.Prompt{}))
		return false
	}
	x := newExchange(r, n)
	if response, cause := s.exchanges.begin(x, r.arrived); s.settle(r, response, cause) {
		return false
	}
	r.exchange = x
	if cause := s.rooms.enter(r); cause != "" {
		s.exchanges.forget(x)
		s.drop(r, r.client, cause, nil)
		return false
	}
	s.queueOf(r) <- r
	return true
}

// newExchange identifies a request.
func newExchange(r *request, n nonce) *exchange {
	r.id = requestID(r)
	return &exchange{
		nonce: n, request: r.id, signed: r.signed,
		place: place{from: r.from, code: r.packet.Code(), id: r.packet.ID()},
	}
}

// settle sends the response to a known request, or drops it for a cause. It
// reports false if there is neither.
func (s *Server) settle(r *request, response Packet, cause Cause) bool {
	switch {
	case cause != "":
		s.drop(r, r.client, cause, nil)
	case response != nil:
		r.transport.send(r, response)
		s.cfg.Observer.Answered(r.client.name, response.Code(), 0)
	default:
		return false
	}
	return true
}

// queueOf returns the queue for a request.
func (s *Server) queueOf(r *request) chan *request {
	if r.signed {
		return s.signed
	}
	return s.unsigned
}

// release frees the room of a request and returns the request to the pool.
func (s *Server) release(r *request) {
	s.rooms.leave(r)
	r.packet, r.fields, r.typed, r.transport, r.exchange = nil, fields{}, "", nil, nil
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
