package cluster

import (
	"bytes"
	"context"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"reflect"
	"slices"
	"strings"
	"sync"

	"keyfob/cluster/atomicfile"
	"keyfob/cluster/link"
	"keyfob/cluster/vault"
	"keyfob/events"
)

// What a data directory holds.
const (
	fileIdentity = "node.json" // identity; written last, so it exists only if the rest is complete
	fileRoot     = "root.json" // the root key, wrapped
	fileSeal     = "seal.key"  // the key that wraps it, if no other provider is configured
	dirRaft      = "raft"
	dirJournal   = "journal"
)

const (
	identityFormat = 1
	maxIdentity    = 1 << 20 // bytes
)

// identity identifies this node, as stored on disk. Nothing in it is secret: the
// node's keys are sealed under the root key.
type identity struct {
	Format      int      `json:"format"`
	Cluster     string   `json:"cluster"`
	Node        string   `json:"node"` // the name
	ID          string   `json:"id"`   // the name and a unique suffix
	Address     string   `json:"address"`
	Certificate []byte   `json:"certificate"` // DER
	Key         []byte   `json:"key"`         // PKCS #8, sealed
	SealKey     []byte   `json:"seal_key"`    // opens root keys, sealed
	CA          []byte   `json:"ca"`          // DER
	Members     []member `json:"members"`     // when last seen; their keys are needed before the log can be read
	Removed     bool     `json:"removed,omitempty"`
}

// member is one node of the cluster, its address, and the hash of its key.
type member struct {
	ID      string      `json:"id" cbor:"1,keyasint"`
	Address string      `json:"address" cbor:"2,keyasint"`
	Voter   bool        `json:"voter" cbor:"3,keyasint,omitempty"`
	Key     events.Hash `json:"key" cbor:"4,keyasint,omitzero"` // zero: this node has not learned it yet
}

// nodeID is the id of the node with that name and key. A node that reuses the name
// of a removed one has another key and so another id.
func nodeID(name string, key events.Hash) string {
	return name + "." + hex.EncodeToString(key[:4])
}

// nameOf is the name in a node's id.
func nameOf(id string) string {
	if i := strings.LastIndexByte(id, '.'); i > 0 {
		return id[:i]
	}
	return id
}

func nodeKeyPlace(id string) vault.Identity {
	return vault.Identity{Table: "nodes", Record: id, Field: "key"}
}

func sealKeyPlace(id string) vault.Identity {
	return vault.Identity{Table: "nodes", Record: id, Field: "seal key"}
}

// nodeKeys are the private keys of a node.
type nodeKeys struct {
	tls  link.Key
	csr  []byte      // the request for a certificate of tls
	hash events.Hash // of the public half of tls
	seal vault.NodeKey
}

func newNodeKeys() (k nodeKeys, err error) {
	if k.tls, k.csr, err = link.NewNodeKey(); err != nil {
		return k, err
	}
	if k.hash, err = link.RequestKey(k.csr); err != nil {
		return k, err
	}
	k.seal, err = vault.NewNodeKey()
	return k, err
}

// openKeys opens the node's keys, which settle sealed.
func (c Config) openKeys(v *vault.Vault, id identity) (k nodeKeys, err error) {
	key, err := v.Open(vault.CA, nodeKeyPlace(id.ID), id.Key)
	if err != nil {
		return k, fmt.Errorf("opening the node's key in %s: %w", c.file(fileIdentity), err)
	}
	k.tls = link.Key(key)
	seal, err := v.Open(vault.CA, sealKeyPlace(id.ID), id.SealKey)
	if err != nil {
		return k, fmt.Errorf("opening the node's seal key in %s: %w", c.file(fileIdentity), err)
	}
	defer clear(seal)
	k.seal, err = vault.ParseNodeKey(seal)
	return k, err
}

// Vacant creates the data directory of a new node, or returns why it cannot be
// used.
func (c Config) Vacant() error {
	if err := os.MkdirAll(c.Data, 0o700); err != nil {
		return fmt.Errorf("creating the data directory: %w", err)
	}
	for _, name := range []string{fileIdentity, fileRoot, dirRaft, dirJournal} {
		_, err := os.Lstat(c.file(name))
		switch {
		case errors.Is(err, fs.ErrNotExist):
		case err != nil:
			return fmt.Errorf("reading the data directory: %w", err)
		case name == fileIdentity:
			return fmt.Errorf("%s already holds a node: start it, or choose another data directory", c.Data)
		default:
			return fmt.Errorf("%s contains %s from an unfinished attempt: remove it and try again", c.Data, name)
		}
	}
	return nil
}

// settle writes the keys of a new node: the root key, wrapped by the provider, and
// the identity with the node's own keys. After that the node exists.
func (c Config) settle(ctx context.Context, root vault.Root, v *vault.Vault, id identity, keys nodeKeys) error {
	if err := c.saveRoot(ctx, root, id.Cluster); err != nil {
		return err
	}
	id.Key = v.Seal(vault.CA, nodeKeyPlace(id.ID), keys.tls)
	seal, err := keys.seal.Bytes()
	if err != nil {
		return err
	}
	defer clear(seal)
	id.SealKey = v.Seal(vault.CA, sealKeyPlace(id.ID), seal)
	return c.saveIdentity(id)
}

func (c Config) saveRoot(ctx context.Context, root vault.Root, cluster string) error {
	if err := c.makeSealKey(); err != nil {
		return err
	}
	return root.Save(ctx, c.file(fileRoot), c.provider(), cluster)
}

func (c Config) saveIdentity(id identity) error {
	data, err := json.MarshalIndent(id, "", "  ")
	if err == nil {
		err = atomicfile.Write(c.file(fileIdentity), append(data, '\n'), 0o600)
	}
	if err != nil {
		return fmt.Errorf("saving the node's identity: %w", err)
	}
	return nil
}

// loadIdentity reads the node's identity, and refuses a directory that does not
// match this configuration.
func (c Config) loadIdentity() (identity, error) {
	var id identity
	f, err := os.Open(c.file(fileIdentity))
	if errors.Is(err, fs.ErrNotExist) {
		return id, fmt.Errorf("%s holds no node", c.Data)
	}
	if err != nil {
		return id, fmt.Errorf("reading the node's identity: %w", err)
	}
	defer func() { _ = f.Close() }()
	data, err := io.ReadAll(io.LimitReader(f, maxIdentity))
	if err != nil {
		return id, fmt.Errorf("reading the node's identity: %w", err)
	}
	dec := json.NewDecoder(bytes.NewReader(data))
	dec.DisallowUnknownFields()
	if err := dec.Decode(&id); err != nil {
		return id, fmt.Errorf("%s is damaged: %w", c.file(fileIdentity), err)
	}
	switch {
	case id.Format != identityFormat:
		return id, fmt.Errorf("%s has format %d, this program reads %d", c.file(fileIdentity), id.Format, identityFormat)
	case id.Node != c.Node:
		return id, fmt.Errorf("%s belongs to node %q, but the configuration says %q", c.Data, id.Node, c.Node)
	case id.Removed:
		return id, fmt.Errorf("node %s was removed from the cluster; to add it again, join with a new invitation and an empty data directory instead of %s",
			id.Node, c.Data)
	case id.Address != c.advertise():
		return id, fmt.Errorf("node %s joined with address %s, but the configuration says %s: restore the address, or remove the node and join again",
			id.Node, id.Address, c.advertise())
	}
	return id, nil
}

// identityFile is the identity on disk, which changes while the node runs.
type identityFile struct {
	c  Config
	mu sync.Mutex // guards id
	id identity
}

// change changes the identity on disk. It writes nothing if edit changes nothing, or
// before settle has written the first version.
func (f *identityFile) change(edit func(*identity)) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	next := f.id
	edit(&next)
	if reflect.DeepEqual(next, f.id) || len(f.id.Key) == 0 {
		return nil
	}
	if err := f.c.saveIdentity(next); err != nil {
		return err
	}
	f.id = next
	return nil
}

// now is the identity as it is on disk.
func (f *identityFile) now() identity {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.id
}

// remember saves the members, without whose keys no other node can be reached after a
// restart.
func (f *identityFile) remember(members []member) error {
	unknown := func(m member) bool { return m.Key == (events.Hash{}) }
	if len(members) == 0 || slices.ContainsFunc(members, unknown) {
		return nil // this node has not caught up
	}
	return f.change(func(id *identity) { id.Members = members })
}

// makeSealKey makes the key file in the data directory, if it is the provider and not
// there.
func (c Config) makeSealKey() error {
	if c.Seal != nil {
		return nil
	}
	err := vault.CreateKeyFile(c.file(fileSeal), c.Vault.Random)
	if errors.Is(err, fs.ErrExist) {
		return nil
	}
	return err
}
