package radius

import (
	"crypto/fips140"
	"crypto/hmac"
	"crypto/md5" //nolint:gosec // RFC 2865 and RFC 3579 know nothing else
	"crypto/subtle"
	"errors"
	"fmt"
	"hash"
	"sync"

	"keyfob/engine"
)

// messageAuthenticatorAt is where newPacket puts the value.
const messageAuthenticatorAt = headerLength + 2

// sharedSecret is what a client and this server both know, and everything
// that RADIUS computes from it. It may be used by many goroutines.
//
// MD5 is not approved by FIPS 140. All use of it is in this file and runs
// outside of the enforcement, which is why the states are never handed out.
type sharedSecret struct {
	key    []byte
	states sync.Pool
}

// md5State is kept for reuse: it is the most frequent allocation otherwise.
type md5State struct {
	mac    hash.Hash // keyed with the secret
	hash   hash.Hash
	vector Authenticator // what goes into a hash must not be on a stack
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

// pad hides or reveals a block of a password: the MD5 of the secret and the
// block before (RFC 2865, section 5.2).
func (m *md5State) pad(key, before []byte) Authenticator {
	m.hash.Reset()
	m.hash.Write(key)
	m.hash.Write(before)
	m.hash.Sum(m.out[:0])
	return m.out
}

// authenticator is what stands in that field of a response, or of an
// Accounting-Request (RFC 2865, section 3; RFC 2866, section 3).
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

// messageAuthenticator is the attribute's value (RFC 3579, section 3.2) for a
// packet that has it at an offset. The vector stands in for the packet's own
// authenticator: in a response that of the request.
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

// authentic reports whether a packet's authenticator is that of a response to
// a request with the given one (RFC 2865, section 3). For an
// Accounting-Request that is zero (RFC 2866, section 3).
func (s *sharedSecret) authentic(p Packet, request Authenticator) (ok bool) {
	s.with(func(m *md5State) {
		want := m.authenticator(p, request, s.key)
		ok = subtle.ConstantTimeCompare(want[:], p[4:headerLength]) == 1
	})
	return ok
}

// sign completes a response: the Message-Authenticator over the vector, if it
// was made by newPacket, then the Response Authenticator over all of it. The
// vector is the request's authenticator but for the answer to an
// Accounting-Request, where it is zero as in the request.
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

// signRequest completes an Access-Request or a Status-Server made by
// newPacket, whose authenticator is a random number.
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

// errPassword says that a User-Password cannot have been made by a client that
// knows the secret.
var errPassword = errors.New("password is malformed")

// reveal is the password in a User-Password (RFC 2865, section 5.2), without
// its padding. One that has a NUL within is none.
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

// hide makes a User-Password of a password of at most 128 bytes.
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
