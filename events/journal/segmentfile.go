package journal

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
)

// SegmentFile is a file of a journal. Its first Size bytes do not change any more.
type SegmentFile struct {
	Name string
	Size int64
	path string
}

// Open opens the file; the reader ends after Size bytes.
func (f SegmentFile) Open() (io.ReadCloser, error) {
	r, err := os.Open(f.path)
	if err != nil {
		return nil, err
	}
	return struct {
		io.Reader
		io.Closer
	}{io.LimitReader(r, f.Size), r}, nil
}

// SegmentFiles syncs the journal and returns its files. The error is ErrMissing
// if the journal has gaps.
func (j *Journal) SegmentFiles() ([]SegmentFile, error) {
	if err := j.Sync(); err != nil {
		return nil, fmt.Errorf("copying journal: %w", err)
	}
	j.mu.Lock()
	defer j.mu.Unlock()
	if j.gap.to != 0 {
		return nil, fmt.Errorf("copying journal: records %d to %d: %w", j.gap.from, j.gap.to, ErrMissing)
	}
	var files []SegmentFile
	for _, s := range j.segments {
		f := SegmentFile{Name: filepath.Base(s.path), Size: s.end, path: s.path}
		if s.sealed {
			info, err := os.Stat(s.path)
			if err != nil {
				return nil, fmt.Errorf("copying journal: %w", err)
			}
			f.Size = info.Size()
		}
		files = append(files, f)
	}
	return files, nil
}

// SegmentFilesIn returns the files of the journal of a stopped node. They are not
// checked; Open does that.
func SegmentFilesIn(dir string) ([]SegmentFile, error) {
	names, err := segmentNames(dir)
	if err == nil && len(names) == 0 {
		err = errors.New("no journal found")
	}
	if err != nil {
		return nil, fmt.Errorf("reading %s: %w", dir, err)
	}
	var files []SegmentFile
	for _, name := range names {
		path := filepath.Join(dir, name)
		info, err := os.Stat(path)
		if err != nil {
			return nil, fmt.Errorf("reading %s: %w", dir, err)
		}
		files = append(files, SegmentFile{Name: name, Size: info.Size(), path: path})
	}
	return files, nil
}

// WriteSegmentFile writes a file into the directory of a journal to be opened. The
// name is checked, because it may come from outside.
func WriteSegmentFile(dir, name string, r io.Reader) (err error) {
	if name != filepath.Base(name) || !strings.HasSuffix(name, suffix) {
		return fmt.Errorf("%.80q is not the name of a journal file", name)
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
