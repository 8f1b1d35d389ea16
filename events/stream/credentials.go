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
func NewReader(name string, expires time.Time) (key string, creds []byte, err error) {
	if name == "" || expires.IsZero() {
		return "", nil, errors.New("issuing reader credentials: a name and an expiry are required")
	}
	if key, creds, err = newReader(name, expires); err != nil {
		return "", nil, fmt.Errorf("issuing credentials for reader %q: %w", name, err)
	}
	return key, creds, nil
}

// newReader signs the credentials with the key of an account of their own. Its
// private half is discarded on return: nothing else can ever be signed with it.
func newReader(name string, expires time.Time) (key string, creds []byte, err error) {
	account, err := nkeys.CreateAccount()
	if err != nil {
		return "", nil, err
	}
	defer account.Wipe()
	if key, err = account.PublicKey(); err != nil {
		return "", nil, err
	}
	user, err := newUser(name)
	if err != nil {
		return "", nil, err
	}
	user.Expires = expires.Unix()
	user.Pub.Allow.Add(openAPI...)
	user.Pub.Allow.Add(consumerAPI("*")...)
	for _, request := range proxyAPI {
		user.Pub.Allow.Add(request.subject)
	}
	user.Sub.Allow.Add(readerSubjects...)
	creds, err = credentials(user, account)
	return key, creds, err
}

// insider returns the credentials of a user of the stream's account that connects
// in-process only.
func (a *authority) insider(name string, publish, subscribe []string, signer nkeys.KeyPair) ([]byte, error) {
	user, err := newUser(name)
	if err != nil {
		return nil, err
	}
	user.IssuerAccount = a.stream
	user.Pub.Allow.Add(publish...)
	user.Sub.Allow.Add(subscribe...)
	user.AllowedConnectionTypes.Add(jwt.ConnectionTypeInProcess)
	return credentials(user, signer)
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
