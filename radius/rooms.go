package radius

import (
	"net/netip"
	"sync"
)

// rooms bounds the requests that wait for their answer. Signed requests have a
// room of their own: unsigned ones can be forged by anyone who has seen one, in any
// number.
type rooms struct {
	total     int // requests in one room
	perClient int

	mu       sync.Mutex // guards the rooms
	signed   room
	unsigned room
}

// room counts the requests of one kind.
type room struct {
	waiting int
	clients map[string]int
	sources map[source]int
}

// source is an address of a client.
type source struct {
	client  string
	address netip.Addr
}

func newRooms(total, perClient int) *rooms {
	fresh := func() room { return room{clients: make(map[string]int), sources: make(map[source]int)} }
	return &rooms{total: total, perClient: perClient, signed: fresh(), unsigned: fresh()}
}

// enter makes room for a request, or returns why there is none. The limit per
// client keeps one that is flooded from taking the room of the others. One
// address of a client may take as much as it leaves free: one that floods gets
// half, two get a third each, and there is always room for another address.
func (s *rooms) enter(r *request) Cause {
	s.mu.Lock()
	defer s.mu.Unlock()
	in, from := s.of(r), source{r.client.name, r.source}
	free := s.perClient - in.clients[r.client.name]
	switch {
	case in.waiting >= s.total:
		return DropBusy
	case free <= 0:
		return DropClientBusy
	case !r.client.single && in.sources[from] >= free:
		return DropSourceBusy
	}
	in.waiting++
	in.clients[r.client.name]++
	in.sources[from]++
	return ""
}

// leave frees the room of a request.
func (s *rooms) leave(r *request) {
	s.mu.Lock()
	defer s.mu.Unlock()
	in, from := s.of(r), source{r.client.name, r.source}
	in.waiting--
	if in.clients[r.client.name]--; in.clients[r.client.name] == 0 {
		delete(in.clients, r.client.name)
	}
	if in.sources[from]--; in.sources[from] == 0 {
		delete(in.sources, from)
	}
}

// waiting returns how many requests there are.
func (s *rooms) waiting() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.signed.waiting + s.unsigned.waiting
}

func (s *rooms) of(r *request) *room {
	if r.signed {
		return &s.signed
	}
	return &s.unsigned
}
