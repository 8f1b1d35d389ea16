package fsm_test

import (
	"fmt"
	"io"
	"testing"
	"time"

	"github.com/hashicorp/raft"
	"pgregory.net/rapid"

	"keyfob/engine"
	"keyfob/events"
	"keyfob/fsm"
)

const cluster = "0d6f3bb2-5f56-4a4e-9c2a-7c0f0f0f0f0f"

// memory is a journal in memory.
type memory struct {
	records  []events.Record
	restored uint64
	synced   int // records that were there at the last Sync
	broken   error
}

func (m *memory) Append(records []events.Record) error {
	if m.broken != nil {
		return m.broken
	}
	m.records = append(m.records, records...)
	return nil
}

func (m *memory) Sync() error { m.synced = len(m.records); return m.broken }

func (m *memory) Restored(sequence uint64, _ events.Hash) error { m.restored = sequence; return nil }

// replica is a machine with what surrounds it.
type replica struct {
	*fsm.Machine
	journal *memory
	index   uint64
	halted  error
}

func newReplica() *replica {
	r := &replica{journal: &memory{}}
	r.Machine = fsm.New(fsm.Config{
		Open:         func(b []byte) ([]byte, error) { return b, nil },
		Journal:      r.journal,
		SealSnapshot: func(w io.Writer) io.WriteCloser { return plain{w} },
		OpenSnapshot: func(r io.Reader) io.Reader { return r },
		Halt:         func(err error) { r.halted = err },
	})
	return r
}

type plain struct{ io.Writer }

func (plain) Close() error { return nil }

// commit applies drafts as a leader on the present state would send them.
func (r *replica) commit(t testing.TB, at events.Time, drafts ...events.Draft) {
	t.Helper()
	v := r.View()
	if err := r.entry(t, events.Batch{Base: v.Sequence, Head: v.Head, Time: at, Drafts: drafts}); err != nil {
		t.Fatal(err)
	}
}

func (r *replica) entry(t testing.TB, b events.Batch) error {
	t.Helper()
	raw, err := events.EncodeBatch(b)
	if err != nil {
		t.Fatal(err)
	}
	return r.raw(raw)
}

func (r *replica) raw(data []byte) error {
	r.index++
	err, _ := r.Apply(&raft.Log{Index: r.index, Type: raft.LogCommand, Data: data}).(error)
	return err
}

func digest(t testing.TB, s *engine.State) events.Hash {
	t.Helper()
	h, err := fsm.Digest(s)
	if err != nil {
		t.Fatal(err)
	}
	return h
}

// founded is the draft that every history begins with.
func founded() events.Draft {
	return events.Draft{Event: events.ClusterFounded{Cluster: cluster, Certificate: []byte{1}, Sealed: []byte{2}}}
}

// history is drafts that could follow each other, with their stamps.
type stamped struct {
	at    events.Time
	draft events.Draft
}

func history(t *rapid.T) []stamped {
	now := events.At(time.Date(2026, 11, 23, 12, 0, 0, 0, time.UTC))
	all := []stamped{{now, founded()}}
	for i := range rapid.IntRange(0, 60).Draw(t, "length") {
		now = now.Add(time.Duration(rapid.IntRange(0, 90).Draw(t, "pause")) * time.Second)
		all = append(all, stamped{now, draft(t, i)})
	}
	return all
}

// draft draws one event about one of a few users and tokens, so that events
// meet.
func draft(t *rapid.T, i int) events.Draft {
	user := fmt.Sprintf("user%d", rapid.IntRange(0, 3).Draw(t, "user"))
	serial := fmt.Sprintf("T%d", rapid.IntRange(0, 4).Draw(t, "serial"))
	node := fmt.Sprintf("n%d", rapid.IntRange(1, 4).Draw(t, "node"))
	number := rapid.Int64Range(0, 1<<40).Draw(t, "number")
	sealed := rapid.SliceOfN(rapid.Byte(), 1, 40).Draw(t, "sealed")
	hash := events.Hash{byte(i), byte(number)}
	use := events.Use{Serial: serial, Kind: "totp", Interval: number, Drift: number % 5}
	talk := events.Conversation{
		ID: events.Request{byte(i), 7}, Serial: serial, Step: events.StepNewPIN, Turn: uint8(i),
		Client: "vpn", Door: events.DoorRADIUS, Expires: events.Time(number),
	}
	kinds := []events.Event{
		events.UserAdded{User: user},
		events.UserAdded{User: user},
		events.UserDisabled{User: user},
		events.UserEnabled{User: user},
		events.UserUnlocked{User: user},
		events.UserDeleted{User: user},
		events.FailureCounted{User: user, Failures: uint32(number % 200)},
		events.FailuresReset{User: user, Failures: 3},
		events.UserLockedOut{User: user, Until: events.Time(number), Failures: 10},
		events.PasscodeAccepted{User: user, Use: use},
		events.PasscodeRejected{User: user, Serial: serial, Reason: events.ReasonBadPIN},
		events.PasscodeRejected{Digest: "0123", Reason: events.ReasonUserUnknown, Count: 9},
		events.PasscodeChallenged{User: user, Reason: events.ReasonDrift, Conversation: talk, Use: &use},
		events.TokenImported{Serial: serial, Kind: "totp", Algorithm: "SHA1", Digits: 6, Period: 30, Sealed: sealed},
		events.TokenImported{Serial: serial, Kind: "hotp", Algorithm: "SHA1", Digits: 6, Sealed: sealed, Counter: number},
		events.TokenAssigned{Serial: serial, User: user},
		events.TokenAssigned{Serial: serial, User: user},
		events.TokenUnassigned{Serial: serial, User: user},
		events.TokenDisabled{Serial: serial, User: user},
		events.TokenEnabled{Serial: serial, User: user},
		events.TokenDeleted{Serial: serial, User: user},
		events.PINSet{Serial: serial, User: user, Revision: uint64(number), Sealed: sealed},
		events.PINCleared{Serial: serial, User: user},
		events.NewPINRequired{Serial: serial, User: user},
		events.NextTokencodeRequired{Serial: serial, User: user},
		events.DriftAdjusted{Serial: serial, User: user, Drift: number % 9},
		events.ClientAdded{Client: node, Prefix: "192.0.2.0/24", Sealed: sealed, Dialect: "rsa", MessageAuthenticator: "auto"},
		events.ClientSigned{Client: node, Address: "192.0.2.7"},
		events.ClientChanged{Client: node, Dialect: &user, Trusted: new(bool)},
		events.ClientSecretRotated{Client: node, Sealed: sealed, Revision: uint64(i), OldUntil: events.Time(number % 3), KeepsOld: number%5 == 0},
		events.ClientSecretSeen{Client: node, Revision: uint64(number % 40), Address: "192.0.2.7"},
		events.ClientRemoved{Client: node},
		events.PolicyChanged{Key: "lock.after", Before: "10", After: "7"},
		events.PolicyChanged{Key: "lock.within", Before: "0s", After: "1s"},
		events.APITokenIssued{Name: node, Digest: hash, Role: "admin", Expires: events.Time(number)},
		events.APITokenRevoked{Name: node},
		events.APITokenLinked{Name: node, User: user},
		events.RoleGranted{User: user, Role: "admin"},
		events.RoleRevoked{User: user, Role: "admin"},
		events.SessionOpened{Session: node, Digest: hash, User: user, Role: "admin", Serial: serial, Network: "192.0.2.7/32", Expires: events.Time(number)},
		events.SessionEnded{Session: node, User: user},
		events.CredentialUsed{Session: node, APIToken: node},
		events.AuditReaderIssued{Name: node, Key: "A" + user, Expires: events.Time(number)},
		events.AuditReaderRevoked{Name: node},
		events.LeaderTransferRequested{Node: node},
		events.CARotated{Certificate: hash[:], Sealed: hash[:]},
		events.InvitationIssued{Digest: hash, Expires: events.Time(number), Node: node, Approved: i%2 == 0},
		events.JoinRequested{Node: node, Address: node + ":7400", Invitation: hash, Key: hash, SealKey: hash[:], Fingerprint: node},
		events.JoinApproved{Node: node, Invitation: hash, Fingerprint: node},
		events.JoinRefused{Node: node, Invitation: hash, Fingerprint: node},
		events.InvitationRefused{Node: node, Problem: node},
		events.NodeJoined{Node: node, Address: node + ":7400", Invitation: hash, Key: hash, SealKey: hash[:]},
		events.NodeRemoved{Node: node},
		events.NodeLost{Node: node},
		events.NodeReturned{Node: node},
		events.LeaderChanged{Node: node, Term: uint64(i)},
		events.ClockSkewed{Node: node, Offset: number},
		events.CheckpointSigned{Sequence: uint64(i), Head: hash, Key: sealed, Signature: sealed},
		events.TokenLost{Serial: serial, User: user, Until: events.Time(number), Sealed: sealed, Found: "refuse"},
		events.TokenFound{Serial: serial, User: user},
		events.TokenResynchronized{User: user, Use: use},
		events.ReplacementAssigned{Serial: serial, Old: "T1", User: user},
		events.TokenReplaced{Serial: serial, Old: "T1", User: user},
		events.RecoveryKeySet{Key: sealed},
		events.RecoveryKeyAdded{Key: hash[:], Shares: 3, Threshold: 2},
		events.RecoveryKeyRemoved{Key: hash[:]},
		events.BackupTaken{Node: node, RecoveryKey: "0123"},
		events.ClusterRestored{Epoch: uint64(i), Node: node, Address: node + ":7400", Backup: uint64(i), RecoveryKey: "0123"},
	}
	o := events.Origin{Request: events.Request{byte(i), byte(number), 1}, Node: node, Door: events.DoorAPI}
	if number%2 == 0 {
		o.Actor = "tester"
	}
	return events.Draft{Origin: o, Event: rapid.SampledFrom(kinds).Draw(t, "event")}
}
