package stream

import (
	"errors"
	"fmt"
	"time"

	"github.com/nats-io/jwt/v2"
	"github.com/nats-io/nkeys"
)

// ReaderCredentials makes the text of a .creds file that can read the audit
// stream at every embedded server of the cluster, and nothing else. expires
// may be zero: never.
func (k Keys) ReaderCredentials(name string, expires time.Time) ([]byte, error) {
	if name == "" {
		return nil, errors.New("making reader's credentials: no name")
	}
	claims, err := readerClaims(name)
	if err != nil {
		return nil, fmt.Errorf("making credentials of reader %q: %w", name, err)
	}
	if !expires.IsZero() {
		claims.Expires = expires.Unix()
	}
	readers, err := k.readers()
	if err != nil {
		return nil, fmt.Errorf("making credentials of reader %q: %w", name, err)
	}
	text, err := credentials(claims, readers)
	if err != nil {
		return nil, fmt.Errorf("making credentials of reader %q: %w", name, err)
	}
	return text, nil
}

func readerClaims(name string) (*userClaims, error) {
	claims, err := newUser(name)
	if err != nil {
		return nil, err
	}
	claims.Pub.Allow.Add(readerAPI...)
	claims.Sub.Allow.Add(readerHears...)
	return claims, nil
}

func publisherClaims() (*userClaims, error) {
	claims, err := newUser("publisher")
	if err != nil {
		return nil, err
	}
	claims.Pub.Allow.Add(publisherAPI...)
	claims.Sub.Allow.Add(publisherInbox + ".>")
	claims.AllowedConnectionTypes.Add(jwt.ConnectionTypeInProcess)
	return claims, nil
}

// userClaims are a user's with the user's own key.
type userClaims struct {
	*jwt.UserClaims
	key nkeys.KeyPair
}

func newUser(name string) (*userClaims, error) {
	key, err := nkeys.CreateUser()
	if err != nil {
		return nil, err
	}
	public, err := key.PublicKey()
	if err != nil {
		return nil, err
	}
	claims := jwt.NewUserClaims(public)
	claims.Name = name
	return &userClaims{claims, key}, nil
}

func credentials(claims *userClaims, account nkeys.KeyPair) ([]byte, error) {
	token, err := claims.Encode(account)
	if err != nil {
		return nil, err
	}
	seed, err := claims.key.Seed()
	if err != nil {
		return nil, err
	}
	return jwt.FormatUserConfig(token, seed)
}
