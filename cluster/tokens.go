package cluster

import (
	"context"
	"fmt"
	"time"

	"keyfob/cluster/vault"
	"keyfob/engine"
	"keyfob/engine/tokencode"
	"keyfob/events"
)

// Commands that need this node's keys. The node seals what they create; the leader
// decides them like every other command.

// token returns a token of the present state, or a refusal.
func (n *Node) token(serial string) (*engine.Token, error) {
	if t := n.State().Token(serial); t != nil {
		return t, nil
	}
	return nil, &engine.Refusal{Code: engine.NotFound, Text: fmt.Sprintf("token %.64q not found", serial), Help: engine.HelpListTokens}
}

// SetTemporaryPIN sets a PIN that must be changed at its first use. If pin is
// empty, one is generated. It returns the PIN, to be given to the owner once.
func (n *Node) SetTemporaryPIN(ctx context.Context, o events.Origin, serial string, pin engine.Secret) (engine.Secret, error) {
	t, err := n.token(serial)
	if err != nil {
		return "", err
	}
	if pin, err = engine.TemporaryPIN(n.State(), n.keys, t, pin, n.c.CommonPINs); err != nil {
		return "", err
	}
	c := engine.SetTemporaryPIN{Serial: serial, Revision: t.PINRevision + 1}
	if c.Sealed, err = n.sealPINOf(ctx, t, c.Revision, pin); err != nil {
		return "", undecided(err)
	}
	return pin, n.Do(ctx, o, c)
}

// GiveOut executes a command that may give a token without a PIN to a user. If the
// policy requires an activation code then, the same command sets one. It is
// returned, to be given to the owner once, also if the command waits for an
// approval.
func (n *Node) GiveOut(ctx context.Context, o events.Origin, c engine.Command) (engine.Secret, error) {
	s := n.State()
	t := engine.ToActivate(s, c)
	if t == nil {
		return "", n.Do(ctx, o, c)
	}
	pin, err := engine.TemporaryPIN(s, n.keys, t, "", n.c.CommonPINs)
	if err != nil {
		return "", err
	}
	code := engine.ActivationCode{Revision: t.PINRevision + 1}
	if code.Sealed, err = n.sealPINOf(ctx, t, code.Revision, pin); err != nil {
		return "", undecided(err)
	}
	return pin, n.Do(ctx, o, engine.Activated(c, code))
}

// sealPINOf seals a PIN as the token's PIN style requires.
func (n *Node) sealPINOf(ctx context.Context, t *engine.Token, revision uint64, pin engine.Secret) ([]byte, error) {
	if t.PINStyle == string(tokencode.PINpad) {
		return n.keys.SealPINpad(t.Serial, revision, pin)
	}
	return n.keys.SealPIN(ctx, t.Serial, revision, pin)
}

// Resynchronize resynchronizes a token with two consecutive tokencodes that its
// owner read out.
func (n *Node) Resynchronize(ctx context.Context, o events.Origin, serial string, first, second engine.Secret) error {
	view := n.replica.View()
	e, err := engine.CheckInARow(view.State, n.keys, serial, first, second, max(events.At(n.c.Now()), view.Time))
	if err != nil {
		return err
	}
	return n.Do(ctx, o, engine.ResynchronizeToken{Evidence: e})
}

// Loss describes what applies while a token is lost.
type Loss struct {
	Serial string
	Codes  int           // number of emergency tokencodes, each valid once
	Fixed  bool          // instead one emergency tokencode that is valid until the end
	For    time.Duration // how long they are valid
	Found  string        // whether the token's own tokencodes work meanwhile: refuse, allow, after
}

// Lose marks a token as lost. It returns the emergency tokencodes, to be given to
// the owner once.
func (n *Node) Lose(ctx context.Context, o events.Origin, loss Loss) ([]string, error) {
	lost := events.TokenLost{
		Serial: loss.Serial, Fixed: loss.Fixed, Found: loss.Found, Until: events.At(n.c.Now().Add(loss.For)),
	}
	count := loss.Codes
	if loss.Fixed {
		count = 1
	}
	var codes []string
	if count > 0 {
		var text engine.Secret
		var err error
		if codes, text, err = engine.EmergencyTokencodes(count, n.keys.Random); err != nil {
			return nil, err
		}
		lost.Given = uint8(len(codes)) //nolint:gosec // at most 50
		if lost.Sealed, err = n.SealSeed(engine.EmergencyPlace(loss.Serial), text); err != nil {
			return nil, err
		}
	}
	return codes, n.Do(ctx, o, engine.LoseToken{Lost: lost})
}

// Replace assigns another token to the owner of a token. The new token replaces
// the old one at its first successful login. With keepPIN it gets the old token's
// PIN. Without a PIN it may need an activation code, as in GiveOut.
func (n *Node) Replace(ctx context.Context, o events.Origin, old, serial string, keepPIN bool) (engine.Secret, error) {
	c := engine.ReplaceToken{Old: old, Serial: serial}
	from, err := n.token(old)
	if err != nil {
		return "", err
	}
	to, err := n.token(serial)
	if err != nil {
		return "", err
	}
	if keepPIN && len(from.PIN) != 0 {
		c.Revision = to.PINRevision + 1
		before, after := vault.PINIdentity(old, from.PINRevision), vault.PINIdentity(serial, c.Revision)
		if from.PINStyle == string(tokencode.PINpad) {
			before, after = pinpadPlace(old, from.PINRevision), pinpadPlace(serial, c.Revision)
		}
		if c.PIN, err = n.vault.Move(vault.PINs, before, after, from.PIN); err != nil {
			return "", undecided(err)
		}
	}
	return n.GiveOut(ctx, o, c)
}
