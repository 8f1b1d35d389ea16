package engine

import "keyfob/events"

// maxExtensions is how often a conversation may be given more time. WCAG 2.2,
// 2.2.1 asks for ten.
const maxExtensions = 10

// extend gives the open step more time: the same question, with a new turn and
// a new end. It is no answer: it proves nothing and spends nothing, so it can
// only be had in a conversation whose first step was proved.
func (d *decider) extend() Decision {
	if d.conversation == nil {
		return d.quietly(events.ReasonConversationExpired)
	}
	t := d.state.Token(d.conversation.Serial)
	if !extendable(d.conversation, t) || t.User != d.user.Name || t.unusable(d.now) != "" {
		return d.quietly(events.ReasonConversationExpired)
	}
	next := *d.conversation
	next.Turn++
	next.Extensions++
	next.Expires = d.now.Add(d.state.Policy.ConversationFor)
	d.draft(events.PasscodeChallenged{User: d.user.Name, Conversation: next})
	return d.done()
}

// extendable reports whether a step of a conversation may be given more time.
// The next tokencode of a clock is not worth more: only those that follow the
// first are accepted. Nor is a tokencode that was sent: how long it is good is
// said in the message.
func extendable(c *events.Conversation, t *Token) bool {
	if t == nil || c.Extensions >= maxExtensions {
		return false
	}
	return c.Step != events.StepNextTokencode || !t.timed() && !t.onDemand()
}

// answersIn is how many answers a conversation has had.
func answersIn(c *events.Conversation) uint8 { return c.Turn - c.Extensions }
