package stream

import (
	"crypto/hkdf"
	"crypto/sha256"
	"errors"
	"go/ast"
	"go/parser"
	"go/token"
	"log/slog"
	"net"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/jwt/v2"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"github.com/nats-io/nkeys"
)

// derivedKeys are the identities of former versions, which a thief of a node's disk
// can derive: those of the operator and the accounts.
func derivedKeys(t *testing.T, root [32]byte) (operator nkeys.KeyPair, accounts map[string]nkeys.KeyPair) {
	t.Helper()
	seed := func(from []byte, label string) []byte {
		key, err := hkdf.Expand(sha256.New, from, label, 32)
		if err != nil {
			t.Fatal(err)
		}
		return key
	}
	pair := func(prefix nkeys.PrefixByte, seed []byte) nkeys.KeyPair {
		key, err := nkeys.FromRawSeed(prefix, seed)
		if err != nil {
			t.Fatal(err)
		}
		return key
	}
	account := seed(root[:], "account")
	readers, err := hkdf.Key(sha256.New, account, nil, "keyfob audit stream admitted readers", 32)
	if err != nil {
		t.Fatal(err)
	}
	return pair(nkeys.PrefixByteOperator, seed(root[:], "operator")), map[string]nkeys.KeyPair{
		"system":  pair(nkeys.PrefixByteAccount, seed(root[:], "system")),
		"stream":  pair(nkeys.PrefixByteAccount, account),
		"readers": pair(nkeys.PrefixByteAccount, readers),
	}
}

// TestThiefOfADiskCannotLogIn signs users with everything that a stolen disk holds
// or held, in the name of every account there is.
func TestThiefOfADiskCannotLogIn(t *testing.T) {
	s := startServer(t, t.TempDir())
	j := story(10)
	publish(t, s, j, 10)
	admitted(t, s)
	operator, accounts := derivedKeys(t, [32]byte{1, 2, 3})
	names := map[string]string{"none": "", "system": s.embedded.authority.system, "stream": s.embedded.authority.stream, "reader": s.readers[0]}
	for name, key := range accounts {
		public, err := key.PublicKey()
		if err != nil {
			t.Fatal(err)
		}
		names["former "+name] = public
	}
	accounts["operator"] = operator
	fresh, err := nkeys.CreateAccount()
	if err != nil {
		t.Fatal(err)
	}
	accounts["random"] = fresh
	for signer, key := range accounts {
		for name, account := range names {
			user, err := newUser("thief")
			if err != nil {
				t.Fatal(err)
			}
			user.IssuerAccount = account
			token, err := encodeAs(user, key)
			if err != nil {
				t.Fatal(err)
			}
			nc, err := nats.Connect(s.URL(), nats.UserJWT(
				func() (string, error) { return token, nil },
				func(nonce []byte) ([]byte, error) { return user.key.Sign(nonce) }), nats.NoReconnect())
			if err == nil {
				nc.Close()
				t.Errorf("a user of account %q signed by key %q connected", name, signer)
			} else if !errors.Is(err, nats.ErrAuthorization) {
				t.Errorf("a user of account %q signed by key %q: %v", name, signer, err)
			}
		}
	}
	stillThere(t, s, j, 10)
}

// encodeAs signs a user, with an operator's key too, which the library refuses.
func encodeAs(user *userClaims, key nkeys.KeyPair) (string, error) {
	public, err := key.PublicKey()
	if err != nil {
		return "", err
	}
	if nkeys.IsValidPublicOperatorKey(public) {
		return jwt.NewGenericClaims(user.Subject).Encode(key)
	}
	return user.Encode(key)
}

// TestNobodyHasTheKeysOfTheAccounts: their names are digests, the same at each
// start, and neither the operator nor the insiders survive one.
func TestNobodyHasTheKeysOfTheAccounts(t *testing.T) {
	one, publisher, proxy, err := newAuthority(cluster)
	if err != nil {
		t.Fatal(err)
	}
	two, publisher2, proxy2, err := newAuthority(cluster)
	if err != nil {
		t.Fatal(err)
	}
	other, _, _, err := newAuthority("another")
	if err != nil {
		t.Fatal(err)
	}
	if one.stream != two.stream || one.system != two.system || one.stream == one.system || one.stream == other.stream {
		t.Error("the names of the accounts do not depend on the cluster and their use alone")
	}
	if one.operator.Subject == two.operator.Subject || string(publisher) == string(publisher2) || string(proxy) == string(proxy2) {
		t.Error("a key came back at the next start")
	}
	raw, err := nkeys.Decode(nkeys.PrefixByteAccount, []byte(one.stream))
	if want := sha256.Sum256([]byte("keyfob nats account\nstream\n" + cluster)); err != nil || string(raw) != string(want[:]) {
		t.Errorf("the account of the stream is %x, %v", raw, err)
	}
	if signers := one.systemClaims().SigningKeys; len(signers) != 0 {
		t.Errorf("the system account has signing keys: %v", signers)
	}
}

// TestInsidersConnectInProcessOnly with the credentials of the running process.
func TestInsidersConnectInProcessOnly(t *testing.T) {
	s := startServer(t, t.TempDir())
	_, publisher, proxy, err := newAuthority(cluster)
	if err != nil {
		t.Fatal(err)
	}
	for name, creds := range map[string][]byte{
		"the publisher's": s.embedded.publisher, "a former publisher's": publisher, "the proxy's": s.embedded.proxyCreds, "a former proxy's": proxy,
	} {
		nc, err := nats.Connect(s.URL(), nats.UserCredentialBytes(creds), nats.NoReconnect())
		if err == nil {
			nc.Close()
			t.Errorf("connected over a socket with %s credentials", name)
		} else if !errors.Is(err, nats.ErrAuthorization) {
			t.Errorf("with %s credentials: %v", name, err)
		}
	}
}

// jetStreamAPI returns the subjects of the JetStream API as the pinned server
// declares them.
func jetStreamAPI(t *testing.T) map[string]string {
	t.Helper()
	out, err := exec.CommandContext(t.Context(), "go", "list", "-f", "{{.Dir}}", "github.com/nats-io/nats-server/v2/server").Output()
	if err != nil {
		t.Fatal(err)
	}
	subjects := map[string]string{}
	files, err := filepath.Glob(filepath.Join(strings.TrimSpace(string(out)), "*.go"))
	if err != nil || len(files) == 0 {
		t.Fatalf("%d source files, %v", len(files), err)
	}
	for _, name := range files {
		if strings.HasSuffix(name, "_test.go") {
			continue
		}
		file, err := parser.ParseFile(token.NewFileSet(), name, nil, parser.SkipObjectResolution)
		if err != nil {
			t.Fatal(err)
		}
		for _, decl := range file.Decls {
			gen, ok := decl.(*ast.GenDecl)
			if !ok || gen.Tok != token.CONST {
				continue
			}
			for _, spec := range gen.Specs {
				value := spec.(*ast.ValueSpec)
				for i, expr := range value.Values {
					lit, ok := expr.(*ast.BasicLit)
					if !ok || lit.Kind != token.STRING {
						continue
					}
					if text, err := strconv.Unquote(lit.Value); err == nil && strings.HasPrefix(text, "$JS.API") {
						subjects[value.Names[i].Name] = text
					}
				}
			}
		}
	}
	return subjects
}

// TestEveryRequestOfTheJetStreamAPIIsAccountedFor compares the API of the pinned
// server with the lists. An upgrade that adds a request fails here.
func TestEveryRequestOfTheJetStreamAPIIsAccountedFor(t *testing.T) {
	unused := map[string]string{
		"$JS.API.STREAM.LIST":        "nobody may ask",
		"$JS.API.DIRECT.GET":         "the stream does not allow it",
		"$JS.API.DIRECT.GET.*":       "the stream does not allow it",
		"$JS.API.DIRECT.GET.*.>":     "the stream does not allow it",
		"$JS.API.DIRECT.GET.%s":      "the stream does not allow it",
		"$JS.API.DIRECT.GET.%s.%s":   "the stream does not allow it",
		"$JS.API":                    "a prefix",
		"$JS.API.>":                  "a prefix",
		"$JS.API.ACCOUNT.":           "a prefix",
		"$JS.API.CONSUMER.MSG.NEXT.": "a prefix",
	}
	listed := slices.Concat(openAPI, consumerAPI("*"), publisherAPI, blockedAPI)
	for _, request := range proxyAPI {
		listed = append(listed, request.subject)
	}
	found := jetStreamAPI(t)
	if len(found) < 50 {
		t.Fatalf("only %d subjects found", len(found))
	}
	literal := strings.NewReplacer("%s", "x", "*", "x", ">", "x")
	for name, subject := range found {
		text := strings.Replace(strings.Replace(subject, "%s", Name, 1), "*", Name, 1)
		text = literal.Replace(text)
		matched := slices.ContainsFunc(listed, func(pattern string) bool { return matches(pattern, text) })
		if _, ok := unused[subject]; !ok && !matched {
			t.Errorf("%s, %s: neither used nor blocked", name, subject)
		}
	}
}

// matches reports whether a subject matches a pattern with wildcards.
func matches(pattern, subject string) bool {
	have := strings.Split(subject, ".")
	want := strings.Split(pattern, ".")
	for i, word := range want {
		if word == ">" {
			return len(have) > i
		}
		if i >= len(have) || word != "*" && word != have[i] {
			return false
		}
	}
	return len(have) == len(want)
}

// almighty connects in-process as a user with all permissions in an account, which
// is made to trust another key for it.
func almighty(t *testing.T, s *Server, account string) *nats.Conn {
	t.Helper()
	text, err := s.embedded.authority.resolver.Fetch(account)
	if err != nil {
		t.Fatal(err)
	}
	claims, err := jwt.DecodeAccountClaims(text)
	if err != nil {
		t.Fatal(err)
	}
	signer, err := nkeys.CreateAccount()
	if err != nil {
		t.Fatal(err)
	}
	public, err := signer.PublicKey()
	if err != nil {
		t.Fatal(err)
	}
	claims.SigningKeys.Add(public)
	s.embedded.accounts.Lock()
	err = s.embedded.replace(claims)
	s.embedded.accounts.Unlock()
	if err != nil {
		t.Fatal(err)
	}
	user, err := newUser("almighty")
	if err != nil {
		t.Fatal(err)
	}
	user.IssuerAccount = account
	creds, err := credentials(user, signer)
	if err != nil {
		t.Fatal(err)
	}
	return inside(t, s, creds)
}

// inside connects in-process.
func inside(t *testing.T, s *Server, creds []byte) *nats.Conn {
	t.Helper()
	nc, err := s.embedded.connect("test", creds, nats.ErrorHandler(func(*nats.Conn, *nats.Subscription, error) {}))()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(nc.Close)
	return nc
}

// TestNobodyMayChangeTheStream sends every blocked request of the JetStream API as
// a reader, as the publisher, as the proxy, and as a user with all permissions in
// the stream's, in a reader's and in the system account.
func TestNobodyMayChangeTheStream(t *testing.T) {
	s := startServer(t, t.TempDir())
	j := story(10)
	publish(t, s, j, 10)
	outside, _ := reader(t, s)
	js, err := jetstream.New(outside)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := js.CreateConsumer(t.Context(), Name, jetstream.ConsumerConfig{Durable: "victim"}); err != nil {
		t.Fatal(err)
	}
	a := s.embedded.authority
	conns := map[string]*nats.Conn{
		"a reader":                     outside,
		"the publisher":                inside(t, s, s.embedded.publisher),
		"the proxy":                    inside(t, s, s.embedded.proxyCreds),
		"root of the system account":   almighty(t, s, a.system),
		"root of the stream's account": almighty(t, s, a.stream),
		"root of a reader's account":   almighty(t, s, s.readers[0]),
	}
	for name, nc := range conns {
		for _, subject := range dangerous(a.stream) {
			for _, body := range []string{"", "{}", `{"seq":3}`, `{"config":{"name":"KEYFOB_AUDIT","subjects":["x"]}}`} {
				if err := nc.PublishRequest(subject, nc.NewInbox(), []byte(body)); err != nil {
					t.Fatalf("%s, %s: %v", name, subject, err)
				}
			}
			answers, err := nc.SubscribeSync(nc.NewInbox())
			if err != nil {
				t.Fatal(err)
			}
			if err := nc.PublishRequest(subject, answers.Subject, []byte("{}")); err != nil {
				t.Fatal(err)
			}
			if err := nc.Flush(); err != nil {
				t.Fatal(err)
			}
			if m, err := answers.NextMsg(10 * time.Millisecond); err == nil && len(m.Data) > 0 {
				t.Errorf("%s got an answer to %s: %s", name, subject, m.Data)
			}
		}
	}
	p := run(t, j, s.Connect)
	j.add(1)
	eventually(t, "publishing", func() bool { return p.Published() == 11 })
	stillThere(t, s, j, 11)
	if _, err := js.Consumer(t.Context(), Name, "victim"); err != nil {
		t.Error(err)
	}
}

// dangerous returns the blocked requests with the names of what exists.
func dangerous(account string) []string {
	var subjects []string
	for _, pattern := range blockedAPI {
		first, second := Name, "victim"
		if strings.HasPrefix(pattern, "$JS.API.ACCOUNT.") {
			first, second = account, Name
		}
		subjects = append(subjects, strings.Replace(strings.Replace(pattern, "*", first, 1), "*", second, 1))
	}
	return subjects
}

// TestStrangersCannotKeepThePublisherOut by opening as many connections as the
// server takes.
func TestStrangersCannotKeepThePublisherOut(t *testing.T) {
	const limit = 50
	s, err := Start(ServerConfig{
		Name: "n1", Dir: t.TempDir(), Listen: "127.0.0.1:0", Cluster: cluster, Connections: limit, Log: slog.New(slog.DiscardHandler),
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.Close)
	admit(t, s)
	address := strings.TrimPrefix(s.URL(), "nats://")
	var dialer net.Dialer
	for s.embedded.NumClients() < limit {
		conn, err := dialer.DialContext(t.Context(), "tcp", address)
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
	}
	nc, err := s.Connect(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	nc.Close()
}
