// Package atomicfile writes files atomically. A file, and its entry
// in the directory, are durable when a function returns without an error.
package atomicfile

import (
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"
)

// Write makes a file with this content, or replaces it.
func Write(path string, content []byte, mode fs.FileMode) error {
	return write(path, mode, os.Rename, func(w io.Writer) error {
		_, err := w.Write(content)
		return err
	})
}

// Create makes a file with what fill writes. It returns an error that is
// fs.ErrExist if there is such a file already.
func Create(path string, mode fs.FileMode, fill func(io.Writer) error) error {
	return write(path, mode, renameNew, fill)
}

// Free is the number of bytes that this process may still write to the file system
// of a directory.
func Free(dir string) (uint64, error) {
	var fs unix.Statfs_t
	if err := unix.Statfs(dir, &fs); err != nil {
		return 0, &os.PathError{Op: "statfs", Path: dir, Err: err}
	}
	return fs.Bavail * uint64(fs.Bsize), nil
}

// write fills a file beside path and commits it to that name.
func write(path string, mode fs.FileMode, commit func(from, to string) error, fill func(io.Writer) error) error {
	f, err := os.CreateTemp(filepath.Dir(path), "."+filepath.Base(path)+".*")
	if err != nil {
		return err
	}
	defer os.Remove(f.Name()) // gone already after a rename
	if err := errors.Join(f.Chmod(mode), fill(f)); err != nil {
		return errors.Join(err, f.Close())
	}
	if err := errors.Join(f.Sync(), f.Close()); err != nil {
		return err
	}
	if err := commit(f.Name(), path); err != nil {
		return err
	}
	return syncDir(filepath.Dir(path))
}

// renameNew renames a file to a name that is not taken. Where the file system
// has no such rename, a second link does the same.
func renameNew(from, to string) error {
	err := unix.Renameat2(unix.AT_FDCWD, from, unix.AT_FDCWD, to, unix.RENAME_NOREPLACE)
	if errors.Is(err, unix.EINVAL) || errors.Is(err, unix.ENOSYS) {
		return os.Link(from, to)
	}
	if err != nil {
		return &fs.PathError{Op: "create", Path: to, Err: err}
	}
	return nil
}

func syncDir(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}
