package engine

import (
	"time"

	"keyfob/engine/tokencode"
	"keyfob/events"
)

// Finish turns a decision into the outcome for the front end, and into the
// ticket to seal for the next step, or nil. sequence is the number of the last
// record that the decision is based on.
func Finish(s *State, c Checked, d Decision, sequence uint64, now events.Time) (Outcome, *Ticket) {
	out := Outcome{Verdict: d.Answer.Verdict, Reason: d.Answer.Reason, Reference: d.Answer.Reference, User: d.User}
	next := d.Answer.Conversation
	if next == nil {
		if d.Answer.Verdict == Proved {
			out.Word, out.Expires = c.Word, d.Answer.Until.Std()
		}
		out.Prompt = lastPrompt(s, c, d.Answer)
		return out, nil
	}
	t := &Ticket{ID: next.ID, Turn: next.Turn, User: d.User, Sequence: sequence, Step: next.Step}
	if next.Step == events.StepConfirmPIN || next.Step == events.StepLogin {
		t.PIN = c.PIN.Reveal()
	}
	for _, sent := range c.Deliveries {
		if next.Step == events.StepNextTokencode && sent.Serial == next.Serial {
			sent.Asked, sent.Expires = now.Std(), next.Expires.Std()
			t.PIN, t.Delivery = sent.Tokencode.Reveal(), &sent
		}
	}
	out.Prompt = prompt(s, d.User, next, t.PIN, now)
	return out, t
}

// lastPrompt asks for nothing. After a success it describes the token that was
// used. After a refusal it states what was wrong with the answer that ended the
// conversation.
func lastPrompt(s *State, c Checked, a Answer) Prompt {
	p := Prompt{Problem: a.Problem}
	if a.Verdict == Reject {
		if t := s.Token(a.Serial); t != nil {
			p.Rules = t.pinRules(&s.Policy)
		}
		return p
	}
	for _, e := range c.Command.Evidence.Tokens {
		if t := s.Token(e.Serial); t != nil && e.Found && e.PIN {
			p.describe(s, t)
			p.Emergency = e.Emergency != 0
		}
	}
	return p
}

// describe sets how the passcode of a token is composed.
func (p *Prompt) describe(s *State, t *Token) {
	p.Rules = t.pinRules(&s.Policy)
	p.Sent = t.onDemand()
	p.Event = !t.timed() && !p.Sent
	p.NoPIN = t.pinStyle() == tokencode.NoPIN
}

// PromptFor returns the step of a ticket, for a front end that shows it again.
// The error is ErrConversation if the conversation is over.
func PromptFor(s *State, t Ticket, now events.Time) (Prompt, error) {
	u := s.User(t.User)
	if !s.AnswersTo(t.User, t.ID, t.Turn) || now >= u.Conversation.Expires {
		return Prompt{}, ErrConversation
	}
	return prompt(s, u.Name, u.Conversation, t.PIN, now), nil
}

// AnswersTo reports whether the ticket belongs to the present turn of the open
// conversation.
func (s *State) AnswersTo(user string, id events.Request, turn uint8) bool {
	u := s.User(user)
	return u != nil && u.Conversation != nil && u.Conversation.ID == id && u.Conversation.Turn == turn
}

// prompt returns a step of a conversation with what a front end needs to word
// it.
func prompt(s *State, user string, c *events.Conversation, pin string, now events.Time) Prompt {
	p := Prompt{
		Step: c.Step, User: user, Problem: Problem(c.Problem), Expires: c.Expires.Std(), Extendable: extendable(c, s.Token(c.Serial)),
	}
	if c.Step == events.StepLogin {
		p.PIN = Secret(pin)
	}
	t := s.Token(c.Serial)
	if t == nil {
		return p
	}
	p.describe(s, t)
	if c.Step == events.StepNextTokencode && !p.Sent {
		p.Within = s.Policy.NextTokencodeWithin
	}
	if p.Event || p.Sent {
		return p
	}
	p.Period = time.Duration(t.Period) * time.Second
	// The tokencode after the last one used, or after the one shown now, by the
	// clock of the token.
	interval := t.expected(now) + 1
	if c.Step == events.StepLogin || c.Step == events.StepNextTokencode {
		interval = t.Last + 1
	}
	p.Next = tokencode.Start(t.params(), interval-t.Drift)
	return p
}
