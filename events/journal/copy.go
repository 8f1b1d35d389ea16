package journal

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
)

// Piece is a file of a journal of which the first Size bytes will not change
// any more.
type Piece struct {
	Name string
	Size int64
	path string
}

// Open reads the piece.
func (p Piece) Open() (io.ReadCloser, error) {
	f, err := os.Open(p.path)
	if err != nil {
		return nil, err
	}
	return struct {
		io.Reader
		io.Closer
	}{io.LimitReader(f, p.Size), f}, nil
}

// Pieces are the files that hold all records up to now, safe on the disk. The
// error is ErrMissing when the journal is not whole.
func (j *Journal) Pieces() ([]Piece, error) {
	if err := j.Sync(); err != nil {
		return nil, fmt.Errorf("copying journal: %w", err)
	}
	j.mu.Lock()
	defer j.mu.Unlock()
	if j.hole.to != 0 {
		return nil, fmt.Errorf("copying journal: records %d to %d: %w", j.hole.from, j.hole.to, ErrMissing)
	}
	var pieces []Piece
	for _, s := range j.segments {
		p := Piece{Name: filepath.Base(s.path), Size: s.end, path: s.path}
		if s.sealed {
			info, err := os.Stat(s.path)
			if err != nil {
				return nil, fmt.Errorf("copying journal: %w", err)
			}
			p.Size = info.Size()
		}
		pieces = append(pieces, p)
	}
	return pieces, nil
}

// PiecesOf are the files of the journal of a node that does not run, as they
// are: Open has still to say whether they are whole.
func PiecesOf(dir string) ([]Piece, error) {
	names, err := segmentNames(dir)
	if err == nil && len(names) == 0 {
		err = errors.New("it holds no journal")
	}
	if err != nil {
		return nil, fmt.Errorf("reading %s: %w", dir, err)
	}
	var pieces []Piece
	for _, name := range names {
		path := filepath.Join(dir, name)
		info, err := os.Stat(path)
		if err != nil {
			return nil, fmt.Errorf("reading %s: %w", dir, err)
		}
		pieces = append(pieces, Piece{Name: name, Size: info.Size(), path: path})
	}
	return pieces, nil
}

// Put writes a piece into a directory that is to become a journal. The name is
// not believed.
func Put(dir, name string, r io.Reader) (err error) {
	if name != filepath.Base(name) || !strings.HasSuffix(name, suffix) {
		return fmt.Errorf("%.80q is no file of a journal", name)
	}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return err
	}
	f, err := os.OpenFile(filepath.Join(dir, name), os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return err
	}
	_, err = io.Copy(f, r)
	return errors.Join(err, f.Sync(), f.Close(), syncDir(dir))
}
