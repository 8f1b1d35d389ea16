package stream

import (
	"errors"
	"fmt"
	"slices"

	"github.com/nats-io/nats-server/v2/server"
)

// SetReaders lets in the readers with these keys and no others. Connections of
// all other readers are closed before it returns. The first call makes the
// server listen.
//
// A client whose login is being checked while the list changes can still get
// in. Call SetReaders again after a moment, and it is closed: calling with an
// unchanged list is cheap.
func (s *Server) SetReaders(keys []string) error {
	keys = slices.Sorted(slices.Values(keys))
	s.mu.Lock()
	defer s.mu.Unlock()
	if !slices.Equal(keys, s.readers) {
		if err := s.updateReaders(keys); err != nil {
			return fmt.Errorf("updating the readers of the audit stream: %w", err)
		}
		s.readers = keys
	}
	if err := s.closeOthers(); err != nil {
		return fmt.Errorf("closing connections of former readers: %w", err)
	}
	return s.listen()
}

// listen starts listening for readers. The caller holds mu.
func (s *Server) listen() error {
	if s.nats.Addr() != nil {
		return nil
	}
	s.nats.AcceptLoop(make(chan struct{})) // returns when it listens, or has logged why not
	if s.nats.Addr() == nil {
		return errors.New("the NATS server does not listen")
	}
	return nil
}

// updateReaders replaces the signing keys of the readers' account. The caller
// holds mu.
func (s *Server) updateReaders(keys []string) error {
	a := s.authority
	claims, err := a.add(readersClaims(a.readers, a.stream, keys))
	if err != nil {
		return err
	}
	acc, err := s.nats.LookupAccount(a.readers.public)
	if err != nil {
		return err
	}
	s.nats.UpdateAccountClaims(acc, claims)
	return nil
}

// closeOthers closes the connections of readers that are not let in. The caller
// holds mu.
func (s *Server) closeOthers() error {
	conns, err := s.nats.Connz(&server.ConnzOptions{Username: true, Account: s.authority.readers.public, Limit: maxConnections})
	if err != nil {
		return err
	}
	for _, c := range conns.Conns {
		if _, ok := slices.BinarySearch(s.readers, c.IssuerKey); !ok {
			_ = s.nats.DisconnectClientByID(c.Cid) // an error means it is gone
		}
	}
	return nil
}
