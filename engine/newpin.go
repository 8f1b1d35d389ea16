package engine

import (
	"context"
	"fmt"

	"keyfob/engine/tokencode"
	"keyfob/events"
)

// newPIN examines an answer to one of the steps that set a PIN, and seals the
// PIN if one is to be set. When the turn is over, no PIN can be set any more, so
// nothing is hashed: repeated answers would occupy the node.
func (k *checker) newPIN(ctx context.Context, c *Checked) error {
	t := k.State.Token(k.user.Conversation.Serial)
	if t == nil {
		return nil
	}
	rules := t.pinRules(&k.State.Policy)
	c.Command.Choice = k.choice()
	e := &PINEvidence{Revision: t.PINRevision + 1}
	c.Command.Evidence.PIN = e
	c.Command.Evidence.Tokens = []TokenEvidence{evidenceOf(t)}

	switch {
	case c.Command.Choice == ChoiceGenerated && rules.Source != PINByUser:
		pin, err := generatePIN(k.chance(t, k.Ticket.Sequence), rules, t, k.user.Name, k.Common)
		if err != nil {
			return err
		}
		e.Generated = true
		return k.seal(ctx, t, e, c, pin)
	case rules.Source == PINBySystem || k.step == events.StepChoosePIN && c.Command.Choice != ChoiceOwn:
		e.Problem = ProblemChoice
		return nil
	case k.step == events.StepChoosePIN && k.Attempt.Again == "":
		return nil // the PIN is asked for next
	case k.step == events.StepConfirmPIN && k.Attempt.Again == "":
		if !same(k.typed, k.Ticket.PIN) {
			e.Problem = ProblemDifferent
			return nil
		}
		if e.Problem = unfit(k.typed, rules, t, k.user.Name, k.Common); e.Problem != ProblemNone {
			return nil // the rules have changed since it was typed the first time
		}
		return k.seal(ctx, t, e, c, k.typed)
	}
	return k.ownPIN(ctx, t, rules, e, c)
}

// ownPIN examines a PIN chosen by the user. If the front end does not ask for
// it twice at once, it is kept in the ticket until it is typed again.
func (k *checker) ownPIN(ctx context.Context, t *Token, rules PINRules, e *PINEvidence, c *Checked) error {
	if again := k.Attempt.Again; again != "" && !same(k.typed, canonicalTyped(again)) {
		e.Problem = ProblemDifferent
		return nil
	}
	if e.Problem = unfit(k.typed, rules, t, k.user.Name, k.Common); e.Problem != ProblemNone {
		return nil
	}
	used, err := k.usedBefore(ctx, t)
	if err != nil {
		return err
	}
	if used {
		e.Problem = ProblemSameAsOld
		return nil
	}
	if k.Attempt.Again == "" {
		e.Typed = true
		c.PIN = Secret(k.typed)
		return nil
	}
	return k.seal(ctx, t, e, c, k.typed)
}

// TemporaryPIN returns a PIN that an administrator sets: as typed if it is fit,
// or a generated one. The error of an unfit one is a *Refusal.
func TemporaryPIN(s *State, keys Keys, t *Token, typed Secret, common PINList) (Secret, error) {
	rules := t.pinRules(&s.Policy)
	if typed == "" {
		pin, err := generatePIN(keys.Random, rules, t, t.User, common)
		return Secret(pin), err
	}
	pin := canonicalTyped(typed)
	if problem := unfit(pin, rules, t, t.User, common); problem != ProblemNone {
		return "", refuse(Invalid, "this PIN is not allowed (%s): use %d to %d characters that are not easy to guess", problem, rules.Min, rules.Max)
	}
	return Secret(pin), nil
}

// usedBefore reports whether the input is the token's present PIN or one of its
// last PINs.
func (k *checker) usedBefore(ctx context.Context, t *Token) (bool, error) {
	if k.over {
		return false, nil
	}
	last, reach := t.OldPINs, k.State.Policy.PINHistory
	if t.hasPIN() { // the present one is never allowed, even without a history
		last = append([]OldPIN{{t.PINRevision, t.PIN}}, last...)
		reach = max(reach, 1)
	}
	for _, tag := range last[:min(len(last), reach)] {
		if used, err := k.matches(ctx, t, tag, k.typed); used || err != nil {
			return used, err
		}
	}
	return false, nil
}

// seal makes the tag of the new PIN. A generated PIN stays on this node until
// it has been shown.
func (k *checker) seal(ctx context.Context, t *Token, e *PINEvidence, c *Checked, pin string) error {
	if e.Generated {
		c.PIN = Secret(pin)
	}
	if k.over {
		return nil
	}
	var err error
	if t.pinStyle() == tokencode.PINpad {
		e.Sealed, err = k.Keys.SealPINpad(t.Serial, e.Revision, Secret(pin))
		return err
	}
	e.Sealed, err = k.Keys.SealPIN(ctx, t.Serial, e.Revision, Secret(pin))
	return err
}

// chance returns random bytes for a token and this request. Another node that
// gets the same request draws the same. since distinguishes it from the same
// request at another time.
func (k *checker) chance(t *Token, since uint64) func([]byte) error {
	return k.Keys.ChanceOf(fmt.Sprintf("%x for %s since %d", k.Attempt.Origin.Request, t.Serial, since))
}

// choice returns the user's choice, by a button or in words. Yes means the
// user's own PIN if both are offered, and a generated one if only that is.
func (k *checker) choice() Choice {
	if k.Attempt.Choice != ChoiceNone {
		return k.Attempt.Choice
	}
	if k.step == events.StepChoosePIN && k.Attempt.Again != "" {
		return ChoiceOwn // only a chosen PIN is typed twice
	}
	yes, ok := parseYes(k.typed)
	switch {
	case !ok:
	case k.step == events.StepChoosePIN && yes:
		return ChoiceOwn
	case k.step == events.StepChoosePIN, k.step == events.StepGeneratePIN && yes:
		return ChoiceGenerated
	}
	return ChoiceNone
}
