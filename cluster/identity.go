package cluster

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"strings"

	"keyfob/cluster/atomicfile"
	"keyfob/cluster/link"
	"keyfob/cluster/vault"
)

// What a data directory holds.
const (
	fileIdentity = "node.json" // who this is; written last, so its presence says that the rest is whole
	fileRoot     = "root.json" // the root key, wrapped
	fileSeal     = "seal.key"  // the key that wraps it, where no other provider is configured
	dirRaft      = "raft"
	dirJournal   = "journal"
)

const (
	identityFormat = 1
	maxIdentity    = 1 << 20 // bytes
)

// identity is who this node is, as it lies on the disk. Nothing in it is
// secret: the node's key is sealed under the root key.
type identity struct {
	Format      int      `json:"format"`
	Cluster     string   `json:"cluster"`
	Node        string   `json:"node"` // the name
	ID          string   `json:"id"`   // the name and a suffix that is never used twice
	Address     string   `json:"address"`
	Certificate []byte   `json:"certificate"` // DER
	Key         []byte   `json:"key"`         // PKCS #8, sealed
	CA          []byte   `json:"ca"`          // DER
	Members     []member `json:"members"`     // as they were when this node joined, until Raft knows better
	Removed     bool     `json:"removed,omitempty"`
}

// member is where one node of the cluster is found.
type member struct {
	ID      string `json:"id" cbor:"1,keyasint"`
	Address string `json:"address" cbor:"2,keyasint"`
	Voter   bool   `json:"voter" cbor:"3,keyasint,omitempty"`
}

// nodeID is the id of the node of that name that made the certificate request.
// A machine that gets the name of one removed before has another key, and so
// another id: the old certificate stays as good for nothing as it was.
func nodeID(name string, csr []byte) string {
	sum := sha256.Sum256(csr)
	return name + "." + hex.EncodeToString(sum[:4])
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

// Vacant prepares the data directory of a node that does not exist yet.
func (c Config) Vacant() error {
	if err := os.MkdirAll(c.Data, 0o700); err != nil {
		return fmt.Errorf("making data directory: %w", err)
	}
	for _, name := range []string{fileIdentity, fileRoot, dirRaft, dirJournal} {
		_, err := os.Lstat(c.file(name))
		switch {
		case errors.Is(err, fs.ErrNotExist):
		case err != nil:
			return fmt.Errorf("looking into data directory: %w", err)
		case name == fileIdentity:
			return fmt.Errorf("%s already holds a node: start it, or choose another data directory", c.Data)
		default:
			return fmt.Errorf("%s holds %s of an attempt that was not finished: remove it and try again", c.Data, name)
		}
	}
	return nil
}

// settle writes a new node's keys: the root, sealed by the provider, and the
// identity with the node's own key, which makes the node exist.
func (c Config) settle(ctx context.Context, root vault.Root, v *vault.Vault, id identity, key link.Key) error {
	if err := c.saveRoot(ctx, root, id.Cluster); err != nil {
		return err
	}
	id.Key = v.Seal(vault.CA, nodeKeyPlace(id.ID), key)
	return c.saveIdentity(id)
}

func (c Config) saveRoot(ctx context.Context, root vault.Root, cluster string) error {
	if c.Seal == nil {
		err := vault.CreateKeyFile(c.file(fileSeal), c.Vault.Random)
		if err != nil && !errors.Is(err, fs.ErrExist) {
			return err
		}
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

// loadIdentity reads who this node is, and refuses a directory that is not
// this configuration's.
func (c Config) loadIdentity() (identity, error) {
	var id identity
	f, err := os.Open(c.file(fileIdentity))
	if errors.Is(err, fs.ErrNotExist) {
		return id, fmt.Errorf("%s holds no node: make it with cluster init or cluster join", c.Data)
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
		return id, fmt.Errorf("reading %s: it is damaged: %w", c.file(fileIdentity), err)
	}
	switch {
	case id.Format != identityFormat:
		return id, fmt.Errorf("%s has format %d, this program reads %d", c.file(fileIdentity), id.Format, identityFormat)
	case id.Node != c.Node:
		return id, fmt.Errorf("%s is the data of node %q, configured is %q", c.Data, id.Node, c.Node)
	case id.Removed:
		return id, fmt.Errorf("node %s was removed from the cluster; to add it again, join with a new invitation and an empty data directory instead of %s",
			id.Node, c.Data)
	case id.Address != c.advertise():
		return id, fmt.Errorf("node %s joined as %s, configured is %s: put it back, or remove the node and let it join anew",
			id.Node, id.Address, c.advertise())
	}
	return id, nil
}
