package radius

import (
	"net/netip"
	"sync"
	"time"

	"keyfob/events"
)

// seenFor is how long a Request Authenticator is known after its response has
// expired. Later, a copy of the request would be decided once more.
const seenFor = time.Hour

// exchanges remembers the requests in progress, the recent responses, and the
// Request Authenticators that clients have used.
//
// A retransmission is not a second attempt (RFC 5080, section 2.2.2): it gets the
// response again. A Request Authenticator is used once (RFC 2865, section 3).
// What comes with a known one is a copy of a request, sent by somebody who saw
// it: from another port, long after it, or around the same password with another
// user name. It would be decided otherwise, and its failures counted.
//
// The caller bounds the requests in progress. The others are bounded here; the
// oldest is dropped first.
type exchanges struct {
	linger func() time.Duration // how long a response is kept
	limit  int

	mu        sync.Mutex // guards what follows, and all exchanges
	known     map[nonce]*exchange
	working   map[place]*exchange
	oldest    *exchange // of those answered, in order of time
	newest    *exchange
	lingering *exchange // the oldest whose response is kept
	answered  int
}

// nonce is what a client uses once.
type nonce struct {
	client        string
	authenticator Authenticator
}

// place identifies a request among those that a client has open.
type place struct {
	from netip.AddrPort
	code Code
	id   byte
}

// exchange is a request and, once there is one, its response.
type exchange struct {
	nonce    nonce
	place    place
	request  events.Request
	signed   bool
	done     bool
	response Packet // nil while in progress, and when it is no longer kept
	ends     time.Time
	next     *exchange
}

func newExchanges(linger func() time.Duration, limit int) *exchanges {
	return &exchanges{linger: linger, limit: limit, known: make(map[nonce]*exchange), working: make(map[place]*exchange)}
}

// knows reports whether a Request Authenticator has been used.
func (e *exchanges) knows(n nonce) bool {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.known[n] != nil
}

// recall returns the response to a request that is known. The cause says why it
// has none and is dropped. Without both it is new.
//
// A signed request comes from the client, and an unsigned one with the same
// Request Authenticator was forged.
func (e *exchanges) recall(x *exchange, now time.Time) (response Packet, cause Cause) {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.recalled(x, now)
}

// recalled is recall. mu is held.
func (e *exchanges) recalled(x *exchange, now time.Time) (response Packet, cause Cause) {
	e.expire(now)
	known := e.known[x.nonce]
	switch {
	case known == nil:
		return nil, ""
	case known.request == x.request && !known.done:
		return nil, DropInProgress
	case known.request == x.request && known.response != nil:
		return known.response, ""
	case known.signed || !x.signed:
		return nil, DropReplayed
	}
	return nil, ""
}

// begin enters a request, or returns what recall does. A signed one takes the
// place of one in progress with its identifier, which the client has given up. An
// unsigned one replaces nothing: it may be forged itself.
func (e *exchanges) begin(x *exchange, now time.Time) (response Packet, cause Cause) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if response, cause = e.recalled(x, now); response != nil || cause != "" {
		return response, cause
	}
	if e.working[x.place] != nil && !x.signed {
		return nil, DropIdentifier
	}
	e.known[x.nonce], e.working[x.place] = x, x
	return nil, ""
}

// end keeps the response for retransmissions. It reports false if the client
// has given up on the request and reused its identifier.
func (e *exchanges) end(x *exchange, response Packet, now time.Time) bool {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.working[x.place] != x {
		return false
	}
	delete(e.working, x.place)
	x.done, x.response, x.ends = true, response, now.Add(e.linger())
	if e.newest == nil {
		e.oldest = x
	} else {
		e.newest.next = x
	}
	if e.lingering == nil {
		e.lingering = x
	}
	e.newest = x
	e.answered++
	e.expire(now)
	return true
}

// forget removes a request that got no answer, so that its retransmission is
// new.
func (e *exchanges) forget(x *exchange) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.remove(x)
	if e.working[x.place] == x {
		delete(e.working, x.place)
	}
}

// remove forgets a Request Authenticator, unless another request has it now. mu is
// held.
func (e *exchanges) remove(x *exchange) {
	if e.known[x.nonce] == x {
		delete(e.known, x.nonce)
	}
}

// expire drops what is too old or too much. mu is held.
func (e *exchanges) expire(now time.Time) {
	for e.lingering != nil && !now.Before(e.lingering.ends) {
		e.lingering.response = nil
		e.lingering = e.lingering.next
	}
	for e.oldest != nil && (e.answered > e.limit || !now.Before(e.oldest.ends.Add(seenFor))) {
		x := e.oldest
		e.remove(x)
		if e.lingering == x {
			e.lingering = x.next
		}
		if e.oldest = x.next; e.oldest == nil {
			e.newest = nil
		}
		x.next = nil
		e.answered--
	}
}
