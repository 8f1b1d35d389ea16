package engine

import (
	"crypto/sha256"
	"slices"

	"keyfob/engine/tokencode"
	"keyfob/events"
)

// SealedValue is a value of the state that is sealed under the root key.
type SealedValue struct {
	Place events.SealedPlace
	Value []byte
}

// slot is the place of a sealed value in a record.
type slot struct {
	place events.SealedPlace
	value *[]byte
}

// The sealed values of each kind of record. TestEverySealedValueIsFound fails for
// a field that is missing here.

func (c *Cluster) sealed(dst []slot) []slot {
	return append(dst, slot{events.SealedPlace{Kind: events.SealedCAKey}, &c.CAKey})
}

func (c *Client) sealed(dst []slot) []slot {
	return append(dst,
		slot{events.SealedPlace{Kind: events.SealedClient, Record: c.Name}, &c.Secret},
		slot{events.SealedPlace{Kind: events.SealedClientOld, Record: c.Name}, &c.OldSecret})
}

func (t *Token) sealed(dst []slot) []slot {
	pin := events.SealedPIN
	if t.pinStyle() == tokencode.PINpad {
		pin = events.SealedPINpad
	}
	dst = append(dst,
		slot{events.SealedPlace{Kind: events.SealedSeed, Record: t.Serial}, &t.Seed},
		slot{events.SealedPlace{Kind: pin, Record: t.Serial, Revision: t.PINRevision}, &t.PIN})
	for i := range t.OldPINs {
		dst = append(dst, slot{events.SealedPlace{Kind: pin, Record: t.Serial, Revision: t.OldPINs[i].Revision}, &t.OldPINs[i].Sealed})
	}
	if t.Lost != nil {
		dst = append(dst, slot{events.SealedPlace{Kind: events.SealedEmergency, Record: t.Serial}, &t.Lost.Sealed})
	}
	return dst
}

// Sealed calls yield for each sealed value, in a fixed order.
func (s *State) Sealed(yield func(SealedValue) bool) {
	var slots []slot
	each := func() bool {
		for _, at := range slots {
			if len(*at.value) > 0 && !yield(SealedValue{at.place, *at.value}) {
				return false
			}
		}
		return true
	}
	slots = s.Cluster.sealed(slots)
	if !each() {
		return
	}
	for c := range s.Clients {
		if slots = c.sealed(slots[:0]); !each() {
			return
		}
	}
	for t := range s.Tokens {
		if slots = t.sealed(slots[:0]); !each() {
			return
		}
	}
}

// KeyVersion returns the version of the root key that a value is sealed under: the
// second byte of every sealed value.
func KeyVersion(sealed []byte) uint8 {
	if len(sealed) < 2 {
		return 0
	}
	return sealed[1]
}

// DigestOf identifies a sealed value in events.Resealed.
func DigestOf(sealed []byte) events.SealedDigest {
	sum := sha256.Sum256(sealed)
	return events.SealedDigest(sum[:len(events.SealedDigest{})])
}

// putSealed replaces the value at a place, if it still has the digest.
func putSealed(slots []slot, v events.Resealed) bool {
	for _, at := range slots {
		if at.place == v.Place && len(*at.value) > 0 && DigestOf(*at.value) == v.Before {
			*at.value = v.Sealed
			return true
		}
	}
	return false
}

// reseal replaces a sealed value by the same under another key. Revisions do not
// change, so evidence that was made from the old one stays valid.
func (s *State) reseal(v events.Resealed) {
	switch v.Place.Kind {
	case events.SealedCAKey:
		putSealed(s.Cluster.sealed(nil), v)
	case events.SealedClient, events.SealedClientOld:
		s.changeClient(v.Place.Record, func(c *Client) { putSealed(c.sealed(nil), v) })
	case events.SealedSeed, events.SealedPIN, events.SealedPINpad, events.SealedEmergency:
		s.changeToken(v.Place.Record, func(t *Token) {
			t.OldPINs = slices.Clone(t.OldPINs)
			if t.Lost != nil {
				lost := *t.Lost
				t.Lost = &lost
			}
			putSealed(t.sealed(nil), v)
		})
	}
}

// sealedIn returns the sealed values that an event brings into the state.
func sealedIn(e events.Event) [][]byte {
	switch e := e.(type) {
	case events.CARotated:
		return [][]byte{e.Sealed}
	case events.ClusterFounded:
		return [][]byte{e.Sealed}
	case events.TokenImported:
		return [][]byte{e.Sealed}
	case events.PINSet:
		return [][]byte{e.Sealed}
	case events.TokenLost:
		return [][]byte{e.Sealed}
	case events.ClientAdded:
		return [][]byte{e.Sealed}
	case events.ClientSecretRotated:
		return [][]byte{e.Sealed}
	default:
		return nil
	}
}

// outdated reports whether an event would bring a value into the state that is
// sealed under an older version of the root key than the present one.
func (s *State) outdated(e events.Event) bool {
	if s.Cluster.Keys.Version == 0 {
		return false
	}
	return slices.ContainsFunc(sealedIn(e), func(sealed []byte) bool {
		return len(sealed) > 0 && KeyVersion(sealed) < s.Cluster.Keys.Version
	})
}
