package vault

import (
	"crypto/hmac"
	"crypto/sha256"
	"crypto/subtle"
	"fmt"
	"hash"
	"hash/maphash"
	"io"
	"sync"
)

// pinCache keeps keyed digests of the PINs that this process has verified, one per
// token, so that a PIN is slow to verify only once. Its key never leaves the
// process. It helps nobody who does not have the running process, which also has
// the PIN key.
type pinCache struct {
	newMAC func() hash.Hash // HMAC-SHA256 under the key; as a function it does not reveal the key when printed
	seed   maphash.Seed
	limit  int

	mu      sync.RWMutex // guards entries
	entries map[uint64]pinDigests
}

// pinEntry identifies a PIN of a token in the cache.
type pinEntry struct {
	token uint64 // hash of the serial; of two that collide, one is dropped
	pinDigests
}

// pinDigests contains no pointer, so the garbage collector need not scan a million
// of them.
type pinDigests struct {
	sealed [16]byte // of serial, revision and the hash that was sealed
	pin    [16]byte // of that and the PIN
}

func newPINCache(random io.Reader, limit int) (*pinCache, error) {
	key := make([]byte, keySize)
	if _, err := io.ReadFull(random, key); err != nil {
		return nil, fmt.Errorf("creating the key of the PIN cache: %w", err)
	}
	return &pinCache{
		newMAC:  func() hash.Hash { return hmac.New(sha256.New, key) },
		seed:    maphash.MakeSeed(),
		limit:   limit,
		entries: make(map[uint64]pinDigests),
	}, nil
}

func (m *pinCache) entry(serial string, revision uint64, hash []byte, pin Secret) pinEntry {
	var sum [sha256.Size]byte
	out := pinEntry{token: maphash.String(m.seed, serial)}

	mac := m.newMAC()
	place := PINIdentity(serial, revision)
	mac.Write(encode(nil, "sealed", place.Record, place.Field, string(hash)))
	mac.Sum(sum[:0])
	out.sealed = [16]byte(sum[:])

	mac.Reset()
	mac.Write(encode(nil, "pin", string(sum[:])))
	mac.Write(pin)
	mac.Sum(sum[:0])
	out.pin = [16]byte(sum[:])
	return out
}

// lookup reports whether a PIN is cached for these sealed bytes, and whether it is
// this one.
func (m *pinCache) lookup(want pinEntry) (known, same bool) {
	m.mu.RLock()
	have, ok := m.entries[want.token]
	m.mu.RUnlock()
	if !ok || have.sealed != want.sealed {
		return false, false
	}
	return true, subtle.ConstantTimeCompare(have.pin[:], want.pin[:]) == 1
}

// store replaces the entry of the token. If the cache is full, the entry of a random
// token is dropped, which costs its owner 20 ms.
func (m *pinCache) store(right pinEntry) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if _, replaces := m.entries[right.token]; !replaces && len(m.entries) >= m.limit {
		for other := range m.entries {
			delete(m.entries, other)
			break
		}
	}
	if m.limit > 0 {
		m.entries[right.token] = right.pinDigests
	}
}
