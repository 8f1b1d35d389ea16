package cluster

import (
	"crypto/ed25519"
	"errors"
	"fmt"
	"io"

	"keyfob/cluster/vault"
	"keyfob/engine"
	"keyfob/events"
)

var errNoVersionLeft = fmt.Errorf("the root key has version %d, which is the last one: set up a new cluster and import the tokens there", engine.MaxKeyVersion)

// rotationRequest has the leader make a new version of the root key. Only the leader
// can ask itself.
type rotationRequest struct {
	keys   *keychain
	random io.Reader
}

func (rotationRequest) body() any { return nil }

// decide makes the new version for the members of a state that wants one. The batcher
// calls it right after a command that removes a node, so the removal and the new
// version are in one log entry, and nothing is written under the old version after
// it.
func (r rotationRequest) decide(s *engine.State, o events.Origin, now events.Time, _ bool) (engine.Decision, error) {
	if s.Cluster.Keys.Wanted == "" {
		return engine.Decision{}, nil
	}
	e, err := r.make(s)
	if err != nil {
		return engine.Decision{}, fmt.Errorf("making a new root key: %w", err)
	}
	return engine.Decide(s, o, engine.Note{Event: e}, now)
}

func (r rotationRequest) make(s *engine.State) (e events.RootKeyRotated, err error) {
	k := r.keys
	switch before := s.Cluster.Keys.Primary(); {
	case s.Node(k.c.Node) == nil:
		return e, errRemoved // it must not know the new version
	case before == engine.MaxKeyVersion:
		return e, errNoVersionLeft
	case before != k.vault.Primary():
		return e, errors.New("this node has not applied the last rotation yet")
	default:
		e = events.RootKeyRotated{Version: before + 1, Reason: s.Cluster.Keys.Wanted}
	}
	next, err := vault.NewRootVersion(r.random, e.Version)
	if err != nil {
		return e, err
	}
	defer next.Wipe()
	for n := range s.Nodes {
		public, err := vault.ParseNodePublic(n.SealKey)
		if err != nil {
			return e, fmt.Errorf("node %s: %w", n.Name, err)
		}
		box, err := k.vault.BoxForNode(public, nodeID(n.Name, n.Key), next)
		if err != nil {
			return e, err
		}
		e.Boxes = append(e.Boxes, events.KeyBox{For: n.Name, Sealed: box})
	}
	if e.Recovery, err = recoveryBoxes(k.vault, s.Cluster, next); err != nil {
		return e, err
	}
	r.signKey(&e, next)
	return e, nil
}

// recoveryBoxes seals a new version for the holders of the recovery keys, who need it
// to restore a backup together with a journal that is younger than the rotation.
func recoveryBoxes(v *vault.Vault, c engine.Cluster, next vault.Root) (boxes []events.KeyBox, err error) {
	for _, key := range c.RecoveryKeys {
		public, err := vault.ParseRecoveryPublic(key.Key)
		if err != nil {
			return nil, err
		}
		box, err := v.BoxForRecovery(public, next)
		if err != nil {
			return nil, err
		}
		boxes = append(boxes, events.KeyBox{For: public.Name(), Sealed: box})
	}
	return boxes, nil
}

// signKey signs the change of the checkpoint key with both keys.
func (r rotationRequest) signKey(e *events.RootKeyRotated, next vault.Root) {
	seed := next.Derive(r.keys.id.Cluster, vault.Signing, checkpointLabel)
	before, after := signingKey(r.keys.vault), ed25519.NewKeyFromSeed(seed[:])
	old, public := before.Public().(ed25519.PublicKey), after.Public().(ed25519.PublicKey)
	text := events.CheckpointKeyText(r.keys.id.Cluster, e.Version, old, public)
	e.CheckpointKeyBefore, e.CheckpointKey = old, public
	e.SignatureBefore, e.Signature = ed25519.Sign(before, text), ed25519.Sign(after, text)
}

// sealedAt is the purpose and the identity of a sealed value of the state.
func sealedAt(p events.SealedPlace) (vault.Purpose, vault.Identity, error) {
	switch p.Kind {
	case events.SealedSeed:
		return vault.Seeds, seedPlace(p.Record), nil
	case events.SealedEmergency:
		return vault.Seeds, seedPlace(engine.EmergencyPlace(p.Record)), nil
	case events.SealedPIN:
		return vault.PINs, vault.PINIdentity(p.Record, p.Revision), nil
	case events.SealedPINpad:
		return vault.PINs, pinpadPlace(p.Record, p.Revision), nil
	case events.SealedClient, events.SealedClientOld:
		return vault.Clients, clientPlace(p.Record), nil
	case events.SealedCAKey:
		return vault.CA, caPlace, nil
	}
	return 0, vault.Identity{}, fmt.Errorf("sealed values of kind %d are unknown", p.Kind)
}
