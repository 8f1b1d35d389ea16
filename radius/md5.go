package radius

import (
	"crypto/fips140"
	"crypto/hmac"
	"crypto/md5" //nolint:gosec // RFC 2865 and RFC 3579 define nothing else
	"crypto/subtle"
	"errors"
	"fmt"
	"hash"
	"sync"

	"keyfob/engine"
)

// messageAuthenticatorAt is the offset at which newPacket puts the value.
const messageAuthenticatorAt = headerLength + 2

// sharedSecret is a secret shared with a client, and everything that RADIUS
// computes from it. It is safe for concurrent use.
//
// MD5 is not approved by FIPS 140. All use of it is in this file and runs
// without enforcement, which is why the states never leave it.
type sharedSecret struct {
	key    []byte
	states sync.Pool
}

// md5State is reused, because it would be the most frequent allocation.
type md5State struct {
	mac    hash.Hash // keyed with the secret
	hash   hash.Hash
	vector Authenticator // kept here because the input of a hash escapes to the heap
	zero   Authenticator
	out    Authenticator
}

func newSharedSecret(secret engine.Secret) *sharedSecret {
	s := &sharedSecret{key: []byte(secret.Reveal())}
	s.states.New = func() any {
		return &md5State{mac: hmac.New(md5.New, s.key), hash: md5.New()}
	}
	return s
}

// Format hides the secret under every verb.
func (*sharedSecret) Format(f fmt.State, _ rune) { _, _ = f.Write([]byte("***")) }

// with runs f on a state of its own.
func (s *sharedSecret) with(f func(*md5State)) {
	fips140.WithoutEnforcement(func() {
		m := s.states.Get().(*md5State) //nolint:errcheck,forcetypeassert // the pool holds nothing else
		f(m)
		s.states.Put(m)
	})
}

// pad returns what a block of a password is XORed with: the MD5 of the secret
// and the block before (RFC 2865, section 5.2).
func (m *md5State) pad(key, before []byte) Authenticator {
	m.hash.Reset()
	m.hash.Write(key)
	m.hash.Write(before)
	m.hash.Sum(m.out[:0])
	return m.out
}

// authenticator computes the Response Authenticator, or the Request
// Authenticator of an Accounting-Request (RFC 2865, section 3; RFC 2866,
// section 3).
func (m *md5State) authenticator(p Packet, request Authenticator, key []byte) Authenticator {
	m.vector = request
	m.hash.Reset()
	m.hash.Write(p[:4])
	m.hash.Write(m.vector[:])
	m.hash.Write(p[headerLength:])
	m.hash.Write(key)
	m.hash.Sum(m.out[:0])
	return m.out
}

// messageAuthenticator computes the attribute's value (RFC 3579, section 3.2) for a
// packet that has it at an offset. The vector replaces the packet's own
// authenticator; for a response it is that of the request.
func (m *md5State) messageAuthenticator(p Packet, at int, vector Authenticator) Authenticator {
	m.vector = vector
	m.mac.Reset()
	m.mac.Write(p[:4])
	m.mac.Write(m.vector[:])
	m.mac.Write(p[headerLength:at])
	m.mac.Write(m.zero[:])
	m.mac.Write(p[at+len(m.zero):])
	m.mac.Sum(m.out[:0])
	return m.out
}

// signed reports whether the Message-Authenticator at an offset is right.
func (s *sharedSecret) signed(p Packet, at int, vector Authenticator) (ok bool) {
	s.with(func(m *md5State) {
		want := m.messageAuthenticator(p, at, vector)
		ok = subtle.ConstantTimeCompare(want[:], p[at:at+len(want)]) == 1
	})
	return ok
}

// authentic reports whether a packet's authenticator is right for a response to
// a request with the given authenticator (RFC 2865, section 3). For an
// Accounting-Request that is zero (RFC 2866, section 3).
func (s *sharedSecret) authentic(p Packet, request Authenticator) (ok bool) {
	s.with(func(m *md5State) {
		want := m.authenticator(p, request, s.key)
		ok = subtle.ConstantTimeCompare(want[:], p[4:headerLength]) == 1
	})
	return ok
}

// sign completes a response: first the Message-Authenticator, if newPacket made
// one, then the Response Authenticator over the whole packet. The vector is the
// request's authenticator, or zero in the response to an Accounting-Request.
func (s *sharedSecret) sign(p Packet, request, vector Authenticator) {
	s.with(func(m *md5State) {
		if len(p) > headerLength && Type(p[headerLength]) == MessageAuthenticator {
			mac := m.messageAuthenticator(p, messageAuthenticatorAt, vector)
			copy(p[messageAuthenticatorAt:], mac[:])
		}
		sum := m.authenticator(p, request, s.key)
		copy(p[4:], sum[:])
	})
}

// signRequest completes an Access-Request or Status-Server made by newPacket,
// whose authenticator is random.
func (s *sharedSecret) signRequest(p Packet) {
	s.with(func(m *md5State) {
		mac := m.messageAuthenticator(p, messageAuthenticatorAt, p.Authenticator())
		copy(p[messageAuthenticatorAt:], mac[:])
	})
}

// signAccounting completes an Accounting-Request (RFC 2866, section 3).
func (s *sharedSecret) signAccounting(p Packet) {
	s.sign(p, Authenticator{}, Authenticator{})
}

const maxPassword = 128 // RFC 2865, section 5.2

// errPassword means that a User-Password was not made with this secret.
var errPassword = errors.New("password is malformed")

// reveal decodes a User-Password (RFC 2865, section 5.2) and removes its
// padding. A password with a NUL inside is malformed.
func (s *sharedSecret) reveal(hidden []byte, request Authenticator) (engine.Secret, error) {
	const block = authenticatorLength
	if len(hidden) == 0 || len(hidden) > maxPassword || len(hidden)%block != 0 {
		return "", errPassword
	}
	var clear [maxPassword]byte
	s.with(func(m *md5State) {
		previous := request[:]
		for i := 0; i < len(hidden); i += block {
			pad := m.pad(s.key, previous)
			subtle.XORBytes(clear[i:], hidden[i:i+block], pad[:])
			previous = hidden[i : i+block]
		}
	})
	end := len(hidden)
	for end > 0 && clear[end-1] == 0 {
		end--
	}
	for _, c := range clear[:end] {
		if c == 0 {
			return "", errPassword
		}
	}
	return engine.Secret(clear[:end]), nil
}

// hide encodes a password of at most 128 bytes as a User-Password.
func (s *sharedSecret) hide(password engine.Secret, request Authenticator) ([]byte, error) {
	const block = authenticatorLength
	if len(password) > maxPassword {
		return nil, errPassword
	}
	hidden := make([]byte, max(block, (len(password)+block-1)/block*block))
	copy(hidden, password.Reveal())
	s.with(func(m *md5State) {
		previous := request[:]
		for i := 0; i < len(hidden); i += block {
			pad := m.pad(s.key, previous)
			subtle.XORBytes(hidden[i:], hidden[i:i+block], pad[:])
			previous = hidden[i : i+block]
		}
	})
	return hidden, nil
}
