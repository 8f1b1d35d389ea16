package raftlog

import (
	"testing"

	"github.com/hashicorp/raft"
)

func TestLongPrefixIsDeletedInBatches(t *testing.T) {
	s, err := Open(t.TempDir(), func(err error) { t.Error(err) })
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	const size = 2*deleteBatch + 100
	var entries []*raft.Log
	for i := range uint64(size) {
		entries = append(entries, &raft.Log{Index: i + 1, Data: []byte{1}})
	}
	if err := s.StoreLogs(entries); err != nil {
		t.Fatal(err)
	}
	if err := s.DeleteRange(1, size-10); err != nil {
		t.Fatal(err)
	}
	first, _ := s.FirstIndex()
	last, _ := s.LastIndex()
	if first != size-9 || last != size {
		t.Fatalf("left %d to %d", first, last)
	}
	if err := s.DeleteRange(size-4, size); err != nil {
		t.Fatal(err)
	}
	if last, _ := s.LastIndex(); last != size-5 {
		t.Fatalf("a suffix was deleted to %d", last)
	}
}
