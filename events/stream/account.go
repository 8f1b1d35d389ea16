package stream

import (
	"crypto/hkdf"
	"crypto/sha256"
	"errors"
	"fmt"
	"log/slog"

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

// Format prints *** for every verb.
func (Seed) Format(f fmt.State, _ rune) { _, _ = f.Write([]byte("***")) }

// Keys are the secrets behind the identities that embedded servers trust. All
// nodes derive the same keys, so credentials issued at one node work at all.
type Keys struct {
	Operator Seed
	System   Seed
	Account  Seed
}

// Readers and the stream live in separate accounts. NATS checks the subjects a
// client publishes to, but not the reply subject of a request, nor the deliver
// subject of a consumer: in a shared account a reader could direct a server
// reply into the stream, or an empty message to $JS.API.STREAM.DELETE (verified
// with 2.15.2). The readers' account imports only what readers need, so replies
// to other subjects end in that account. Deliver subjects are still resolved in
// the stream's account. There the server requires a subscription on the exact
// subject, rejects keyfob.audit.> as a cycle, and the dangerous requests are
// mapped away (blockedAPI).

// readerAPI is the part of the JetStream API open to readers: what nats.go needs
// for ordered and durable consumers, pull and push, and for single messages.
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
	pullAPI,
	"$JS.API.CONSUMER.DELETE." + Name + ".*",
	"$JS.ACK." + Name + ".>",
	"$JS.FC." + Name + ".>",
}

// pullAPI is the only request that gets more than one reply.
const pullAPI = "$JS.API.CONSUMER.MSG.NEXT." + Name + ".*"

// readerSubjects are the subjects readers may subscribe to: their inboxes, and
// the stream's subjects as plain messages without delivery guarantees.
var readerSubjects = []string{"_INBOX.>", Subjects}

// publisherAPI are the subjects the publisher may publish to.
var publisherAPI = []string{
	Subjects,
	"$JS.API.STREAM.INFO." + Name,
	"$JS.API.STREAM.CREATE." + Name,
	"$JS.API.STREAM.MSG.GET." + Name,
}

// blockedAPI are the requests that an embedded server accepts from no client,
// including its own. They are mapped to an unused subject in the system account,
// after every permission check.
var blockedAPI = []string{
	"$JS.API.STREAM.DELETE.*",
	"$JS.API.STREAM.PURGE.*",
	"$JS.API.STREAM.UPDATE.*",
	"$JS.API.STREAM.RESTORE.*",
	"$JS.API.STREAM.SNAPSHOT.*",
	"$JS.API.STREAM.MSG.DELETE.*",
}

const blockedSubject = "keyfob.refused"

// Limits on what readers can allocate on a server.
const (
	maxConsumers   = 1000
	maxConnections = 1000
)

// authority holds the operator and the accounts of an embedded server.
type authority struct {
	key      nkeys.KeyPair // of the operator, which signs the accounts
	operator *jwt.OperatorClaims
	system   string // public key
	stream   account
	readers  account
	resolver *server.MemAccResolver
}

// account is an account's key pair.
type account struct {
	nkeys.KeyPair
	public string
}

func newAccount(seed []byte) (account, error) {
	key, err := nkeys.FromRawSeed(nkeys.PrefixByteAccount, seed)
	if err != nil {
		return account{}, err
	}
	public, err := key.PublicKey()
	return account{key, public}, err
}

// readersLabel derives the readers' account. An earlier version signed reader
// credentials with the key of another label; they could not be revoked, and no
// server accepts them any more.
const readersLabel = "keyfob audit stream admitted readers"

// readers is the readers' account. Its key is derived from the stream account's.
func (k Keys) readers() (account, error) {
	seed, err := hkdf.Key(sha256.New, k.Account[:], nil, readersLabel, len(k.Account))
	if err != nil {
		return account{}, err
	}
	return newAccount(seed)
}

func (k Keys) authority() (*authority, error) {
	operator, err := nkeys.FromRawSeed(nkeys.PrefixByteOperator, k.Operator[:])
	if err != nil {
		return nil, fmt.Errorf("operator key: %w", err)
	}
	system, systemErr := newAccount(k.System[:])
	stream, streamErr := newAccount(k.Account[:])
	readers, readersErr := k.readers()
	if err := errors.Join(systemErr, streamErr, readersErr); err != nil {
		return nil, fmt.Errorf("account keys: %w", err)
	}
	a := &authority{key: operator, system: system.public, stream: stream, readers: readers, resolver: &server.MemAccResolver{}}
	err = a.signOperator()
	for _, claims := range []*jwt.AccountClaims{systemClaims(system), streamClaims(stream), readersClaims(readers, stream, nil)} {
		_, addErr := a.add(claims)
		err = errors.Join(err, addErr)
	}
	return a, err
}

func (a *authority) signOperator() error {
	public, err := a.key.PublicKey()
	if err != nil {
		return err
	}
	claims := jwt.NewOperatorClaims(public)
	claims.Name = "keyfob"
	claims.SystemAccount = a.system
	text, err := claims.Encode(a.key)
	if err != nil {
		return fmt.Errorf("signing operator: %w", err)
	}
	a.operator, err = jwt.DecodeOperatorClaims(text)
	return err
}

// add signs an account, stores it for servers to look up, and returns it as a
// server reads it.
func (a *authority) add(claims *jwt.AccountClaims) (*jwt.AccountClaims, error) {
	text, err := claims.Encode(a.key)
	if err == nil {
		err = a.resolver.Store(claims.Subject, text)
	}
	if err != nil {
		return nil, fmt.Errorf("signing account %s: %w", claims.Name, err)
	}
	return jwt.DecodeAccountClaims(text)
}

func systemClaims(a account) *jwt.AccountClaims {
	claims := jwt.NewAccountClaims(a.public)
	claims.Name = "keyfob-system"
	for _, subject := range blockedAPI {
		claims.AddMapping(jwt.Subject(subject), jwt.WeightedMapping{Subject: blockedSubject})
	}
	return claims
}

func streamClaims(a account) *jwt.AccountClaims {
	claims := jwt.NewAccountClaims(a.public)
	claims.Name = "keyfob-audit"
	claims.Limits.JetStreamLimits = jwt.JetStreamLimits{
		DiskStorage: jwt.NoLimit, MemoryStorage: jwt.NoLimit, // memory is for ordered consumers
		Streams: 1, Consumer: maxConsumers, MaxAckPending: 65_536,
	}
	claims.Limits.LeafNodeConn = 0
	for _, subject := range readerAPI {
		export := &jwt.Export{Name: subject, Subject: jwt.Subject(subject), Type: jwt.Service, ResponseType: jwt.ResponseTypeSingleton}
		if subject == pullAPI {
			export.ResponseType = jwt.ResponseTypeStream
		}
		claims.Exports.Add(export)
	}
	for _, subject := range readerSubjects {
		claims.Exports.Add(&jwt.Export{Name: subject, Subject: jwt.Subject(subject), Type: jwt.Stream})
	}
	return claims
}

// readersClaims lets in the users signed by one of keys, and no others.
func readersClaims(a, stream account, keys []string) *jwt.AccountClaims {
	claims := jwt.NewAccountClaims(a.public)
	claims.Name = "keyfob-readers"
	claims.SigningKeys.Add(keys...)
	claims.Limits.Conn = maxConnections
	claims.Limits.LeafNodeConn = 0
	for _, subject := range readerAPI {
		claims.Imports.Add(&jwt.Import{Name: subject, Subject: jwt.Subject(subject), Account: stream.public, Type: jwt.Service})
	}
	for _, subject := range readerSubjects {
		claims.Imports.Add(&jwt.Import{Name: subject, Subject: jwt.Subject(subject), Account: stream.public, Type: jwt.Stream})
	}
	return claims
}
