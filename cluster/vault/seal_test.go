package vault

import (
	"bytes"
	"encoding/hex"
	"errors"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

var seedOfToken = Identity{"tokens", "000123456789", "seed"}

func TestSealedValueOpensOnlyInItsPlace(t *testing.T) {
	root := testRoot(t)
	here, elsewhere := testVault(t, root, cluster), testVault(t, root, "another")
	sealed := here.Seal(Seeds, seedOfToken, []byte("seed"))

	for _, tc := range []struct {
		name    string
		vault   *Vault
		purpose Purpose
		id      Identity
		opens   bool
	}{
		{"its place", here, Seeds, seedOfToken, true},
		{"its place on another node", testVault(t, root, cluster), Seeds, seedOfToken, true},
		{"another record", here, Seeds, Identity{"tokens", "000123456780", "seed"}, false},
		{"another table", here, Seeds, Identity{"clients", "000123456789", "seed"}, false},
		{"another field", here, Seeds, Identity{"tokens", "000123456789", "pin"}, false},
		{"another purpose", here, PINs, seedOfToken, false},
		{"another cluster", elsewhere, Seeds, seedOfToken, false},
		{"letters moved between table and record", here, Seeds, Identity{"tokens0", "00123456789", "seed"}, false},
		{"letters moved between record and field", here, Seeds, Identity{"tokens", "000123456789s", "eed"}, false},
		{"no place", here, Seeds, Identity{}, false},
	} {
		t.Run(tc.name, func(t *testing.T) {
			got, err := tc.vault.Open(tc.purpose, tc.id, sealed)
			switch {
			case tc.opens && (err != nil || string(got) != "seed"):
				t.Errorf("opened as %q, %v", got, err)
			case !tc.opens && (!errors.Is(err, ErrDamaged) || got != nil):
				t.Errorf("opened as %q, %v", got, err)
			}
		})
	}
}

func TestAnyFlippedBitIsDetected(t *testing.T) {
	v := testVault(t, testRoot(t), cluster)
	sealed := v.Seal(Seeds, seedOfToken, []byte("sixteen bytes ok"))
	for bit := range len(sealed) * 8 {
		flipped := slices.Clone(sealed)
		flipped[bit/8] ^= 1 << (bit % 8)
		if got, err := v.Open(Seeds, seedOfToken, flipped); !errors.Is(err, ErrDamaged) || got != nil {
			t.Errorf("bit %d: opened as %q, %v", bit, got, err)
		}
	}
}

func TestAnyTruncationIsDetected(t *testing.T) {
	v := testVault(t, testRoot(t), cluster)
	sealed := v.Seal(Seeds, seedOfToken, []byte("seed"))
	for n := range len(sealed) {
		for _, cut := range [][]byte{sealed[:n], sealed[n+1:]} {
			if got, err := v.Open(Seeds, seedOfToken, cut); !errors.Is(err, ErrDamaged) || got != nil {
				t.Errorf("%d bytes: opened as %q, %v", len(cut), got, err)
			}
		}
	}
	if _, err := v.Open(Seeds, seedOfToken, append(sealed, 0)); !errors.Is(err, ErrDamaged) {
		t.Errorf("one byte more: %v", err)
	}
}

func TestSealingTwiceHasNothingInCommon(t *testing.T) {
	v := testVault(t, testRoot(t), cluster)
	a, b := v.Seal(Seeds, seedOfToken, []byte("seed")), v.Seal(Seeds, seedOfToken, []byte("seed"))
	if bytes.Equal(a[headerSize:headerSize+12], b[headerSize:headerSize+12]) {
		t.Error("the nonce is used twice")
	}
	if len(a) != len("seed")+30 {
		t.Errorf("%d bytes longer, not 30", len(a)-len("seed"))
	}
}

// A sealed value opens at its own place and at no other.
func TestPlacesDoNotCollide(t *testing.T) {
	v := testVault(t, testRoot(t), cluster)
	place := rapid.Custom(func(t *rapid.T) Identity {
		part := rapid.StringMatching(`[ab\x00\x01]{0,3}`)
		return Identity{part.Draw(t, "table"), part.Draw(t, "record"), part.Draw(t, "field")}
	})
	purpose := rapid.Map(rapid.IntRange(0, int(purposes)-1), func(i int) Purpose { return Purpose(i) })
	rapid.Check(t, func(t *rapid.T) {
		plaintext := rapid.SliceOf(rapid.Byte()).Draw(t, "plaintext")
		from, to := place.Draw(t, "from"), place.Draw(t, "to")
		p, q := purpose.Draw(t, "purpose"), purpose.Draw(t, "other purpose")
		sealed := v.Seal(p, from, plaintext)
		if got, err := v.Open(p, from, sealed); err != nil || !bytes.Equal(got, plaintext) {
			t.Fatalf("opened as %x, %v", got, err)
		}
		if _, err := v.Open(q, to, sealed); (err == nil) != (p == q && from == to) {
			t.Fatalf("%v %v sealed, %v %v opened: %v", p, from, q, to, err)
		}
		moved, err := v.Move(p, from, to, sealed)
		if err != nil {
			t.Fatal(err)
		}
		if got, err := v.Open(p, to, moved); err != nil || !bytes.Equal(got, plaintext) {
			t.Fatalf("moved, opened as %x, %v", got, err)
		}
	})
}

func TestSealedValueHasOneText(t *testing.T) {
	v := testVault(t, testRoot(t), cluster)
	id := Identity{Table: "conversations", Record: "10.0.0.1"}
	text := v.SealText(Conversations, id, []byte("step 2"))
	if strings.Trim(text, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_") != "" {
		t.Errorf("%q is not base64url", text)
	}
	if got, err := v.OpenText(Conversations, id, text); err != nil || string(got) != "step 2" {
		t.Fatalf("opened as %q, %v", got, err)
	}

	// 36 bytes end on a full letter, 37 and 38 leave bits that base64 overlooks.
	for _, plaintext := range []string{"123456", "1234567", "12345678"} {
		text := v.SealText(Conversations, id, []byte(plaintext))
		for i := range len(text) {
			for c := range 256 {
				other := text[:i] + string([]byte{byte(c)}) + text[i+1:]
				if got, err := v.OpenText(Conversations, id, other); err == nil && other != text {
					t.Fatalf("letter %d as byte %d: opened as %q", i, c, got)
				}
			}
			for _, extra := range []string{"\n", "\r", "=", "A"} {
				if got, err := v.OpenText(Conversations, id, text[:i]+extra+text[i:]); !errors.Is(err, ErrDamaged) {
					t.Fatalf("with %q at %d: opened as %q, %v", extra, i, got, err)
				}
			}
		}
	}
}

func TestValuesSealedByEveryReleaseOpen(t *testing.T) {
	v := testVault(t, testRoot(t), cluster)
	for _, tc := range []struct{ release, sealed, want string }{
		{"1", "0101c6320607d041fe42f9309233acca5288786ce385777ba0f424c7149dedefe2fbf44b1918844ecfb2e109b36f", "sixteen bytes ok"},
	} {
		sealed, err := hex.DecodeString(tc.sealed)
		if err != nil {
			t.Fatal(err)
		}
		if got, err := v.Open(Seeds, seedOfToken, sealed); err != nil || string(got) != tc.want {
			t.Errorf("release %s: opened as %q, %v", tc.release, got, err)
		}
	}
}

func FuzzNothingButWhatWasSealedOpens(f *testing.F) {
	v := testVault(f, testRoot(f), cluster)
	f.Add(v.Seal(Seeds, seedOfToken, nil), "")
	f.Add([]byte{formatRecord, 1}, v.SealText(Seeds, seedOfToken, []byte("x")))
	f.Fuzz(func(t *testing.T, sealed []byte, text string) {
		if got, err := v.Open(PINs, seedOfToken, sealed); err == nil {
			t.Errorf("opened as %q", got)
		}
		if got, err := v.OpenText(PINs, seedOfToken, text); err == nil {
			t.Errorf("opened as %q", got)
		}
	})
}

func BenchmarkSeal(b *testing.B) {
	v := testVault(b, testRoot(b), cluster)
	seed := make([]byte, 16)
	b.ReportAllocs()
	for b.Loop() {
		v.Seal(Seeds, seedOfToken, seed)
	}
}

func BenchmarkOpen(b *testing.B) {
	v := testVault(b, testRoot(b), cluster)
	sealed := v.Seal(Seeds, seedOfToken, make([]byte, 16))
	b.ReportAllocs()
	for b.Loop() {
		if _, err := v.Open(Seeds, seedOfToken, sealed); err != nil {
			b.Fatal(err)
		}
	}
}
