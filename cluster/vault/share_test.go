package vault

import (
	"bytes"
	"crypto/rand"
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/cloudflare/circl/group"
	"github.com/cloudflare/circl/math/polynomial"
)

func splitKey(t *testing.T, key RecoveryKey, shares, threshold int) []RecoveryShare {
	t.Helper()
	split, err := key.Split(rand.Reader, shares, threshold)
	if err != nil {
		t.Fatal(err)
	}
	return split
}

func reveal(t *testing.T, s RecoveryShare) string {
	t.Helper()
	text, err := s.Reveal()
	if err != nil {
		t.Fatal(err)
	}
	return text
}

// gather types shares in the order of their indexes.
func gather(t *testing.T, shares []RecoveryShare, picked ...int) (*RecoveryReader, error) {
	t.Helper()
	r := &RecoveryReader{}
	for _, i := range picked {
		if err := r.Add(reveal(t, shares[i])); err != nil {
			return r, err
		}
	}
	return r, nil
}

func TestAnyThresholdOfSharesGivesTheKey(t *testing.T) {
	key, text := newRecovery(t)
	shares := splitKey(t, key, 5, 3)
	for a := range shares {
		for b := range shares {
			for c := range shares {
				if a == b || b == c || a == c {
					continue
				}
				r, err := gather(t, shares, a, b, c)
				if err != nil {
					t.Fatalf("shares %d, %d, %d: %v", a, b, c, err)
				}
				got, err := r.Key()
				if err != nil {
					t.Fatal(err)
				}
				if again, err := got.Reveal(); err != nil || again != text || r.Missing() != 0 {
					t.Fatalf("shares %d, %d, %d give another key: %v", a, b, c, err)
				}
			}
		}
	}
}

func TestFewerSharesGiveNothing(t *testing.T) {
	key, _ := newRecovery(t)
	shares := splitKey(t, key, 5, 3)
	r, err := gather(t, shares, 4, 0)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := r.Key(); err == nil || r.Missing() != 1 || !strings.Contains(err.Error(), "1 of the 3 shares") {
		t.Errorf("two of three: %v", err)
	}
}

// Perfect secrecy (Shamir 1979): with one share fewer than the threshold, every other
// secret is as possible as the right one. For each there is a last share that gives it.
func TestFewerSharesFitEverySecret(t *testing.T) {
	key, _ := newRecovery(t)
	share := splitKey(t, key, 2, 2)[0]
	for range 3 {
		other := group.P256.RandomNonZeroScalar(rand.Reader)
		number := func(i uint64) group.Scalar { return group.P256.NewScalar().SetUint64(i) }
		line := polynomial.NewLagrangePolynomial([]group.Scalar{number(0), number(1)}, []group.Scalar{other, share.value})
		seed, err := other.MarshalBinary()
		if err != nil {
			t.Fatal(err)
		}
		candidate, err := recoveryKeyOf(seed)
		if err != nil {
			t.Fatal(err)
		}
		name := candidate.Public().name()
		first := RecoveryShare{Number: 1, Threshold: 2, key: name, value: share.value}
		last := RecoveryShare{Number: 2, Threshold: 2, key: name, value: line.Evaluate(number(2))}
		got, err := combine([]RecoveryShare{first, last})
		if err != nil || got.Public().Name() != candidate.Public().Name() {
			t.Errorf("the share excludes a secret: %v", err)
		}
	}
}

func TestWrongSharesAreRefused(t *testing.T) {
	key, text := newRecovery(t)
	shares, again := splitKey(t, key, 3, 2), splitKey(t, key, 3, 2)
	other, _ := newRecovery(t)
	first := reveal(t, shares[0])
	forged := shares[1]
	forged.value = group.P256.RandomScalar(rand.Reader)
	for name, c := range map[string]struct{ add, want string }{
		"the same one twice":        {first, "share 1 was given already"},
		"of another key":            {reveal(t, splitKey(t, other, 3, 2)[1]), "is a share of recovery key " + other.Public().Name()},
		"of another threshold":      {reveal(t, splitKey(t, key, 3, 3)[1]), "another splitting"},
		"of another splitting":      {reveal(t, again[1]), "do not give recovery key " + key.Public().Name()},
		"a changed value":           {reveal(t, forged), "do not give recovery key " + key.Public().Name()},
		"a typing error":            {reveal(t, shares[1])[:70] + "AAAAAAA", ""},
		"a whole key":               {text, "a share is wanted"},
		"something else":            {"KFS-AAAA", "incomplete"},
		"a number that cannot be":   {spell(sharePrefix, make([]byte, shareHead+recoverySeed)), "not made by this program"},
		"a value that is too large": {spell(sharePrefix, bytes.Repeat([]byte{255}, shareHead+recoverySeed)), "decoding share"},
	} {
		r := &RecoveryReader{}
		if err := r.Add(first); err != nil {
			t.Fatal(err)
		}
		err := r.Add(c.add)
		if err == nil || !strings.Contains(err.Error(), c.want) || strings.Contains(err.Error(), c.add) {
			t.Errorf("%s: %v, want it to say %q", name, err, c.want)
		}
		if _, err := r.Key(); err == nil {
			t.Errorf("%s gave a key", name)
		}
	}
}

// Of all single exchanged characters none passes the checksum.
func TestTypingErrorsInAShareAreDetected(t *testing.T) {
	key, _ := newRecovery(t)
	text := reveal(t, splitKey(t, key, 3, 2)[1])
	for i := len(sharePrefix); i < len(text); i++ {
		if text[i] == '-' {
			continue
		}
		letter := byte('A')
		if text[i] == letter {
			letter = 'C'
		}
		if _, err := ParseRecoveryShare(text[:i] + string(letter) + text[i+1:]); err == nil {
			t.Fatalf("character %d was exchanged, and nobody noticed", i)
		}
	}
}

func TestShareSaysWhatItIs(t *testing.T) {
	key, _ := newRecovery(t)
	for i, s := range splitKey(t, key, 3, 2) {
		got, err := ParseRecoveryShare(strings.ToLower(strings.ReplaceAll(reveal(t, s), "-", " ")))
		if err != nil || got.Number != i+1 || got.Threshold != 2 || got.Key() != key.Public().Name() {
			t.Errorf("share %d of key %s was read as %d of %s: %v", i+1, key.Public().Name(), got.Number, got.Key(), err)
		}
		for _, format := range []string{"%v", "%s", "%#v", "%+v"} {
			if printed := fmt.Sprintf(format, s); printed != stars {
				t.Errorf("%s: %s", format, printed)
			}
		}
	}
}

func TestSplittingHasBounds(t *testing.T) {
	key, _ := newRecovery(t)
	for _, c := range [][2]int{{3, 1}, {2, 3}, {17, 2}, {0, 0}, {-1, -1}} {
		if _, err := key.Split(rand.Reader, c[0], c[1]); err == nil {
			t.Errorf("split into %d shares with threshold %d", c[0], c[1])
		}
	}
}

func TestBackupKeyOpensForEachRecoveryKeyAndNobodyElse(t *testing.T) {
	first, _ := newRecovery(t)
	second, _ := newRecovery(t)
	stranger, _ := newRecovery(t)
	backup, err := NewBackupKey(rand.Reader, "c1")
	if err != nil {
		t.Fatal(err)
	}
	place := Identity{"backups", "1", "tar"}
	var body bytes.Buffer
	w := backup.SealWriter(&body, place)
	root := testRoot(t)
	if _, err := root.WriteTo(w); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	for _, holder := range []RecoveryKey{first, second} {
		sealed, err := backup.SealTo(holder.Public())
		if err != nil {
			t.Fatal(err)
		}
		opened, err := OpenBackupKey(sealed, holder, rand.Reader, "c1")
		if err != nil {
			t.Fatal(err)
		}
		got, err := ReadRoot(opened.OpenReader(bytes.NewReader(body.Bytes()), place))
		if err != nil || !bytes.Equal(got.encode(), root.encode()) || root.Size() != int64(len(root.encode())) {
			t.Errorf("the root key comes back as another: %v", err)
		}
		if _, err := OpenBackupKey(sealed, stranger, rand.Reader, "c1"); !errors.Is(err, ErrDamaged) {
			t.Errorf("a stranger's key opens it: %v", err)
		}
		if _, err := OpenBackupKey(sealed, holder, rand.Reader, "c2"); !errors.Is(err, ErrDamaged) {
			t.Errorf("it opens as the key of another cluster: %v", err)
		}
		if _, err := OpenRootByRecovery(sealed, holder, "c1"); !errors.Is(err, ErrDamaged) {
			t.Errorf("the key of a backup opens as a root key: %v", err)
		}
	}
	v := testVault(t, root, "c1")
	if _, err := ReadRoot(v.OpenReader(bytes.NewReader(body.Bytes()), Snapshots, place)); !errors.Is(err, ErrDamaged) {
		t.Errorf("the cluster's root key opens a backup: %v", err)
	}
}

func FuzzRecoveryReader(f *testing.F) {
	f.Add("KFS-AAAA", "KFR-AAAA")
	f.Fuzz(func(t *testing.T, first, second string) {
		r := &RecoveryReader{}
		_ = r.Add(first)
		_ = r.Add(second)
		if _, err := r.Key(); (err == nil) != (r.Missing() == 0) {
			t.Fatalf("the key is there although %d are missing: %v", r.Missing(), err)
		}
	})
}
