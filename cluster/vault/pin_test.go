package vault

import (
	"bytes"
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"sync"
	"testing"
	"testing/synctest"
)

const serial = "000123456789"

func sealPIN(t testing.TB, v *Vault, serial string, revision uint64, pin string) []byte {
	t.Helper()
	sealed, err := v.SealPIN(t.Context(), serial, revision, Secret(pin))
	if err != nil {
		t.Fatal(err)
	}
	return sealed
}

// fullGate makes every Argon2id on v fail with ErrBusy, so that an answer is one
// from memory.
func fullGate(v *Vault) {
	v.hashing = newLimiter(1, 0)
	v.hashing.admitted <- struct{}{}
}

func TestPINMatchesOnlyTheRightPIN(t *testing.T) {
	v := testVault(t, testRoot(t), cluster)
	sealed := sealPIN(t, v, serial, 3, "2468")
	for _, tc := range []struct {
		pin  string
		want bool
	}{
		{"2469", false},
		{"", false},
		{"24680", false},
		{"246", false},
		{string(bytes.Repeat([]byte("2"), maxPIN+1)), false},
		{"2468", true},
		{"2468", true},
		{"2469", false},
		{"2468", true},
	} {
		got, err := v.PINMatches(t.Context(), serial, 3, sealed, Secret(tc.pin))
		if err != nil || got != tc.want {
			t.Errorf("PIN %q: %v, %v", tc.pin, got, err)
		}
	}
}

func TestVerifiedPINIsAnsweredFromTheCache(t *testing.T) {
	v := testVault(t, testRoot(t), cluster)
	sealed := sealPIN(t, v, serial, 3, "2468")
	if ok, err := v.PINMatches(t.Context(), serial, 3, sealed, Secret("2468")); err != nil || !ok {
		t.Fatalf("%v, %v", ok, err)
	}
	fullGate(v)
	if ok, err := v.PINMatches(t.Context(), serial, 3, sealed, Secret("2468")); err != nil || !ok {
		t.Errorf("the right PIN: %v, %v", ok, err)
	}
	if ok, err := v.PINMatches(t.Context(), serial, 3, sealed, Secret("1357")); err != nil || ok {
		t.Errorf("a wrong PIN: %v, %v", ok, err)
	}
}

func TestChangedPINIsNotAnsweredFromTheCache(t *testing.T) {
	v := testVault(t, testRoot(t), cluster)
	sealed := sealPIN(t, v, serial, 3, "2468")
	again := sealPIN(t, v, serial, 3, "1357")
	next := sealPIN(t, v, serial, 4, "1357")
	if ok, err := v.PINMatches(t.Context(), serial, 3, sealed, Secret("2468")); err != nil || !ok {
		t.Fatalf("%v, %v", ok, err)
	}
	fullGate(v)
	for name, try := range map[string]func() (bool, error){
		"sealed again":   func() (bool, error) { return v.PINMatches(t.Context(), serial, 3, again, Secret("2468")) },
		"next revision":  func() (bool, error) { return v.PINMatches(t.Context(), serial, 4, next, Secret("2468")) },
		"wrong revision": func() (bool, error) { return v.PINMatches(t.Context(), serial, 4, sealed, Secret("2468")) },
		"another token":  func() (bool, error) { return v.PINMatches(t.Context(), "1", 3, sealed, Secret("2468")) },
	} {
		if ok, err := try(); err == nil || ok {
			t.Errorf("%s: %v, %v", name, ok, err)
		}
	}
}

func TestVerifiedPINIsAnsweredFromTheCacheAfterARotation(t *testing.T) {
	v := testVault(t, testRoot(t), cluster)
	sealed := sealPIN(t, v, serial, 3, "2468")
	if ok, err := v.PINMatches(t.Context(), serial, 3, sealed, Secret("2468")); err != nil || !ok {
		t.Fatalf("%v, %v", ok, err)
	}
	second, err := NewRootVersion(new(sequence), 2)
	if err != nil {
		t.Fatal(err)
	}
	add(t, v, second)
	renewed, err := v.Move(PINs, PINIdentity(serial, 3), PINIdentity(serial, 3), sealed)
	if err != nil {
		t.Fatal(err)
	}
	fullGate(v)
	if ok, err := v.PINMatches(t.Context(), serial, 3, renewed, Secret("2468")); err != nil || !ok {
		t.Errorf("the right PIN: %v, %v", ok, err)
	}
	if ok, err := v.PINMatches(t.Context(), serial, 3, renewed, Secret("1357")); err != nil || ok {
		t.Errorf("a wrong PIN: %v, %v", ok, err)
	}
}

func TestWrongPINIsNotCached(t *testing.T) {
	v := testVault(t, testRoot(t), cluster)
	sealed := sealPIN(t, v, serial, 3, "2468")
	if ok, err := v.PINMatches(t.Context(), serial, 3, sealed, Secret("1357")); err != nil || ok {
		t.Fatalf("%v, %v", ok, err)
	}
	if n := len(v.known.entries); n != 0 {
		t.Errorf("%d PINs are remembered", n)
	}
	if ok, err := v.PINMatches(t.Context(), serial, 3, sealed, Secret("2468")); err != nil || !ok {
		t.Errorf("the right PIN: %v, %v", ok, err)
	}
}

func TestPINStaysWithItsTokenAndRevision(t *testing.T) {
	v := testVault(t, testRoot(t), cluster)
	sealed := sealPIN(t, v, serial, 3, "2468")
	for name, id := range map[string]Identity{
		"another token":    PINIdentity("000123456780", 3),
		"another revision": PINIdentity(serial, 4),
	} {
		if _, err := v.Open(PINs, id, sealed); !errors.Is(err, ErrDamaged) {
			t.Errorf("%s: %v", name, err)
		}
	}
	moved, err := v.Move(PINs, PINIdentity(serial, 3), PINIdentity("000123456780", 1), sealed)
	if err != nil {
		t.Fatal(err)
	}
	if ok, err := v.PINMatches(t.Context(), "000123456780", 1, moved, Secret("2468")); err != nil || !ok {
		t.Errorf("a PIN that was moved on purpose: %v, %v", ok, err)
	}
}

func TestInvalidPINIsNotSealed(t *testing.T) {
	v := testVault(t, testRoot(t), cluster)
	for _, pin := range []Secret{nil, {}, bytes.Repeat([]byte("2"), maxPIN+1)} {
		if _, err := v.SealPIN(t.Context(), serial, 3, pin); err == nil {
			t.Errorf("%d bytes are sealed", len(pin))
		}
	}
	notAPIN := v.Seal(PINs, PINIdentity(serial, 3), []byte{2, 3})
	if ok, err := v.PINMatches(t.Context(), serial, 3, notAPIN, Secret("2468")); !errors.Is(err, ErrDamaged) || ok {
		t.Errorf("an unknown scheme: %v, %v", ok, err)
	}
}

func TestPINsSealedByEveryReleaseMatch(t *testing.T) {
	v := testVault(t, testRoot(t), cluster)
	for release, text := range map[string]string{
		"1": "0101dc180869c192775898a989ba20c1cc12df19a5806497fc6116325243d1258d76935c7dfbe5470bf6a8e8c6b64ea769a50a548e20546ecc711b446f320fccb5ea3bf5c4b6924263619f0a3a51a1",
	} {
		sealed, err := hex.DecodeString(text)
		if err != nil {
			t.Fatal(err)
		}
		if ok, err := v.PINMatches(t.Context(), serial, 3, sealed, Secret("2468")); err != nil || !ok {
			t.Errorf("release %s: %v, %v", release, ok, err)
		}
	}
}

func TestLimiterRefusesCallersBeyondItsQueue(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const working, waiting, callers = 2, 3, 9
		g := newLimiter(working, waiting)
		var (
			mu           sync.Mutex
			inside, peak int
			busy, served int
			wg           sync.WaitGroup
			finish       = make(chan struct{})
		)
		for range callers {
			wg.Go(func() {
				err := g.enter(t.Context())
				mu.Lock()
				if errors.Is(err, ErrBusy) {
					busy++
					mu.Unlock()
					return
				}
				inside++
				peak = max(peak, inside)
				mu.Unlock()
				<-finish
				mu.Lock()
				inside--
				served++
				mu.Unlock()
				g.leave()
			})
		}
		synctest.Wait()
		if inside != working || busy != callers-working-waiting {
			t.Errorf("%d work and %d were sent away, want %d and %d", inside, busy, working, callers-working-waiting)
		}
		close(finish)
		wg.Wait()
		if peak != working || served != working+waiting {
			t.Errorf("%d at once, %d served, want %d and %d", peak, served, working, working+waiting)
		}
		if err := g.enter(t.Context()); err != nil {
			t.Errorf("the gate does not open again: %v", err)
		}
	})
}

func TestLimiterReleasesCallersWhoseContextEnds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := newLimiter(1, 1)
		if err := g.enter(t.Context()); err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithCancel(t.Context())
		result := make(chan error)
		go func() { result <- g.enter(ctx) }()
		synctest.Wait()
		if err := g.enter(t.Context()); !errors.Is(err, ErrBusy) {
			t.Errorf("with a full queue: %v", err)
		}
		cancel()
		if err := <-result; !errors.Is(err, context.Canceled) {
			t.Errorf("after its caller left: %v", err)
		}

		go func() { result <- g.enter(t.Context()) }()
		synctest.Wait()
		g.leave()
		if err := <-result; err != nil {
			t.Errorf("the place in the queue is lost: %v", err)
		}
		g.leave()
		for range 20 { // a select would take either
			if err := g.enter(ctx); !errors.Is(err, context.Canceled) {
				t.Fatalf("with a caller who left before: %v", err)
			}
		}
	})
}

func TestPINErrorsGiveNoAnswer(t *testing.T) {
	v := testVault(t, testRoot(t), cluster)
	sealed := sealPIN(t, v, serial, 3, "2468")
	gone, cancel := context.WithCancel(t.Context())
	cancel()
	if ok, err := v.PINMatches(gone, serial, 3, sealed, Secret("2468")); !errors.Is(err, context.Canceled) || ok {
		t.Errorf("caller gone: %v, %v", ok, err)
	}
	fullGate(v)
	if ok, err := v.PINMatches(t.Context(), serial, 3, sealed, Secret("2468")); !errors.Is(err, ErrBusy) || ok {
		t.Errorf("busy: %v, %v", ok, err)
	}
	if _, err := v.SealPIN(t.Context(), serial, 3, Secret("2468")); !errors.Is(err, ErrBusy) {
		t.Errorf("sealing while busy: %v", err)
	}
	sealed[len(sealed)-1] ^= 1
	if ok, err := v.PINMatches(t.Context(), serial, 3, sealed, Secret("2468")); !errors.Is(err, ErrDamaged) || ok {
		t.Errorf("damaged: %v, %v", ok, err)
	}
}

func TestPINVerifiedWhileWaitingIsNotHashedAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		v := testVault(t, testRoot(t), cluster)
		sealed := sealPIN(t, v, serial, 3, "2468")
		v.hashing = newLimiter(1, 1)
		if err := v.hashing.enter(t.Context()); err != nil {
			t.Fatal(err)
		}
		answer := make(chan bool)
		go func() {
			ok, err := v.PINMatches(t.Context(), serial, 3, sealed, Secret("2468"))
			answer <- ok && err == nil
		}()
		synctest.Wait()
		// A lie, so that the answer tells where it comes from.
		record, err := v.openPIN(serial, 3, sealed)
		if err != nil {
			t.Fatal(err)
		}
		v.known.store(v.known.entry(serial, 3, record, Secret("1357")))
		v.hashing.leave()
		if <-answer {
			t.Error("it was hashed")
		}
	})
}

func TestPINsAreVerifiedConcurrently(t *testing.T) {
	v := testVault(t, testRoot(t), cluster)
	sealed := sealPIN(t, v, serial, 3, "2468")
	var wg sync.WaitGroup
	for i := range 8 {
		wg.Go(func() {
			right := i%2 == 0
			pin := Secret("1357")
			if right {
				pin = Secret("2468")
			}
			if ok, err := v.PINMatches(t.Context(), serial, 3, sealed, pin); err != nil || ok != right {
				t.Errorf("caller %d: %v, %v", i, ok, err)
			}
		})
	}
	wg.Wait()
}

func TestPINCacheIsBounded(t *testing.T) {
	const limit = 8
	m, err := newPINCache(new(sequence), limit)
	if err != nil {
		t.Fatal(err)
	}
	for i := range 100 {
		pin := m.entry(fmt.Sprint(i), 1, []byte("sealed"), Secret("2468"))
		m.store(pin)
		m.store(pin)
		if known, same := m.lookup(pin); !known || !same {
			t.Fatalf("%d is forgotten at once", i)
		}
		if len(m.entries) != min(i+1, limit) {
			t.Fatalf("after %d there are %d", i+1, len(m.entries))
		}
	}

	none, err := newPINCache(new(sequence), 0)
	if err != nil {
		t.Fatal(err)
	}
	none.store(none.entry("1", 1, nil, Secret("2468")))
	if len(none.entries) != 0 {
		t.Error("with no room, something is remembered")
	}
}

func TestPINCacheOfAnotherProcessIsUseless(t *testing.T) {
	a, err := newPINCache(bytes.NewReader(bytes.Repeat([]byte{1}, 32)), 8)
	if err != nil {
		t.Fatal(err)
	}
	b, err := newPINCache(bytes.NewReader(bytes.Repeat([]byte{2}, 32)), 8)
	if err != nil {
		t.Fatal(err)
	}
	one, other := a.entry(serial, 1, []byte("sealed"), Secret("2468")), b.entry(serial, 1, []byte("sealed"), Secret("2468"))
	if one.sealed == other.sealed || one.pin == other.pin {
		t.Error("the digests are the same")
	}
}

func BenchmarkPINMatchesFast(b *testing.B) {
	v := testVault(b, testRoot(b), cluster)
	sealed := sealPIN(b, v, serial, 3, "2468")
	if ok, err := v.PINMatches(b.Context(), serial, 3, sealed, Secret("2468")); err != nil || !ok {
		b.Fatal(ok, err)
	}
	b.ReportAllocs()
	for b.Loop() {
		if ok, err := v.PINMatches(b.Context(), serial, 3, sealed, Secret("2468")); err != nil || !ok {
			b.Fatal(ok, err)
		}
	}
}

func BenchmarkPINMatchesSlow(b *testing.B) {
	v := testVault(b, testRoot(b), cluster)
	sealed := sealPIN(b, v, serial, 3, "2468")
	b.ReportAllocs()
	for b.Loop() {
		if ok, err := v.PINMatches(b.Context(), serial, 3, sealed, Secret("1357")); err != nil || ok {
			b.Fatal(ok, err)
		}
	}
}
