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

// memory remembers the PINs that this process has seen to be right, one for each
// token: slow at rest, fast in memory. Its key never leaves the process, so that
// nothing in it is of use to anyone who does not have the running process, and
// with it the PIN key.
type memory struct {
	newMAC func() hash.Hash // HMAC-SHA256 under the key; a function shows nothing of it when printed
	seed   maphash.Seed
	limit  int

	mu    sync.RWMutex // guards marks
	marks map[uint64]digests
}

// mark is what memory knows a PIN of a token by.
type mark struct {
	token uint64 // hash of the serial; when two meet, one of them is forgotten
	digests
}

// digests hold no pointer, so that a million of them are nothing to the garbage
// collector.
type digests struct {
	sealed [16]byte // of serial, revision and sealed bytes: any change makes it another
	pin    [16]byte // of that and the PIN
}

func newMemory(random io.Reader, limit int) (*memory, error) {
	key := make([]byte, keySize)
	if _, err := io.ReadFull(random, key); err != nil {
		return nil, fmt.Errorf("making key of remembered PINs: %w", err)
	}
	return &memory{
		newMAC: func() hash.Hash { return hmac.New(sha256.New, key) },
		seed:   maphash.MakeSeed(),
		limit:  limit,
		marks:  make(map[uint64]digests),
	}, nil
}

func (m *memory) mark(serial string, revision uint64, sealed []byte, pin Secret) mark {
	var sum [sha256.Size]byte
	out := mark{token: maphash.String(m.seed, serial)}

	mac := m.newMAC()
	place := PINIdentity(serial, revision)
	mac.Write(encode(nil, "sealed", place.Record, place.Field, string(sealed)))
	mac.Sum(sum[:0])
	out.sealed = [16]byte(sum[:])

	mac.Reset()
	mac.Write(encode(nil, "pin", string(sum[:])))
	mac.Write(pin)
	mac.Sum(sum[:0])
	out.pin = [16]byte(sum[:])
	return out
}

// recall says whether a PIN is remembered for these sealed bytes, and whether it
// is this one.
func (m *memory) recall(want mark) (known, same bool) {
	m.mu.RLock()
	have, ok := m.marks[want.token]
	m.mu.RUnlock()
	if !ok || have.sealed != want.sealed {
		return false, false
	}
	return true, subtle.ConstantTimeCompare(have.pin[:], want.pin[:]) == 1
}

// remember replaces what was remembered for the token. When memory is full, some
// other token is forgotten: which one is chance, and costs its owner 20 ms.
func (m *memory) remember(right mark) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if _, replaces := m.marks[right.token]; !replaces && len(m.marks) >= m.limit {
		for other := range m.marks {
			delete(m.marks, other)
			break
		}
	}
	if m.limit > 0 {
		m.marks[right.token] = right.digests
	}
}
