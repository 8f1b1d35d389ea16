package link

import (
	"container/list"
	"net"
	"sync"
)

// Bounds on connections. Each is far above what honest nodes need.
const (
	maxHandshakes = 256 // half-open, from anybody
	maxJoins      = 32  // from strangers who may hold an invitation
	maxPerPeer    = 256 // each way, with one member
)

// A place is where a connection stands: what it is for, and with whom.
type place struct {
	kind side
	peer string // node id; empty unless called or calling
}

type side int

const (
	shakingHands side = iota
	joining
	calling // the peer dialled us
	called  // we dialled the peer
)

func (p place) limit() int {
	switch p.kind {
	case shakingHands:
		return maxHandshakes
	case joining:
		return maxJoins
	default:
		return maxPerPeer
	}
}

// A lobby knows every open connection and bounds how many stand in each place.
// A newcomer to a full place shows out whoever has stood there longest. So ten
// thousand strangers who begin a handshake and fall silent cannot keep out
// a member, whose handshake takes a few milliseconds: they would have to push
// a whole room of connections in during that time.
type lobby struct {
	mu     sync.Mutex // guards all below
	places map[place]*list.List
	shut   bool
}

// enter notes the connection; leave forgets it and may be called repeatedly.
// Nobody enters once the lobby is shut: then conn is closed and ok is false.
func (b *lobby) enter(p place, conn net.Conn) (leave func(), ok bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.shut {
		_ = conn.Close()
		return nil, false
	}
	if b.places == nil {
		b.places = make(map[place]*list.List)
	}
	in := b.places[p]
	if in == nil {
		in = list.New()
		b.places[p] = in
	}
	if in.Len() >= p.limit() {
		oldest := in.Front()
		in.Remove(oldest)
		_ = oldest.Value.(net.Conn).Close()
	}
	e := in.PushBack(conn)
	return func() { b.leave(p, in, e) }, true
}

func (b *lobby) leave(p place, in *list.List, e *list.Element) {
	b.mu.Lock()
	defer b.mu.Unlock()
	in.Remove(e) // does nothing if it was shown out before
	if in.Len() == 0 && b.places[p] == in {
		delete(b.places, p)
	}
}

// clear closes all connections in the places that out names.
func (b *lobby) clear(out func(place) bool) (closed int) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for p, in := range b.places {
		if !out(p) {
			continue
		}
		delete(b.places, p)
		for e := in.Front(); e != nil; e = in.Front() {
			in.Remove(e)
			_ = e.Value.(net.Conn).Close()
			closed++
		}
	}
	return closed
}

// close closes all connections and lets nobody in any more.
func (b *lobby) close() {
	b.mu.Lock()
	b.shut = true
	b.mu.Unlock()
	b.clear(func(place) bool { return true })
}

// count is the number of connections in the places that which names.
func (b *lobby) count(which func(place) bool) (n int) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for p, in := range b.places {
		if which(p) {
			n += in.Len()
		}
	}
	return n
}
