package vault

import (
	"io"
)

// BackupKey is the random key of one backup. It is stored only in the backup, sealed
// for each recovery key. Nothing that a node keeps opens it.
type BackupKey struct {
	root  Root // a key of the same form as the cluster's, with streams of its own
	vault *Vault
	place []byte
}

// NewBackupKey creates the key of a backup of the cluster.
func NewBackupKey(random io.Reader, clusterID string) (BackupKey, error) {
	root, err := NewRoot(random)
	if err != nil {
		return BackupKey{}, err
	}
	return backupKeyOf(root, random, clusterID)
}

// OpenBackupKey opens the result of SealTo.
func OpenBackupKey(sealed []byte, k RecoveryKey, random io.Reader, clusterID string) (BackupKey, error) {
	root, err := k.open(sealed, backupKeyPlace(clusterID))
	if err != nil {
		return BackupKey{}, err
	}
	return backupKeyOf(root, random, clusterID)
}

func backupKeyOf(root Root, random io.Reader, clusterID string) (BackupKey, error) {
	v, err := Open(root, clusterID, Config{Random: random, Hashes: 1})
	if err != nil {
		return BackupKey{}, err
	}
	return BackupKey{root: root, vault: v, place: backupKeyPlace(clusterID)}, nil
}

func backupKeyPlace(clusterID string) []byte { return encode(nil, "keyfob backup key", clusterID) }

// SealTo seals the key for the holder of a recovery key.
func (k BackupKey) SealTo(p RecoveryPublic) ([]byte, error) { return k.root.sealTo(p, k.place) }

// SealWriter returns a writer of a sealed stream; see Vault.SealWriter.
func (k BackupKey) SealWriter(w io.Writer, id Identity) io.WriteCloser {
	return k.vault.SealWriter(w, Snapshots, id)
}

// OpenReader returns a reader of a sealed stream; see Vault.OpenReader.
func (k BackupKey) OpenReader(r io.Reader, id Identity) io.Reader {
	return k.vault.OpenReader(r, Snapshots, id)
}

// Wipe overwrites the part of the key that SealTo uses.
func (k BackupKey) Wipe() { k.root.Wipe() }

// WriteTo implements io.WriterTo. The bytes are the bare key: w must seal them.
func (r Root) WriteTo(w io.Writer) (int64, error) {
	plaintext := r.encode()
	defer clear(plaintext)
	n, err := w.Write(plaintext)
	return int64(n), err
}

// Size is the number of bytes that WriteTo writes; of no root key it is 0.
func (r Root) Size() int64 {
	if r.ring == nil {
		return 0
	}
	return int64(1 + len(r.ring.keys)*(1+keySize))
}

// ReadRoot reads the result of Root.WriteTo.
func ReadRoot(r io.Reader) (Root, error) {
	const most = 1 + 255*(1+keySize)
	plaintext, err := io.ReadAll(io.LimitReader(r, most+1))
	if err != nil {
		return Root{}, err
	}
	defer clear(plaintext)
	return decodeRoot(plaintext)
}
