package vault

import (
	"bytes"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"

	"keyfob/cluster/atomicfile"
)

// Provider wraps the root key under a key of its own (KEK). It is used only at
// start and rotation, so it may be slow or remote.
type Provider interface {
	// Name identifies the kind of provider in the root key file.
	Name() string
	// Wrap encrypts key. Unwrap returns it only with the same aad.
	Wrap(ctx context.Context, key, aad []byte) ([]byte, error)
	Unwrap(ctx context.Context, wrapped, aad []byte) ([]byte, error)
}

// KeyFile is the Provider whose key is 32 bytes in a file. Anybody who can read a
// disk with the file can unwrap the root key: a key file protects backups of
// everything else, but not a stolen machine. The key is in memory only while it is
// used.
type KeyFile struct {
	name, path string
	private    bool // whether the file's mode is checked
}

// NewKeyFile returns the provider for the key file at path. Other users must not be
// able to read it.
func NewKeyFile(path string) KeyFile {
	return KeyFile{name: "keyfile", path: path, private: true}
}

// NewCredential returns the provider for a credential that systemd decrypted, with
// the TPM if it was encrypted that way, into dir ($CREDENTIALS_DIRECTORY). The
// directory protects it; the file's mode shows the mask of an ACL.
func NewCredential(dir, name string) KeyFile {
	return KeyFile{name: "credential", path: filepath.Join(dir, filepath.Base(name))}
}

// CreateKeyFile creates a key file with mode 0600. It does not change an existing
// file, and returns an error that matches fs.ErrExist.
func CreateKeyFile(path string, random io.Reader) error {
	key := make([]byte, keySize)
	defer clear(key)
	if _, err := io.ReadFull(random, key); err != nil {
		return fmt.Errorf("creating key file: %w", err)
	}
	err := atomicfile.Create(path, 0o600, func(w io.Writer) error {
		_, err := w.Write(key)
		return err
	})
	if errors.Is(err, fs.ErrExist) {
		return fmt.Errorf("key file %s exists and is not replaced, because a root key may depend on it: %w", path, fs.ErrExist)
	}
	if err != nil {
		return fmt.Errorf("creating key file: %w", err)
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
		return nil, fmt.Errorf("%s is not the key that the root key was wrapped with, or the root key file is damaged; restore the right key: %w", k.path, ErrDamaged)
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
		return key, fmt.Errorf("key file %s is not a regular file", k.path)
	case k.private && mode.Perm()&0o077 != 0:
		return key, fmt.Errorf("key file %s can be read or written by other users (mode %04o): run chmod 600, and change the key if somebody may have seen it", k.path, mode.Perm())
	case info.Size() != keySize:
		return key, fmt.Errorf("key file %s has %d bytes, want %d: restore the one that was created with this node; a new one opens nothing", k.path, info.Size(), keySize)
	}
	if _, err := io.ReadFull(f, key[:]); err != nil {
		return key, fmt.Errorf("reading key file: %w", err)
	}
	return key, nil
}

// Try wraps and unwraps a random value, and so checks that a provider can be used.
func Try(ctx context.Context, p Provider) error {
	key, aad := make([]byte, keySize), []byte("keyfob try")
	if _, err := rand.Read(key); err != nil {
		return err
	}
	wrapped, err := p.Wrap(ctx, key, aad)
	if err != nil {
		return fmt.Errorf("wrapping with %s: %w", p.Name(), err)
	}
	got, err := p.Unwrap(ctx, wrapped, aad)
	if err != nil {
		return fmt.Errorf("unwrapping with %s: %w", p.Name(), err)
	}
	if !bytes.Equal(got, key) {
		return fmt.Errorf("%s returned another value than it was given", p.Name())
	}
	return nil
}
