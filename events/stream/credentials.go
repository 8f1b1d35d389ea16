package stream

import (
	"errors"
	"fmt"
	"time"

	"github.com/nats-io/jwt/v2"
	"github.com/nats-io/nkeys"
)

// NewReader issues credentials that read the audit stream at the embedded
// servers and do nothing else. creds is the text of a .creds file. Servers
// accept it once key is on their list (Server.SetReaders), until expires.
func (k Keys) NewReader(name string, expires time.Time) (key string, creds []byte, err error) {
	if name == "" || expires.IsZero() {
		return "", nil, errors.New("issuing reader credentials: a name and an expiry are required")
	}
	if key, creds, err = k.newReader(name, expires); err != nil {
		return "", nil, fmt.Errorf("issuing credentials for reader %q: %w", name, err)
	}
	return key, creds, nil
}

// newReader signs the credentials with a key pair of their own. Its private half
// is discarded on return: nothing else can ever be signed with it.
func (k Keys) newReader(name string, expires time.Time) (key string, creds []byte, err error) {
	readers, err := k.readers()
	if err != nil {
		return "", nil, err
	}
	signer, err := nkeys.CreateAccount()
	if err != nil {
		return "", nil, err
	}
	defer signer.Wipe()
	if key, err = signer.PublicKey(); err != nil {
		return "", nil, err
	}
	claims, err := readerClaims(name)
	if err != nil {
		return "", nil, err
	}
	claims.Expires = expires.Unix()
	claims.IssuerAccount = readers.public
	creds, err = credentials(claims, signer)
	return key, creds, err
}

func readerClaims(name string) (*userClaims, error) {
	claims, err := newUser(name)
	if err != nil {
		return nil, err
	}
	claims.Pub.Allow.Add(readerAPI...)
	claims.Sub.Allow.Add(readerSubjects...)
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

// userClaims are the claims of a user together with the user's key pair.
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

// credentials is the text of a .creds file, signed by signer.
func credentials(claims *userClaims, signer nkeys.KeyPair) ([]byte, error) {
	token, err := claims.Encode(signer)
	if err != nil {
		return nil, err
	}
	seed, err := claims.key.Seed()
	if err != nil {
		return nil, err
	}
	return jwt.FormatUserConfig(token, seed)
}
