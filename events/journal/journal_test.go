package journal

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"keyfob/events"
)

const cluster = "0a1b"

// story returns n records of one cluster, the same each time, with a checkpoint
// in every hundred.
func story(n int) []events.Record {
	key := ed25519.NewKeyFromSeed(bytes.Repeat([]byte{7}, 32))
	var chain events.Chain
	records := make([]events.Record, 0, n)
	for i := range n {
		d := events.Draft{Origin: events.Origin{Request: events.Request{byte(i), byte(i >> 8)}, Node: "n1", Site: "hq"}}
		switch {
		case i == 0:
			d.Event = events.ClusterFounded{Cluster: cluster, Sealed: []byte("key")}
		case i%100 == 99:
			d.Event = events.CheckpointSigned{
				Sequence: chain.Sequence, Head: chain.Head, Key: key.Public().(ed25519.PublicKey),
				Signature: ed25519.Sign(key, events.CheckpointText(cluster, chain.Sequence, chain.Head)),
			}
		default:
			d.Event = events.PasscodeAccepted{User: fmt.Sprintf("user-%d", i%7), Use: events.Use{Serial: "1", Kind: "totp", Interval: int64(i)}}
		}
		records = append(records, chain.Next(uint64(i/3+1), events.Time(1_795_000_000_000+int64(i)), d))
	}
	return records
}

// forked is story with different records starting at from.
func forked(n int, from uint64) []events.Record {
	records := story(n)[:from-1]
	var chain events.Chain
	for _, r := range records {
		_ = chain.Follow(r)
	}
	for len(records) < n {
		records = append(records, chain.Next(1, 1, events.Draft{Event: events.UserAdded{User: "mallory"}}))
	}
	return records
}

func open(t *testing.T, dir string, o Options) *Journal {
	t.Helper()
	j, err := Open(dir, o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = j.Close() })
	return j
}

func appendAll(t *testing.T, j *Journal, records []events.Record) {
	t.Helper()
	for len(records) > 0 {
		n := min(len(records), 7)
		if err := j.Append(records[:n]); err != nil {
			t.Fatal(err)
		}
		records = records[n:]
	}
}

// holds fails unless j contains exactly these records.
func holds(t *testing.T, j *Journal, want []events.Record) {
	t.Helper()
	n := 0
	for got, err := range j.Records(t.Context(), 1, false) {
		if err != nil {
			t.Fatal(err)
		}
		if n >= len(want) || !bytes.Equal(encoded(t, got), encoded(t, want[n])) {
			t.Fatalf("record %d is not the one that was written", n+1)
		}
		n++
	}
	if n != len(want) {
		t.Fatalf("%d records, want %d", n, len(want))
	}
	var last uint64
	var head events.Hash
	if len(want) > 0 {
		last, head = want[len(want)-1].Sequence, want[len(want)-1].Hash
	}
	if s, h := j.Last(); s != last || h != head {
		t.Fatalf("it ends at %d, %v, want %d, %v", s, h, last, head)
	}
}

func encoded(t *testing.T, r events.Record) []byte {
	t.Helper()
	b, err := events.EncodeRecord(r)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// abandon drops a journal as a process crash does.
func (j *Journal) abandon() {
	j.mu.Lock()
	defer j.mu.Unlock()
	_ = j.active.Close()
}

func TestRecordsComeBackAcrossSegmentsAndRestarts(t *testing.T) {
	dir := t.TempDir()
	records := story(3000)
	j := open(t, dir, Options{SegmentBytes: 64 << 10})
	holds(t, j, nil)
	appendAll(t, j, records[:2000])
	holds(t, j, records[:2000])
	if err := j.Close(); err != nil {
		t.Fatal(err)
	}
	j = open(t, dir, Options{SegmentBytes: 64 << 10, Cluster: cluster})
	appendAll(t, j, records[2000:])
	holds(t, j, records)
	if names, _ := segmentNames(dir); len(names) < 5 {
		t.Errorf("%d segments", len(names))
	}
	for _, from := range []uint64{1, 255, 256, 257, 1999, 2513, 3000} {
		got, err := j.Read(from, 3)
		if err != nil || len(got) == 0 || got[0].Sequence != from || got[0].Hash != records[from-1].Hash {
			t.Errorf("reading from %d: %d records, %v", from, len(got), err)
		}
	}
	if got, err := j.Read(3001, 1); len(got) != 0 || err != nil {
		t.Errorf("past the end: %d records, %v", len(got), err)
	}
	if first, last := j.Bounds(); first != 1 || last != 3000 || !j.Whole() {
		t.Errorf("bounds %d, %d", first, last)
	}
	if _, err := Open(dir, Options{Cluster: "ffff"}); err == nil {
		t.Error("the journal of another cluster was opened")
	}
}

func TestReplayedRecordsAreComparedAndSkipped(t *testing.T) {
	j := open(t, t.TempDir(), Options{SegmentBytes: 16 << 10})
	records := story(600)
	appendAll(t, j, records[:500])
	for _, from := range []int{0, 120, 499} {
		if err := j.Append(records[from:500]); err != nil {
			t.Fatal(err)
		}
	}
	if err := j.Append(records[450:600]); err != nil { // half known, half new
		t.Fatal(err)
	}
	holds(t, j, records)

	for name, c := range map[string]struct {
		records []events.Record
		want    error
	}{
		"different history":     {forked(600, 300)[299:], ErrFork},
		"another last record":   {forked(600, 600)[599:], ErrFork},
		"another predecessor":   {forked(602, 600)[600:], ErrFork},
		"a gap":                 {story(602)[601:], ErrGap},
		"a gap in the middle":   {append(story(601)[600:601:601], story(603)[602]), ErrGap},
		"a gap among the known": {append(records[5:6:6], records[7]), ErrGap},
	} {
		if err := j.Append(c.records); !errors.Is(err, c.want) {
			t.Errorf("%s: %v", name, err)
		}
	}
	holds(t, j, records)
}

// TestIncompleteWriteIsTruncated cuts the last frame at every byte, and flips
// every bit of it, after the sync point.
func TestIncompleteWriteIsTruncated(t *testing.T) {
	records := story(40)
	dir := t.TempDir()
	j := open(t, dir, Options{})
	appendAll(t, j, records[:30])
	if err := j.Sync(); err != nil {
		t.Fatal(err)
	}
	appendAll(t, j, records[30:39])
	before := j.segments[0].end
	appendAll(t, j, records[39:])
	path := filepath.Join(dir, segmentName(1))
	whole, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	mark, err := os.ReadFile(filepath.Join(dir, syncPointName))
	if err != nil {
		t.Fatal(err)
	}
	crashed := t.TempDir()
	write(t, filepath.Join(crashed, syncPointName), mark)
	try := func(what string, content []byte) {
		t.Helper()
		var log bytes.Buffer
		write(t, filepath.Join(crashed, segmentName(1)), content)
		j, err := Open(crashed, Options{Log: slog.New(slog.NewTextHandler(&log, nil))})
		if err != nil {
			t.Fatalf("%s: %v", what, err)
		}
		defer j.abandon()
		if last, _ := j.Last(); last != 39 {
			t.Fatalf("%s: it ends at %d", what, last)
		}
		if int64(len(content)) > before && !strings.Contains(log.String(), "incomplete write") {
			t.Fatalf("%s: not logged: %s", what, log.String())
		}
		if err := j.Append(records[30:]); err != nil {
			t.Fatalf("%s: %v", what, err)
		}
		holds(t, j, records)
	}
	for cut := before; cut < int64(len(whole)); cut++ {
		try(fmt.Sprintf("cut at %d", cut), whole[:cut])
	}
	for bit := before * 8; bit < int64(len(whole))*8; bit++ {
		content := bytes.Clone(whole)
		content[bit/8] ^= 1 << (bit % 8)
		try(fmt.Sprintf("bit %d", bit), content)
	}
	try("zeros behind", append(bytes.Clone(whole[:before]), make([]byte, 4096)...))
}

// TestDamageBeforeTheSyncPointIsAnError flips bits all over a directory whose
// records had been synced.
func TestDamageBeforeTheSyncPointIsAnError(t *testing.T) {
	records := story(150)
	dir := t.TempDir()
	j := open(t, dir, Options{SegmentBytes: 8 << 10})
	appendAll(t, j, records)
	if err := j.Close(); err != nil {
		t.Fatal(err)
	}
	names, _ := segmentNames(dir)
	for _, name := range append(names[len(names)-2:], syncPointName) {
		whole, err := os.ReadFile(filepath.Join(dir, name))
		if err != nil {
			t.Fatal(err)
		}
		for bit := 0; bit < len(whole)*8; bit += 61 {
			content := bytes.Clone(whole)
			content[bit/8] ^= 1 << (bit % 8)
			write(t, filepath.Join(dir, name), content)
			seen := noticed(dir)
			if seen == nil {
				t.Fatalf("%s, bit %d: not detected", name, bit)
			}
			if !strings.Contains(seen.Error(), name) {
				t.Fatalf("%s, bit %d: the file is not named: %v", name, bit, seen)
			}
		}
		write(t, filepath.Join(dir, name), whole)
	}
	if err := noticed(dir); err != nil {
		t.Fatalf("after the repair: %v", err)
	}

	var damage *Damage
	last := filepath.Join(dir, names[len(names)-1])
	whole, _ := os.ReadFile(last)
	write(t, last, whole[:len(whole)-3])
	if _, err := Open(dir, Options{}); !errors.As(err, &damage) || damage.Sequence != 150 || damage.File != last || damage.Offset == 0 {
		t.Errorf("a synced record was truncated: %v", err)
	}
	if err := os.Remove(last); err != nil {
		t.Fatal(err)
	}
	if _, err := Open(dir, Options{}); err == nil {
		t.Error("a missing last segment was not detected")
	}
}

// noticed is the error of opening, reading or verifying a directory.
func noticed(dir string) error {
	j, err := Open(dir, Options{})
	if err != nil {
		return err
	}
	defer j.Close()
	for _, err := range j.Records(context.Background(), 1, false) {
		if err != nil {
			return err
		}
	}
	report, err := Verify(dir, nil)
	if err == nil && report.Broken != 0 {
		err = errors.New(report.Problem)
	}
	return err
}

func write(t *testing.T, path string, content []byte) {
	t.Helper()
	if err := os.WriteFile(path, content, 0o600); err != nil {
		t.Fatal(err)
	}
}

// faulty is a file on a disk that runs full or fails to sync.
type faulty struct {
	file
	room *int64
	sync *error
}

func (f faulty) WriteAt(b []byte, off int64) (int, error) {
	n := min(int64(len(b)), *f.room)
	*f.room -= n
	written, err := f.file.WriteAt(b[:n], off)
	if err == nil && n < int64(len(b)) {
		err = syscall.ENOSPC
	}
	return written, err
}

func (f faulty) Sync() error {
	if *f.sync != nil {
		return *f.sync
	}
	return f.file.Sync()
}

func onFaultyDisk(j *Journal, room *int64, sync *error) {
	j.open = func(path string, flag int) (file, error) {
		f, err := openFile(path, flag)
		return faulty{f, room, sync}, err
	}
}

func TestFullDiskLeavesAValidJournal(t *testing.T) {
	records := story(300)
	for room := int64(0); room < 40_000; room += 1523 {
		dir := t.TempDir()
		j := open(t, dir, Options{SegmentBytes: 4 << 10})
		var none error
		left := room
		onFaultyDisk(j, &left, &none)
		kept, failed := 0, false
		for kept < len(records) && !failed {
			if err := j.Append(records[kept:min(kept+5, len(records))]); err != nil {
				if failed = errors.Is(err, syscall.ENOSPC); !failed {
					t.Fatal(err)
				}
				continue
			}
			kept = min(kept+5, len(records))
		}
		holds(t, j, records[:kept])
		if room < 10_000 && !failed {
			t.Fatalf("%d bytes were enough", room)
		}
		// As after a crash.
		crashed := t.TempDir()
		if err := os.CopyFS(crashed, os.DirFS(dir)); err != nil {
			t.Fatal(err)
		}
		again := open(t, crashed, Options{SegmentBytes: 4 << 10})
		holds(t, again, records[:kept])
		left = 1 << 30
		appendAll(t, j, records[kept:])
		holds(t, j, records)
	}
}

func TestFailedSyncFailsTheJournal(t *testing.T) {
	var broken error
	room := int64(1 << 30)
	j := open(t, t.TempDir(), Options{})
	onFaultyDisk(j, &room, &broken)
	records := story(10)
	appendAll(t, j, records[:5])
	broken = errors.New("I/O error")
	if err := j.Sync(); !errors.Is(err, broken) {
		t.Fatalf("the sync failed with %v", err)
	}
	lost := broken
	broken = nil
	if err := j.Append(records[5:]); !errors.Is(err, lost) {
		t.Errorf("appended after a failed sync: %v", err)
	}
	if err := j.Sync(); !errors.Is(err, lost) {
		t.Errorf("synced after a failed sync: %v", err)
	}
	if err := j.Wait(t.Context(), 5); !errors.Is(err, lost) {
		t.Errorf("waited after a failed sync: %v", err)
	}
}

func TestLeftoversOfACrashAreRemoved(t *testing.T) {
	dir := t.TempDir()
	appendAll(t, open(t, dir, Options{}), story(3))
	write(t, filepath.Join(dir, segmentName(4)+".tmp"), []byte("half"))
	holds(t, open(t, dir, Options{}), story(3))
	if _, err := os.Stat(filepath.Join(dir, segmentName(4)+".tmp")); !errors.Is(err, fs.ErrNotExist) {
		t.Error(err)
	}
}
