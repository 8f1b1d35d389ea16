package api

import (
	"net/http"
	"sync"
)

// Concurrent readers of the journal on a node: in all, and with one API token or
// session, so that one cannot keep the others out.
const (
	maxStreams     = 32
	maxStreamsEach = 4
)

// streams bounds the readers of the journal.
type streams struct {
	mu  sync.Mutex // guards below
	all int
	of  map[string]int // by actor
}

// enter admits a reader to the bounded number. After a nil error the caller must
// call the function that is returned.
func (s *streams) enter(who caller) (leave func(), err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case s.of[who.name] >= maxStreamsEach:
		return nil, again(problem(http.StatusServiceUnavailable, "busy", "you read the audit trail on this node too often at the same time; end one of the readers, or ask another node"))
	case s.all >= maxStreams:
		return nil, again(problem(http.StatusServiceUnavailable, "busy", "too many readers of the audit trail on this node; try again, or ask another node"))
	}
	if s.of == nil {
		s.of = map[string]int{}
	}
	s.all++
	s.of[who.name]++
	return func() {
		s.mu.Lock()
		defer s.mu.Unlock()
		s.all--
		if s.of[who.name]--; s.of[who.name] == 0 {
			delete(s.of, who.name)
		}
	}, nil
}
