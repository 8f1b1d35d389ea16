package stream

import (
	"errors"
	"fmt"
	"slices"

	"github.com/nats-io/jwt/v2"
	"github.com/nats-io/nats-server/v2/server"
)

// SetReaders lets in the readers with these keys and no others. Connections of
// all other readers are closed before it returns, and their consumers are deleted.
// The first call makes the server listen.
//
// A client whose login is being checked while the list changes can still get
// in. Call SetReaders again after a moment, and it is closed: calling with an
// unchanged list is cheap.
func (s *Server) SetReaders(keys []string) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.readers, s.known = slices.Sorted(slices.Values(keys)), true
	if s.embedded == nil {
		return errStopped
	}
	return s.admit()
}

// missing returns the elements of all that are not in keys.
func missing(all, keys []string) (gone []string) {
	for _, key := range all {
		if !slices.Contains(keys, key) {
			gone = append(gone, key)
		}
	}
	return gone
}

// admit makes the NATS server accept the readers of the list. The caller holds mu.
func (s *Server) admit() error {
	if err := s.embedded.update(s.readers); err != nil {
		return fmt.Errorf("updating the readers of the audit stream: %w", err)
	}
	if err := s.embedded.closeOthers(); err != nil {
		return fmt.Errorf("closing connections of former readers: %w", err)
	}
	if err := s.embedded.proxy.serve(s.readers); err != nil {
		return err
	}
	s.lost = s.embedded.proxy.restore(s.lost)
	return s.embedded.listen()
}

// listen starts listening for readers.
func (r *embedded) listen() error {
	if r.Addr() != nil {
		return nil
	}
	r.AcceptLoop(make(chan struct{})) // returns when it listens, or has logged why not
	if r.Addr() == nil {
		return errors.New("the NATS server does not listen")
	}
	return nil
}

// update changes the accounts of readers to those of keys.
func (r *embedded) update(keys []string) error {
	r.accounts.Lock()
	defer r.accounts.Unlock()
	if slices.Equal(keys, r.admitted) {
		return nil
	}
	for _, key := range missing(r.admitted, keys) {
		if err := r.replace(formerClaims(key)); err != nil {
			return err
		}
	}
	for _, key := range missing(keys, r.admitted) {
		if err := r.replace(r.authority.readerClaims(key, nil)); err != nil {
			return err
		}
	}
	r.admitted = keys
	return nil
}

// permit lets a reader use these consumers and no others, if it is let in.
func (r *embedded) permit(key string, consumers []string) error {
	r.accounts.Lock()
	defer r.accounts.Unlock()
	if !slices.Contains(r.admitted, key) {
		return errFormer
	}
	return r.replace(r.authority.readerClaims(key, consumers))
}

// errFormer is returned for a reader that is not let in any more.
var errFormer = errors.New("the reader is not let in any more")

// replace stores an account, also in the running server if it knows it already.
// The caller holds accounts.
func (r *embedded) replace(claims *jwt.AccountClaims) error {
	claims, err := r.authority.add(claims)
	if err != nil {
		return err
	}
	account, err := r.LookupAccount(claims.Subject)
	if err != nil {
		return err
	}
	r.UpdateAccountClaims(account, claims)
	return nil
}

// closeOthers closes the connections of readers that are not let in.
func (r *embedded) closeOthers() error {
	r.accounts.Lock()
	admitted := r.admitted
	r.accounts.Unlock()
	return r.disconnect(func(account string) bool {
		return account != "" && account != r.authority.stream && !slices.Contains(admitted, account)
	})
}

// closeStrangers closes the connections that have not logged in yet. They count
// towards the limit of the server, from which the publisher is not exempt.
func (r *embedded) closeStrangers() error {
	return r.disconnect(func(account string) bool { return account == "" })
}

// disconnect closes the connections of accounts. The account of a connection that
// has not logged in yet is empty.
func (r *embedded) disconnect(of func(account string) bool) error {
	conns, err := r.Connz(&server.ConnzOptions{Username: true, Limit: maxConnections})
	if err != nil {
		return err
	}
	for _, c := range conns.Conns {
		if of(c.Account) {
			_ = r.DisconnectClientByID(c.Cid) // an error means it is gone
		}
	}
	return nil
}
