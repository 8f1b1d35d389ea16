package radius

import (
	"context"
	"errors"

	"keyfob/engine"
	"keyfob/events"
)

// serve has an Access-Request decided and answers it.
func (s *Server) serve(ctx context.Context, r *request) {
	deadline := r.arrived.Add(s.cfg.Timeout)
	if !s.now().Before(deadline) {
		s.abandon(r, DropLate, nil)
		return
	}
	ctx, cancel := context.WithDeadline(ctx, deadline)
	defer cancel()
	out, err := s.node.Authenticate(ctx, s.attempt(r))
	if err != nil {
		s.abandon(r, causeOf(err), err)
		return
	}
	if out.Verdict != engine.Reject {
		s.noteSecret(r) // a right answer proves the secret, signed or not
	}
	s.finish(r, s.answer(r, out))
}

// causeOf returns why nothing was decided.
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

// abandon leaves a request unanswered and forgets it. When the VPN sends it
// again, here or to another node, it is tried as if for the first time.
func (s *Server) abandon(r *request, cause Cause, err error) {
	s.exchanges.forget(r.exchange)
	s.drop(r, r.client, cause, err)
	s.release(r)
}

// answer puts an outcome into a packet. A wrong answer that leaves the
// conversation open becomes another challenge, if the client can show one. That
// challenge may say what was wrong, because the user has completed the first
// step. The node has held every Reject until the policy's refusal delay has
// passed, so the response is sent at once.
func (s *Server) answer(r *request, out engine.Outcome) *builder {
	asks := out.Verdict == engine.Challenge || out.Verdict == engine.Reject && out.Prompt.Step != events.StepNone
	switch {
	case out.Verdict == engine.Accept:
		return accept(r)
	case asks && r.client.dialect.canAsk():
		asked, err := challenge(r, out, s.now())
		if err == nil {
			return asked
		}
		s.warn(FailedChallenge, r.client.name, r.source, err)
	case !asks:
		return s.reject(r, out.Prompt)
	}
	return s.reject(r, engine.Prompt{})
}

// finish signs, remembers and sends a response.
func (s *Server) finish(r *request, built *builder) {
	response, err := r.seal(built)
	if err != nil {
		s.abandon(r, DropUnanswerable, err)
		return
	}
	now := s.now()
	if !s.exchanges.end(r.exchange, response, now) {
		s.abandon(r, DropLate, nil) // the client no longer waits for it
		return
	}
	r.transport.send(r, response)
	s.cfg.Observer.Answered(r.client.name, response.Code(), now.Sub(r.arrived))
	s.release(r)
}

// status answers Status-Server (RFC 5997), but only if a login would be
// decided: without an answer, a VPN asks another node.
func (s *Server) status(r *request) {
	if err := s.node.Ready(); err != nil {
		s.drop(r, r.client, DropNotReady, err)
		return
	}
	code := AccessAccept
	if !r.transport.accepts(AccessRequest) {
		code = AccountingResponse
	}
	s.replyProxied(r, newPacket(code, r.packet.ID()))
}

// account answers Accounting-Request (RFC 2866). Sessions are not kept; the
// requests are answered and counted by the observer.
//
// The response has a Message-Authenticator only if the request has. No standard
// says how it is computed there: FreeRADIUS takes the authenticator for zero,
// strongSwan and radsecproxy take the request's, and each drops what the other
// makes. Nothing is lost: the Response Authenticator covers the whole packet,
// which holds nothing that a forger could want to change.
func (s *Server) account(r *request) {
	if _, count := r.packet.offset(MessageAuthenticator); count == 0 {
		s.replyProxied(r, newBarePacket(AccountingResponse, r.packet.ID()))
		return
	}
	s.replyProxied(r, newPacket(AccountingResponse, r.packet.ID()))
}

// replyProxied is reply with the Proxy-State of the request.
func (s *Server) replyProxied(r *request, built *builder) {
	built.addAll(ProxyState, r.packet)
	s.reply(r, built)
}

// reply answers a request that needs no decision and that may be answered any
// number of times.
func (s *Server) reply(r *request, built *builder) {
	response, err := r.seal(built)
	if err != nil {
		s.drop(r, r.client, DropUnanswerable, err)
		return
	}
	r.transport.send(r, response)
	s.cfg.Observer.Answered(r.client.name, response.Code(), s.now().Sub(r.arrived))
}
