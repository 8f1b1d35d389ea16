package radius

import (
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"hash"
	"net/netip"
	"strings"
	"unicode"
	"unicode/utf8"

	"keyfob/engine"
	"keyfob/events"
)

// fields are the attributes of an Access-Request that a login depends on. They
// point into the packet.
type fields struct {
	user     []byte
	password []byte
	state    []byte
	calling  []byte // Calling-Station-Id
	nas      []byte // NAS-Identifier
	session  []byte // Acct-Session-Id
	port     []byte // NAS-Port
	eap      []byte // the first fragment
	hasUser  bool
	hasPAP   bool
	hasEAP   bool
}

// fieldsOf collects the fields. It reports false if one that a login depends on
// occurs more than once (RFC 2865, section 5.44).
func fieldsOf(p Packet) (fields, bool) {
	var f fields
	once := true
	for t, value := range p.Attributes() {
		switch t {
		case UserName:
			once = once && !f.hasUser
			f.user, f.hasUser = value, true
		case UserPassword:
			once = once && !f.hasPAP
			f.password, f.hasPAP = value, true
		case State:
			once = once && f.state == nil
			f.state = value
		case CallingStationID:
			f.calling = value
		case NASIdentifier:
			f.nas = value
		case AcctSessionID:
			f.session = value
		case NASPort:
			f.port = value
		case EAPMessage:
			if !f.hasEAP {
				f.eap, f.hasEAP = value, true
			}
		default:
		}
	}
	return f, once
}

// refusal returns why an Access-Request is refused without asking the node, or "".
// It decodes the password, which proves that the sender knows the shared secret:
// of passwords made with another one, about one in 370,000 is text.
func (r *request) refusal() Cause {
	f := &r.fields
	if f.hasPAP {
		typed, ok := openPassword(r, r.secret)
		if !ok {
			return RefusedPassword
		}
		r.typed = typed
	}
	switch {
	case f.hasEAP:
		return RefusedEAP
	case !f.hasPAP:
		return RefusedNoPAP
	case !isText(f.user):
		return RefusedName
	}
	return ""
}

// attempt turns an Access-Request into an attempt for the node to decide.
func (s *Server) attempt(r *request) engine.Attempt {
	f, c := &r.fields, r.client
	source := r.source
	calling, ok := address(f.calling)
	if ok {
		source = calling
	}
	// The same packet always has the same ID, so that a retransmission finds its
	// answer. The same login in a new packet is recognized by its session.
	return engine.Attempt{
		Origin: events.Origin{
			Request:   r.id,
			Reference: r.id.Reference(),
			Node:      s.cfg.Node,
			Site:      s.siteOf(c),
			Door:      events.DoorRADIUS,
			Client:    c.name,
			SourceIP:  source.String(),
			Unsigned:  !r.signed,
		},
		User:         string(f.user),
		Typed:        r.typed,
		Conversation: string(f.state),
		NoChallenge:  !c.dialect.canAsk(),
		Session:      r.session(),
		Arrived:      r.arrived,
		Source:       userAddress(calling, r.source),
		Client:       c.name,
	}
}

// session is what a gateway sends again when it asks another node about the same
// login, in a new packet and from another port: its address and name, the calling
// station, the session, and the port unless it is 0. It is empty if nothing in
// the request tells the login from one of another person.
func (r *request) session() string {
	f := &r.fields
	if len(f.session) == 0 && len(f.state) == 0 && !r.namesStation() {
		return ""
	}
	port := f.port
	if len(port) != 4 || binary.BigEndian.Uint32(port) == 0 {
		port = nil
	}
	var b strings.Builder
	b.WriteString(r.source.String())
	for _, part := range [][]byte{f.nas, f.calling, f.session, port} {
		if part == nil {
			b.WriteString(" -") // an attribute that is absent is not one that is empty
			continue
		}
		b.WriteByte(' ')
		b.WriteString(hex.EncodeToString(part))
	}
	return b.String()
}

// namesStation reports whether the Calling-Station-Id tells one user from
// another. The address of the gateway itself does not.
func (r *request) namesStation() bool {
	a, ok := address(r.fields.calling)
	return len(r.fields.calling) > 0 && (!ok || userAddress(a, r.source).IsValid())
}

// address returns the IP address in a Calling-Station-Id. Some clients append
// the port (strongSwan: "192.0.2.1[4500]"); some send a telephone number or a
// MAC address instead.
func address(calling []byte) (netip.Addr, bool) {
	if len(calling) == 0 || len(calling) > 64 {
		return netip.Addr{}, false
	}
	text := string(calling)
	if i := strings.LastIndexByte(text, '['); i > 0 {
		text = text[:i]
	}
	if a, err := netip.ParseAddr(text); err == nil {
		return plain(a), true
	}
	if ap, err := netip.ParseAddrPort(text); err == nil {
		return plain(ap.Addr()), true
	}
	return netip.Addr{}, false
}

// userAddress returns the user's address as the gateway reports it, if that is
// plausible. The gateway's own address stands for all of its users, and a few
// who mistype must not stop the others.
func userAddress(calling, gateway netip.Addr) netip.Addr {
	if calling == gateway || calling.IsLoopback() || calling.IsUnspecified() {
		return netip.Addr{}
	}
	return calling
}

// isText reports whether bytes are UTF-8 (RFC 2865, section 5.1) without control
// characters, which do not belong in a log.
func isText(b []byte) bool {
	if len(b) == 0 || !utf8.Valid(b) {
		return false
	}
	for _, r := range string(b) {
		if unicode.IsControl(r) {
			return false
		}
	}
	return true
}

// requestID identifies a packet: the same bytes from the same source have the
// same ID on every node. It covers the whole packet, because not every client's
// authenticators are as random as they should be.
func requestID(r *request) events.Request {
	d := newDigest("packet")
	d.add([]byte(r.client.name))
	if !r.transport.encrypted() { // a connection is made anew, its packets sent again
		source, _ := r.from.MarshalBinary()
		d.add(source)
	}
	d.add(r.packet)
	return d.request()
}

func (s *Server) siteOf(c *client) string {
	if c.site != "" {
		return c.site
	}
	return s.cfg.Site
}

// digest makes a request ID from parts.
type digest struct {
	hash hash.Hash
	sum  [sha256.Size]byte
}

func newDigest(purpose string) *digest {
	d := &digest{hash: sha256.New()}
	d.add([]byte(purpose))
	return d
}

func (d *digest) add(part []byte) {
	binary.BigEndian.PutUint32(d.sum[:4], uint32(len(part))) //nolint:gosec // parts of a packet
	d.hash.Write(d.sum[:4])
	d.hash.Write(part)
}

func (d *digest) request() events.Request {
	d.hash.Sum(d.sum[:0])
	return events.Request(d.sum[:len(events.Request{})])
}
