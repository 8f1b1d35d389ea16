package events

import (
	"bytes"
	"encoding/hex"
	"errors"
	"flag"
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

var update = flag.Bool("update", false, "add the forms of today to the golden files; nothing is taken out")

// A golden file holds records of one kind, each on two lines: its bytes, and
// what the stream shows of it. What was released stays in it for ever: its
// bytes must be read, and its hash and its JSON must come out the same.
func goldenPath(c class) string {
	return filepath.Join("testdata", "records", c.domain+"."+c.name+".txt")
}

func readGolden(t *testing.T, c class) []string {
	t.Helper()
	b, err := os.ReadFile(goldenPath(c))
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		t.Fatal(err)
	}
	return strings.Split(strings.TrimSuffix(string(b), "\n"), "\n")
}

// today is the records that a golden file must have: one with every field
// set, one with none.
func today(t *testing.T, c class) (lines []string) {
	t.Helper()
	chain := Chain{Cluster: "c1", Sequence: 41, Head: Hash{1, 2, 3}}
	for _, d := range []Draft{{Origin: fullOrigin(), Event: filled(c)}, {Event: empty(c)}} {
		r := chain.Next(7, 1_795_000_000_123, d)
		b, err := EncodeRecord(r)
		if err != nil {
			t.Fatal(err)
		}
		lines = append(lines, hex.EncodeToString(b), string(CloudEvent("c1", r)))
	}
	return lines
}

func TestReleasedRecordsStayTheSame(t *testing.T) {
	for _, c := range kinds {
		t.Run(c.domain+"."+c.name, func(t *testing.T) {
			lines := readGolden(t, c)
			for _, line := range today(t, c) {
				if slices.Contains(lines, line) {
					continue
				}
				if !*update {
					t.Fatal("the form of today is not in the golden file: go test . -update adds it")
				}
				lines = append(lines, line)
			}
			if *update {
				if err := os.WriteFile(goldenPath(c), []byte(strings.Join(lines, "\n")+"\n"), 0o644); err != nil {
					t.Fatal(err)
				}
			}
			for pair := range slices.Chunk(lines, 2) {
				checkGolden(t, pair[0], pair[1])
			}
		})
	}
}

func checkGolden(t *testing.T, record, stream string) {
	t.Helper()
	b, err := hex.DecodeString(record)
	if err != nil {
		t.Fatal(err)
	}
	r, err := DecodeRecord(b)
	if err != nil {
		t.Fatalf("a released record cannot be read: %v\n%s", err, stream)
	}
	if err := (Chain{Cluster: "c1", Sequence: r.Sequence - 1, Head: r.Prev}).Verify(r); err != nil {
		t.Errorf("a released record has another hash: %v", err)
	}
	if diff := cmp.Diff(stream, string(CloudEvent("c1", r))); diff != "" {
		t.Errorf("a released record is shown differently (-released +now):\n%s", diff)
	}
}

func TestNoReleasedKindIsForgotten(t *testing.T) {
	known := map[string]bool{}
	for _, c := range kinds {
		known[goldenPath(c)] = true
	}
	files, err := filepath.Glob("testdata/records/*.txt")
	if err != nil || len(files) == 0 {
		t.Fatalf("no golden files: %v", err)
	}
	for _, f := range files {
		if !known[f] {
			t.Errorf("%s is of a kind that is not in the registry", f)
		}
	}
}

// TestRegistryHoldsEveryEvent finds the events as the compiler does: by their
// describe method.
func TestRegistryHoldsEveryEvent(t *testing.T) {
	registered := map[string]bool{}
	names, codes := map[string]bool{}, map[string]bool{}
	for _, c := range kinds {
		if registered[c.typ.Name()] || names[c.wireType] || codes[c.code] || byKind[c.kind].typ != c.typ {
			t.Errorf("%s: type, name, number or code is taken", c.typ.Name())
		}
		registered[c.typ.Name()], names[c.wireType], codes[c.code] = true, true, true
	}
	files, err := filepath.Glob("*.go")
	if err != nil {
		t.Fatal(err)
	}
	found := 0
	for _, name := range files {
		file, err := parser.ParseFile(token.NewFileSet(), name, nil, 0)
		if err != nil {
			t.Fatal(err)
		}
		for _, decl := range file.Decls {
			f, ok := decl.(*ast.FuncDecl)
			if !ok || f.Recv == nil || f.Name.Name != "describe" {
				continue
			}
			typ := f.Recv.List[0].Type.(*ast.Ident).Name
			found++
			if !registered[typ] {
				t.Errorf("%s is an event and not in the registry", typ)
			}
		}
	}
	if found != len(kinds) {
		t.Errorf("%d events, %d registered", found, len(kinds))
	}
}

func fullBatch() Batch {
	b := Batch{Base: 41, Head: Hash{1, 2, 3}, Time: 1_795_000_000_123}
	for _, c := range kinds {
		b.Drafts = append(b.Drafts, Draft{Origin: fullOrigin(), Event: filled(c)}, Draft{Event: empty(c)})
	}
	return b
}

func TestRoundTripIsExact(t *testing.T) {
	zero := int64(0)
	odd := Batch{Drafts: []Draft{
		{Event: PasscodeRejected{User: "a\xff\n\x00", Offset: &zero}},
		{Event: PINSet{Sealed: []byte{}}},
		{Event: PINSet{Sealed: nil}},
		{Event: PasscodeChallenged{Use: &Use{}}},
	}}
	for name, b := range map[string]Batch{"full": fullBatch(), "empty": {Drafts: []Draft{}}, "odd": odd} {
		data, err := EncodeBatch(b)
		if err != nil {
			t.Fatal(err)
		}
		got, err := DecodeBatch(data)
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		if diff := cmp.Diff(b, got); diff != "" {
			t.Errorf("%s (-in +out):\n%s", name, diff)
		}
	}
	chain := Chain{}
	for _, d := range fullBatch().Drafts {
		r := chain.Next(9, 1_795_000_000_123, d)
		data, err := EncodeRecord(r)
		if err != nil {
			t.Fatal(err)
		}
		got, err := DecodeRecord(data)
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(r, got); diff != "" {
			t.Errorf("record (-in +out):\n%s", diff)
		}
	}
}

func TestDecodersRefuse(t *testing.T) {
	body := func(h string) []byte { b, _ := hex.DecodeString(h); return b }
	for name, data := range map[string][]byte{
		"no bytes":              nil,
		"another version":       body("02821832a10161"),
		"unknown kind":          body("0182190fa0a1016161"),
		"unknown field":         body("01821832a2016161181f01"),
		"the same field twice":  body("01821832a201616101616" + "2"),
		"bytes behind":          body("01821832a101616100"),
		"a longer number":       body("0182190032a1016161"),
		"a missing field":       body("01821832a0"),
		"indefinite length":     body("01821832bf016161ff"),
		"a tag":                 body("01821832a101c06161"),
		"text where bytes were": body("01821818a10a01"),
		"another type":          body("0101"),
	} {
		if e, err := UnmarshalEvent(data); !errors.Is(err, ErrFormat) {
			t.Errorf("%s: decoded to %#v, error %v", name, e, err)
		}
	}
	if e, err := UnmarshalEvent(body("01821832a1016161")); err != nil || e != (UserAdded{User: "a"}) {
		t.Errorf("the good form decoded to %#v, error %v", e, err)
	}
	if _, err := EncodeBatch(Batch{Drafts: make([]Draft, MaxDrafts+1)}); err == nil {
		t.Error("a batch too large to be decoded was encoded")
	}
}

func TestEveryFlippedBitIsSeen(t *testing.T) {
	chain := Chain{Cluster: "c1"}
	before := chain
	r := chain.Next(3, 1_795_000_000_123, Draft{Origin: fullOrigin(), Event: filled(kinds[2])})
	data, err := EncodeRecord(r)
	if err != nil {
		t.Fatal(err)
	}
	for i := range len(data) * 8 {
		bad := bytes.Clone(data)
		bad[i/8] ^= 1 << (i % 8)
		got, err := DecodeRecord(bad)
		if err != nil {
			continue
		}
		// The index is bound by the hash like all the rest.
		if before.Verify(got) == nil {
			t.Errorf("bit %d flipped: nobody notices", i)
		}
	}
}

func FuzzDecodeBatch(f *testing.F) {
	full, _ := EncodeBatch(fullBatch())
	f.Add(full)
	for _, c := range kinds {
		b, _ := EncodeBatch(Batch{Drafts: []Draft{{Event: filled(c)}}})
		f.Add(b)
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		b, err := DecodeBatch(data)
		if err != nil {
			return
		}
		again, err := EncodeBatch(b)
		if err != nil || !bytes.Equal(again, data) {
			t.Fatalf("%x decodes and encodes to %x, error %v", data, again, err)
		}
	})
}

func FuzzDecodeRecord(f *testing.F) {
	var chain Chain
	for _, c := range kinds {
		b, _ := EncodeRecord(chain.Next(1, 1, Draft{Origin: fullOrigin(), Event: filled(c)}))
		f.Add(b)
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		r, err := DecodeRecord(data)
		if err != nil {
			return
		}
		again, err := EncodeRecord(r)
		if err != nil || !bytes.Equal(again, data) {
			t.Fatalf("%x decodes and encodes to %x, error %v", data, again, err)
		}
		checkCloudEvent(t, r)
	})
}

func FuzzUnmarshalEvent(f *testing.F) {
	for _, c := range kinds {
		b, _ := MarshalEvent(filled(c))
		f.Add(b)
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		e, err := UnmarshalEvent(data)
		if err != nil {
			return
		}
		if reflect.TypeOf(e).Kind() != reflect.Struct {
			t.Fatalf("%T", e)
		}
	})
}

func benchBatch() Batch {
	b := Batch{Base: 41, Time: 1_795_000_000_123}
	o := Origin{
		Request: Request{1, 2, 3}, Reference: "K7QF-2M", Node: "n1", Site: "hq", Door: DoorRADIUS,
		Client: "vpn-1", SourceIP: "192.0.2.17",
	}
	for range 128 {
		b.Drafts = append(b.Drafts, Draft{o, PasscodeAccepted{
			User: "alice", Use: Use{Serial: "000123456789", Kind: "totp", Interval: 59833333, Drift: -1},
		}})
	}
	return b
}

func BenchmarkEncodeBatch(b *testing.B) {
	batch := benchBatch()
	b.ReportAllocs()
	for range b.N {
		if _, err := EncodeBatch(batch); err != nil {
			b.Fatal(err)
		}
	}
	perEvent(b, len(batch.Drafts))
}

func BenchmarkDecodeBatch(b *testing.B) {
	batch := benchBatch()
	data, _ := EncodeBatch(batch)
	b.ReportAllocs()
	for range b.N {
		if _, err := DecodeBatch(data); err != nil {
			b.Fatal(err)
		}
	}
	perEvent(b, len(batch.Drafts))
	b.ReportMetric(float64(len(data))/float64(len(batch.Drafts)), "bytes/event")
}

func perEvent(b *testing.B, n int) {
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/float64(n), "ns/event")
}
