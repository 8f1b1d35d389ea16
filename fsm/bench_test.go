package fsm_test

import (
	"bytes"
	"fmt"
	"io"
	"testing"

	"keyfob/events"
	"keyfob/fsm"
)

func populated(b *testing.B, size int) *replica {
	b.Helper()
	r := newReplica()
	r.commit(b, 1, founded())
	for i := 0; i < size; {
		var drafts []events.Draft
		for ; i < size && len(drafts) < 3000; i++ {
			user, serial := fmt.Sprintf("user%07d", i), fmt.Sprintf("%012d", i)
			drafts = append(drafts,
				events.Draft{Event: events.UserAdded{User: user}},
				events.Draft{Event: events.TokenImported{Serial: serial, Kind: "totp", Algorithm: "SHA1", Digits: 6, Period: 30, Sealed: make([]byte, 50)}},
				events.Draft{Event: events.TokenAssigned{Serial: serial, User: user}})
		}
		r.commit(b, 2, drafts...)
		r.journal.records = nil
	}
	b.ResetTimer()
	return r
}

func BenchmarkApplyLoginsInBatchesOf64(b *testing.B) {
	r := populated(b, 100_000)
	for i := range b.N {
		drafts := make([]events.Draft, 64)
		for j := range drafts {
			k := (i*64 + j*997) % 100_000
			drafts[j].Event = events.PasscodeAccepted{
				User: fmt.Sprintf("user%07d", k),
				Use:  events.Use{Serial: fmt.Sprintf("%012d", k), Kind: "totp", Interval: int64(i)},
			}
		}
		r.commit(b, events.Time(i+3), drafts...)
		r.journal.records = nil
	}
}

func BenchmarkSnapshot100k(b *testing.B) {
	r := populated(b, 100_000)
	for b.Loop() {
		if err := fsm.Write(io.Discard, r.View()); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkRestore100k(b *testing.B) {
	r := populated(b, 100_000)
	var s bytes.Buffer
	if err := fsm.Write(&s, r.View()); err != nil {
		b.Fatal(err)
	}
	b.SetBytes(int64(s.Len()))
	for b.Loop() {
		if _, err := fsm.Read(bytes.NewReader(s.Bytes())); err != nil {
			b.Fatal(err)
		}
	}
}
