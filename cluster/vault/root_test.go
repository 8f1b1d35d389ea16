package vault

import (
	"bytes"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// keyFile makes a key file of its own, and returns its provider.
func keyFile(t testing.TB, fill byte) KeyFile {
	t.Helper()
	path := filepath.Join(t.TempDir(), "kek")
	if err := CreateKeyFile(path, bytes.NewReader(bytes.Repeat([]byte{fill}, keySize))); err != nil {
		t.Fatal(err)
	}
	return NewKeyFile(path)
}

// threeVersions is a root with the versions 1 to 3.
func threeVersions(t testing.TB) Root {
	t.Helper()
	random := sequence(100)
	root := testRoot(t)
	for version := byte(2); version <= 3; version++ {
		next, err := NewRootVersion(&random, version)
		if err != nil {
			t.Fatal(err)
		}
		root = root.With(next)
	}
	return root
}

func sameRoot(t *testing.T, got, want Root) {
	t.Helper()
	if diff := cmp.Diff(want.encode(), got.encode()); diff != "" {
		t.Errorf("the root differs (-want +got):\n%s", diff)
	}
}

func TestSavedRootLoads(t *testing.T) {
	path := filepath.Join(t.TempDir(), "root.json")
	first, second := keyFile(t, 1), keyFile(t, 2)
	root := threeVersions(t)
	for _, provider := range []Provider{first, second} { // the second is a rotation of the KEK
		if err := root.Save(t.Context(), path, provider, cluster); err != nil {
			t.Fatal(err)
		}
		got, err := LoadRoot(t.Context(), path, provider, cluster)
		if err != nil {
			t.Fatal(err)
		}
		sameRoot(t, got, root)
	}
	if _, err := LoadRoot(t.Context(), path, first, cluster); !errors.Is(err, ErrDamaged) {
		t.Errorf("with the key file of before: %v", err)
	}

	info, err := os.Stat(path)
	if err != nil {
		t.Fatal(err)
	}
	if info.Mode().Perm() != 0o600 {
		t.Errorf("the file has mode %o", info.Mode().Perm())
	}
	if entries, err := os.ReadDir(filepath.Dir(path)); err != nil || len(entries) != 1 {
		t.Errorf("beside the file there is %v, %v", entries, err)
	}
}

func TestSavedRootShowsNoKey(t *testing.T) {
	path := filepath.Join(t.TempDir(), "root.json")
	root := testRoot(t)
	if err := root.Save(t.Context(), path, keyFile(t, 1), cluster); err != nil {
		t.Fatal(err)
	}
	file, err := readRootFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if bytes.Contains(file.Wrapped, root.ring.keys[1][:8]) {
		t.Error("the root key is not wrapped")
	}
}

func TestForeignRootFileIsRefused(t *testing.T) {
	kek := keyFile(t, 1)
	root := testRoot(t)
	for _, tc := range []struct {
		name     string
		change   func(string) string
		provider Provider
		cluster  string
		want     string
	}{
		{"another cluster", keep, kek, "another", `to cluster "keyfob-test", but this node to "another"`},
		{"another provider", keep, NewCredential(t.TempDir(), "kek"), cluster, `wrapped by provider "keyfile", but the configuration says "credential"`},
		{"cluster rewritten", swap(cluster, "another"), kek, "another", "damaged"},
		{"another format", swap(`"format": 1`, `"format": 2`), kek, cluster, "has format 2, but this program reads format 1"},
		{"unknown key", swap(`"format"`, `"colour": 1, "format"`), kek, cluster, "colour"},
		{"something after the end", func(s string) string { return s + "{}" }, kek, cluster, "data after the end"},
		{"empty", func(string) string { return "" }, kek, cluster, "damaged"},
		{"cut", func(s string) string { return s[:len(s)/2] }, kek, cluster, "damaged"},
		{"zeros", func(s string) string { return strings.Repeat("\x00", len(s)) }, kek, cluster, "damaged"},
		{"far too long", func(s string) string { return s + strings.Repeat(" ", maxRootFile) }, kek, cluster, "longer than"},
		{"nothing wrapped", func(string) string {
			return `{"format": 1, "cluster": "keyfob-test", "provider": "keyfile", "wrapped": ""}`
		}, kek, cluster, "damaged"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "root.json")
			if err := root.Save(t.Context(), path, kek, cluster); err != nil {
				t.Fatal(err)
			}
			data, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			if err := os.WriteFile(path, []byte(tc.change(string(data))), 0o600); err != nil {
				t.Fatal(err)
			}
			_, err = LoadRoot(t.Context(), path, tc.provider, tc.cluster)
			if err == nil || !strings.Contains(err.Error(), tc.want) || !strings.Contains(err.Error(), path) {
				t.Errorf("error is %v, want %q and the path", err, tc.want)
			}
		})
	}
}

func keep(s string) string { return s }

func swap(from, to string) func(string) string {
	return func(s string) string { return strings.Replace(s, from, to, 1) }
}

func TestFailedSaveKeepsTheOldRootFile(t *testing.T) {
	path := filepath.Join(t.TempDir(), "root.json")
	kek := keyFile(t, 1)
	old := testRoot(t)
	if err := old.Save(t.Context(), path, kek, cluster); err != nil {
		t.Fatal(err)
	}
	gone := NewKeyFile(filepath.Join(t.TempDir(), "gone"))
	if err := threeVersions(t).Save(t.Context(), path, gone, cluster); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("saving without a key file: %v", err)
	}
	got, err := LoadRoot(t.Context(), path, kek, cluster)
	if err != nil {
		t.Fatal(err)
	}
	sameRoot(t, got, old)
}

func TestRotationStepsDoNotChangeTheirRoot(t *testing.T) {
	root := threeVersions(t)
	before := root.encode()
	later := root.Since(2)
	if diff := cmp.Diff([]byte{2, 3}, later.Versions()); diff != "" || later.Primary() != 3 {
		t.Errorf("primary %d, versions differ (-want +got):\n%s", later.Primary(), diff)
	}
	if last := root.Since(255); last.Primary() != 3 || len(last.Versions()) != 1 {
		t.Errorf("the version that seals was dropped: %v", last.Versions())
	}
	later.Wipe()
	if !bytes.Equal(before, root.encode()) {
		t.Error("the root has changed")
	}
}

func TestVersionsOfTheRootKeyAreKept(t *testing.T) {
	root := testRoot(t)
	again, err := NewRootVersion(strings.NewReader(strings.Repeat("x", keySize)), 1)
	if err != nil {
		t.Fatal(err)
	}
	sameRoot(t, root.With(again), root)
	three := threeVersions(t)
	sameRoot(t, three.With(root), three)
	sameRoot(t, root.With(three.Since(2)), three)
	if _, err := NewRootVersion(strings.NewReader("short"), 2); err == nil {
		t.Error("a version is created without randomness")
	}
}

func TestRootTransferOpensForTheInvitedNodeOnly(t *testing.T) {
	secret := []byte("sixteen bytes or more")
	root := threeVersions(t)
	own, err := NewNodeKey()
	if err != nil {
		t.Fatal(err)
	}
	other, err := NewNodeKey()
	if err != nil {
		t.Fatal(err)
	}
	sealed, err := root.SealFor(own.Public(), secret, cluster, "n2")
	if err != nil {
		t.Fatal(err)
	}
	got, err := OpenRootFrom(sealed, own, secret, cluster, "n2")
	if err != nil {
		t.Fatal(err)
	}
	sameRoot(t, got, root)

	for name, open := range map[string]func() (Root, error){
		"another node":    func() (Root, error) { return OpenRootFrom(sealed, own, secret, cluster, "n3") },
		"another cluster": func() (Root, error) { return OpenRootFrom(sealed, own, secret, "another", "n2") },
		"another secret":  func() (Root, error) { return OpenRootFrom(sealed, own, []byte("sixteen bytes or less"), cluster, "n2") },
		"a name's letters moved": func() (Root, error) {
			return OpenRootFrom(sealed, own, secret, cluster+"n", "2")
		},
		"another key": func() (Root, error) { return OpenRootFrom(sealed, other, secret, cluster, "n2") },
		"nothing":     func() (Root, error) { return OpenRootFrom(nil, own, secret, cluster, "n2") },
	} {
		if _, err := open(); !errors.Is(err, ErrDamaged) {
			t.Errorf("%s: %v", name, err)
		}
	}
	for bit := 0; bit < len(sealed)*8; bit += 7 {
		sealed[bit/8] ^= 1 << (bit % 8)
		if _, err := OpenRootFrom(sealed, own, secret, cluster, "n2"); !errors.Is(err, ErrDamaged) {
			t.Errorf("bit %d: %v", bit, err)
		}
		sealed[bit/8] ^= 1 << (bit % 8)
	}
	if _, err := root.SealFor(own.Public(), []byte("guess me"), cluster, "n2"); err == nil {
		t.Error("a secret that can be guessed is enough")
	}
}

func FuzzDecodeRoot(f *testing.F) {
	f.Add(threeVersions(f).encode())
	f.Add([]byte{1})
	f.Fuzz(func(t *testing.T, data []byte) {
		root, err := decodeRoot(data)
		if err == nil && !bytes.Equal(root.encode(), data) {
			t.Errorf("%x is read as %x", data, root.encode())
		}
	})
}

func FuzzRootFile(f *testing.F) {
	f.Add([]byte(`{"format": 1, "cluster": "a", "provider": "keyfile", "wrapped": "AAAA"}`))
	f.Fuzz(func(t *testing.T, data []byte) {
		var file rootFile
		if err := file.decode(data); err == nil && file.Format != rootFileFormat {
			t.Errorf("format %d is read", file.Format)
		}
	})
}
