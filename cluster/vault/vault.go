// Package vault owns the cluster's keys, and seals and opens what must not be
// read by whoever gets hold of a disk, a backup or the Raft log.
//
//	Provider (key file, systemd credential, …)     needed at start and rotation only
//	  └─ Root: 32 random bytes a version           wrapped by the provider in a small file
//	       └─ one key per Purpose and version      HKDF-SHA256 over purpose and cluster
//	            └─ one key per record or stream    HKDF-SHA256 over its identity
//	                 └─ AES-256-GCM, random nonce, the same identity as associated data
//
// The identity (cluster, purpose, table, record, field, key version) is what
// keeps a sealed value in its place: moved to another token, another field or
// another cluster, it does not open. It does not keep an old value of the same
// record from being put back; that is the log's work.
//
// A key for every record costs one or two microseconds, and makes the limit of
// random nonces (2³² messages a key) one of the record, where a single key for
// the log would reach it in the cluster's lifetime.
//
// Sealed forms, all of them opaque to those who store them:
//
//	record   1, key version, nonce (12), ciphertext, tag (16)           Seal
//	stream   2, key version, salt (16), then chunks of nonce (12),      SealWriter
//	         up to 64 KiB of ciphertext, tag (16)
//	transfer 3, nonce (12), ciphertext, tag (16)                        Root.SealFor
//
// A PIN is sealed like any record; what is sealed is its Argon2id hash, so that
// the PIN key can be rotated without the users. See PINMatches for why a login
// seldom pays for Argon2id.
//
// Everything but Argon2id comes from the standard library and works under
// GODEBUG=fips140=only.
package vault

import (
	"crypto/hkdf"
	"crypto/rand"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"runtime"
	"strconv"
	"sync/atomic"
)

var (
	// ErrDamaged is returned for whatever does not open: changed, cut, moved from
	// elsewhere, of another cluster, or sealed under a key this node does not hold.
	ErrDamaged = errors.New("sealed value is damaged or belongs elsewhere")

	// ErrBusy is returned when as many PINs are being hashed, and as many callers
	// wait for their turn, as Config allows.
	ErrBusy = errors.New("too many PINs to verify at once")
)

// Purpose says what a key is for. Keys of different purposes know nothing of
// each other, so that one that leaks is not all of them.
type Purpose uint8

const (
	Seeds         Purpose = iota // tokens' seeds
	PINs                         // hashes of PINs
	Clients                      // RADIUS shared secrets
	Conversations                // what a client carries between the steps of a login
	Log                          // entries of the Raft log
	Snapshots                    // snapshots of the state, and backups
	Audit                        // pseudonyms in events
	NATS                         // seeds of the NATS accounts and users
	Signing                      // seed of the key that signs checkpoints
	CA                           // the cluster's certificate authority
	purposes                     // how many there are
)

// The names are part of every key: changing one makes what is sealed unreadable.
var purposeNames = [purposes]string{
	Seeds:         "seeds",
	PINs:          "pins",
	Clients:       "clients",
	Conversations: "conversations",
	Log:           "log",
	Snapshots:     "snapshots",
	Audit:         "audit",
	NATS:          "nats",
	Signing:       "signing",
	CA:            "ca",
}

func (p Purpose) String() string {
	if p >= purposes {
		return fmt.Sprintf("Purpose(%d)", uint8(p))
	}
	return purposeNames[p]
}

// Config holds what a site may tune.
type Config struct {
	Random     io.Reader // source of salts and of the process's own key, default crypto/rand.Reader
	Hashes     int       // PINs hashed at once, each with 19 MiB and a core for about 20 ms, default GOMAXPROCS
	Waiting    int       // callers that may wait for their turn, default 64 for each of Hashes (about 1.3 s)
	Remembered int       // verified PINs remembered for the fast path, about 100 bytes each, default 1<<20
}

// DefaultConfig returns the defaults for this machine.
func DefaultConfig() Config {
	hashes := runtime.GOMAXPROCS(0)
	return Config{Random: rand.Reader, Hashes: hashes, Waiting: 64 * hashes, Remembered: 1 << 20}
}

// Validate reports everything that is wrong with c.
func (c Config) Validate() error {
	var errs []error
	if c.Random == nil {
		errs = append(errs, errors.New("no source of random bytes"))
	}
	if c.Hashes < 1 {
		errs = append(errs, fmt.Errorf("hashes must be at least 1, not %d", c.Hashes))
	}
	if c.Waiting < 0 {
		errs = append(errs, fmt.Errorf("waiting must not be negative, it is %d", c.Waiting))
	}
	if c.Remembered < 0 {
		errs = append(errs, fmt.Errorf("remembered must not be negative, it is %d", c.Remembered))
	}
	return errors.Join(errs...)
}

// Vault seals and opens under the keys of one cluster. It is safe for
// concurrent use.
type Vault struct {
	cluster string
	random  io.Reader
	ring    atomic.Pointer[keyring]
	hashing gate
	seen    *memory
}

// keyring holds the purpose keys of every version of the root key. It never
// changes once made; Vault and Root hold it behind a pointer, which is all that
// printing them shows.
type keyring struct {
	primary byte
	keys    map[byte]*[purposes][keySize]byte
}

const keySize = 32 // AES-256, and the output of HKDF-SHA256

// Open derives the keys of the cluster from its root. The vault does not keep
// the root: whoever wants to admit nodes or rotate keys does.
func Open(root Root, clusterID string, cfg Config) (*Vault, error) {
	if err := cfg.Validate(); err != nil {
		return nil, fmt.Errorf("opening vault: %w", err)
	}
	if clusterID == "" {
		return nil, errors.New("opening vault: cluster has no name")
	}

	seen, err := newMemory(cfg.Random, cfg.Remembered)
	if err != nil {
		return nil, fmt.Errorf("opening vault: %w", err)
	}
	v := &Vault{
		cluster: clusterID,
		random:  cfg.Random,
		hashing: newGate(cfg.Hashes, cfg.Waiting),
		seen:    seen,
	}
	if err := v.Replace(root); err != nil {
		return nil, fmt.Errorf("opening vault: %w", err)
	}
	return v, nil
}

// Replace takes up a rotated root while the vault is in use: from now on
// everything is sealed under its primary version, and what was sealed under any
// of its versions opens. See Root for the order of a rotation.
func (v *Vault) Replace(root Root) error {
	if root.ring == nil || root.ring.keys[root.ring.primary] == nil {
		return errors.New("root key is missing")
	}
	next := &keyring{primary: root.ring.primary, keys: make(map[byte]*[purposes][keySize]byte)}
	for version, key := range root.ring.keys {
		next.keys[version] = purposeKeys(key, v.cluster, version)
	}
	v.ring.Store(next)
	return nil
}

func purposeKeys(root *[keySize]byte, cluster string, version byte) *[purposes][keySize]byte {
	var keys [purposes][keySize]byte
	for p, name := range purposeNames {
		keys[p] = derive(root[:], "keyfob purpose", name, cluster, strconv.Itoa(int(version)))
	}
	return &keys
}

// Derive returns 32 bytes that depend on the purpose, the label and the primary
// version of the root key and on nothing else: every node gets the same, and
// nothing need be stored. A rotation changes them.
func (v *Vault) Derive(p Purpose, label string) [32]byte {
	ring := v.ring.Load()
	return derive(ring.keys[ring.primary][p][:], "keyfob derived", label)
}

// Pseudonym returns a keyed digest of text, 32 hexadecimal digits: in an event
// it stands for a name that nobody in the company has, which may well be a
// password typed into the wrong field. The same text has the same pseudonym on
// every node until the root key is rotated.
func (v *Vault) Pseudonym(text string) string {
	ring := v.ring.Load()
	digest := derive(ring.keys[ring.primary][Audit][:], "keyfob pseudonym", text)
	return hex.EncodeToString(digest[:16])
}

// derive is HKDF-Expand with SHA-256 (RFC 5869, section 2.3); the key is uniform
// already, so there is nothing to extract (section 3.3). Every use begins with a
// label of its own.
func derive(key []byte, label string, parts ...string) [keySize]byte {
	out, err := hkdf.Expand(sha256.New, key, string(encode(nil, label, parts...)), keySize)
	if err != nil {
		panic("vault: " + err.Error()) // a key shorter than 14 bytes under FIPS rules: a programming error
	}
	defer clear(out)
	return [keySize]byte(out)
}

// encode appends parts so that no two lists of parts look the same: each is
// preceded by its length.
func encode(dst []byte, label string, parts ...string) []byte {
	dst = binary.AppendUvarint(dst, uint64(len(label)))
	dst = append(dst, label...)
	for _, part := range parts {
		dst = binary.AppendUvarint(dst, uint64(len(part)))
		dst = append(dst, part...)
	}
	return dst
}
