package vault

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"

	"keyfob/cluster/atomicfile"
)

// Provider seals the root key under a key of its own (KEK). It is asked at
// start and at rotation only, so it may be slow, and far away.
type Provider interface {
	// Name tells kinds of providers apart in the root key's file.
	Name() string
	// Wrap seals key so that Unwrap returns it, given the same aad, and only then.
	Wrap(ctx context.Context, key, aad []byte) ([]byte, error)
	Unwrap(ctx context.Context, wrapped, aad []byte) ([]byte, error)
}

// KeyFile is the Provider whose key is 32 bytes in a file. Whoever reads the
// disk has both halves, if the file is on it: a key file protects backups of
// everything else, not a stolen machine. The key is in memory only while it is
// used.
type KeyFile struct {
	name, path string
	private    bool // whether the file's mode is ours to judge
}

// NewKeyFile returns the provider for the key file at path, which others must
// not be able to read.
func NewKeyFile(path string) KeyFile {
	return KeyFile{name: "keyfile", path: path, private: true}
}

// NewCredential returns the provider for the credential that systemd decrypted
// (with the TPM, if it was encrypted so) into dir, $CREDENTIALS_DIRECTORY. The
// directory is the guard there; a file's mode shows the mask of an ACL.
func NewCredential(dir, name string) KeyFile {
	return KeyFile{name: "credential", path: filepath.Join(dir, filepath.Base(name))}
}

// CreateKeyFile makes a key file with mode 0600. An existing file is left alone
// and is an error that matches fs.ErrExist.
func CreateKeyFile(path string, random io.Reader) error {
	key := make([]byte, keySize)
	defer clear(key)
	if _, err := io.ReadFull(random, key); err != nil {
		return fmt.Errorf("making key file: %w", err)
	}
	err := atomicfile.Create(path, 0o600, func(w io.Writer) error {
		_, err := w.Write(key)
		return err
	})
	if errors.Is(err, fs.ErrExist) {
		return fmt.Errorf("key file %s exists; a root key may depend on it, so it is not replaced: %w", path, fs.ErrExist)
	}
	if err != nil {
		return fmt.Errorf("making key file: %w", err)
	}
	return nil
}

// Name implements Provider.
func (k KeyFile) Name() string { return k.name }

// Wrap implements Provider.
func (k KeyFile) Wrap(_ context.Context, key, aad []byte) ([]byte, error) {
	kek, err := k.read()
	if err != nil {
		return nil, err
	}
	defer clear(kek[:])
	return newAEAD(kek).Seal(nil, nil, key, aad), nil
}

// Unwrap implements Provider.
func (k KeyFile) Unwrap(_ context.Context, wrapped, aad []byte) ([]byte, error) {
	kek, err := k.read()
	if err != nil {
		return nil, err
	}
	defer clear(kek[:])
	key, err := newAEAD(kek).Open(nil, nil, wrapped, aad)
	if err != nil {
		return nil, fmt.Errorf("%s is not the key it was wrapped with, or what it wrapped is damaged; put the right one back: %w", k.path, ErrDamaged)
	}
	return key, nil
}

func (k KeyFile) read() (key [keySize]byte, err error) {
	f, err := os.Open(k.path)
	if err != nil {
		return key, fmt.Errorf("opening key file: %w", err)
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return key, fmt.Errorf("opening key file: %w", err)
	}
	switch mode := info.Mode(); {
	case !mode.IsRegular():
		return key, fmt.Errorf("key file %s is not a file", k.path)
	case k.private && mode.Perm()&0o077 != 0:
		return key, fmt.Errorf("key file %s can be read or written by others (mode %04o): chmod 600 it, and change the key if anyone may have seen it", k.path, mode.Perm())
	case info.Size() != keySize:
		return key, fmt.Errorf("key file %s has %d bytes, not %d: put the one back that was made with this node, a new one opens nothing", k.path, info.Size(), keySize)
	}
	if _, err := io.ReadFull(f, key[:]); err != nil {
		return key, fmt.Errorf("reading key file: %w", err)
	}
	return key, nil
}
