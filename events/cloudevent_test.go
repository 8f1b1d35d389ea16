package events

import (
	"bytes"
	"crypto/sha256"
	"encoding/json"
	"sort"
	"strings"
	"testing"
	"unicode"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"
)

// checkCloudEvent holds any record to what every consumer relies on: the JSON
// is well formed and clean, and the hash can be computed from it alone.
func checkCloudEvent(t *testing.T, r Record) {
	t.Helper()
	chain := Chain{Cluster: "c1", Sequence: r.Sequence - 1, Head: r.Prev}
	r = chain.Next(r.Index, r.Time, r.Draft)
	out := CloudEvent("c1", r)
	var m map[string]any
	decoder := json.NewDecoder(bytes.NewReader(out))
	decoder.UseNumber()
	if err := decoder.Decode(&m); err != nil {
		t.Fatalf("%s: %v", out, err)
	}
	if !utf8.Valid(out) {
		t.Fatalf("not UTF-8: %q", out)
	}
	for _, c := range string(out) {
		if unicode.In(c, unicode.Cc, unicode.Bidi_Control, unicode.Zl, unicode.Zp) {
			t.Fatalf("%U in %s", c, out)
		}
	}
	delete(m["data"].(map[string]any), "hash")
	if got := sha256.Sum256(append(r.Prev[:], canonicalJSON(t, m)...)); got != r.Hash {
		t.Fatalf("the JSON hashes to %x, not to %s:\n%s", got, r.Hash, out)
	}
}

// canonicalJSON is the recipe of docs/PROTOCOL.md in another hand.
func canonicalJSON(t *testing.T, v any) []byte {
	t.Helper()
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	if err := e.Encode(v); err != nil {
		t.Fatal(err)
	}
	return bytes.TrimSuffix(b.Bytes(), []byte("\n"))
}

func TestStreamHasWhatTheContractNames(t *testing.T) {
	chain := Chain{Cluster: "0a1b", Sequence: 41, Head: Hash{0xab}}
	r := chain.Next(17, 1_795_000_000_123, Draft{
		Origin: Origin{
			Request: Request{9}, Reference: "K7QF-2M", Node: "n1", Site: "hq", Door: DoorRADIUS,
			Client: "vpn-1", SourceIP: "192.0.2.17", Actor: "root", Note: `she said "now"`,
		},
		Event: PasscodeAccepted{User: "zoë", Use: Use{Serial: "000123456789", Kind: "totp", Interval: 59833333, Drift: -1}},
	})
	var got map[string]any
	if err := json.Unmarshal(CloudEvent("0a1b", r), &got); err != nil {
		t.Fatal(err)
	}
	body := got["data"].(map[string]any)["body"]
	want := map[string]any{
		"specversion": "1.0", "id": "42", "source": "/keyfob/0a1b", "type": "keyfob.auth.accepted.v1",
		"time": "2026-11-18T11:06:40.123Z",
		"data": map[string]any{
			"sequence": 42.0, "index": 17.0, "prev": "ab" + strings.Repeat("0", 62), "hash": r.Hash.String(),
			"body": body, "code": "KF1001I", "site": "hq", "node": "n1", "user": "zoë",
			"token": map[string]any{"serial": "000123456789", "kind": "totp", "drift": -1.0},
			"door":  "radius", "client": "vpn-1", "source_ip": "192.0.2.17", "outcome": "accept",
			"reference": "K7QF-2M", "actor": "root", "note": `she said "now"`,
		},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	if got, want := Subject(r), "keyfob.audit.hq.auth.accepted"; got != want {
		t.Errorf("subject %s, want %s", got, want)
	}
}

func TestEveryEventIsShownInCanonicalForm(t *testing.T) {
	for _, c := range kinds {
		for _, e := range []Event{filled(c), empty(c)} {
			if _, founds := e.(ClusterFounded); founds {
				continue // names another cluster; the golden files have it
			}
			checkCloudEvent(t, Record{Sequence: 3, Index: 1, Time: 5, Draft: Draft{fullOrigin(), e}})
		}
		var d Data
		filled(c).describe(&d)
		if !sort.SliceIsSorted(d.Detail, func(i, j int) bool { return d.Detail[i].Name < d.Detail[j].Name }) {
			t.Errorf("%s: details are not in order of name: %v", c.wireType, d.Detail)
		}
	}
}

func TestNothingSealedIsShown(t *testing.T) {
	for _, e := range []Event{
		TokenImported{Serial: "1", Sealed: []byte("canary")},
		PINSet{Serial: "1", Sealed: []byte("canary")},
		ClientAdded{Client: "1", Sealed: []byte("canary")},
		ClientSecretRotated{Client: "1", Sealed: []byte("canary")},
		ClusterFounded{Cluster: "c1", Sealed: []byte("canary")},
		RootKeyRotated{Boxes: []KeyBox{{"n1", []byte("canary")}}, Recovery: []KeyBox{{"r", []byte("canary")}}},
		RecordsResealed{Values: []Resealed{{Sealed: []byte("canary")}}},
	} {
		out := CloudEvent("c1", new(Chain).Next(1, 1, Draft{Event: e}))
		for _, form := range []string{"canary", "63616e617279", "Y2FuYXJ5"} {
			if bytes.Contains(out, []byte(form)) {
				t.Errorf("%T shows what is sealed: %s", e, out)
			}
		}
	}
}

func TestHostileTextBecomesOneCleanMessage(t *testing.T) {
	for name, text := range map[string]string{
		"line ends":     "a\r\nb\u2028c\u2029d\u0085e",
		"ANSI":          "\x1b[31mred\x1b[0m\x9b31m",
		"JSON":          `"}],"data":{"hash":"` + `\u0000\`,
		"bidi":          "\u202egro.elpmaxe\u2066\u200f",
		"not UTF-8":     "\xff\xfe\xc3(\xed\xa0\x80\xf4\x90\x80\x80",
		"long":          strings.Repeat("x", 64<<10),
		"long in runes": strings.Repeat("€", 30<<10),
		"long, broken":  strings.Repeat("\x80", 64<<10),
		"NUL":           "\x00\x7f",
	} {
		t.Run(name, func(t *testing.T) {
			o := Origin{Reference: text, Node: text, Site: text, Door: Door(text), Client: text, SourceIP: text, Actor: text, Note: text}
			r := Record{Sequence: 3, Draft: Draft{o, PasscodeRejected{User: text, Serial: text, Kind: text, Reason: Reason(text)}}}
			checkCloudEvent(t, r)
			checkCloudEvent(t, Record{Sequence: 3, Draft: Draft{o, PolicyChanged{Key: text, Before: text, After: text}}})
			if out := CloudEvent(text, r); len(out) > 48<<10 {
				t.Errorf("%d bytes", len(out))
			}
		})
	}
}

func TestSubjectsHoldNothingOfAUser(t *testing.T) {
	for site, want := range map[string]string{
		"":           "default",
		"HQ":         "hq",
		"a.b *>\n\t": "a-b-----",
		"zürich":     "z-rich",
		"$JS.API":    "-js-api",
		"\xff_x-1":   "-_x-1",
	} {
		r := Record{Draft: Draft{Origin{Site: site, Client: "c"}, PasscodeRejected{User: "x.>.*", Reason: ReasonBadPIN}}}
		if got := Subject(r); got != "keyfob.audit."+want+".auth.rejected" {
			t.Errorf("site %q: subject %s", site, got)
		}
	}
	long := Subject(Record{Draft: Draft{Origin{Site: strings.Repeat("ü", 5000)}, UserAdded{}}})
	if len(long) > 128 {
		t.Errorf("a subject of %d bytes", len(long))
	}
}

func FuzzShownText(f *testing.F) {
	f.Add("a\xff\u202e\"\\", "hq")
	f.Fuzz(func(t *testing.T, text, site string) {
		checkCloudEvent(t, Record{Sequence: 1, Draft: Draft{Origin{Site: site, Note: text}, UserAdded{User: text}}})
	})
}

func BenchmarkNext(b *testing.B) {
	d := benchBatch().Drafts[0]
	chain := Chain{Cluster: "0a1b"}
	b.ReportAllocs()
	for range b.N {
		chain.Next(1, 1_795_000_000_123, d)
	}
}

func BenchmarkCloudEvent(b *testing.B) {
	r := new(Chain).Next(1, 1_795_000_000_123, benchBatch().Drafts[0])
	b.ReportAllocs()
	for range b.N {
		CloudEvent("0a1b", r)
	}
}
