package engine

import "keyfob/events"

// maxExtensions is how often a conversation may get more time. WCAG 2.2, 2.2.1
// requires ten.
const maxExtensions = 10

// extend gives the open step more time: the same question, with a new turn and
// a new end. It proves and uses up nothing, so the first step must have been
// proved before.
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

// extendable reports whether a step of a conversation may get more time. The
// next tokencode of a time-based token may not: only those that follow the
// first are accepted. Nor may a tokencode that was sent: the message states how
// long it is valid.
func extendable(c *events.Conversation, t *Token) bool {
	if t == nil || c.Extensions >= maxExtensions {
		return false
	}
	return c.Step != events.StepNextTokencode || !t.timed() && !t.onDemand()
}

// answersIn returns how many answers a conversation has had.
func answersIn(c *events.Conversation) uint8 { return c.Turn - c.Extensions }
