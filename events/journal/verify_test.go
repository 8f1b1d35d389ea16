package journal

import (
	"bytes"
	"crypto/ed25519"
	"encoding/binary"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"keyfob/events"
)

// export returns the records from a number on as JSON Lines, one element a line.
func export(t testing.TB, j *Journal, from uint64) (lines [][]byte) {
	t.Helper()
	for r, err := range j.Records(t.Context(), from, false) {
		if err != nil {
			t.Fatal(err)
		}
		lines = append(lines, append(events.CloudEvent(j.Cluster(), r), '\n'))
	}
	return lines
}

func TestVerifyAcceptsWhatWasWritten(t *testing.T) {
	records := story(1000)
	dir := t.TempDir()
	j := open(t, dir, Options{SegmentBytes: 32 << 10})
	appendAll(t, j, records)
	steps := 0
	report, err := Verify(dir, func(uint64) { steps++ })
	if err != nil || report.Broken != 0 {
		t.Fatalf("%+v, %v", report, err)
	}
	want := Report{Cluster: cluster, First: 1, Last: 1000, Head: records[999].Hash, Checkpoints: 10}
	report.Key, report.FirstKey = nil, nil
	if fmt.Sprint(report) != fmt.Sprint(want) || steps != 1000 {
		t.Errorf("%+v after %d steps, want %+v", report, steps, want)
	}

	names, _ := segmentNames(dir)
	for _, name := range names {
		if report, err := Verify(filepath.Join(dir, name), nil); err != nil || report.Broken != 0 || report.Cluster != cluster {
			t.Errorf("%s by itself: %+v, %v", name, report, err)
		}
	}
	file := filepath.Join(t.TempDir(), "audit.jsonl")
	for _, from := range []uint64{1, 500} {
		write(t, file, bytes.Join(export(t, j, from), nil))
		report, err := Verify(file, nil)
		if err != nil || report.Broken != 0 || report.First != from || report.Last != 1000 || report.Head != records[999].Hash || report.Checkpoints == 0 {
			t.Errorf("JSON Lines from %d: %+v, %v", from, report, err)
		}
	}
}

func TestVerifyNamesTheFirstBrokenRecord(t *testing.T) {
	records := story(1000)
	dir := t.TempDir()
	j := open(t, dir, Options{SegmentBytes: 32 << 10})
	appendAll(t, j, records)
	if err := j.Close(); err != nil {
		t.Fatal(err)
	}
	names, _ := segmentNames(dir)
	broken := func(what, path string, want uint64) {
		t.Helper()
		report, err := Verify(path, nil)
		if err != nil || report.Broken != want || report.Problem == "" {
			t.Errorf("%s: %+v, %v, want record %d", what, report, err, want)
		}
	}

	second := filepath.Join(dir, names[1])
	whole, err := os.ReadFile(second)
	if err != nil {
		t.Fatal(err)
	}
	s, _ := readHeader(second, bytes.NewReader(whole))
	content := bytes.Clone(whole)
	content[headerSize+20] ^= 1
	write(t, second, content)
	broken("a flipped bit", dir, s.base.Sequence+1)
	write(t, second, whole[:len(whole)-1])
	report, _ := Verify(dir, nil)
	if report.Broken == 0 {
		t.Error("a segment without its footer passed")
	}
	if err := os.Remove(second); err != nil {
		t.Fatal(err)
	}
	broken("a segment taken away", dir, s.base.Sequence+1)
	write(t, second, whole)

	// An attacker who can write a segment with valid checksums.
	forge := t.TempDir()
	f := open(t, forge, Options{})
	changed := append([]events.Record{}, records[:300]...)
	changed[200].Event = events.UserAdded{User: "mallory"}
	appendAll(t, f, changed)
	broken("a record changed with all checksums right", forge, 201)

	// An attacker who can rebuild the chain still cannot sign.
	again := t.TempDir()
	f = open(t, again, Options{})
	var chain events.Chain
	for i, r := range records[:300] {
		if i == 149 {
			r.Event = events.UserAdded{User: "mallory"}
		}
		if err := f.Append([]events.Record{chain.Next(r.Index, r.Time, r.Draft)}); err != nil {
			t.Fatal(err)
		}
	}
	broken("a rebuilt chain", again, 200) // the next checkpoint

	if _, err := Verify(t.TempDir(), nil); err == nil {
		t.Error("an empty directory passed")
	}
}

func TestVerifyOfLinesNamesTheFirstBrokenRecord(t *testing.T) {
	j := open(t, t.TempDir(), Options{})
	appendAll(t, j, story(300))
	lines := export(t, j, 1)
	file := filepath.Join(t.TempDir(), "audit.jsonl")
	with := func(i int, old, new string) [][]byte {
		out := append([][]byte{}, lines...)
		out[i] = bytes.Replace(out[i], []byte(old), []byte(new), 1)
		if bytes.Equal(out[i], lines[i]) {
			t.Fatalf("%s is not in %s", old, lines[i])
		}
		return out
	}
	for name, c := range map[string]struct {
		lines [][]byte
		want  uint64
	}{
		"a word changed":       {with(20, `"accept"`, `"reject"`), 21},
		"a record left out":    {append(lines[:40:40], lines[41:]...), 41},
		"records exchanged":    {append(append(lines[:10:10], lines[11], lines[10]), lines[12:]...), 11},
		"a hash changed":       {with(30, `"hash":"`, `"hash":"f`), 31},
		"not JSON":             {with(30, `{`, `}`), 31},
		"a signature changed":  {with(99, `"signature":"`, `"signature":"00`), 100},
		"a member added":       {with(50, `"data":{`, `"data":{"zeta":1,`), 51},
		"a line without end":   {append(lines[:60:60], []byte(`{"data":"`+strings.Repeat("x", 2<<20))), 61},
		"beginning at nothing": {lines[1:], 0}, // believed: a file may begin anywhere
	} {
		write(t, file, bytes.Join(c.lines, nil))
		report, err := Verify(file, nil)
		if err != nil || report.Broken != c.want {
			t.Errorf("%s: record %d (%s), %v, want record %d", name, report.Broken, report.Problem, err, c.want)
		}
	}
	// A tool in between may change the order and the white space.
	write(t, file, bytes.ReplaceAll(bytes.Join(lines, nil), []byte(`,"`), []byte(` , "`)))
	if report, err := Verify(file, nil); err != nil || report.Broken != 0 {
		t.Errorf("white space: %+v, %v", report, err)
	}
}

// The last frame of a live journal may be half written.
func TestVerifyOfALiveJournalReportsNoDamage(t *testing.T) {
	dir := t.TempDir()
	j := open(t, dir, Options{})
	appendAll(t, j, story(50))
	path := filepath.Join(dir, segmentName(1))
	whole, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	for cut := int(j.segments[0].end) - 100; cut < len(whole); cut++ {
		write(t, path, whole[:cut])
		report, err := Verify(dir, nil)
		if err != nil || report.Broken != 0 || report.Last < 48 {
			t.Fatalf("cut at %d: %+v, %v", cut, report, err)
		}
	}
}

// memory is a file in memory.
type memory struct {
	*bytes.Reader
	file
}

func (m memory) ReadAt(b []byte, off int64) (int, error) { return m.Reader.ReadAt(b, off) }
func (m memory) Stat() (fs.FileInfo, error)              { return size(m.Size()), nil }

type size int64

func (s size) Size() int64      { return int64(s) }
func (size) Name() string       { return "" }
func (size) Mode() fs.FileMode  { return 0 }
func (size) ModTime() time.Time { return time.Time{} }
func (size) IsDir() bool        { return false }
func (size) Sys() any           { return nil }

func FuzzSegment(f *testing.F) {
	dir := f.TempDir()
	j, err := Open(dir, Options{SegmentBytes: 2 << 10})
	if err != nil {
		f.Fatal(err)
	}
	for _, r := range story(40) {
		if err := j.Append([]events.Record{r}); err != nil {
			f.Fatal(err)
		}
	}
	_ = j.Close()
	names, _ := segmentNames(dir)
	for _, name := range names {
		b, _ := os.ReadFile(filepath.Join(dir, name))
		f.Add(b)
	}
	f.Fuzz(func(t *testing.T, content []byte) {
		m := memory{Reader: bytes.NewReader(content)}
		name := segmentName(1)
		if len(content) > 16 {
			name = segmentName(binary.BigEndian.Uint64(content[8:]) + 1)
		}
		_ = (&verifier{anywhere: true}).segment(m, name, true)
		s, torn, err := recoverLast(name, m, 0)
		if err != nil {
			return
		}
		if !s.sealed && s.end+torn != int64(len(content)) {
			t.Fatalf("%d bytes of frames and %d torn make %d", s.end, torn, len(content))
		}
		// The remaining records can all be read.
		again, torn, err := recoverLast(name, memory{Reader: bytes.NewReader(content[:s.end])}, s.last)
		if err != nil || torn != 0 || again.last != s.last || again.head != s.head {
			t.Fatalf("cut back to %d records it has %+v, %v", s.last, again, err)
		}
	})
}

func FuzzLines(f *testing.F) {
	j, err := Open(f.TempDir(), Options{})
	if err != nil {
		f.Fatal(err)
	}
	defer j.Close()
	if err := j.Append(story(110)); err != nil {
		f.Fatal(err)
	}
	for _, from := range []uint64{1, 99, 110} {
		lines := bytes.Join(export(f, j, from), nil)
		f.Add(lines[:min(len(lines), 4<<10)])
	}
	f.Fuzz(func(t *testing.T, content []byte) {
		v := &verifier{}
		if err := v.lines(bytes.NewReader(content)); err != nil {
			t.Fatal(err)
		}
		if v.report.Last > 0 && v.report.Last-v.report.First >= uint64(bytes.Count(content, []byte("\n")))+1 {
			t.Fatalf("%+v out of %d lines", v.report, bytes.Count(content, []byte("\n")))
		}
	})
}

// signed is a journal whose checkpoint key changes at record 2: it is signed with the
// first key before and with last after that.
func signed(t *testing.T, change events.RootKeyRotated, first, last ed25519.PrivateKey) string {
	t.Helper()
	chain := events.Chain{}
	var records []events.Record
	add := func(e events.Event) { records = append(records, chain.Next(1, 1, events.Draft{Event: e})) }
	checkpoint := func(key ed25519.PrivateKey) {
		add(events.CheckpointSigned{
			Sequence: chain.Sequence, Head: chain.Head, Key: key.Public().(ed25519.PublicKey),
			Signature: ed25519.Sign(key, events.CheckpointText(cluster, chain.Sequence, chain.Head)),
		})
	}
	add(events.ClusterFounded{Cluster: cluster})
	checkpoint(first)
	add(change)
	checkpoint(last)
	dir := t.TempDir()
	j := open(t, dir, Options{})
	appendAll(t, j, records)
	file := filepath.Join(t.TempDir(), "audit.jsonl")
	write(t, file, bytes.Join(export(t, j, 1), nil))
	return file
}

func TestVerifyFollowsAChangeOfTheCheckpointKey(t *testing.T) {
	keys := make([]ed25519.PrivateKey, 3)
	for i := range keys {
		keys[i] = ed25519.NewKeyFromSeed(bytes.Repeat([]byte{byte(i)}, 32))
	}
	public := func(i int) ed25519.PublicKey { return keys[i].Public().(ed25519.PublicKey) }
	change := func(before, after, by int) events.RootKeyRotated {
		text := events.CheckpointKeyText(cluster, 2, public(before), public(after))
		return events.RootKeyRotated{
			Version: 2, CheckpointKeyBefore: public(before), CheckpointKey: public(after),
			SignatureBefore: ed25519.Sign(keys[by], text), Signature: ed25519.Sign(keys[after], text),
		}
	}
	report, err := Verify(signed(t, change(0, 1, 0), keys[0], keys[1]), nil)
	if err != nil || report.Broken != 0 || !bytes.Equal(report.FirstKey, public(0)) || !bytes.Equal(report.Key, public(1)) {
		t.Errorf("%+v, %v", report, err)
	}
	for name, bad := range map[string]struct {
		file   string
		broken uint64
	}{
		"signed with the old key after the change": {signed(t, change(0, 1, 0), keys[0], keys[0]), 4},
		"signed with a key that nobody announced":  {signed(t, change(0, 1, 0), keys[0], keys[2]), 4},
		"a change that the old key did not sign":   {signed(t, change(0, 1, 2), keys[0], keys[1]), 3},
		"a change of another key":                  {signed(t, change(2, 1, 2), keys[0], keys[1]), 3},
	} {
		if report, err := Verify(bad.file, nil); err != nil || report.Broken != bad.broken {
			t.Errorf("%s: broken at %d, want %d: %s, %v", name, report.Broken, bad.broken, report.Problem, err)
		}
	}
}
