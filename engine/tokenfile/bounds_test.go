package tokenfile

import (
	"errors"
	"io"
	"os"
	"strings"
	"testing"
)

// endless returns head, then repeats pattern forever, and counts the bytes read.
type endless struct {
	head, pattern string
	taken         int64
}

func (e *endless) Read(p []byte) (int, error) {
	n := 0
	for n < len(p) {
		at := e.taken
		var from string
		if at < int64(len(e.head)) {
			from = e.head[at:]
		} else {
			from = e.pattern[(at-int64(len(e.head)))%int64(len(e.pattern)):]
		}
		m := copy(p[n:], from)
		n += m
		e.taken += int64(m)
	}
	return n, nil
}

func TestEndlessFilesAreRefusedEarly(t *testing.T) {
	const limit = 3 << 20
	uri := "otpauth://totp/a?secret=GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ\n"
	for _, c := range []struct {
		name string
		file endless
		most int64 // limit of bytes read
	}{
		{"text", endless{head: sdtidStart + "<Name>", pattern: "x"}, 2 << 20},
		{"tag", endless{head: sdtidStart, pattern: "x"}, 2 << 20},
		{"attribute", endless{head: sdtidStart + "<a b='", pattern: "x"}, 2 << 20},
		{"comment", endless{head: sdtidStart + "<!--", pattern: "x"}, 2 << 20},
		{"comments", endless{head: sdtidStart, pattern: "<!-- x -->"}, 4 << 20},
		{"white space", endless{head: pskcStart, pattern: " "}, 2 << 20},
		{"elements", endless{head: sdtidStart, pattern: "<a></a>"}, 2 << 20},
		{"headers", endless{head: "<TKNBatch>", pattern: "<x>y</x>"}, 4 << 20},
		{"line", endless{head: "otpauth://", pattern: "x"}, 1 << 20},
		{"blank lines", endless{head: "otpauth://totp/\n", pattern: "\n"}, 4 << 20},
		{"tokens", endless{pattern: uri}, 2 << 20},
		{"bad lines", endless{head: uri, pattern: "otpauth:\n"}, 2 << 20},
		{"prose", endless{head: "200012345678973042071776752216050450744647071253341607664173163270001302716770736\n", pattern: "hello\n"}, 4 << 20},
		{"soft breaks", endless{head: "ctfData=2000=\n", pattern: "0=\n"}, 4 << 20},
		{"rc", endless{head: "version 1\n", pattern: "colour blue\n"}, 4 << 20},
		{"rows", endless{head: "serial,secret_hex,kind\n", pattern: "1\n"}, 2 << 20},
		{"fields", endless{head: "serial,secret_hex,kind\n", pattern: ","}, 1 << 20},
	} {
		t.Run(c.name, func(t *testing.T) {
			got, err := Read(&c.file, Options{MaxBytes: limit, MaxTokens: 1000})
			if !errors.Is(err, ErrTooLarge) || len(got.Tokens) > 0 {
				t.Errorf("%v, %d tokens", err, len(got.Tokens))
			}
			if c.file.taken > c.most {
				t.Errorf("%d bytes were read", c.file.taken)
			}
		})
	}
}

// broken returns a read error in the middle of a file.
type broken struct{ io.Reader }

func (b broken) Read(p []byte) (int, error) {
	n, err := b.Reader.Read(p)
	if errors.Is(err, io.EOF) {
		err = os.ErrDeadlineExceeded
	}
	return n, err
}

func TestReadErrorsAreNotTreatedAsEOF(t *testing.T) {
	for _, start := range []string{sdtidStart, "otpauth://totp/a?secret=GEZDGNBVGY3TQOJQ\n", "serial,secret,kind\n"} {
		long := start + strings.Repeat("\n", 2*headSize) // longer than the part examined for detection
		for _, text := range []string{start, long} {
			if got, err := Read(broken{strings.NewReader(text)}, Options{}); !errors.Is(err, os.ErrDeadlineExceeded) {
				t.Errorf("%.30q: %d tokens, %v", text, len(got.Tokens), err)
			}
		}
	}
}
