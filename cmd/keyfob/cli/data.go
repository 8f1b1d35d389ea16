package cli

import (
	"os"
	"path/filepath"
)

const (
	DefaultData = "/var/lib/keyfob"
	SocketName  = "admin.sock" // in the data directory
)

// JournalIn returns the journal of the first path that is not empty: the journal
// in a data directory, or the path itself.
func JournalIn(paths []string) string {
	for _, path := range paths {
		if path == "" {
			continue
		}
		if in := filepath.Join(path, "journal"); isDirectory(in) {
			return in
		}
		return path
	}
	return DefaultData
}

func isDirectory(path string) bool {
	info, err := os.Stat(path)
	return err == nil && info.IsDir()
}
