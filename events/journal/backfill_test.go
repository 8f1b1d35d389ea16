package journal

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"testing/synctest"

	"pgregory.net/rapid"

	"keyfob/events"
)

func TestGapIsBackfilledFromTheNewestRecord(t *testing.T) {
	dir := t.TempDir()
	records := story(1000)
	j := open(t, dir, Options{})
	appendAll(t, j, records[:100])
	if err := j.Restored(800, records[799].Hash); err != nil {
		t.Fatal(err)
	}
	if from, to := j.Missing(); from != 101 || to != 800 || j.Whole() {
		t.Fatalf("missing %d to %d", from, to)
	}
	if last, head := j.Last(); last != 800 || head != records[799].Hash {
		t.Fatalf("it ends at %d, %v", last, head)
	}
	appendAll(t, j, records[800:900])
	if _, err := j.Read(500, 1); !errors.Is(err, ErrMissing) {
		t.Errorf("reading in the gap: %v", err)
	}
	if got, err := j.Read(90, 50); len(got) != 11 || err != nil {
		t.Errorf("reading up to the gap: %d records, %v", len(got), err)
	}
	if first, last := j.Bounds(); first != 801 || last != 900 {
		t.Errorf("bounds %d, %d", first, last)
	}

	changed := append([]events.Record{}, records[700:800]...)
	changed[50].Event = events.UserAdded{User: "mallory"}
	for name, bad := range map[string][]events.Record{
		"none":              nil,
		"not the last ones": records[700:799],
		"more than the gap": records[700:801],
		"one skipped":       append(records[700:750:750], records[751:800]...),
		"one changed":       changed,
		"different history": forked(800, 700)[699:],
		"stored already":    records[90:800],
	} {
		if err := j.Backfill(bad); err == nil {
			t.Errorf("%s: accepted", name)
		}
	}

	for to := uint64(800); to > 450; to -= 70 {
		if err := j.Backfill(records[to-70 : to]); err != nil {
			t.Fatal(err)
		}
	}
	appendAll(t, j, records[900:])
	_ = j.Close()
	j = open(t, dir, Options{}) // half way
	if from, to := j.Missing(); from != 101 || to != 450 {
		t.Fatalf("missing %d to %d", from, to)
	}
	if report, err := Verify(dir, nil); err != nil || report.Broken != 101 {
		t.Errorf("verified with a gap: %+v, %v", report, err)
	}
	if err := j.Backfill(records[100:450]); err != nil {
		t.Fatal(err)
	}
	if !j.Whole() {
		t.Error("not whole")
	}
	if err := j.Backfill(records[100:450]); err == nil {
		t.Error("backfilled twice")
	}
	holds(t, j, records)
	holds(t, open(t, dir, Options{}), records)
}

func TestNewNodeFetchesEverything(t *testing.T) {
	records := story(300)
	j := open(t, t.TempDir(), Options{})
	if err := j.Restored(200, records[199].Hash); err == nil {
		t.Fatal("a journal that does not know its cluster accepted a head")
	}
	j = open(t, t.TempDir(), Options{Cluster: cluster})
	if err := j.Restored(200, records[199].Hash); err != nil {
		t.Fatal(err)
	}
	// A second snapshot, before any record is fetched.
	if err := j.Restored(250, records[249].Hash); err != nil {
		t.Fatal(err)
	}
	if err := j.Backfill(records[200:250]); err != nil {
		t.Fatal(err)
	}
	if err := j.Backfill(records[:200]); err != nil {
		t.Fatal(err)
	}
	appendAll(t, j, records[250:])
	holds(t, j, records)
}

func TestRestartLeavesNoGap(t *testing.T) {
	records := story(300)
	j := open(t, t.TempDir(), Options{})
	appendAll(t, j, records)
	for _, n := range []uint64{1, 150, 300} {
		if err := j.Restored(n, records[n-1].Hash); err != nil {
			t.Error(err)
		}
		if err := j.Restored(n, events.Hash{9}); !errors.Is(err, ErrFork) {
			t.Errorf("another head at %d: %v", n, err)
		}
	}
	if err := j.Restored(0, events.Hash{}); err != nil || !j.Whole() {
		t.Error(err)
	}
	holds(t, j, records)
}

// A node whose old records are not the cluster's must not become whole.
func TestDifferentHistoryIsNeverJoined(t *testing.T) {
	j := open(t, t.TempDir(), Options{})
	appendAll(t, j, forked(100, 50))
	records := story(200)
	if err := j.Restored(200, records[199].Hash); err != nil {
		t.Fatal(err)
	}
	if err := j.Backfill(records[150:]); err != nil {
		t.Fatal(err)
	}
	if err := j.Backfill(records[100:150]); !errors.Is(err, ErrFork) {
		t.Errorf("accepted with error %v", err)
	}
	if j.Whole() {
		t.Error("whole")
	}
}

func TestFollowerSeesEachRecordOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		records := story(500)
		j, err := Open(t.TempDir(), Options{SegmentBytes: 8 << 10})
		if err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithCancel(t.Context())
		var seen []uint64
		var wg sync.WaitGroup
		wg.Go(func() {
			for r, err := range j.Records(ctx, 100, true) {
				if err != nil {
					t.Error(err)
				}
				seen = append(seen, r.Sequence)
			}
		})
		for i := range records {
			if err := j.Append(records[i : i+1]); err != nil {
				t.Error(err)
			}
			if i%50 == 0 {
				synctest.Wait()
			}
		}
		synctest.Wait()
		for i, n := range seen {
			if n != uint64(100+i) {
				t.Fatalf("record %d came as number %d", n, i)
			}
		}
		if len(seen) != 401 {
			t.Errorf("%d records seen", len(seen))
		}
		if err := j.Close(); err != nil { // ends the follower as well
			t.Error(err)
		}
		wg.Wait()
		cancel()
		if err := j.Wait(t.Context(), 500); !errors.Is(err, ErrClosed) {
			t.Error(err)
		}
	})
}

// TestJournalBehavesLikeAList runs random operations, crashes included, and
// compares the journal with a plain list.
func TestJournalBehavesLikeAList(t *testing.T) {
	records := story(400)
	rapid.Check(t, func(rt *rapid.T) {
		root := t.TempDir()
		dir, generation := filepath.Join(root, "0"), 0
		o := Options{Cluster: cluster, SegmentBytes: int64(rapid.IntRange(1, 8<<10).Draw(rt, "segment bytes"))}
		j, err := Open(dir, o)
		if err != nil {
			rt.Fatal(err)
		}
		last, safe := 0, 0
		check := func(err error) {
			rt.Helper()
			if err != nil {
				rt.Fatal(err)
			}
		}
		reopen := func() {
			j, err = Open(dir, o)
			check(err)
		}
		rt.Repeat(map[string]func(*rapid.T){
			"append": func(rt *rapid.T) {
				from := rapid.IntRange(max(0, last-40), last).Draw(rt, "from")
				to := min(len(records), last+rapid.IntRange(0, 30).Draw(rt, "new"))
				check(j.Append(records[from:max(from, to)]))
				last = max(last, to)
			},
			"sync":    func(*rapid.T) { check(j.Sync()); safe = last },
			"restart": func(*rapid.T) { check(j.Close()); safe = last; reopen() },
			"jump": func(rt *rapid.T) {
				to := min(len(records), last+rapid.IntRange(0, 30).Draw(rt, "jump"))
				if to > 0 {
					check(j.Restored(uint64(to), records[to-1].Hash))
				}
				last = max(last, to)
			},
			"fill": func(rt *rapid.T) {
				if from, to := j.Missing(); to != 0 {
					start := rapid.Uint64Range(from, to).Draw(rt, "start")
					check(j.Backfill(records[start-1 : to]))
				}
			},
			"crash": func(rt *rapid.T) {
				s := j.lastSegment()
				if s == nil || s.sealed {
					return
				}
				base := max(safe, int(s.base.Sequence))
				generation++
				dir = filepath.Join(root, fmt.Sprintf("[%d]*?", generation))
				check(os.CopyFS(dir, os.DirFS(filepath.Dir(s.path))))
				size := s.end
				_ = j.Close()
				cut := rapid.Int64Range(headerSize, size).Draw(rt, "cut")
				if at, err := s.offsetOf(base); err == nil {
					cut = max(cut, at)
				}
				check(os.Truncate(filepath.Join(dir, filepath.Base(s.path)), cut))
				reopen()
				n, _ := j.Last()
				if int(n) < base || int(n) > last {
					rt.Fatalf("%d records left, %d were synced and %d written", n, base, last)
				}
				last = int(n)
			},
			"": func(rt *rapid.T) {
				n, head := j.Last()
				if int(n) != last || n > 0 && head != records[n-1].Hash {
					rt.Fatalf("it ends at %d, want %d", n, last)
				}
				first, _ := j.Bounds()
				next := first
				for r, err := range j.Records(context.Background(), first, false) {
					check(err)
					if r.Sequence != next || r.Hash != records[next-1].Hash {
						rt.Fatalf("record %d where %d should be", r.Sequence, next)
					}
					next++
				}
				if int(next) != last+1 {
					rt.Fatalf("reading ended at %d of %d", next-1, last)
				}
			},
		})
		check(j.Close())
	})
}

// offsetOf returns the end of the frame of a record.
func (s *segment) offsetOf(sequence int) (int64, error) {
	f, err := os.Open(s.path)
	if err != nil {
		return 0, err
	}
	defer f.Close()
	r := newFrames(f, headerSize, s.end)
	for n := s.base.Sequence; n < uint64(sequence); n++ {
		if _, err := r.next(); err != nil {
			return 0, err
		}
	}
	return r.at, nil
}
