package journal

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// put copies files into a new directory.
func put(t *testing.T, files []SegmentFile) string {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "copy")
	for _, p := range files {
		r, err := p.Open()
		if err != nil {
			t.Fatal(err)
		}
		if err := WriteSegmentFile(dir, p.Name, r); err != nil {
			t.Fatal(err)
		}
		if err := r.Close(); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

func TestCopyHoldsTheRecordsOfTheMomentItWasTaken(t *testing.T) {
	records := story(900)
	j := open(t, t.TempDir(), Options{SegmentBytes: 16 << 10})
	appendAll(t, j, records[:700])
	files, err := j.SegmentFiles()
	if err != nil {
		t.Fatal(err)
	}
	if len(files) < 3 {
		t.Fatalf("%d files, want several to be copied", len(files))
	}
	appendAll(t, j, records[700:]) // while the copy is under way
	holds(t, open(t, put(t, files), Options{}), records[:700])
}

func TestJournalOfADeadNodeIsCopiedUnchanged(t *testing.T) {
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
	files, err := SegmentFilesIn(dir)
	if err != nil {
		t.Fatal(err)
	}
	holds(t, open(t, put(t, files), Options{}), records)
}

func TestJournalWithAGapIsNotCopied(t *testing.T) {
	records := story(100)
	j := open(t, t.TempDir(), Options{})
	appendAll(t, j, records[:10])
	if err := j.Restored(50, records[49].Hash); err != nil {
		t.Fatal(err)
	}
	if _, err := j.SegmentFiles(); !errors.Is(err, ErrMissing) {
		t.Fatalf("a journal with a gap was copied: %v", err)
	}
}

func TestNameOfASegmentFileIsChecked(t *testing.T) {
	dir := t.TempDir()
	for _, name := range []string{"../x.journal", "a/b.journal", "/x.journal", "x.txt", "", "..", "synced"} {
		if err := WriteSegmentFile(dir, name, strings.NewReader("x")); err == nil {
			t.Errorf("%q was written", name)
		}
	}
	if _, err := SegmentFilesIn(t.TempDir()); err == nil {
		t.Error("an empty directory was taken for a journal")
	}
}
