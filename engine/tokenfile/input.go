package tokenfile

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"strings"
)

// meter limits the bytes read, in total and between two resets.
type meter struct {
	r     io.Reader
	limit int64
	total int64
	run   int
}

func (m *meter) Read(p []byte) (int, error) {
	if m.run > maxRecord {
		return 0, ErrTooLarge.because("one record is longer than %d KiB", maxRecord>>10)
	}
	n, err := m.r.Read(p)
	m.run += n
	m.total += int64(n)
	if m.total > m.limit {
		return 0, ErrTooLarge.because("the file is larger than %d bytes; split it", m.limit)
	}
	return n, err
}

// reset starts a new record.
func (m *meter) reset() { m.run = 0 }

// lines reads a text file by line and counts the lines.
type lines struct {
	scanner *bufio.Scanner
	meter   *meter
	number  int
}

func newLines(r io.Reader, m *meter) *lines {
	s := bufio.NewScanner(r)
	s.Buffer(nil, maxLine)
	return &lines{scanner: s, meter: m}
}

// next returns the next line that is not empty and not a comment.
func (l *lines) next() (string, bool) {
	for l.scanner.Scan() {
		l.meter.reset()
		l.number++
		line := strings.TrimSpace(l.scanner.Text())
		if line != "" && !strings.HasPrefix(line, "#") {
			return line, true
		}
	}
	return "", false
}

func (l *lines) err() error {
	err := l.scanner.Err()
	switch {
	case err == nil:
		return nil
	case errors.Is(err, bufio.ErrTooLong):
		return ErrTooLarge.because("line %d is longer than %d KiB", l.number+1, maxLine>>10)
	case errors.Is(err, ErrTooLarge):
		return err
	default:
		return fmt.Errorf("reading token file: %w", err)
	}
}
