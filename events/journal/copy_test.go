package journal

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// put copies pieces into a directory of their own.
func put(t *testing.T, pieces []Piece) string {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "copy")
	for _, p := range pieces {
		r, err := p.Open()
		if err != nil {
			t.Fatal(err)
		}
		if err := Put(dir, p.Name, r); err != nil {
			t.Fatal(err)
		}
		if err := r.Close(); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

func TestCopyHoldsWhatTheJournalHeldWhenItWasAsked(t *testing.T) {
	records := story(900)
	j := open(t, t.TempDir(), Options{SegmentBytes: 16 << 10})
	appendAll(t, j, records[:700])
	pieces, err := j.Pieces()
	if err != nil {
		t.Fatal(err)
	}
	if len(pieces) < 3 {
		t.Fatalf("%d pieces, want several to be copied", len(pieces))
	}
	appendAll(t, j, records[700:]) // while the copy is under way
	holds(t, open(t, put(t, pieces), Options{}), records[:700])
}

func TestJournalOfANodeThatDiedIsCopiedAsItLies(t *testing.T) {
	records := story(300)
	dir := t.TempDir()
	j, err := Open(dir, Options{})
	if err != nil {
		t.Fatal(err)
	}
	appendAll(t, j, records)
	j.abandon()
	f, err := os.OpenFile(filepath.Join(dir, segmentName(1)), os.O_APPEND|os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	_, _ = f.WriteString("torn")
	_ = f.Close()
	pieces, err := PiecesOf(dir)
	if err != nil {
		t.Fatal(err)
	}
	holds(t, open(t, put(t, pieces), Options{}), records)
}

func TestJournalWithAHoleIsNotCopied(t *testing.T) {
	records := story(100)
	j := open(t, t.TempDir(), Options{})
	appendAll(t, j, records[:10])
	if err := j.Restored(50, records[49].Hash); err != nil {
		t.Fatal(err)
	}
	if _, err := j.Pieces(); !errors.Is(err, ErrMissing) {
		t.Fatalf("a journal that is not whole was copied: %v", err)
	}
}

func TestNameOfAPieceIsNotBelieved(t *testing.T) {
	dir := t.TempDir()
	for _, name := range []string{"../x.journal", "a/b.journal", "/x.journal", "x.txt", "", "..", "synced"} {
		if err := Put(dir, name, strings.NewReader("x")); err == nil {
			t.Errorf("%q was written", name)
		}
	}
	if _, err := PiecesOf(t.TempDir()); err == nil {
		t.Error("an empty directory was taken for a journal")
	}
}
