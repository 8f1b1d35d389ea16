package cluster

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"slices"
	"sync"
	"time"

	"keyfob/cluster/vault"
	"keyfob/engine"
	"keyfob/events"
	"keyfob/fsm"
)

// keychain keeps the root key of this node at what the state says. The state holds
// each new version in a box for this node. The node opens it while it applies the
// record, so every later log entry opens; a provider is not needed for that. What is
// on disk follows in the background: see upkeep.go.
type keychain struct {
	*self
	vault *vault.Vault
	key   vault.NodeKey // opens this node's boxes

	census census

	mu   sync.RWMutex    // held while the vault changes, so that a snapshot is sealed under a version of keys
	keys engine.RootKeys // installed in the vault
}

// install follows the state. It implements fsm.Config.KeysChanged.
func (k *keychain) install(keys engine.RootKeys) error {
	k.mu.Lock()
	defer k.mu.Unlock()
	for _, one := range keys.Live {
		if err := k.learn(one); err != nil {
			return err
		}
	}
	k.vault.Forget(keys.OldestLive())
	k.keys = keys
	return nil
}

// learn adds a version of the root key to the vault, unless it is there.
func (k *keychain) learn(one engine.RootKey) error {
	if slices.Contains(k.vault.Versions(), one.Version) {
		return nil
	}
	root, err := k.open(one)
	if err != nil {
		return err
	}
	defer root.Wipe()
	return k.vault.Add(root)
}

// open opens this node's box with a version of the root key.
func (k *keychain) open(one engine.RootKey) (vault.Root, error) {
	i := slices.IndexFunc(one.Boxes, func(b events.KeyBox) bool { return b.For == k.c.Node })
	if i < 0 {
		return vault.Root{}, fmt.Errorf("version %d of the root key was not made for this node: %w", one.Version, fsm.ErrLeft)
	}
	root, err := k.vault.OpenNodeBox(one.Boxes[i].Sealed, k.key, k.id.ID, one.Version)
	if err != nil {
		return root, fmt.Errorf("%w; this node cannot follow: remove it from the cluster and join it again with an empty data directory", err)
	}
	return root, nil
}

// root returns the root key in all versions that are in use. The caller wipes it.
func (k *keychain) root(ctx context.Context) (vault.Root, error) {
	root, err := vault.LoadRoot(ctx, k.c.file(fileRoot), k.c.provider(), k.id.Cluster)
	if err != nil {
		return root, err
	}
	k.mu.RLock()
	defer k.mu.RUnlock()
	for _, one := range k.keys.Live {
		if slices.Contains(root.Versions(), one.Version) {
			continue
		}
		next, err := k.open(one)
		if err != nil {
			return vault.Root{}, err
		}
		root = root.With(next)
	}
	return root, nil
}

// A snapshot begins with the boxes of the versions in use, unsealed: a node that was
// away during a rotation gets the new version from there. Their hash is part of the
// identity of the sealed stream that follows, so they cannot be exchanged; and a box
// opens only with the version before, so nobody else can make one.
const (
	formatKeys      = 4 // the first byte, where a stream has its own format
	maxSnapshotKeys = 16 << 20
)

type snapshotKeys struct {
	_    struct{} `cbor:",toarray"`
	Live []engine.RootKey
}

func snapshotPlace(keys []byte) vault.Identity {
	sum := sha256.Sum256(keys)
	return vault.Identity{Table: "snapshots", Record: "state", Field: "rows after " + hex.EncodeToString(sum[:])}
}

// sealSnapshot implements fsm.Config.SealSnapshot.
func (k *keychain) sealSnapshot(w io.Writer) io.WriteCloser {
	k.mu.RLock()
	defer k.mu.RUnlock()
	list := snapshotKeys{Live: slices.Clone(k.keys.Live)}
	for i := range list.Live {
		list.Live[i].Recovery = nil // the state has it
	}
	raw, err := wireEncoding.Marshal(list)
	head := binary.BigEndian.AppendUint32([]byte{formatKeys}, uint32(len(raw))) //nolint:gosec // a few kilobytes for each member
	return &snapshotWriter{w: w, head: append(head, raw...), err: err, sealed: k.vault.SealWriter(w, vault.Snapshots, snapshotPlace(raw))}
}

// snapshotWriter writes the head before the sealed stream.
type snapshotWriter struct {
	w      io.Writer
	head   []byte // until it is written
	sealed io.WriteCloser
	err    error
}

func (s *snapshotWriter) begin() error {
	if s.err == nil && s.head != nil {
		_, s.err = s.w.Write(s.head)
		s.head = nil
	}
	return s.err
}

func (s *snapshotWriter) Write(p []byte) (int, error) {
	if err := s.begin(); err != nil {
		return 0, err
	}
	return s.sealed.Write(p)
}

func (s *snapshotWriter) Close() error { return errors.Join(s.begin(), s.sealed.Close()) }

// openSnapshot implements fsm.Config.OpenSnapshot.
func (k *keychain) openSnapshot(r io.Reader) io.Reader {
	raw, err := readSnapshotKeys(r)
	var list snapshotKeys
	if err == nil {
		err = wireDecoding.Unmarshal(raw, &list)
	}
	if err != nil {
		return failedReader{fmt.Errorf("reading the keys of a snapshot: %w", err)}
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	for _, one := range list.Live {
		// A version that this node was not given is missed when the stream is opened.
		if err := k.learn(one); err != nil && !errors.Is(err, fsm.ErrLeft) {
			return failedReader{err}
		}
	}
	return k.vault.OpenReader(r, vault.Snapshots, snapshotPlace(raw))
}

func readSnapshotKeys(r io.Reader) ([]byte, error) {
	var head [5]byte
	if _, err := io.ReadFull(r, head[:]); err != nil {
		return nil, err
	}
	size := binary.BigEndian.Uint32(head[1:])
	if head[0] != formatKeys || size > maxSnapshotKeys {
		return nil, vault.ErrDamaged
	}
	var raw bytes.Buffer
	if n, err := io.Copy(&raw, io.LimitReader(r, int64(size))); err != nil || n != int64(size) {
		return nil, errors.Join(err, io.ErrUnexpectedEOF)
	}
	return raw.Bytes(), nil
}

// snapshotVersion returns the version of the root key that a snapshot is sealed under.
func snapshotVersion(r io.Reader) (byte, error) {
	if _, err := readSnapshotKeys(r); err != nil {
		return 0, err
	}
	var head [2]byte // of the stream: format, version
	_, err := io.ReadFull(r, head[:])
	return head[1], err
}

type failedReader struct{ err error }

// Read implements io.Reader.
func (f failedReader) Read([]byte) (int, error) { return 0, f.err }

// awaitVersion waits, for a short time, until this node has a version of the root
// key that another node has already.
func (k *keychain) awaitVersion(ctx context.Context, version byte) {
	if int(version) != int(k.vault.Primary())+1 {
		return
	}
	ctx, cancel := context.WithTimeout(ctx, lagTimeout)
	defer cancel()
	for version > k.vault.Primary() {
		select {
		case <-time.After(retryPause):
		case <-ctx.Done():
			return
		}
	}
}
