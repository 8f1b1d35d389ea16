package cluster

import (
	"bytes"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"keyfob/cluster/vault"
	"keyfob/engine"
	"keyfob/events"
	"keyfob/fsm"
)

// recoveryKey creates a recovery key and sets it in the cluster.
func (r *rig) recoveryKey() vault.RecoveryKey {
	r.t.Helper()
	key, err := vault.NewRecoveryKey(rand.Reader)
	if err != nil {
		r.t.Fatal(err)
	}
	if err := r.leader().SetRecoveryKey(r.t.Context(), admin(), key.Public().Bytes(), 0, 0); err != nil {
		r.t.Fatal(err)
	}
	return key
}

func (r *rig) backup(n *testNode) []byte {
	r.t.Helper()
	b, err := n.Backup(r.t.Context(), admin())
	if err != nil {
		r.t.Fatal(err)
	}
	var out bytes.Buffer
	if _, err := b.WriteTo(&out); err != nil {
		r.t.Fatal(err)
	}
	return out.Bytes()
}

// restore creates a node from a backup, in a rig of its own without the old nodes.
func (r *rig) restore(name string, backup []byte, key vault.RecoveryKey, survivor string) (*testNode, Restored) {
	r.t.Helper()
	n := &testNode{name: name, config: r.config(name)}
	f, err := ReadBackup(bytes.NewReader(backup))
	if err != nil {
		r.t.Fatal(err)
	}
	done, err := Restore(r.t.Context(), n.config, f, key, survivor)
	if err != nil {
		r.t.Fatal(err)
	}
	r.nodes = append(r.nodes, n)
	r.start(n)
	return n, done
}

// disaster kills all nodes.
func (r *rig) disaster() {
	r.t.Helper()
	for _, n := range r.nodes {
		r.kill(n)
	}
}

func (r *rig) outcome(n *testNode, user string, typed engine.Secret) engine.Outcome {
	r.t.Helper()
	var out engine.Outcome
	r.eventually("a decision about "+user, func() error {
		var err error
		out, err = n.Authenticate(r.t.Context(), r.attempt(user, typed))
		return err
	})
	return out
}

// T-02, T-35: a backup does not contain what was accepted after it was taken.
func TestRestoredClusterRefusesWhatWasUsedSinceTheBackup(t *testing.T) {
	r := newCluster(t, 3)
	r.freeze()
	key := r.recoveryKey()
	ada := r.fob("ada")
	backup := r.backup(r.follower())

	used := ada.passcode(r.clock(""), 1)
	if out := r.outcome(r.leader(), "ada", used); out.Verdict != engine.Accept {
		t.Fatalf("before the disaster: %v %s", out.Verdict, out.Reason)
	}
	r.disaster()
	old := r.nodes
	r.nodes = nil

	n, done := r.restore("n1", backup, key, "")
	if done.Epoch != 1 || done.Backup == 0 {
		t.Fatalf("restored as %+v", done)
	}
	r.ready(1)
	if out := r.outcome(n, "ada", used); out.Verdict == engine.Accept {
		t.Fatal("a tokencode that was used after the backup was taken let somebody in again")
	}
	r.advance("", 2*time.Minute)
	if out := r.outcome(n, "ada", ada.passcode(r.clock(""), 0)); out.Verdict != engine.Accept {
		t.Fatalf("a fresh tokencode: %v %s", out.Verdict, out.Reason)
	}
	if got := n.State().APIToken("first"); got == nil || got.Digest != digestOf(done.Token) {
		t.Error("the first administrator's token is not the one that restoring printed")
	}
	if digestOf(r.token) == n.State().APIToken("first").Digest {
		t.Error("an API token of before is good")
	}

	// The others join again and have everything.
	for _, name := range []string{"n2", "n3"} {
		r.join(name)
	}
	r.ready(3)
	for _, other := range r.nodes[1:] {
		r.eventually("the journal of "+other.name, func() error {
			if !other.Journal().Whole() {
				return errors.New("it has a hole")
			}
			return nil
		})
		if other.State().Token(ada.serial) == nil {
			t.Errorf("%s does not know ada's token", other.name)
		}
	}
	if len(old) != 3 || n.State().Node("n2") == nil {
		t.Error("the members are not those that joined")
	}
}

// Records in a surviving journal are not lost.
func TestSurvivingJournalIsApplied(t *testing.T) {
	r := newCluster(t, 1)
	key := r.recoveryKey()
	r.fob("ada")
	r.fob("bob")
	backup := r.backup(r.leader())
	ctx := t.Context()
	if err := r.leader().Do(ctx, admin(), engine.DisableUser{User: "ada"}); err != nil {
		t.Fatal(err)
	}
	if err := r.leader().Do(ctx, admin(), engine.RequireNewPIN{Serial: "T-bob"}); err != nil {
		t.Fatal(err)
	}
	last, head := r.leader().Journal().Last()
	data := r.nodes[0].config.Data
	r.disaster()
	r.nodes = nil

	n, done := r.restore("n9", backup, key, filepath.Join(data, dirJournal))
	if done.Records != last || done.Backup >= last {
		t.Errorf("restored up to %d from %d, want up to %d", done.Records, done.Backup, last)
	}
	r.ready(1)
	if u := n.State().User("ada"); u == nil || !u.Disabled {
		t.Error("a user that was disabled after the backup is not any more")
	}
	if tok := n.State().Token("T-bob"); tok == nil || !tok.NewPIN {
		t.Error("a PIN that had to be changed need not be any more")
	}
	records, err := n.Journal().Read(last, 2)
	if err != nil || records[0].Hash != head {
		t.Fatalf("the chain does not go on where it ended: %v", err)
	}
	if _, ok := records[1].Event.(events.ClusterRestored); !ok {
		t.Errorf("the first record of the new life is %T", records[1].Event)
	}
	if n.State().Node("n1") != nil || n.State().Node("n9") == nil {
		t.Error("the members are those of before")
	}

	// The state is still the fold of the journal, also while records are added.
	r.eventually("the state to be that of the journal", func() error {
		view, folded := n.replica.View(), engine.NewState()
		for record, err := range n.Journal().Records(ctx, 1, false) {
			if err != nil {
				t.Fatal(err)
			}
			if record.Sequence > view.Sequence {
				break
			}
			folded.Apply(record.Time, record.Draft)
		}
		have, err := fsm.Digest(view.State)
		if err != nil {
			t.Fatal(err)
		}
		want, err := fsm.Digest(folded)
		if err != nil {
			t.Fatal(err)
		}
		if have != want {
			return errors.New("it differs")
		}
		return nil
	})
}

// A damaged backup creates no node and leaves nothing behind.
func TestDamagedBackupIsRefused(t *testing.T) {
	r := newCluster(t, 1)
	key := r.recoveryKey()
	r.fob("ada")
	good := r.backup(r.leader())
	data := r.nodes[0].config.Data
	other := newCluster(t, 1)
	other.recoveryKey()
	stranger, err := vault.NewRecoveryKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	line := bytes.IndexByte(good, '\n')
	flipped := func(at int) []byte {
		b := bytes.Clone(good)
		b[at] ^= 1
		return b
	}
	renamed := bytes.Replace(good, []byte(`"node":"n1"`), []byte(`"node":"n2"`), 1)
	cases := map[string]struct {
		backup   []byte
		key      vault.RecoveryKey
		survivor string
		early    time.Duration
		want     string
	}{
		"another recovery key":  {good, stranger, "", 0, "sealed for recovery key"},
		"a flipped bit":         {flipped(len(good) / 2), key, "", 0, "damaged"},
		"the last bit":          {flipped(len(good) - 1), key, "", 0, "damaged"},
		"a changed first line":  {renamed, key, "", 0, "damaged"},
		"half of it":            {good[:len(good)/2], key, "", 0, "damaged"},
		"the first line only":   {good[:line+1], key, "", 0, ""},
		"another journal":       {good, key, filepath.Join(other.nodes[0].config.Data, dirJournal), 0, "journal"},
		"no journal":            {good, key, data, 0, "no journal found"},
		"a clock that is early": {good, key, "", -time.Hour, "set the clock"},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			f, err := ReadBackup(bytes.NewReader(c.backup))
			if err != nil {
				t.Fatal(err)
			}
			config := r.config("n7")
			config.Now = func() time.Time { return r.clock("").Add(c.early) }
			_, err = Restore(t.Context(), config, f, c.key, c.survivor)
			if err == nil || !strings.Contains(err.Error(), c.want) {
				t.Fatalf("%v, want it to say %q", err, c.want)
			}
			left, err := os.ReadDir(config.Data)
			if err != nil || len(left) != 0 {
				t.Errorf("it left behind: %v %v", left, err)
			}
		})
	}
	for _, text := range []string{"", "{}\n", "keyfob\n", `{"keyfob_backup":9}` + "\n", strings.Repeat("x", 1<<17)} {
		if _, err := ReadBackup(strings.NewReader(text)); err == nil {
			t.Errorf("%.20q was taken for a backup", text)
		}
	}
}

func TestNoBackupWithoutARecoveryKey(t *testing.T) {
	r := newCluster(t, 1)
	var refusal *engine.Refusal
	if _, err := r.leader().Backup(t.Context(), admin()); !errors.As(err, &refusal) {
		t.Fatalf("a backup that nobody could open was taken: %v", err)
	}
	if err := r.leader().SetRecoveryKey(t.Context(), admin(), []byte("no key"), 0, 0); !errors.As(err, &refusal) {
		t.Fatalf("no key was taken for one: %v", err)
	}
}

func FuzzReadBackup(f *testing.F) {
	f.Add([]byte(`{"keyfob_backup":2,"cluster":"c","recovery_keys":[{"name":"01234567","sealed":"AAAA"}]}` + "\n\x02\x01"))
	key, err := vault.NewRecoveryKey(rand.Reader)
	if err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		file, err := ReadBackup(bytes.NewReader(data))
		if err != nil {
			return
		}
		for i := range file.Info.Keys {
			file.Info.Keys[i].Name = key.Public().Name()
		}
		if _, err := file.open(key, vault.DefaultConfig()); err == nil {
			t.Fatal("opened without the key that it was sealed for")
		}
	})
}

// BenchmarkBackup measures writing and restoring a backup of twenty thousand users
// with one token each.
func BenchmarkBackup(b *testing.B) {
	r := newCluster(b, 1)
	n := r.leader()
	const callers = 500
	together(callers, func(first int) {
		for i := first; i < 20_000; i += callers {
			user := fmt.Sprintf("user%05d", i)
			for _, c := range []engine.Command{
				engine.AddUser{User: user},
				engine.ImportToken{User: user, Token: events.TokenImported{
					Serial: "T-" + user, Kind: "totp", Algorithm: "SHA1", Digits: 6, Period: 30, Form: engine.FormFob, Sealed: make([]byte, 50),
				}},
			} {
				if err := n.Do(b.Context(), admin(), c); err != nil {
					b.Error(err)
				}
			}
		}
	})
	key := r.recoveryKey()
	backup := r.backup(n)
	b.Run("write", func(b *testing.B) {
		b.SetBytes(int64(len(backup)))
		for b.Loop() {
			prepared, err := n.Backup(b.Context(), admin())
			if err != nil {
				b.Fatal(err)
			}
			if _, err := prepared.WriteTo(io.Discard); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("restore", func(b *testing.B) {
		b.SetBytes(int64(len(backup)))
		for b.Loop() {
			f, err := ReadBackup(bytes.NewReader(backup))
			if err != nil {
				b.Fatal(err)
			}
			if _, err := Restore(b.Context(), r.config("n9"), f, key, ""); err != nil {
				b.Fatal(err)
			}
		}
	})
}
