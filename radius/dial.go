package radius

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"sync"
	"time"

	"keyfob/engine"
)

// ClientConfig configures a Client.
type ClientConfig struct {
	Server  string        // host:port
	Secret  engine.Secret // shared with the server
	Timeout time.Duration // until a request is sent again
	Tries   int           // how often it is sent in total
	// Unsigned leaves the Message-Authenticator out of Access-Requests and
	// Accounting-Requests, as old VPNs do. Responses to a login must have it
	// anyway.
	Unsigned bool
	Random   io.Reader  // unpredictable bytes, safe for concurrent use
	Local    netip.Addr // to send from; zero: any
}

// Validate reports every problem of the configuration.
func (c ClientConfig) Validate() error {
	var problems []error
	if c.Secret == "" {
		problems = append(problems, errors.New("no shared secret"))
	}
	if c.Timeout <= 0 || c.Tries < 1 {
		problems = append(problems, errors.New("timeout and tries must be more than 0"))
	}
	if c.Random == nil {
		problems = append(problems, errors.New("no source of random bytes"))
	}
	return errors.Join(problems...)
}

// local returns the address to send from, or nil for any.
func (c ClientConfig) local() net.Addr {
	if !c.Local.IsValid() {
		return nil
	}
	return net.UDPAddrFromAddrPort(netip.AddrPortFrom(c.Local, 0))
}

// ErrNoAnswer is returned when the server does not answer.
var ErrNoAnswer = errors.New("radius server does not answer")

// inFlight is how many requests the identifier can distinguish.
const inFlight = 256

// Client plays the part of a VPN: it sends requests to a RADIUS server. It has
// one socket and up to 256 requests in flight; further ones wait. It is safe for
// concurrent use.
type Client struct {
	cfg    ClientConfig
	secret *sharedSecret
	conn   net.Conn
	free   chan byte // identifiers, the least recently used first
	slots  [inFlight]slot
	reader sync.WaitGroup
}

// slot waits for the response to an identifier.
type slot struct {
	mu       sync.Mutex
	waiting  bool
	code     Code          // of the request
	request  Authenticator // of the request
	response chan Packet
}

// Dial opens a client's socket.
func Dial(ctx context.Context, cfg ClientConfig) (*Client, error) {
	if err := cfg.Validate(); err != nil {
		return nil, fmt.Errorf("radius client: %w", err)
	}
	dialer := net.Dialer{LocalAddr: cfg.local()}
	conn, err := dialer.DialContext(ctx, "udp", cfg.Server)
	if err != nil {
		return nil, fmt.Errorf("radius client: %w", err)
	}
	c := &Client{cfg: cfg, secret: newSharedSecret(cfg.Secret), conn: conn, free: make(chan byte, inFlight)}
	for id := range inFlight {
		c.slots[id].response = make(chan Packet, 1)
		c.free <- byte(id)
	}
	c.reader.Go(c.read)
	return c, nil
}

// Close closes the socket. Requests in flight get no response.
func (c *Client) Close() error {
	err := c.conn.Close()
	c.reader.Wait()
	return err
}

// Login is a VPN's request about a user. Empty fields are left out.
type Login struct {
	User     string
	Passcode engine.Secret // or what the challenge asked for
	State    string        // of the challenge that this answers

	NASIdentifier    string
	CallingStationID string
	SessionID        string // Acct-Session-Id: the same for each try at the same login
}

// Reply is a server's response to a login.
type Reply struct {
	Code    Code
	Message string
	State   string
	Echo    bool          // the next answer may be shown as it is typed
	Expires time.Duration // how long the challenge is valid; 0 if not stated
}

// Authenticate sends a login. The error wraps ErrNoAnswer if the server does not
// answer.
func (c *Client) Authenticate(ctx context.Context, l Login) (Reply, error) {
	response, err := c.Exchange(ctx, AccessRequest, func(r *Request) {
		r.AddString(UserName, l.User)
		r.AddPassword(l.Passcode)
		for _, a := range []struct {
			typ   Type
			value string
		}{
			{State, l.State},
			{NASIdentifier, l.NASIdentifier},
			{CallingStationID, l.CallingStationID},
			{AcctSessionID, l.SessionID},
		} {
			if a.value != "" {
				r.AddString(a.typ, a.value)
			}
		}
	})
	if err != nil {
		return Reply{}, err
	}
	reply := Reply{Code: response.Code()}
	for t, value := range response.Attributes() {
		switch t {
		case ReplyMessage:
			reply.Message += string(value)
		case State:
			reply.State = string(value)
		case Prompt:
			reply.Echo = len(value) == 4 && binary.BigEndian.Uint32(value) == promptEcho
		case SessionTimeout:
			if len(value) == 4 {
				reply.Expires = time.Duration(binary.BigEndian.Uint32(value)) * time.Second
			}
		default:
		}
	}
	return reply, nil
}

// Status asks whether the server serves logins (RFC 5997).
func (c *Client) Status(ctx context.Context) error {
	_, err := c.Exchange(ctx, StatusServer, func(*Request) {})
	return err
}

// Request is a packet that Exchange is about to send. An attribute that cannot
// be added makes Exchange fail.
type Request struct {
	packet *builder
	client *Client
}

// Add adds an attribute.
func (r *Request) Add(t Type, value []byte) { r.packet.add(t, value) }

// AddString adds a text attribute.
func (r *Request) AddString(t Type, value string) { r.packet.addString(t, value) }

// AddUint32 adds a numeric attribute.
func (r *Request) AddUint32(t Type, value uint32) { r.packet.addUint32(t, value) }

// AddPassword adds the User-Password (RFC 2865, section 5.2).
func (r *Request) AddPassword(password engine.Secret) {
	hidden, err := r.client.secret.hide(password, Authenticator(r.packet.b[4:headerLength]))
	if err != nil {
		r.packet.err = err
		return
	}
	r.packet.add(UserPassword, hidden)
}

// Exchange sends a request and returns its response, whose signatures it has
// checked. It sends the same bytes again as often as the configuration says.
func (c *Client) Exchange(ctx context.Context, code Code, fill func(*Request)) (Packet, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	select {
	case id := <-c.free:
		defer func() { c.free <- id }()
		p, err := c.build(code, id, fill)
		if err != nil {
			return nil, fmt.Errorf("building %v: %w", code, err)
		}
		return c.exchange(ctx, p)
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

func (c *Client) build(code Code, id byte, fill func(*Request)) (Packet, error) {
	bare := c.cfg.Unsigned && code != StatusServer
	r := &Request{packet: newPacket(code, id), client: c}
	if bare {
		r.packet = newBarePacket(code, id)
	}
	if code != AccountingRequest {
		if _, err := io.ReadFull(c.cfg.Random, r.packet.b[4:headerLength]); err != nil {
			return nil, err
		}
	}
	fill(r)
	p, err := r.packet.finish()
	switch {
	case err != nil:
		return nil, err
	case code == AccountingRequest:
		c.secret.signAccounting(p)
	case !bare:
		c.secret.signRequest(p)
	}
	return p, nil
}

func (c *Client) exchange(ctx context.Context, p Packet) (Packet, error) {
	s := &c.slots[p.ID()]
	s.begin(p)
	defer s.end()
	again := time.NewTimer(c.cfg.Timeout)
	defer again.Stop()
	for try := 1; ; try++ {
		if _, err := c.conn.Write(p); errors.Is(err, net.ErrClosed) {
			return nil, fmt.Errorf("sending %v: %w", p.Code(), err)
		}
		select {
		case response := <-s.response:
			return response, nil
		case <-ctx.Done():
			return nil, ctx.Err()
		case <-again.C:
			if try >= c.cfg.Tries {
				return nil, fmt.Errorf("%w after %d tries of %v", ErrNoAnswer, c.cfg.Tries, c.cfg.Timeout)
			}
			again.Reset(c.cfg.Timeout)
		}
	}
}

func (s *slot) begin(p Packet) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.waiting, s.code, s.request = true, p.Code(), p.Authenticator()
}

func (s *slot) end() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.waiting = false
	select {
	case <-s.response: // came too late
	default:
	}
}

// read delivers responses until the socket is closed.
func (c *Client) read() {
	var buffer [maxPacket]byte
	for {
		n, err := c.conn.Read(buffer[:])
		if errors.Is(err, net.ErrClosed) {
			return
		}
		if err != nil {
			continue // nothing listens there at the moment
		}
		if p, err := Parse(buffer[:n]); err == nil {
			c.deliver(p)
		}
	}
}

// deliver hands over a response that is the server's answer to the open request.
// It ignores everything else.
func (c *Client) deliver(p Packet) {
	s := &c.slots[p.ID()]
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.waiting || !answers(p.Code(), s.code) {
		return
	}
	if !c.secret.authentic(p, s.request) || !c.secret.signedResponse(p, s.code, s.request) {
		return
	}
	s.waiting = false
	s.response <- append(Packet(nil), p...)
}

// signedResponse reports whether a response to a request of a code has exactly
// one Message-Authenticator, first and correct. Accounting may omit it.
func (s *sharedSecret) signedResponse(p Packet, code Code, request Authenticator) bool {
	at, count := p.offset(MessageAuthenticator)
	if code == AccountingRequest {
		if count == 0 {
			return true
		}
		request = Authenticator{}
	}
	return count == 1 && at == messageAuthenticatorAt && int(p[at-1]) == authenticatorLength+2 && s.signed(p, at, request)
}

// answers reports whether one code is a valid response to another.
func answers(response, request Code) bool {
	switch response {
	case AccessAccept:
		return request == AccessRequest || request == StatusServer
	case AccessReject, AccessChallenge:
		return request == AccessRequest
	case AccountingResponse:
		return request == AccountingRequest || request == StatusServer
	default:
		return false
	}
}
