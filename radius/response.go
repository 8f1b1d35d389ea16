package radius

import (
	"errors"
	"fmt"
	"time"

	"keyfob/engine"
	"keyfob/events"
)

// Values of Prompt (RFC 2869, section 5.10).
const (
	promptNoEcho = 0
	promptEcho   = 1
)

// errPrompt means that an outcome is a challenge that cannot be asked.
var errPrompt = errors.New("step has no text, or the outcome has no state")

// accept makes an Access-Accept.
func accept(r *request) *builder {
	p := newPacket(AccessAccept, r.packet.ID())
	p.addAll(ProxyState, r.packet)
	return p
}

// reject makes an Access-Reject. It is the same for every reason, with one
// exception: a user who has proved the first step and whose last new PIN was
// refused reads which rule it broke. An EAP peer gets EAP-Failure instead of
// text (RFC 3579, section 2.6.5).
func (s *Server) reject(r *request, last engine.Prompt) *builder {
	p := newPacket(AccessReject, r.packet.ID())
	if e := r.fields.eap; len(e) >= 4 {
		const failure = 4
		p.add(EAPMessage, []byte{failure, e[1], 0, 4})
	} else {
		words := r.client.dialect.refusal(s.cfg.PageURL)
		if problem := r.client.dialect.problem(last); problem != "" {
			words = problem + " " + words
		}
		p.addString(ReplyMessage, printable(words))
	}
	p.addAll(ProxyState, r.packet)
	return p
}

// challenge makes an Access-Challenge. The State is printable, because ocserv
// cuts it at the first NUL byte. The answer to a yes-or-no question is not
// secret and may be echoed.
func challenge(r *request, out engine.Outcome, now time.Time) (*builder, error) {
	words, ok := r.client.dialect.question(out.Prompt)
	if !ok || out.Conversation == "" {
		return nil, fmt.Errorf("step %q: %w", out.Prompt.Step, errPrompt)
	}
	p := newPacket(AccessChallenge, r.packet.ID())
	p.addString(ReplyMessage, printable(words))
	p.addString(State, out.Conversation)
	echo := uint32(promptNoEcho)
	if out.Prompt.Step == events.StepChoosePIN || out.Prompt.Step == events.StepGeneratePIN {
		echo = promptEcho
	}
	p.addUint32(Prompt, echo)
	if seconds := out.Prompt.Expires.Sub(now) / time.Second; !out.Prompt.Expires.IsZero() && seconds > 0 {
		p.addUint32(SessionTimeout, uint32(seconds)) //nolint:gosec // a Duration has fewer seconds than 2^34; minutes here
	}
	p.addAll(ProxyState, r.packet)
	return p, p.err
}

// seal completes and signs the response to a request.
func (r *request) seal(b *builder) (Packet, error) {
	p, err := b.finish()
	if err != nil {
		return nil, err
	}
	authenticator := r.packet.Authenticator()
	vector := authenticator
	if r.packet.Code() == AccountingRequest {
		vector = Authenticator{}
	}
	r.secret.sign(p, authenticator, vector)
	return p, nil
}
