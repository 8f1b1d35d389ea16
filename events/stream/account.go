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

// Format prints *** whatever the verb.
func (Seed) Format(f fmt.State, _ rune) { _, _ = f.Write([]byte("***")) }

// Keys are what the embedded servers of a cluster trust. All nodes have the
// same, so that credentials made at one are good at all.
type Keys struct {
	Operator Seed
	System   Seed
	Account  Seed
}

// Two accounts keep readers from writing. NATS checks what a client publishes,
// but not where it has the answer sent, nor where a consumer that it makes
// delivers: in one account a reader can have the server's answers put into the
// stream, and an empty one into $JS.API.STREAM.DELETE (tried with 2.15.2).
// So the stream lives in one account and readers in another, which imports
// what they need: what they have sent elsewhere ends in their own account.
// Where a consumer delivers is still in the stream's; there the server wants a
// listener on just that subject, refuses keyfob.audit.> as a cycle, and the
// requests that harm are turned away (refusals).

// readerAPI is what a reader may ask of JetStream: what nats.go needs for
// ordered consumers, durable ones, pulled or pushed, and single messages.
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

// pullAPI is the one request with many answers.
const pullAPI = "$JS.API.CONSUMER.MSG.NEXT." + Name + ".*"

// readerHears is what is delivered to readers: to their inboxes, and the
// stream's subjects as they are published, without JetStream's promises.
var readerHears = []string{"_INBOX.>", Subjects}

// publisherAPI is what the publisher may ask of JetStream.
var publisherAPI = []string{
	Subjects,
	"$JS.API.STREAM.INFO." + Name,
	"$JS.API.STREAM.CREATE." + Name,
	"$JS.API.STREAM.MSG.GET." + Name,
}

// refusals are the requests that nobody may make of an embedded server, not
// even itself. They are turned away where they enter the system account, which
// is behind every permission.
var refusals = []string{
	"$JS.API.STREAM.DELETE.*",
	"$JS.API.STREAM.PURGE.*",
	"$JS.API.STREAM.UPDATE.*",
	"$JS.API.STREAM.RESTORE.*",
	"$JS.API.STREAM.SNAPSHOT.*",
	"$JS.API.STREAM.MSG.DELETE.*",
}

const nowhere = "keyfob.refused"

// What readers can make a server keep is bounded.
const (
	maxConsumers   = 1000
	maxConnections = 1000
)

// authority is the keys with their certificates.
type authority struct {
	operator *jwt.OperatorClaims
	system   string // public key
	stream   account
	readers  account
	resolver *server.MemAccResolver
}

// account is an account's key.
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

// readers is the account of those who read. Its key comes from the stream's.
func (k Keys) readers() (account, error) {
	seed, err := hkdf.Key(sha256.New, k.Account[:], nil, "keyfob audit stream readers", len(k.Account))
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
	a := &authority{system: system.public, stream: stream, readers: readers, resolver: &server.MemAccResolver{}}
	return a, errors.Join(a.sign(operator),
		a.add(operator, systemClaims(system)),
		a.add(operator, streamClaims(stream)),
		a.add(operator, readersClaims(readers, stream)))
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

func systemClaims(a account) *jwt.AccountClaims {
	claims := jwt.NewAccountClaims(a.public)
	claims.Name = "keyfob-system"
	for _, subject := range refusals {
		claims.AddMapping(jwt.Subject(subject), jwt.WeightedMapping{Subject: nowhere})
	}
	return claims
}

func streamClaims(a account) *jwt.AccountClaims {
	claims := jwt.NewAccountClaims(a.public)
	claims.Name = "keyfob-audit"
	claims.Limits.JetStreamLimits = jwt.JetStreamLimits{
		DiskStorage: jwt.NoLimit, MemoryStorage: jwt.NoLimit, // the second for ordered consumers
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
	for _, subject := range readerHears {
		claims.Exports.Add(&jwt.Export{Name: subject, Subject: jwt.Subject(subject), Type: jwt.Stream})
	}
	return claims
}

func readersClaims(a, stream account) *jwt.AccountClaims {
	claims := jwt.NewAccountClaims(a.public)
	claims.Name = "keyfob-readers"
	claims.Limits.Conn = maxConnections
	claims.Limits.LeafNodeConn = 0
	for _, subject := range readerAPI {
		claims.Imports.Add(&jwt.Import{Name: subject, Subject: jwt.Subject(subject), Account: stream.public, Type: jwt.Service})
	}
	for _, subject := range readerHears {
		claims.Imports.Add(&jwt.Import{Name: subject, Subject: jwt.Subject(subject), Account: stream.public, Type: jwt.Stream})
	}
	return claims
}
