package vault

import (
	"bytes"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestKeyFileIsReadableByItsOwnerOnly(t *testing.T) {
	path := filepath.Join(t.TempDir(), "kek")
	if err := CreateKeyFile(path, new(sequence)); err != nil {
		t.Fatal(err)
	}
	info, err := os.Stat(path)
	if err != nil {
		t.Fatal(err)
	}
	if info.Mode() != 0o600 || info.Size() != keySize {
		t.Errorf("mode %v, %d bytes", info.Mode(), info.Size())
	}
}

func TestKeyFileIsNeverReplaced(t *testing.T) {
	path := filepath.Join(t.TempDir(), "kek")
	if err := os.WriteFile(path, []byte("precious"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := CreateKeyFile(path, new(sequence)); !errors.Is(err, fs.ErrExist) || !strings.Contains(err.Error(), path) {
		t.Errorf("making it again: %v", err)
	}
	if data, err := os.ReadFile(path); err != nil || string(data) != "precious" {
		t.Errorf("it holds %q, %v", data, err)
	}
	if entries, err := os.ReadDir(filepath.Dir(path)); err != nil || len(entries) != 1 {
		t.Errorf("beside it there is %v, %v", entries, err)
	}
}

func TestUnusableKeyFileIsRefusedWithARemedy(t *testing.T) {
	key := bytes.Repeat([]byte{7}, keySize)
	for _, tc := range []struct {
		name string
		mode fs.FileMode
		data []byte
		want string // empty: it is fit
	}{
		{"fit", 0o600, key, ""},
		{"fit, read only", 0o400, key, ""},
		{"group may read", 0o640, key, "mode 0640): run chmod 600"},
		{"others may read", 0o604, key, "mode 0604): run chmod 600"},
		{"others may write", 0o602, key, "mode 0602): run chmod 600"},
		{"empty", 0o600, nil, "has 0 bytes, want 32: restore the one"},
		{"short", 0o600, key[1:], "has 31 bytes, want 32: restore the one"},
		{"with a line end", 0o600, append(bytes.Clone(key), '\n'), "has 33 bytes, want 32: restore the one"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "kek")
			if err := os.WriteFile(path, tc.data, 0o600); err != nil {
				t.Fatal(err)
			}
			if err := os.Chmod(path, tc.mode); err != nil {
				t.Fatal(err)
			}
			_, err := NewKeyFile(path).Wrap(t.Context(), []byte("root"), nil)
			switch {
			case tc.want == "" && err != nil:
				t.Errorf("refused: %v", err)
			case tc.want != "" && (err == nil || !strings.Contains(err.Error(), tc.want) || !strings.Contains(err.Error(), path)):
				t.Errorf("error is %v, want %q and the path", err, tc.want)
			}
		})
	}
	if _, err := NewKeyFile(t.TempDir()).Unwrap(t.Context(), nil, nil); err == nil || !strings.Contains(err.Error(), "is not a regular file") {
		t.Errorf("a directory: %v", err)
	}
	if _, err := NewKeyFile(filepath.Join(t.TempDir(), "gone")).Wrap(t.Context(), nil, nil); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("a missing file: %v", err)
	}
}

func TestProvidersUnwrapOnlyWhatTheyWrapped(t *testing.T) {
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "keyfob"), bytes.Repeat([]byte{9}, keySize), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(filepath.Join(dir, "keyfob"), 0o440); err != nil { // as systemd shows a file with an ACL
		t.Fatal(err)
	}
	other := keyFile(t, 8)
	for _, provider := range []Provider{keyFile(t, 7), NewCredential(dir, "keyfob"), NewCredential(dir, "../elsewhere/keyfob")} {
		t.Run(provider.Name(), func(t *testing.T) {
			key, aad := []byte("root key"), []byte("of this cluster")
			wrapped, err := provider.Wrap(t.Context(), key, aad)
			if err != nil {
				t.Fatal(err)
			}
			if got, err := provider.Unwrap(t.Context(), wrapped, aad); err != nil || !bytes.Equal(got, key) {
				t.Errorf("unwrapped as %q, %v", got, err)
			}
			if _, err := provider.Unwrap(t.Context(), wrapped, []byte("of another")); !errors.Is(err, ErrDamaged) {
				t.Errorf("for another cluster: %v", err)
			}
			if _, err := other.Unwrap(t.Context(), wrapped, aad); !errors.Is(err, ErrDamaged) {
				t.Errorf("by another key: %v", err)
			}
			for i := range wrapped {
				wrapped[i] ^= 1
				if _, err := provider.Unwrap(t.Context(), wrapped, aad); !errors.Is(err, ErrDamaged) {
					t.Errorf("byte %d changed: %v", i, err)
				}
				wrapped[i] ^= 1
			}
		})
	}
}
