package radius

import (
	"encoding/binary"
	"errors"
	"iter"
)

const (
	headerLength  = 20
	maxPacket     = 4096 // RFC 2865, section 3
	maxAttributes = 200
	maxValue      = 253

	authenticatorLength = 16
)

// The reasons why Parse fails. They are fixed values, so that a flood of junk
// costs no memory.
var (
	errShort      = errors.New("packet is shorter than it says, or than a header")
	errLong       = errors.New("packet is longer than 4096 bytes")
	errAttribute  = errors.New("attribute does not fit into the packet")
	errAttributes = errors.New("packet has more than 200 attributes")
)

// Authenticator is a packet's authenticator field (RFC 2865, section 3).
type Authenticator [authenticatorLength]byte

// Packet is a well-formed RADIUS packet, as Parse returns it.
type Packet []byte

// Parse returns the packet at the beginning of b, without copying. Bytes after it
// are padding (RFC 2865, section 3).
func Parse(b []byte) (Packet, error) {
	if len(b) < headerLength {
		return nil, errShort
	}
	n := int(binary.BigEndian.Uint16(b[2:4]))
	switch {
	case n < headerLength || n > len(b):
		return nil, errShort
	case n > maxPacket:
		return nil, errLong
	}
	p := Packet(b[:n:n])
	count := 0
	for rest := p[headerLength:]; len(rest) > 0; count++ {
		if len(rest) < 2 || rest[1] < 2 || int(rest[1]) > len(rest) {
			return nil, errAttribute
		}
		rest = rest[rest[1]:]
	}
	if count > maxAttributes {
		return nil, errAttributes
	}
	return p, nil
}

// Code returns the type of the packet.
func (p Packet) Code() Code { return Code(p[0]) }

// ID returns the identifier, which pairs a response with its request.
func (p Packet) ID() byte { return p[1] }

// Authenticator returns the authenticator field.
func (p Packet) Authenticator() Authenticator {
	return Authenticator(p[4:headerLength])
}

// Attributes iterates over the attributes in order. The values point into the
// packet.
func (p Packet) Attributes() iter.Seq2[Type, []byte] {
	return func(yield func(Type, []byte) bool) {
		for rest := p[headerLength:]; len(rest) > 0; {
			n := int(rest[1])
			if !yield(Type(rest[0]), rest[2:n:n]) {
				return
			}
			rest = rest[n:]
		}
	}
}

// Lookup returns the value of the first attribute of a type.
func (p Packet) Lookup(t Type) ([]byte, bool) {
	for typ, value := range p.Attributes() {
		if typ == t {
			return value, true
		}
	}
	return nil, false
}

// offset returns where the value of the first attribute of a type begins, and
// how many attributes of that type there are.
func (p Packet) offset(t Type) (at, count int) {
	for i := headerLength; i < len(p); i += int(p[i+1]) {
		if Type(p[i]) != t {
			continue
		}
		if count == 0 {
			at = i + 2
		}
		count++
	}
	return at, count
}

// builder writes a packet. It reports its errors at the end.
type builder struct {
	b   []byte
	err error
}

var (
	errValue    = errors.New("attribute is longer than 253 bytes")
	errOverflow = errors.New("packet would be longer than 4096 bytes")
)

// newPacket begins a packet with a Message-Authenticator that is computed later.
// It comes first, so that an attacker cannot choose what precedes it
// (CVE-2024-3596).
func newPacket(code Code, id byte) *builder {
	p := newBarePacket(code, id)
	var zero Authenticator
	p.add(MessageAuthenticator, zero[:])
	return p
}

// newBarePacket begins a packet without a Message-Authenticator.
func newBarePacket(code Code, id byte) *builder {
	const expected = 160
	p := &builder{b: make([]byte, headerLength, expected)}
	p.b[0], p.b[1] = byte(code), id
	return p
}

func (p *builder) add(t Type, value []byte) {
	switch {
	case len(value) > maxValue:
		p.err = errValue
	case len(p.b)+2+len(value) > maxPacket:
		p.err = errOverflow
	default:
		p.b = append(append(p.b, byte(t), byte(len(value)+2)), value...)
	}
}

func (p *builder) addString(t Type, value string) {
	if len(value) > maxValue {
		p.err = errValue
		return
	}
	p.add(t, []byte(value))
}

func (p *builder) addUint32(t Type, value uint32) {
	p.add(t, binary.BigEndian.AppendUint32(nil, value))
}

// addAll copies all attributes of a type from a request, in order.
func (p *builder) addAll(t Type, request Packet) {
	for typ, value := range request.Attributes() {
		if typ == t {
			p.add(t, value)
		}
	}
}

// finish fills in the length. The packet is not yet signed.
func (p *builder) finish() (Packet, error) {
	if p.err != nil {
		return nil, p.err
	}
	binary.BigEndian.PutUint16(p.b[2:4], uint16(len(p.b))) //nolint:gosec // at most 4096
	return Packet(p.b), nil
}
