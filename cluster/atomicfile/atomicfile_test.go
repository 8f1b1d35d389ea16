package atomicfile_test

import (
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"testing"

	"keyfob/cluster/atomicfile"
)

func text(content string) func(io.Writer) error {
	return func(w io.Writer) error {
		_, err := io.WriteString(w, content)
		return err
	}
}

// holds checks a directory: one file, with this content and mode.
func holds(t *testing.T, dir, name, content string, mode fs.FileMode) {
	t.Helper()
	entries, err := os.ReadDir(dir)
	if err != nil || len(entries) != 1 || entries[0].Name() != name {
		t.Fatalf("the directory holds %v, %v", entries, err)
	}
	got, err := os.ReadFile(filepath.Join(dir, name))
	info, statErr := entries[0].Info()
	if err != nil || statErr != nil || string(got) != content || info.Mode().Perm() != mode {
		t.Errorf("%s holds %q with mode %v; %v, %v", name, got, info.Mode(), err, statErr)
	}
}

func TestWriteReplaces(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "file")
	for _, content := range []string{"a longer one", "short"} {
		if err := atomicfile.Write(path, []byte(content), 0o640); err != nil {
			t.Fatal(err)
		}
	}
	holds(t, dir, "file", "short", 0o640)
}

func TestCreateReplacesNothing(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "file")
	if err := atomicfile.Create(path, 0o600, text("first")); err != nil {
		t.Fatal(err)
	}
	if err := atomicfile.Create(path, 0o600, text("second")); !errors.Is(err, fs.ErrExist) {
		t.Errorf("got %v, want that it exists", err)
	}
	holds(t, dir, "file", "first", 0o600)
}

func TestNothingIsLeftOfAFailure(t *testing.T) {
	dir := t.TempDir()
	broken := errors.New("broken")
	err := atomicfile.Create(filepath.Join(dir, "file"), 0o600, func(w io.Writer) error {
		return errors.Join(text("half of it")(w), broken)
	})
	if entries, _ := os.ReadDir(dir); !errors.Is(err, broken) || len(entries) > 0 {
		t.Errorf("got %v, and the directory holds %v", err, entries)
	}
}
