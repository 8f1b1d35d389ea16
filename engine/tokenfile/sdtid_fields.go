package tokenfile

import (
	"crypto/aes"
	"encoding/base64"
	"strconv"
	"strings"
	"time"
)

// sdtidFields are the leaves of a section, in document order.
type sdtidFields []sdtidField

type sdtidField struct {
	path, name string
	value      string // exactly as decoded: the MAC covers its white space
	isMAC      bool   // in an element whose name ends in MAC; excluded from the MAC
}

func sdtidLeaves(section *element) sdtidFields {
	var fields sdtidFields
	var walk func(e *element, path string, isMAC bool)
	walk = func(e *element, path string, isMAC bool) {
		for _, kid := range e.kids {
			name := kid.name.Local
			kidMAC := isMAC || len(name) > 3 && strings.HasSuffix(name, "MAC")
			kidPath := path + "." + name
			if len(kid.kids) == 0 {
				fields = append(fields, sdtidField{kidPath, name, kid.text, kidMAC})
			} else {
				walk(kid, kidPath, kidMAC)
			}
		}
	}
	walk(section, section.name.Local, false)
	return fields
}

// get returns the first field with this name, without surrounding ASCII white space.
func (f sdtidFields) get(name string) string {
	for i := range f {
		if f[i].name == name {
			return strings.Trim(f[i].value, " \t\r\n\v\f")
		}
	}
	return ""
}

func (f sdtidFields) count(name string) (n int) {
	for i := range f {
		if f[i].name == name {
			n++
		}
	}
	return n
}

// macInput returns the fields in the form that their MAC covers. The zeros after each line
// are a defect of the first implementation that all others must copy: as many as
// the line's beginning was into its AES block. A line that is short enough first
// cuts back to a whole block.
func (f sdtidFields) macInput() []byte {
	var buf []byte
	gap := 0
	for i := range f {
		if f[i].isMAC {
			continue
		}
		line := f[i].path + " " + f[i].value + "\n"
		if f[i].value == "" {
			line = f[i].path + " </" + f[i].name + ">\n"
		} else if len(line)+gap <= aes.BlockSize {
			buf = buf[:len(buf)/aes.BlockSize*aes.BlockSize]
		}
		buf = append(buf, line...)
		buf = append(buf, make([]byte, gap)...)
		if gap = len(buf) % aes.BlockSize; gap == 0 {
			gap = aes.BlockSize
		}
	}
	return buf
}

// sdtidMAC decodes a MAC field. For an invalid one it returns nil, which no
// computed MAC equals.
func sdtidMAC(f sdtidFields, name string) string {
	mac, err := base64.StdEncoding.DecodeString(f.get(name))
	if err != nil || f.count(name) != 1 {
		return ""
	}
	return string(mac)
}

// sdtidLookup finds a field in a token, or its default in the header.
type sdtidLookup struct {
	token, header sdtidFields
	err           error // the first problem
}

func (l *sdtidLookup) fail(err error) {
	if l.err == nil {
		l.err = err
	}
}

func (l *sdtidLookup) text(name string) string {
	switch {
	case l.token.count(name) > 1:
		l.fail(ErrFormat.because("it has the field %s twice", name))
		return ""
	case l.token.count(name) == 1:
		return l.token.get(name)
	case l.header.count("Def"+name) > 0:
		return l.header.get("Def" + name)
	default:
		return l.header.get(name)
	}
}

// number reads an integer in C notation: 0x for hexadecimal, a leading 0 for octal.
func (l *sdtidLookup) number(name string, absent int) int {
	s := l.text(name)
	if s == "" {
		return absent
	}
	n, err := strconv.ParseUint(s, 0, 31)
	if err != nil || strings.Contains(s, "_") || hasPrefixFold(s, "0b") || hasPrefixFold(s, "0o") {
		l.fail(ErrFormat.because("its field %s is %.20q, which is not a number", name, s))
	}
	return int(n)
}

func (l *sdtidLookup) day(name string) time.Time {
	s := l.text(name)
	if s == "" {
		return time.Time{}
	}
	t, err := parseDay(s)
	if err != nil {
		l.fail(err)
	}
	return t
}

// window converts seconds on either side to intervals. The unit is inferred from the
// values in use: 630 seconds are the 10 intervals that RSA documents.
func (l *sdtidLookup) window(name string, tok Token) int {
	n := l.number(name, 0)
	if s := seconds(tok.Params); s > 0 {
		return n / s
	}
	return 0
}
