package journal

import (
	"testing"

	"pgregory.net/rapid"
)

// Records from memory and from disk are indistinguishable to the reader.
func TestReadFromMemoryEqualsReadFromDisk(t *testing.T) {
	records := story(3*keptRecords + 10)
	dir := t.TempDir()
	j := open(t, dir, Options{SegmentBytes: 64 << 10})
	for i := 0; i < len(records); i += 7 {
		appendAll(t, j, records[i:min(i+7, len(records))])
	}
	if n := len(j.tail); n < keptRecords || n > 2*keptRecords {
		t.Fatalf("%d records are kept, want %d to %d", n, keptRecords, 2*keptRecords)
	}
	if err := j.Sync(); err != nil {
		t.Fatal(err)
	}
	disk := open(t, dir, Options{})
	rapid.Check(t, func(rt *rapid.T) {
		from := rapid.Uint64Range(0, uint64(len(records)+5)).Draw(rt, "from")
		limit := rapid.IntRange(0, len(records)).Draw(rt, "limit")
		got, gotErr := j.Read(from, limit)
		want, wantErr := disk.Read(from, limit)
		if gotErr != nil || wantErr != nil {
			rt.Fatal(gotErr, wantErr)
		}
		if len(got) != len(want) {
			rt.Fatalf("%d records, from the disk %d", len(got), len(want))
		}
		for i := range got {
			if got[i].Sequence != want[i].Sequence || string(encoded(t, got[i])) != string(encoded(t, want[i])) {
				rt.Fatalf("record %d is another than on the disk", want[i].Sequence)
			}
		}
	})
}

func TestAppendDoesNotModifyRecordsAlreadyRead(t *testing.T) {
	records := story(4 * keptRecords)
	j := open(t, t.TempDir(), Options{})
	appendAll(t, j, records[:keptRecords])
	read, err := j.Read(1, keptRecords)
	if err != nil {
		t.Fatal(err)
	}
	appendAll(t, j, records[keptRecords:])
	for i, r := range read {
		if r.Hash != records[i].Hash {
			t.Fatalf("record %d was modified after it was read", i+1)
		}
	}
}

func TestTailIsDroppedAfterAGap(t *testing.T) {
	records := story(300)
	j := open(t, t.TempDir(), Options{})
	appendAll(t, j, records[:100])
	if err := j.Restored(200, records[199].Hash); err != nil {
		t.Fatal(err)
	}
	appendAll(t, j, records[200:])
	if got, err := j.Read(150, 10); err == nil {
		t.Errorf("reading in the gap: %d records", len(got))
	}
	got, err := j.Read(95, 10)
	if err != nil || len(got) != 6 || got[5].Sequence != 100 {
		t.Errorf("reading up to the gap: %d records, %v", len(got), err)
	}
	got, err = j.Read(201, 1000)
	if err != nil || len(got) != 100 || got[0].Sequence != 201 {
		t.Errorf("reading after the gap: %d records, %v", len(got), err)
	}
}
