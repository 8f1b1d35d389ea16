package radius

import (
	"net/netip"
	"sync"
	"time"

	"keyfob/events"
)

// duplicates remembers the requests in progress and the recent responses, so
// that a retransmission is not a second attempt (RFC 5080, section 2.2.2). A
// retransmitted passcode that was tried again would be refused as used.
//
// The caller bounds the requests in progress. The responses are bounded here;
// the oldest is dropped first.
type duplicates struct {
	linger func() time.Duration // how long a response is kept
	limit  int

	mu       sync.Mutex // guards what follows, and all exchanges
	latest   map[exchangeKey]*exchange
	oldest   *exchange // of those answered, in order of expiry
	newest   *exchange
	answered int
}

// exchangeKey identifies a request among those that a client has open.
type exchangeKey struct {
	from netip.AddrPort
	code Code
	id   byte
}

// exchange is a request and, once there is one, its response.
type exchange struct {
	key      exchangeKey
	request  events.Request
	response Packet
	ends     time.Time
	next     *exchange
}

func newDuplicates(linger func() time.Duration, limit int) *duplicates {
	return &duplicates{linger: linger, limit: limit, latest: make(map[exchangeKey]*exchange)}
}

// begin enters a request. If it is known already, fresh is false and response
// is its response, or nil while it is in progress. A different request with the
// same key replaces the one before.
func (d *duplicates) begin(key exchangeKey, request events.Request, now time.Time) (x *exchange, response Packet, fresh bool) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.expire(now)
	if known := d.latest[key]; known != nil && known.request == request {
		return known, known.response, false
	}
	x = &exchange{key: key, request: request}
	d.latest[key] = x
	return x, nil, true
}

// end keeps the response for retransmissions. It reports false if the client
// has given up on the request and reused its key.
func (d *duplicates) end(x *exchange, response Packet, now time.Time) bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.latest[x.key] != x {
		return false
	}
	x.response, x.ends = response, now.Add(d.linger())
	if d.newest == nil {
		d.oldest = x
	} else {
		d.newest.next = x
	}
	d.newest = x
	d.answered++
	d.expire(now)
	return true
}

// forget removes a request that got no answer, so that its retransmission is
// new.
func (d *duplicates) forget(x *exchange) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.latest[x.key] == x {
		delete(d.latest, x.key)
	}
}

// expire drops responses that are too old or too many. mu is held.
func (d *duplicates) expire(now time.Time) {
	for d.oldest != nil && (d.answered > d.limit || !now.Before(d.oldest.ends)) {
		x := d.oldest
		if d.latest[x.key] == x {
			delete(d.latest, x.key)
		}
		if d.oldest = x.next; d.oldest == nil {
			d.newest = nil
		}
		x.next = nil
		d.answered--
	}
}
