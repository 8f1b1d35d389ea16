package stream

import (
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/nats-io/jwt/v2"
	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nkeys"
)

// Seed is 32 secret bytes that a key is made from.
type Seed [32]byte

func (Seed) String() string               { return "***" }
func (Seed) GoString() string             { return "***" }
func (Seed) LogValue() slog.Value         { return slog.StringValue("***") }
func (Seed) MarshalJSON() ([]byte, error) { return []byte(`"***"`), nil }

// Format prints *** whatever the verb.
func (Seed) Format(f fmt.State, _ rune) { _, _ = f.Write([]byte("***")) }

// Keys are what the embedded servers of a cluster trust. All nodes have the
// same, so that credentials made at one are good at all.
type Keys struct {
	Operator Seed
	System   Seed
	Account  Seed
}

// readerAPI is what a reader may ask of JetStream: what nats.go needs for
// ordered consumers, durable ones, pulled or pushed, and single messages.
//
// Whoever can make a consumer can have the server deliver to any subject, with
// the server's own rights: no permission of the reader applies. Delivery into
// keyfob.audit.> the server refuses itself, as a cycle. Delivery into its API
// is refused by refusals; what is left of the API takes no harm from a record
// as a request, nor from an empty one.
var readerAPI = []string{
	"$JS.API.INFO",
	"$JS.API.STREAM.NAMES",
	"$JS.API.STREAM.INFO." + Name,
	"$JS.API.STREAM.MSG.GET." + Name,
	"$JS.API.CONSUMER.CREATE." + Name,
	"$JS.API.CONSUMER.CREATE." + Name + ".>",
	"$JS.API.CONSUMER.DURABLE.CREATE." + Name + ".*",
	"$JS.API.CONSUMER.INFO." + Name + ".*",
	"$JS.API.CONSUMER.NAMES." + Name,
	"$JS.API.CONSUMER.LIST." + Name,
	"$JS.API.CONSUMER.MSG.NEXT." + Name + ".*",
	"$JS.API.CONSUMER.DELETE." + Name + ".*",
	"$JS.ACK." + Name + ".>",
	"$JS.FC." + Name + ".>",
}

// publisherAPI is what the publisher may ask of JetStream.
var publisherAPI = []string{
	Subjects,
	"$JS.API.STREAM.INFO." + Name,
	"$JS.API.STREAM.CREATE." + Name,
	"$JS.API.STREAM.MSG.GET." + Name,
}

// refusals are the requests that nobody may make of an embedded server, not
// even itself. They are turned away where they enter the system account, which
// is behind every permission: a consumer without payload that delivers into
// $JS.API.STREAM.DELETE would otherwise delete the stream (tried with 2.15.2).
var refusals = []string{
	"$JS.API.STREAM.DELETE.*",
	"$JS.API.STREAM.PURGE.*",
	"$JS.API.STREAM.UPDATE.*",
	"$JS.API.STREAM.RESTORE.*",
	"$JS.API.STREAM.SNAPSHOT.*",
	"$JS.API.STREAM.MSG.DELETE.*",
}

const nowhere = "keyfob.refused"

// maxConsumers bounds what readers can make the server keep.
const maxConsumers = 1000

// authority is the keys with their certificates.
type authority struct {
	operator *jwt.OperatorClaims
	system   string // public key
	account  nkeys.KeyPair
	resolver *server.MemAccResolver
}

func (k Keys) authority() (*authority, error) {
	operator, err := nkeys.FromRawSeed(nkeys.PrefixByteOperator, k.Operator[:])
	if err != nil {
		return nil, fmt.Errorf("operator key: %w", err)
	}
	system, err := nkeys.FromRawSeed(nkeys.PrefixByteAccount, k.System[:])
	if err != nil {
		return nil, fmt.Errorf("system account key: %w", err)
	}
	account, err := nkeys.FromRawSeed(nkeys.PrefixByteAccount, k.Account[:])
	if err != nil {
		return nil, fmt.Errorf("account key: %w", err)
	}
	a := &authority{account: account, resolver: &server.MemAccResolver{}}
	if a.system, err = system.PublicKey(); err != nil {
		return nil, err
	}
	return a, errors.Join(a.sign(operator), a.add(operator, systemClaims(a.system)), a.add(operator, accountClaims(account)))
}

// sign makes the operator's claims.
func (a *authority) sign(operator nkeys.KeyPair) error {
	public, err := operator.PublicKey()
	if err != nil {
		return err
	}
	claims := jwt.NewOperatorClaims(public)
	claims.Name = "keyfob"
	claims.SystemAccount = a.system
	text, err := claims.Encode(operator)
	if err != nil {
		return fmt.Errorf("signing operator: %w", err)
	}
	a.operator, err = jwt.DecodeOperatorClaims(text)
	return err
}

func (a *authority) add(operator nkeys.KeyPair, claims *jwt.AccountClaims) error {
	text, err := claims.Encode(operator)
	if err != nil {
		return fmt.Errorf("signing account %s: %w", claims.Name, err)
	}
	return a.resolver.Store(claims.Subject, text)
}

func systemClaims(public string) *jwt.AccountClaims {
	claims := jwt.NewAccountClaims(public)
	claims.Name = "keyfob-system"
	for _, subject := range refusals {
		claims.AddMapping(jwt.Subject(subject), jwt.WeightedMapping{Subject: nowhere})
	}
	return claims
}

func accountClaims(key nkeys.KeyPair) *jwt.AccountClaims {
	public, _ := key.PublicKey() // cannot fail: the key has its private half
	claims := jwt.NewAccountClaims(public)
	claims.Name = "keyfob-audit"
	claims.Limits.JetStreamLimits = jwt.JetStreamLimits{
		DiskStorage: jwt.NoLimit, MemoryStorage: jwt.NoLimit, // the second for ordered consumers
		Streams: 1, Consumer: maxConsumers, MaxAckPending: 65_536,
	}
	claims.Limits.LeafNodeConn = 0
	return claims
}

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
	account, err := nkeys.FromRawSeed(nkeys.PrefixByteAccount, k.Account[:])
	if err != nil {
		return nil, fmt.Errorf("making credentials of reader %q: %w", name, err)
	}
	text, err := credentials(claims, account)
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
	claims.Sub.Allow.Add("_INBOX.>", Subjects)
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
