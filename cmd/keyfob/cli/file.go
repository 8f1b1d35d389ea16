package cli

import (
	"bytes"
	"fmt"
	"io"
	"io/fs"
	"os"

	"keyfob/cluster/atomicfile"
)

// WriteFile writes a file atomically. A file with that content is
// left as it is.
func WriteFile(path string, data []byte, mode fs.FileMode) error {
	if old, err := os.ReadFile(path); err == nil && bytes.Equal(old, data) {
		return nil
	}
	if err := atomicfile.Write(path, data, mode); err != nil {
		return fmt.Errorf("writing %s: %w", path, err)
	}
	return nil
}

// CreateFile makes a file that does not exist, for its owner alone.
func CreateFile(path string, fill func(io.Writer) error) error {
	if err := atomicfile.Create(path, 0o600, fill); err != nil {
		return fmt.Errorf("writing file: %w", err)
	}
	return nil
}

// Content fills a file with bytes that are there already.
func Content(b []byte) func(io.Writer) error {
	return func(w io.Writer) error {
		_, err := w.Write(b)
		return err
	}
}
