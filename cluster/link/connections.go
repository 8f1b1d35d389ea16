package link

import (
	"container/list"
	"net"
	"sync"
)

// Limits of connections. Each is far above what honest nodes need.
const (
	maxHandshakes = 256 // unfinished, from anybody
	maxJoins      = 32  // from machines that may have an invitation
	maxPerPeer    = 256 // with one member, in each direction
)

// slot is a group of connections with a common limit.
type slot struct {
	kind connKind
	peer string   // node id; empty unless inbound or outbound
	key  [32]byte // of the peer
}

type connKind int

const (
	handshaking connKind = iota
	joining
	inbound  // the member dialed this node
	outbound // this node dialed the member
)

func (p slot) limit() int {
	switch p.kind {
	case handshaking:
		return maxHandshakes
	case joining:
		return maxJoins
	default:
		return maxPerPeer
	}
}

// connections tracks all open connections and limits those of each slot. A new
// connection to a full slot closes the oldest one. So strangers who open thousands
// of handshakes and fall silent cannot keep a member out: its handshake takes a few
// milliseconds, and they would have to fill the whole slot in that time.
type connections struct {
	mu     sync.Mutex // guards the fields below
	slots  map[slot]*list.List
	closed bool
}

// enter registers a connection; leave removes it and may be called repeatedly.
// After close, enter closes conn and ok is false.
func (b *connections) enter(p slot, conn net.Conn) (leave func(), ok bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.closed {
		_ = conn.Close()
		return nil, false
	}
	if b.slots == nil {
		b.slots = make(map[slot]*list.List)
	}
	in := b.slots[p]
	if in == nil {
		in = list.New()
		b.slots[p] = in
	}
	if in.Len() >= p.limit() {
		oldest := in.Front()
		in.Remove(oldest)
		_ = oldest.Value.(net.Conn).Close()
	}
	e := in.PushBack(conn)
	return func() { b.leave(p, in, e) }, true
}

func (b *connections) leave(p slot, in *list.List, e *list.Element) {
	b.mu.Lock()
	defer b.mu.Unlock()
	in.Remove(e) // does nothing if it was closed before
	if in.Len() == 0 && b.slots[p] == in {
		delete(b.slots, p)
	}
}

// clear closes all connections in the slots that out selects.
func (b *connections) clear(out func(slot) bool) (closed int) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for p, in := range b.slots {
		if !out(p) {
			continue
		}
		delete(b.slots, p)
		for e := in.Front(); e != nil; e = in.Front() {
			in.Remove(e)
			_ = e.Value.(net.Conn).Close()
			closed++
		}
	}
	return closed
}

// close closes all connections and admits no more.
func (b *connections) close() {
	b.mu.Lock()
	b.closed = true
	b.mu.Unlock()
	b.clear(func(slot) bool { return true })
}

// count is the number of connections in the slots that which selects.
func (b *connections) count(which func(slot) bool) (n int) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for p, in := range b.slots {
		if which(p) {
			n += in.Len()
		}
	}
	return n
}
