package radius

import (
	"context"
	"errors"

	"keyfob/engine"
	"keyfob/events"
)

// errTwice says that an attribute that a login rests on occurs again.
var errTwice = errors.New("attribute occurs more than once")

// serve has a request decided and sees to its answer.
func (s *Server) serve(ctx context.Context, r *request) {
	deadline := r.arrived.Add(s.cfg.Timeout)
	if !s.now().Before(deadline) {
		s.abandon(r, DropLate, nil)
		return
	}
	ctx, cancel := context.WithDeadline(ctx, deadline)
	defer cancel()
	attempt, refused := s.attempt(r)
	if refused != "" {
		s.complain(refused, r.client.name, r.source, nil)
		s.finish(r, s.refuse(r, engine.Prompt{}))
		return
	}
	out, err := s.node.Authenticate(ctx, attempt)
	if err != nil {
		s.abandon(r, causeOf(err), err)
		return
	}
	s.finish(r, s.answer(r, out))
}

// causeOf tells apart why nothing was decided.
func causeOf(err error) Cause {
	switch {
	case errors.Is(err, engine.ErrBusy):
		return DropBusy
	case errors.Is(err, context.DeadlineExceeded):
		return DropLate
	default:
		return DropUndecided
	}
}

// abandon leaves a request without an answer and without a trace: the VPN
// sends it again, here or elsewhere, and it is tried as if for the first time.
func (s *Server) abandon(r *request, cause Cause, err error) {
	s.duplicates.forget(r.entry)
	s.drop(r, r.client, cause, err)
	s.leave(r)
}

// answer puts an outcome into a packet. A wrong answer that leaves the
// conversation open becomes another challenge, if the client supports
// challenges. That challenge may say what was wrong: the user has already
// completed the first step. The node has held every Reject until the policy's
// refusal delay has passed, so the answer is sent at once.
func (s *Server) answer(r *request, out engine.Outcome) *builder {
	asks := out.Verdict == engine.Challenge || out.Verdict == engine.Reject && out.Prompt.Step != events.StepNone
	switch {
	case out.Verdict == engine.Accept:
		return accept(r)
	case asks && !r.client.dialect.silent():
		asked, err := challenge(r, out, s.now())
		if err == nil {
			return asked
		}
		s.complain(FailedChallenge, r.client.name, r.source, err)
	case !asks:
		return s.refuse(r, out.Prompt)
	}
	return s.refuse(r, engine.Prompt{})
}

// finish signs, remembers and sends an answer.
func (s *Server) finish(r *request, built *builder) {
	response, err := r.seal(built)
	if err != nil {
		s.abandon(r, DropUnanswerable, err)
		return
	}
	now := s.now()
	if !s.duplicates.end(r.entry, response, now) {
		s.abandon(r, DropLate, nil) // the client no longer waits for it
		return
	}
	s.send(r, response)
	s.cfg.Observer.Answered(r.client.name, response.Code(), now.Sub(r.arrived))
	s.leave(r)
}

// status answers Status-Server (RFC 5997), but only if a login would be
// decided: a VPN takes silence for a reason to ask another node.
func (s *Server) status(r *request) {
	if err := s.node.Ready(); err != nil {
		s.drop(r, r.client, DropNotReady, err)
		return
	}
	code := AccessAccept
	if r.port.serves == AccountingRequest {
		code = AccountingResponse
	}
	s.reply(r, newPacket(code, r.packet.ID()))
}

// account answers Accounting-Request (RFC 2866). Sessions are not kept; they
// are answered, and counted by the observer, so that the VPN is content.
//
// The answer has a Message-Authenticator only if the request has. No standard
// says how to compute one here: FreeRADIUS takes the authenticator for zero,
// strongSwan and radsecproxy take the request's, and each drops what the other
// makes. Nothing is lost: the Response Authenticator covers it all, and there
// is nothing in the packet that a forger could want to change.
func (s *Server) account(r *request) {
	if _, count := r.packet.offset(MessageAuthenticator); count == 0 {
		s.reply(r, newBarePacket(AccountingResponse, r.packet.ID()))
		return
	}
	s.reply(r, newPacket(AccountingResponse, r.packet.ID()))
}

// reply answers at once what needs no decision and may be answered any number
// of times.
func (s *Server) reply(r *request, built *builder) {
	built.addAll(ProxyState, r.packet)
	response, err := r.seal(built)
	if err != nil {
		s.drop(r, r.client, DropUnanswerable, err)
		return
	}
	s.send(r, response)
	s.cfg.Observer.Answered(r.client.name, response.Code(), s.now().Sub(r.arrived))
}

// send puts a response on the wire. If it is lost there, the client asks
// again; an error here is no different.
func (s *Server) send(r *request, response Packet) {
	r.port.send(r, response)
}

// packetName is the name of a packet: the same bytes from the same source have
// the same name on every node. All of the packet goes into it, because not
// every client's authenticators are as random as they should be.
func packetName(r *request) events.Request {
	d := newDigest("packet")
	d.add([]byte(r.client.name))
	source, _ := r.from.MarshalBinary()
	d.add(source)
	d.add(r.packet)
	return d.request()
}
