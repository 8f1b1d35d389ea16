package tokenfile

import (
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"strings"

	"golang.org/x/text/encoding/charmap"
)

// Limits for one section (a header or a token) of an XML file.
const (
	maxDepth     = 16
	maxElements  = 1000
	maxTextBytes = 256 << 10
)

// xmlReader reads untrusted XML section by section. It refuses document type
// declarations, so only the five predefined entities exist, and keeps no
// more than one section in memory.
type xmlReader struct {
	dec   *xml.Decoder
	meter *meter
}

// element is a section or a part of it.
type element struct {
	name  xml.Name
	attrs []xml.Attr
	text  string // its own text, without its children's
	kids  []*element
}

func newXMLReader(r io.Reader, m *meter) *xmlReader {
	dec := xml.NewDecoder(r)
	dec.CharsetReader = charset
	return &xmlReader{dec, m}
}

// charset decodes the encodings other than UTF-8 that old exports use.
func charset(label string, r io.Reader) (io.Reader, error) {
	switch strings.ToLower(label) {
	case "us-ascii", "ascii", "utf8":
		return r, nil
	case "iso-8859-1", "latin1":
		return charmap.ISO8859_1.NewDecoder().Reader(r), nil
	case "windows-1252", "cp1252":
		return charmap.Windows1252.NewDecoder().Reader(r), nil
	default:
		return nil, ErrUnsupported.because("the file is encoded as %.20q; save it as UTF-8", label)
	}
}

func (x *xmlReader) next() (xml.Token, error) {
	tok, err := x.dec.Token()
	x.meter.reset()
	if err != nil {
		return nil, x.explain(err)
	}
	if _, ok := tok.(xml.Directive); ok {
		return nil, ErrUnsupported.because("the XML declares a document type or entities, which token files do not need and which can be an attack")
	}
	return tok, nil
}

func (x *xmlReader) explain(err error) error {
	var (
		syntax *xml.SyntaxError
		ours   *problem // of the meter or the charset
	)
	switch {
	case errors.Is(err, io.EOF):
		return io.EOF
	case errors.As(err, &ours):
		return ours
	case errors.As(err, &syntax) && strings.Contains(syntax.Msg, "unexpected EOF"):
		return ErrFormat.because("the file is incomplete: it ends at line %d", syntax.Line)
	case errors.As(err, &syntax):
		return ErrFormat.because("line %d is not XML: %.100s", syntax.Line, syntax.Msg)
	default:
		return fmt.Errorf("reading token file: %w", err)
	}
}

// root returns the outermost element.
func (x *xmlReader) root() (xml.Name, error) {
	for {
		tok, err := x.next()
		if errors.Is(err, io.EOF) {
			return xml.Name{}, ErrFormat.because("the file contains no XML element")
		}
		if err != nil {
			return xml.Name{}, err
		}
		if start, ok := tok.(xml.StartElement); ok {
			return start.Name, nil
		}
	}
}

// section returns the root's next child with its content, or nil after the
// last one, if nothing follows the root.
func (x *xmlReader) section() (*element, error) {
	for {
		tok, err := x.next()
		if err != nil {
			return nil, err // even io.EOF: the decoder reports an open root itself
		}
		switch tok := tok.(type) {
		case xml.StartElement:
			return x.element(tok, 1, &budget{maxElements, maxTextBytes})
		case xml.EndElement:
			return nil, x.end()
		}
	}
}

func (x *xmlReader) end() error {
	for {
		tok, err := x.next()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
		if start, ok := tok.(xml.StartElement); ok {
			return ErrFormat.because("a second root element <%.40s> follows the first", start.Name.Local)
		}
	}
}

type budget struct{ elements, bytes int }

func (b *budget) spend(elements, bytes int) error {
	b.elements -= elements
	b.bytes -= bytes
	if b.elements < 0 || b.bytes < 0 {
		return ErrTooLarge.because("one section of the XML has more than %d elements or %d KiB of text", maxElements, maxTextBytes>>10)
	}
	return nil
}

func (x *xmlReader) element(start xml.StartElement, depth int, b *budget) (*element, error) {
	if depth > maxDepth {
		return nil, ErrTooLarge.because("the XML is nested deeper than %d levels", maxDepth)
	}
	e := &element{name: start.Name, attrs: start.Copy().Attr}
	size := len(start.Name.Local)
	for _, a := range e.attrs {
		size += len(a.Name.Local) + len(a.Value)
	}
	if err := b.spend(1+len(e.attrs), size); err != nil {
		return nil, err
	}
	var text strings.Builder
	for {
		tok, err := x.next()
		if err != nil {
			return nil, err
		}
		switch tok := tok.(type) {
		case xml.StartElement:
			kid, err := x.element(tok, depth+1, b)
			if err != nil {
				return nil, err
			}
			e.kids = append(e.kids, kid)
		case xml.CharData:
			if err := b.spend(0, len(tok)); err != nil {
				return nil, err
			}
			text.Write(tok)
		case xml.EndElement:
			e.text = text.String()
			return e, nil
		}
	}
}
