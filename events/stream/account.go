package stream

import (
	"crypto/sha256"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/nats-io/jwt/v2"
	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nkeys"
)

// An embedded server keeps no secret on disk and derives none. It signs its
// accounts at its start, with an operator key that is created then and never
// stored:
//
//   - the system account has no users and no keys,
//   - the stream's account holds JetStream. Its users are signed with a key that is
//     discarded when they have been created, and connect in-process only,
//   - each reader has an account, named by the key that signed its credentials.
//     That key was discarded when they were issued.
//
// The names of the first two are digests, not the public halves of key pairs: no
// private half of them has ever existed.
//
// NATS checks the subjects a client publishes to, but not the reply subject of a
// request, nor the deliver subject of a consumer: in a shared account a reader could
// direct a server reply into the stream, or an empty message to
// $JS.API.STREAM.DELETE (verified with 2.15.2). Replies to a reader therefore end in
// its own account, which imports only what readers need. The proxy checks deliver
// subjects, and the requests that nobody needs are mapped away (blockedAPI).

// openAPI are the requests that readers send to JetStream directly, beside those
// for messages of their own consumers (consumerAPI).
var openAPI = []string{
	"$JS.API.INFO",
	"$JS.API.STREAM.NAMES",
	"$JS.API.STREAM.INFO." + Name,
	"$JS.API.STREAM.MSG.GET." + Name,
	"$JS.FC." + Name + ".>",
}

// consumerAPI are the requests on a consumer that go to JetStream directly.
func consumerAPI(consumer string) []string {
	return []string{pullAPI + "." + consumer, ackAPI + "." + consumer + ".>"}
}

// Requests on consumers.
const (
	createAPI  = "$JS.API.CONSUMER.CREATE." + Name
	durableAPI = "$JS.API.CONSUMER.DURABLE.CREATE." + Name
	infoAPI    = "$JS.API.CONSUMER.INFO." + Name
	namesAPI   = "$JS.API.CONSUMER.NAMES." + Name
	listAPI    = "$JS.API.CONSUMER.LIST." + Name
	deleteAPI  = "$JS.API.CONSUMER.DELETE." + Name
	pullAPI    = "$JS.API.CONSUMER.MSG.NEXT." + Name
	ackAPI     = "$JS.ACK." + Name
)

// proxyAPI are the requests of readers that the proxy answers, and the end of the
// subject under which it gets them.
var proxyAPI = []struct{ subject, to string }{
	{createAPI, "new"},
	{createAPI + ".>", "create.>"},
	{durableAPI + ".*", "durable.*"},
	{infoAPI + ".*", "info.*"},
	{namesAPI, "names"},
	{listAPI, "list"},
	{deleteAPI + ".*", "delete.*"},
}

// proxySubject is the beginning of the subjects of the proxy; the reader's key
// follows.
const proxySubject = "keyfob.reader."

// readerSubjects are the subjects readers may subscribe to: their inboxes, and
// the stream's subjects as plain messages without delivery guarantees.
var readerSubjects = []string{inbox + ">", Subjects}

const (
	inbox        = "_INBOX."
	privateInbox = "_KEYFOB" // prefix of the inboxes of the publisher and the proxy
)

// publisherAPI are the subjects the publisher may publish to.
var publisherAPI = []string{
	Subjects,
	"$JS.API.STREAM.INFO." + Name,
	"$JS.API.STREAM.CREATE." + Name,
	"$JS.API.STREAM.MSG.GET." + Name,
}

// proxyUses are the subjects the proxy may publish to.
var proxyUses = []string{
	createAPI, createAPI + ".>", durableAPI + ".*", infoAPI + ".*", listAPI, deleteAPI + ".*",
	"_R_.>", // replies to readers
}

// blockedAPI are the requests that an embedded server accepts from no client,
// including its own. They are mapped to an unused subject, after every permission
// check: in the system account, which serves the API, and in the stream's, where
// requests on a consumer may be served.
var blockedAPI = []string{
	"$JS.API.STREAM.DELETE.*",
	"$JS.API.STREAM.PURGE.*",
	"$JS.API.STREAM.UPDATE.*",
	"$JS.API.STREAM.RESTORE.*",
	"$JS.API.STREAM.SNAPSHOT.*",
	"$JS.API.STREAM.MSG.DELETE.*",
	"$JS.API.STREAM.PEER.REMOVE.*",
	"$JS.API.STREAM.PEER.EVACUATE.*",
	"$JS.API.STREAM.LEADER.STEPDOWN.*",
	"$JS.API.STREAM.CANCEL_MOVE.*",
	"$JS.API.CONSUMER.LEADER.STEPDOWN.*.*",
	"$JS.API.CONSUMER.PEER.REMOVE.*.*",
	"$JS.API.CONSUMER.PEER.EVACUATE.*.*",
	"$JS.API.CONSUMER.PAUSE.*.*",
	"$JS.API.CONSUMER.UNPIN.*.*",
	"$JS.API.CONSUMER.RESET.*.*",
	"$JS.API.META.LEADER.STEPDOWN",
	"$JS.API.META.RESCUE",
	"$JS.API.SERVER.REMOVE",
	"$JS.API.SERVER.EVACUATE",
	"$JS.API.ACCOUNT.PURGE.*",
	"$JS.API.ACCOUNT.STREAM.MOVE.*.*",
	"$JS.API.ACCOUNT.STREAM.CANCEL_MOVE.*.*",
}

const blockedSubject = "keyfob.refused"

// Limits on what readers can allocate on a server. An idle consumer takes 40 KB and
// four goroutines (measured with 2.15.2).
const (
	maxConsumers       = 1000
	maxReaderConsumers = 32
	maxConnections     = 1000
	maxReaderConns     = 32
	maxReaderSubs      = 1024
	maxReaderPayload   = 16 << 10
)

// authority signs the accounts of an embedded server.
type authority struct {
	key      nkeys.KeyPair // of the operator; created at the start, never stored
	operator *jwt.OperatorClaims
	system   string // public names of the accounts
	stream   string
	resolver *server.MemAccResolver
}

// accountName returns a name for an account that no key pair belongs to: the
// digest of what it is for, in the form of a public key.
func accountName(cluster, label string) (string, error) {
	digest := sha256.Sum256([]byte("keyfob nats account\n" + label + "\n" + cluster))
	name, err := nkeys.Encode(nkeys.PrefixByteAccount, digest[:])
	return string(name), err
}

const (
	systemLabel = "system"
	streamLabel = "stream"
)

// newAuthority creates the accounts of an embedded server, and the credentials of
// the users inside it.
func newAuthority(cluster string) (_ *authority, publisher, proxy []byte, err error) {
	a := &authority{resolver: &server.MemAccResolver{}}
	var keyErr, systemErr, streamErr error
	a.key, keyErr = nkeys.CreateOperator()
	a.system, systemErr = accountName(cluster, systemLabel)
	a.stream, streamErr = accountName(cluster, streamLabel)
	if err := errors.Join(keyErr, systemErr, streamErr); err != nil {
		return nil, nil, nil, fmt.Errorf("creating the keys of the accounts: %w", err)
	}
	if err := a.signOperator(); err != nil {
		return nil, nil, nil, err
	}
	signer, err := nkeys.CreateAccount()
	if err != nil {
		return nil, nil, nil, err
	}
	defer signer.Wipe()
	public, err := signer.PublicKey()
	if err != nil {
		return nil, nil, nil, err
	}
	_, systemErr = a.add(a.systemClaims())
	_, streamErr = a.add(a.streamClaims(public))
	publisher, publisherErr := a.insider("publisher", publisherAPI, []string{privateInbox + ".>"}, signer)
	proxy, proxyErr := a.insider("proxy", proxyUses, []string{privateInbox + ".>", proxySubject + ">"}, signer)
	return a, publisher, proxy, errors.Join(systemErr, streamErr, publisherErr, proxyErr)
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

func (a *authority) systemClaims() *jwt.AccountClaims {
	claims := jwt.NewAccountClaims(a.system)
	claims.Name = "keyfob-system"
	claims.Limits.LeafNodeConn = 0
	block(claims)
	return claims
}

func block(claims *jwt.AccountClaims) {
	for _, subject := range blockedAPI {
		claims.AddMapping(jwt.Subject(subject), jwt.WeightedMapping{Subject: blockedSubject})
	}
}

func (a *authority) streamClaims(signer string) *jwt.AccountClaims {
	claims := jwt.NewAccountClaims(a.stream)
	claims.Name = "keyfob-audit"
	claims.SigningKeys.Add(signer)
	block(claims)
	claims.Limits.JetStreamLimits = jwt.JetStreamLimits{
		DiskStorage: jwt.NoLimit, MemoryStorage: jwt.NoLimit, // memory is for ordered consumers
		Streams: 1, Consumer: maxConsumers, MaxAckPending: 65_536,
	}
	claims.Limits.LeafNodeConn = 0
	service := func(subject string, response jwt.ResponseType) {
		claims.Exports.Add(&jwt.Export{Name: subject, Subject: jwt.Subject(subject), Type: jwt.Service, ResponseType: response})
	}
	for _, subject := range openAPI {
		service(subject, jwt.ResponseTypeSingleton)
	}
	for _, request := range proxyAPI {
		service(proxySubject+"*."+request.to, jwt.ResponseTypeSingleton)
	}
	service(pullAPI+".*", jwt.ResponseTypeStream) // the only request with more than one reply
	service(ackAPI+".>", jwt.ResponseTypeSingleton)
	for _, subject := range readerSubjects {
		claims.Exports.Add(&jwt.Export{Name: subject, Subject: jwt.Subject(subject), Type: jwt.Stream})
	}
	return claims
}

// readerClaims is the account of the reader with that key and those consumers.
func (a *authority) readerClaims(key string, consumers []string) *jwt.AccountClaims {
	claims := jwt.NewAccountClaims(key)
	claims.Name = "keyfob-reader"
	claims.Limits.Conn = maxReaderConns
	claims.Limits.Subs = maxReaderSubs
	claims.Limits.Payload = maxReaderPayload
	claims.Limits.LeafNodeConn = 0
	add := func(kind jwt.ExportType, subject, local string) {
		claims.Imports.Add(&jwt.Import{
			Name: local, Subject: jwt.Subject(subject), LocalSubject: jwt.RenamingSubject(local), Account: a.stream, Type: kind,
		})
	}
	for _, subject := range openAPI {
		add(jwt.Service, subject, "")
	}
	for _, request := range proxyAPI {
		add(jwt.Service, proxySubject+key+"."+request.to, numbered(request.subject))
	}
	for _, consumer := range consumers {
		for _, subject := range consumerAPI(consumer) {
			add(jwt.Service, subject, "")
		}
	}
	for _, subject := range readerSubjects {
		add(jwt.Stream, subject, "")
	}
	return claims
}

// numbered replaces the wildcard of a subject by a reference to the first one.
func numbered(subject string) string { return strings.Replace(subject, "*", "$1", 1) }

// formerClaims is the account of a reader that is no longer let in: nobody can
// connect, and it imports nothing.
func formerClaims(key string) *jwt.AccountClaims {
	claims := jwt.NewAccountClaims(key)
	claims.Name = "keyfob-former-reader"
	claims.RevokeAt(jwt.All, time.Unix(1<<40, 0))
	claims.Limits.Conn = 0
	claims.Limits.LeafNodeConn = 0
	return claims
}
