// Package vault holds the cluster's keys. It seals and opens what must stay
// unreadable to anybody who gets a disk, a backup or the Raft log.
//
//	Provider (key file, systemd credential, …)     needed at start and rotation only
//	  └─ Root: 32 random bytes a version           wrapped by the provider in a small file
//	       └─ one key per Purpose and version      HKDF-SHA256 over purpose and cluster
//	            └─ one key per record or stream    HKDF-SHA256 over its identity
//	                 └─ AES-256-GCM, random nonce, the same identity as associated data
//
// The identity (cluster, purpose, table, record, field, key version) binds a
// sealed value to its place: moved to another token, field or cluster, it does not
// open. It does not prevent an old value of the same record from being restored;
// that is the task of the log.
//
// One key per record costs one or two microseconds. It makes the limit for random
// nonces (2³² messages per key) apply to each record; a single key for the log
// would reach it during the lifetime of a cluster.
//
// Sealed forms, which are opaque to those who store them:
//
//	record   1, key version, nonce (12), ciphertext, tag (16)           Seal
//	stream   2, key version, salt (16), then chunks of nonce (12),      SealWriter
//	         up to 64 KiB of ciphertext, tag (16)
//	transfer 3, nonce (12), ciphertext, tag (16)                        Root.SealFor
//
// A PIN is stored as its sealed Argon2id hash, so the PIN key can be rotated
// without the users. PINMatches explains why a login rarely computes Argon2id.
//
// Everything except Argon2id comes from the standard library and works under
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
	"maps"
	"runtime"
	"slices"
	"strconv"
	"sync"
	"sync/atomic"
)

var (
	// ErrDamaged is returned for a sealed value that does not open: it was changed,
	// truncated, moved, comes from another cluster, or was sealed under a key that
	// this node does not have.
	ErrDamaged = errors.New("sealed value is damaged or belongs elsewhere")

	// ErrBusy is returned when Config allows no further caller to hash a PIN or to
	// wait for that.
	ErrBusy = errors.New("too many PINs are being verified")
)

// Purpose is what a key is used for. Keys of different purposes are independent:
// if one leaks, the others stay secret.
type Purpose uint8

const (
	Seeds         Purpose = iota // tokens' seeds
	PINs                         // hashes of PINs
	Clients                      // RADIUS shared secrets
	Conversations                // what a client carries between the steps of a login
	Log                          // entries of the Raft log
	Snapshots                    // snapshots of the state, and backups
	Audit                        // pseudonyms in events
	Signing                      // seed of the key that signs checkpoints
	CA                           // the cluster's certificate authority
	Roots                        // the next version of the root key
	purposes                     // number of purposes
)

// The names are part of every key. Changing one makes sealed values unreadable.
var purposeNames = [purposes]string{
	Seeds:         "seeds",
	PINs:          "pins",
	Clients:       "clients",
	Conversations: "conversations",
	Log:           "log",
	Snapshots:     "snapshots",
	Audit:         "audit",
	Signing:       "signing",
	CA:            "ca",
	Roots:         "root",
}

func (p Purpose) String() string {
	if p >= purposes {
		return fmt.Sprintf("Purpose(%d)", uint8(p))
	}
	return purposeNames[p]
}

// Config configures a vault.
type Config struct {
	Random     io.Reader // source of salts and of the process's own key, default crypto/rand.Reader
	Hashes     int       // PINs hashed at once, each with 19 MiB and a core for about 20 ms, default GOMAXPROCS
	Waiting    int       // callers that may wait, default 64 per Hashes (about 1.3 s)
	Remembered int       // verified PINs kept in memory, about 100 bytes each, default 1<<20
}

// DefaultConfig returns the defaults for this machine.
func DefaultConfig() Config {
	hashes := runtime.GOMAXPROCS(0)
	return Config{Random: rand.Reader, Hashes: hashes, Waiting: 64 * hashes, Remembered: 1 << 20}
}

// Validate reports all errors in c.
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
	cluster  string
	random   io.Reader
	ring     atomic.Pointer[keyring]
	changing sync.Mutex // held while ring is replaced
	hashing  limiter
	known    *pinCache
}

// keyring contains the purpose keys of every version of the root key. It is
// immutable. Vault and Root refer to it by a pointer, so printing them shows no
// key.
type keyring struct {
	primary byte
	keys    map[byte]*[purposes][keySize]byte
}

const keySize = 32 // AES-256, and the output of HKDF-SHA256

// Open derives the keys of the cluster from its root key. The vault does not keep
// the root key, which is needed to admit nodes and to rotate keys.
func Open(root Root, clusterID string, cfg Config) (*Vault, error) {
	if err := cfg.Validate(); err != nil {
		return nil, fmt.Errorf("opening vault: %w", err)
	}
	if clusterID == "" {
		return nil, errors.New("opening vault: the cluster has no id")
	}

	known, err := newPINCache(cfg.Random, cfg.Remembered)
	if err != nil {
		return nil, fmt.Errorf("opening vault: %w", err)
	}
	v := &Vault{
		cluster: clusterID,
		random:  cfg.Random,
		hashing: newLimiter(cfg.Hashes, cfg.Waiting),
		known:   known,
	}
	if err := v.Add(root); err != nil {
		return nil, fmt.Errorf("opening vault: %w", err)
	}
	return v, nil
}

// Add adds the versions of a root key while the vault is in use. From then on
// everything is sealed under the highest version.
func (v *Vault) Add(root Root) error {
	if root.ring == nil || root.ring.keys[root.ring.primary] == nil {
		return errors.New("root key is missing")
	}
	v.changing.Lock()
	defer v.changing.Unlock()
	next := &keyring{primary: root.ring.primary, keys: make(map[byte]*[purposes][keySize]byte)}
	if old := v.ring.Load(); old != nil {
		next.primary = max(next.primary, old.primary)
		maps.Copy(next.keys, old.keys)
	}
	for version, key := range root.ring.keys {
		if next.keys[version] == nil {
			next.keys[version] = purposeKeys(key, v.cluster, version)
		}
	}
	v.ring.Store(next)
	return nil
}

// Forget removes the versions before oldest, except the one that seals. What is
// still sealed under them does not open any more.
func (v *Vault) Forget(oldest byte) {
	v.changing.Lock()
	defer v.changing.Unlock()
	old := v.ring.Load()
	next := &keyring{primary: old.primary, keys: maps.Clone(old.keys)}
	for version := range next.keys {
		if version < min(oldest, next.primary) {
			delete(next.keys, version)
		}
	}
	v.ring.Store(next)
}

// Primary is the version of the root key that seals.
func (v *Vault) Primary() byte { return v.ring.Load().primary }

// Versions are the versions of the root key that open, in ascending order.
func (v *Vault) Versions() []byte { return slices.Sorted(maps.Keys(v.ring.Load().keys)) }

func purposeKeys(root *[keySize]byte, cluster string, version byte) *[purposes][keySize]byte {
	var keys [purposes][keySize]byte
	for p, name := range purposeNames {
		keys[p] = derive(root[:], "keyfob purpose", name, cluster, strconv.Itoa(int(version)))
	}
	return &keys
}

// Derive returns 32 bytes that depend only on the purpose, the label and the
// primary version of the root key. Every node gets the same, so nothing needs to
// be stored. A rotation changes them.
func (v *Vault) Derive(p Purpose, label string) [32]byte {
	out, _ := v.DeriveUnder(v.Primary(), p, label) // the ring never loses its primary
	return out
}

// DeriveUnder is Derive with a version of the root key, for what must not change
// while nodes learn of a rotation. It reports whether this node has the version.
func (v *Vault) DeriveUnder(version byte, p Purpose, label string) (out [32]byte, ok bool) {
	keys, ok := v.ring.Load().keys[version]
	if !ok {
		return out, false
	}
	return derive(keys[p][:], "keyfob derived", label), true
}

// Pseudonym returns a keyed digest of text, 32 hexadecimal digits. Events contain
// it in place of an unknown user name, which may be a password that was typed into
// the wrong field. A text has the same pseudonym on every node until the root key
// is rotated.
func (v *Vault) Pseudonym(text string) string {
	digest, _ := v.PseudonymUnder(v.Primary(), text)
	return hex.EncodeToString(digest[:])
}

// PseudonymUnder is Pseudonym with a version of the root key, not in hexadecimal. It
// reports whether this node has the version.
func (v *Vault) PseudonymUnder(version byte, text string) (out [16]byte, ok bool) {
	keys, ok := v.ring.Load().keys[version]
	if !ok {
		return out, false
	}
	digest := derive(keys[Audit][:], "keyfob pseudonym", text)
	return [16]byte(digest[:16]), true
}

// derive is HKDF-Expand with SHA-256 (RFC 5869, section 2.3). The key is already
// uniform, so the extract step is skipped (section 3.3). Each use has its own
// label.
func derive(key []byte, label string, parts ...string) [keySize]byte {
	out, err := hkdf.Expand(sha256.New, key, string(encode(nil, label, parts...)), keySize)
	if err != nil {
		panic("vault: " + err.Error()) // a key shorter than 14 bytes under FIPS rules: a programming error
	}
	defer clear(out)
	return [keySize]byte(out)
}

// encode appends parts, each with its length in front, so that different lists of
// parts have different encodings.
func encode(dst []byte, label string, parts ...string) []byte {
	dst = binary.AppendUvarint(dst, uint64(len(label)))
	dst = append(dst, label...)
	for _, part := range parts {
		dst = binary.AppendUvarint(dst, uint64(len(part)))
		dst = append(dst, part...)
	}
	return dst
}
