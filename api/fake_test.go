package api

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"io"
	"iter"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"keyfob/cluster/nodetest"
	"keyfob/engine"
	"keyfob/events"
)

var noon = time.Date(2026, 11, 2, 12, 0, 0, 0, time.UTC)

// fake is a node that answers with outcome or refuse, and remembers what it was
// asked.
type fake struct {
	nodetest.Script
	state      *engine.State
	refuse     error
	mu         sync.Mutex // guards origins while Do is called
	origins    []events.Origin
	losses     []Loss
	kept       bool          // a PIN went with a replacement
	activation engine.Secret // that is made for what is given out
	outcome    engine.Outcome
	records    []events.Record
	now        time.Time
	recovery   []RecoveryKey
	sends      string // the beginning of the addresses that can be sent to
	broken     error  // in the middle of a backup
	synced     int    // calls of SyncReaders
	refused    []refused
	rules      bool // whether commands change the state
}

// refused is a request that was refused before it reached the node.
type refused struct {
	Label  string
	Origin events.Origin
	Event  events.Sampled
}

func newFake(t testing.TB) *fake {
	t.Helper()
	f := &fake{state: engine.NewState(), now: noon, outcome: engine.Outcome{Reason: events.ReasonBadTokencode}}
	f.Decide = func(engine.Attempt) (engine.Outcome, error) {
		if f.refuse != nil {
			return engine.Outcome{}, f.refuse
		}
		return f.outcome, nil
	}
	f.Execute = func(engine.Command) error { return f.refuse }
	for _, role := range Roles() {
		f.put(t, engine.TableAPITokens, engine.APIToken{Name: role, Role: role, Used: events.At(noon), Digest: sha256.Sum256([]byte(bearer(role)))})
	}
	f.put(t, engine.TableUsers, engine.User{Name: "ada", Tokens: []string{"0001"}, Failures: 2})
	f.put(t, engine.TableTokens, engine.Token{Serial: "0001", Kind: "totp", Digits: 6, Period: 30, User: "ada", Seed: []byte("sealed seed"), PIN: []byte("sealed PIN"), NewPIN: true})
	return f
}

func bearer(role string) string { return TokenPrefix + "test-" + role }

// put stores a record in the state.
func (f *fake) put(t testing.TB, table engine.Table, record any) {
	t.Helper()
	err := f.state.PutRecord(table, func(into any) error {
		switch into := into.(type) {
		case *engine.APIToken:
			*into = record.(engine.APIToken)
		case *engine.User:
			*into = record.(engine.User)
		case *engine.Token:
			*into = record.(engine.Token)
		case *engine.Client:
			*into = record.(engine.Client)
		case *engine.Approval:
			*into = record.(engine.Approval)
		case *engine.AuditReader:
			*into = record.(engine.AuditReader)
		default:
			t.Fatalf("no record of type %T", into)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}

func (f *fake) State() *engine.State { return f.state }

func (f *fake) Do(ctx context.Context, o events.Origin, c engine.Command) error {
	f.mu.Lock()
	f.origins = append(f.origins, o)
	f.mu.Unlock()
	if f.rules {
		d, err := engine.Decide(f.state, o, c, events.At(f.now))
		for _, draft := range d.Drafts {
			f.state.Apply(events.At(f.now), draft)
		}
		return err
	}
	return f.Script.Do(ctx, o, c)
}

func sorted(texts []string) []string {
	slices.Sort(texts)
	return texts
}

func (f *fake) Resynchronize(_ context.Context, o events.Origin, _ string, _, _ engine.Secret) error {
	f.origins = append(f.origins, o)
	return f.refuse
}

func (f *fake) SetTemporaryPIN(_ context.Context, o events.Origin, _ string, pin engine.Secret) (engine.Secret, error) {
	f.origins = append(f.origins, o)
	if pin != "" {
		return "", errors.New("a PIN was chosen")
	}
	return "135790", f.refuse
}

func (f *fake) Lose(_ context.Context, o events.Origin, loss Loss) ([]string, error) {
	f.origins, f.losses = append(f.origins, o), append(f.losses, loss)
	return []string{"0123456789"}, f.refuse
}

func (f *fake) Replace(_ context.Context, o events.Origin, _, _ string, keepPIN bool) (engine.Secret, error) {
	f.origins, f.kept = append(f.origins, o), keepPIN
	return f.activation, f.refuse
}

func (f *fake) Sends(address engine.Secret) bool { return strings.HasPrefix(address.Reveal(), f.sends) }

func (f *fake) GiveOut(ctx context.Context, o events.Origin, c engine.Command) (engine.Secret, error) {
	return f.activation, f.Do(ctx, o, c)
}

func (f *fake) SealSeed(serial string, _ engine.Secret) ([]byte, error) {
	return []byte("sealed seed of " + serial), nil
}

func (f *fake) SealPIN(_ context.Context, serial string, _ uint64, _ engine.Secret) ([]byte, error) {
	return []byte("sealed PIN of " + serial), nil
}

func (f *fake) SealPINpad(serial string, _ uint64, _ engine.Secret) ([]byte, error) {
	return []byte("sealed PINpad PIN of " + serial), nil
}

func (f *fake) SealClientSecret(name string, _ engine.Secret) ([]byte, error) {
	return []byte("sealed secret of " + name), nil
}

func (f *fake) CallerDigest(user string, word engine.Secret) string {
	return "digest of " + user + " " + events.CanonicalReference(word.Reveal())
}

func (f *fake) SameSeed(_ string, sealed []byte, seed engine.Secret) (bool, error) {
	return string(sealed) == seed.Reveal(), nil
}

func (f *fake) Status(context.Context) (Status, error) {
	return Status{Summary: "n1 leads; 1 of 1 nodes answer", Leader: "n1", Nodes: []NodeStatus{{Name: "n1"}}}, f.refuse
}

func (f *fake) Invite(_ context.Context, o events.Origin, _ Invitee) (string, error) {
	f.origins = append(f.origins, o)
	return "invitation", f.refuse
}

func (f *fake) RemoveNode(_ context.Context, o events.Origin, _ string) error {
	f.origins = append(f.origins, o)
	return f.refuse
}

func (f *fake) RotateKeys(_ context.Context, o events.Origin) error {
	return f.Transfer(context.Background(), o, "")
}

func (f *fake) Transfer(_ context.Context, o events.Origin, _ string) error {
	f.origins = append(f.origins, o)
	return f.refuse
}

func (f *fake) RecoveryKeys() []RecoveryKey { return f.recovery }

func (f *fake) SetRecoveryKey(_ context.Context, o events.Origin, public []byte, shares, threshold uint8) error {
	f.origins = append(f.origins, o)
	f.recovery = []RecoveryKey{{Name: string(public), Shares: int(shares), Threshold: int(threshold)}}
	return f.refuse
}

func (f *fake) AddRecoveryKey(_ context.Context, o events.Origin, public []byte, shares, threshold uint8) error {
	f.origins = append(f.origins, o)
	f.recovery = append(f.recovery, RecoveryKey{Name: string(public), Shares: int(shares), Threshold: int(threshold)})
	return f.refuse
}

func (f *fake) RemoveRecoveryKey(_ context.Context, o events.Origin, name string) error {
	f.origins = append(f.origins, o)
	f.recovery = slices.DeleteFunc(f.recovery, func(k RecoveryKey) bool { return k.Name == name })
	return f.refuse
}

func (f *fake) Backup(_ context.Context, o events.Origin) (Backup, error) {
	f.origins = append(f.origins, o)
	return fakeBackup{f.broken}, f.refuse
}

// fakeBackup is a backup whose writing may fail in the middle.
type fakeBackup struct{ broken error }

func (fakeBackup) Size() int64 { return 6 }

func (b fakeBackup) WriteTo(w io.Writer) (int64, error) {
	n, _ := io.WriteString(w, "backup")
	return int64(n), b.broken
}

func (f *fake) Bounds() (first, last uint64) {
	if len(f.records) == 0 {
		return 0, 0
	}
	return f.records[0].Sequence, f.records[len(f.records)-1].Sequence
}

func (f *fake) Records(_ context.Context, from uint64, _ bool) iter.Seq2[events.Record, error] {
	return func(yield func(events.Record, error) bool) {
		for _, r := range f.records {
			if r.Sequence >= from && !yield(r, nil) {
				return
			}
		}
	}
}

func (f *fake) api(t testing.TB) *API {
	t.Helper()
	a, err := New(Config{
		Node: f, Seal: f, Remedies: f, Cluster: f, Journal: f,
		Refused: func(label string, o events.Origin, e events.Sampled) {
			f.refused = append(f.refused, refused{label, o, e})
		},
		NewReader: func(name string, _ time.Time) (string, []byte, error) {
			return "KEY", []byte("credentials of " + name), nil
		},
		SyncReaders: func(context.Context) { f.synced++ },
		Name:        "n1", Site: "hq", Now: func() time.Time { return f.now }, Random: rand.Reader,
		Log: slog.New(slog.NewTextHandler(io.Discard, nil)),
	})
	if err != nil {
		t.Fatal(err)
	}
	return a
}

// call sends a request as a role; an empty role sends no token.
func call(t *testing.T, a http.Handler, role, method, path, body string) (int, string) {
	t.Helper()
	return send(a, newRequest(t, role, method, path, body))
}

func newRequest(t *testing.T, role, method, path, body string) *http.Request {
	t.Helper()
	r := httptest.NewRequestWithContext(t.Context(), method, Prefix+path, strings.NewReader(body))
	r.RemoteAddr = "192.0.2.7:4711"
	if body != "" {
		r.Header.Set("Content-Type", "application/json")
	}
	if role != "" {
		r.Header.Set("Authorization", "Bearer "+bearer(role))
	}
	return r
}

func send(a http.Handler, r *http.Request) (int, string) {
	w := httptest.NewRecorder()
	a.ServeHTTP(w, r)
	return w.Code, w.Body.String()
}

func decode[T any](t *testing.T, body string) T {
	t.Helper()
	var v T
	if err := json.Unmarshal([]byte(body), &v); err != nil {
		t.Fatalf("%v in %s", err, body)
	}
	return v
}
