package events

import (
	"bytes"
	"crypto/ed25519"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
)

// story is the whole vocabulary as one chain.
func story() (records []Record) {
	var chain Chain
	add := func(d Draft) {
		records = append(records, chain.Next(uint64(10+len(records)), 1_795_000_000_123, d))
	}
	add(Draft{Event: ClusterFounded{Cluster: "0a1b"}})
	for _, c := range kinds {
		if c.name == "founded" {
			continue
		}
		add(Draft{fullOrigin(), filled(c)})
		add(Draft{Event: empty(c)})
	}
	add(Draft{Event: UserAdded{User: "zoë \"\\/\t\u202e\xff\u2028\U0001F511"}})
	return records
}

func TestChainFollowsWhatItMade(t *testing.T) {
	var chain Chain
	for i, r := range story() {
		if err := chain.Follow(r); err != nil {
			t.Fatal(err)
		}
		if chain.Sequence != uint64(i+1) || chain.Head != r.Hash || chain.Cluster != "0a1b" {
			t.Fatalf("the chain stands at %+v after record %d", chain, i+1)
		}
	}
}

// TestHashBindsEveryField changes each field of each event and of the origin,
// one at a time.
func TestHashBindsEveryField(t *testing.T) {
	seen := map[Hash]string{}
	note := func(what string, r Record) {
		var chain Chain
		h := chain.Next(r.Index, r.Time, r.Draft).Hash
		if before, ok := seen[h]; ok {
			t.Errorf("%s and %s have the same hash", before, what)
		}
		seen[h] = what
	}
	for _, c := range kinds {
		v := reflect.New(c.typ).Elem()
		v.Set(reflect.ValueOf(filled(c)))
		note(c.wireType, Record{Draft: Draft{fullOrigin(), v.Interface().(Event)}})
		for i := range c.typ.NumField() {
			v.Set(reflect.ValueOf(filled(c)))
			v.Field(i).SetZero()
			note(c.wireType+" without "+c.typ.Field(i).Name, Record{Draft: Draft{fullOrigin(), v.Interface().(Event)}})
		}
	}
	for i := range reflect.TypeFor[Origin]().NumField() {
		o := fullOrigin()
		reflect.ValueOf(&o).Elem().Field(i).SetZero()
		note("origin without field "+reflect.TypeFor[Origin]().Field(i).Name, Record{Draft: Draft{o, UserAdded{}}})
	}
	note("another index", Record{Index: 1, Draft: Draft{fullOrigin(), UserAdded{}}})
	note("another time", Record{Time: 1, Draft: Draft{fullOrigin(), UserAdded{}}})
	// Two texts that are shown alike.
	note("a control", Record{Draft: Draft{Event: UserAdded{User: "\n"}}})
	note("another control", Record{Draft: Draft{Event: UserAdded{User: "\r"}}})
}

func TestChainNoticesWhatWasDoneToIt(t *testing.T) {
	records := story()[:5]
	good := Chain{}
	for _, r := range records[:3] {
		if err := good.Follow(r); err != nil {
			t.Fatal(err)
		}
	}
	next := records[3]
	for name, bad := range map[string]func(*Record){
		"left out":      func(r *Record) { *r = records[4] },
		"repeated":      func(r *Record) { *r = records[2] },
		"other event":   func(r *Record) { r.Event = UserAdded{User: "mallory"} },
		"other origin":  func(r *Record) { r.Origin.SourceIP = "203.0.113.9" },
		"other time":    func(r *Record) { r.Time++ },
		"other index":   func(r *Record) { r.Index++ },
		"other number":  func(r *Record) { r.Sequence++ },
		"other past":    func(r *Record) { r.Prev[0] ^= 1 },
		"other hash":    func(r *Record) { r.Hash[31] ^= 1 },
		"other cluster": func(r *Record) { *r = (&Chain{"ffff", good.Sequence, good.Head}).Next(r.Index, r.Time, r.Draft) },
	} {
		r := next
		bad(&r)
		chain := good
		if err := chain.Follow(r); !errors.Is(err, ErrChain) {
			t.Errorf("%s: error %v", name, err)
		}
		if chain != good {
			t.Errorf("%s: the chain moved", name)
		}
	}
	if err := good.Verify(next); err != nil {
		t.Errorf("the untouched record: %v", err)
	}
}

// block is the first fenced block of a language in docs/PROTOCOL.md.
func block(t *testing.T, language string) string {
	t.Helper()
	b, err := os.ReadFile("../docs/PROTOCOL.md")
	if err != nil {
		t.Fatal(err)
	}
	_, rest, ok := strings.Cut(string(b), "\n```"+language+"\n")
	text, _, ends := strings.Cut(rest, "\n```\n")
	if !ok || !ends {
		t.Fatalf("docs/PROTOCOL.md has no block of %s", language)
	}
	return text
}

func TestPublishedRecipeChecksTheChain(t *testing.T) {
	python, err := exec.LookPath("python3")
	if err != nil {
		t.Skip("python3 is missing")
	}
	recipe := block(t, "python")
	var lines [][]byte
	for _, r := range story() {
		lines = append(lines, CloudEvent("0a1b", r))
	}
	verify := func(lines [][]byte) (string, error) {
		cmd := exec.CommandContext(t.Context(), python, "-c", recipe)
		cmd.Stdin = bytes.NewReader(append(bytes.Join(lines, []byte("\n")), '\n'))
		out, err := cmd.CombinedOutput()
		return string(out), err
	}
	last := story()[len(lines)-1]
	if out, err := verify(lines); err != nil || !strings.Contains(out, last.Hash.String()) {
		t.Errorf("the whole chain: %s, %v", out, err)
	}
	if out, err := verify(lines[20:]); err != nil {
		t.Errorf("read from the middle: %s, %v", out, err)
	}
	if out, err := verify(append(lines[:7:7], lines[8:]...)); err == nil || !strings.Contains(out, "record 8 is missing") {
		t.Errorf("a record left out: %s, %v", out, err)
	}
	changed := append([][]byte{}, lines...)
	changed[9] = bytes.Replace(lines[9], []byte(`"code":"KF`), []byte(`"code":"FK`), 1)
	if out, err := verify(changed); err == nil || !strings.Contains(out, "record 10 was changed") {
		t.Errorf("a record changed: %s, %v", out, err)
	}
}

func TestPublishedRecipeChecksACheckpoint(t *testing.T) {
	if _, err := exec.LookPath("openssl"); err != nil {
		t.Skip("openssl is missing")
	}
	key := ed25519.NewKeyFromSeed(bytes.Repeat([]byte{7}, 32))
	text := CheckpointText("0a1b", 42, Hash{1})
	c := CheckpointSigned{Sequence: 42, Head: Hash{1}, Key: key.Public().(ed25519.PublicKey), Signature: ed25519.Sign(key, text)}
	if err := c.Verify("0a1b"); err != nil {
		t.Error(err)
	}
	for name, bad := range map[string]CheckpointSigned{
		"number": {43, c.Head, c.Key, c.Signature},
		"head":   {42, Hash{2}, c.Key, c.Signature},
		"key":    {42, c.Head, c.Key[1:], c.Signature},
		"none":   {Sequence: 42, Head: c.Head, Key: c.Key},
	} {
		if bad.Verify("0a1b") == nil {
			t.Errorf("another %s: verified", name)
		}
	}
	if c.Verify("ffff") == nil {
		t.Error("another cluster: verified")
	}

	dir := t.TempDir()
	for name, b := range map[string][]byte{"key": c.Key, "sig": c.Signature, "text": text} {
		if err := os.WriteFile(filepath.Join(dir, name), b, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	run := func() ([]byte, error) {
		cmd := exec.CommandContext(t.Context(), "sh", "-e", "-c", block(t, "sh"))
		cmd.Dir = dir
		return cmd.CombinedOutput()
	}
	if out, err := run(); err != nil {
		t.Errorf("%s: %v", out, err)
	}
	if err := os.WriteFile(filepath.Join(dir, "text"), append(text, '\n'), 0o600); err != nil {
		t.Fatal(err)
	}
	if out, err := run(); err == nil {
		t.Errorf("a changed text passed: %s", out)
	}
}
