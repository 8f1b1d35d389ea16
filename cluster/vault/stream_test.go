package vault

import (
	"bytes"
	"encoding/hex"
	"errors"
	"io"
	"slices"
	"testing"
	"testing/iotest"
)

var snapshot = Identity{Table: "snapshots", Record: "12-345"}

const sealedChunk = chunkSize + overheadSize

// plaintext is n bytes that differ from chunk to chunk.
func plaintext(n int) []byte {
	out := make([]byte, n)
	for i := range out {
		out[i] = byte(i ^ i>>8 ^ i>>16)
	}
	return out
}

func sealStream(t testing.TB, v *Vault, plain []byte, step int) []byte {
	t.Helper()
	var out bytes.Buffer
	w := v.SealWriter(&out, Snapshots, snapshot)
	for part := range slices.Chunk(plain, step) {
		if n, err := w.Write(part); err != nil || n != len(part) {
			t.Fatalf("wrote %d of %d: %v", n, len(part), err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return out.Bytes()
}

func openStream(v *Vault, sealed []byte) ([]byte, error) {
	return io.ReadAll(v.OpenReader(bytes.NewReader(sealed), Snapshots, snapshot))
}

func TestSealedStreamOpensAtAnyLength(t *testing.T) {
	v := testVault(t, testRoot(t), cluster)
	for _, size := range []int{0, 1, chunkSize - 1, chunkSize, chunkSize + 1, 2 * chunkSize, 3*chunkSize + 17} {
		for _, step := range []int{1000, chunkSize, 5 * chunkSize} {
			plain := plaintext(size)
			sealed := sealStream(t, v, plain, step)
			whole := max(1, (size+chunkSize-1)/chunkSize)
			if want := headerSize + saltSize + size + whole*overheadSize; len(sealed) != want {
				t.Errorf("%d bytes are sealed in %d, not %d", size, len(sealed), want)
			}
			if got, err := openStream(v, sealed); err != nil || !bytes.Equal(got, plain) {
				t.Errorf("%d bytes written by %d: opened as %d bytes, %v", size, step, len(got), err)
			}
		}
	}
}

func TestSealedStreamIsAValidReader(t *testing.T) {
	v := testVault(t, testRoot(t), cluster)
	plain := plaintext(2*chunkSize + 5)
	sealed := sealStream(t, v, plain, 4096)
	if err := iotest.TestReader(v.OpenReader(iotest.DataErrReader(bytes.NewReader(sealed)), Snapshots, snapshot), plain); err != nil {
		t.Error(err)
	}
}

func TestSealedStreamOpensOnlyInItsPlace(t *testing.T) {
	root := testRoot(t)
	v := testVault(t, root, cluster)
	sealed := sealStream(t, v, plaintext(100), 100)
	for name, r := range map[string]io.Reader{
		"another snapshot": v.OpenReader(bytes.NewReader(sealed), Snapshots, Identity{Table: "snapshots", Record: "12-346"}),
		"another purpose":  v.OpenReader(bytes.NewReader(sealed), Log, snapshot),
		"another cluster":  testVault(t, root, "another").OpenReader(bytes.NewReader(sealed), Snapshots, snapshot),
	} {
		if got, err := io.ReadAll(r); !errors.Is(err, ErrDamaged) || len(got) != 0 {
			t.Errorf("%s: opened as %x, %v", name, got, err)
		}
	}
	if _, err := v.Open(Snapshots, snapshot, sealed); !errors.Is(err, ErrDamaged) {
		t.Errorf("as a record: %v", err)
	}
}

func TestAnyFlippedBitOfAStreamIsDetected(t *testing.T) {
	v := testVault(t, testRoot(t), cluster)
	sealed := sealStream(t, v, plaintext(20), 20)
	for bit := range len(sealed) * 8 {
		sealed[bit/8] ^= 1 << (bit % 8)
		if got, err := openStream(v, sealed); !errors.Is(err, ErrDamaged) || len(got) != 0 {
			t.Errorf("bit %d: opened as %x, %v", bit, got, err)
		}
		sealed[bit/8] ^= 1 << (bit % 8)
	}
}

func TestTamperedStreamDoesNotReachItsEnd(t *testing.T) {
	v := testVault(t, testRoot(t), cluster)
	plain := plaintext(3*chunkSize + 100)
	sealed, twin := sealStream(t, v, plain, chunkSize), sealStream(t, v, plain, chunkSize)
	head, c := split(sealed)
	_, d := split(twin)

	for name, forged := range map[string][]byte{
		"last chunk missing":        join(head, c[:3]...),
		"all chunks missing":        head,
		"first chunk missing":       join(head, c[1:]...),
		"cut within the last chunk": sealed[:len(sealed)-1],
		"cut within the header":     sealed[:headerSize],
		"nothing":                   nil,
		"two chunks exchanged":      join(head, c[1], c[0], c[2], c[3]),
		"a chunk twice":             join(head, c[0], c[0], c[1], c[2], c[3]),
		"a chunk of its twin":       join(head, c[0], d[1], c[2], c[3]),
		"the end of its twin":       join(head, c[0], c[1], c[2], d[3]),
		"the end twice":             join(head, append(slices.Clone(c), c[3])...),
		"a byte more":               append(slices.Clone(sealed), 0),
		"the twin after it":         append(slices.Clone(sealed), twin...),
	} {
		got, err := openStream(v, forged)
		if !errors.Is(err, ErrDamaged) {
			t.Errorf("%s: %v", name, err)
		}
		if !bytes.HasPrefix(plain, got) {
			t.Errorf("%s: bytes were returned that are not the beginning of the content", name)
		}
	}
}

// split cuts a sealed stream into its header and its chunks.
func split(sealed []byte) (head []byte, chunks [][]byte) {
	head = sealed[:headerSize+saltSize]
	return head, slices.Collect(slices.Chunk(sealed[len(head):], sealedChunk))
}

func join(head []byte, chunks ...[]byte) []byte {
	return append(slices.Clone(head), bytes.Join(chunks, nil)...)
}

func TestDiskErrorsAreNotReportedAsDamage(t *testing.T) {
	v := testVault(t, testRoot(t), cluster)
	sealed := sealStream(t, v, plaintext(2*chunkSize), chunkSize)
	broken := errors.New("disk is broken")
	for _, n := range []int{0, 5, headerSize + saltSize, 1000, headerSize + saltSize + sealedChunk, len(sealed)} {
		src := io.MultiReader(bytes.NewReader(sealed[:n]), iotest.ErrReader(broken))
		if _, err := io.ReadAll(v.OpenReader(src, Snapshots, snapshot)); !errors.Is(err, broken) || errors.Is(err, ErrDamaged) {
			t.Errorf("reading, after %d bytes: %v", n, err)
		}
		w := v.SealWriter(&brokenWriter{room: n, err: broken}, Snapshots, snapshot)
		_, err := w.Write(plaintext(2 * chunkSize))
		if closed := w.Close(); n < len(sealed) && (!errors.Is(closed, broken) || err != nil && !errors.Is(err, broken)) {
			t.Errorf("writing, after %d bytes: %v, then %v", n, err, closed)
		}
	}
}

// brokenWriter takes room bytes, then fails.
type brokenWriter struct {
	room int
	err  error
}

func (w *brokenWriter) Write(p []byte) (int, error) {
	if len(p) > w.room {
		return 0, w.err
	}
	w.room -= len(p)
	return len(p), nil
}

func TestClosedStreamRefusesWrites(t *testing.T) {
	v := testVault(t, testRoot(t), cluster)
	var out bytes.Buffer
	w := v.SealWriter(&out, Snapshots, snapshot)
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	size := out.Len()
	if n, err := w.Write([]byte("late")); err == nil || n != 0 {
		t.Errorf("wrote %d, %v", n, err)
	}
	if err := w.Close(); err == nil || out.Len() != size {
		t.Errorf("closed twice: %v", err)
	}
}

func TestStreamsSealedByEveryReleaseOpen(t *testing.T) {
	v := testVault(t, testRoot(t), cluster)
	for release, text := range map[string]string{
		"1": "0201676690ee35af1b39819be8a085dc9eeecc8dba36b907f762178d78e744e37bda1ad8481163beccd8db134f4b18f08a69e9f3607395e7ee0f92e35bf6e32afa9d2810bc",
	} {
		sealed, err := hex.DecodeString(text)
		if err != nil {
			t.Fatal(err)
		}
		if got, err := openStream(v, sealed); err != nil || string(got) != "the state of everything" {
			t.Errorf("release %s: opened as %q, %v", release, got, err)
		}
	}
}

// FuzzSealedStream is an attacker who has two streams of the same place and
// combines parts of them. Each three bytes of the script
// are a step: which, where, how far.
func FuzzSealedStream(f *testing.F) {
	v := testVault(f, testRoot(f), cluster)
	plain := plaintext(2*chunkSize + 50)
	sealed, twin := sealStream(f, v, plain, chunkSize), sealStream(f, v, plain, chunkSize)
	for step := range byte(6) {
		f.Add([]byte{step, 0, 1})
		f.Add([]byte{step, 1, 2, step, 7, 1})
	}
	f.Fuzz(func(t *testing.T, script []byte) {
		forged := slices.Clone(sealed)
		for step := range slices.Chunk(script[:min(len(script), 30)], 3) {
			if len(step) == 3 {
				forged = tamper(forged, twin, step[0], int(step[1]), int(step[2]))
			}
		}
		got, err := openStream(v, forged)
		genuine := bytes.Equal(forged, sealed) || bytes.Equal(forged, twin)
		if genuine != (err == nil) {
			t.Errorf("genuine %v, opened with %v", genuine, err)
		}
		if !bytes.HasPrefix(plain, got) {
			t.Error("bytes were returned that are not the beginning of the content")
		}
	})
}

func tamper(forged, twin []byte, step byte, where, far int) []byte {
	head, chunks := split(slices.Concat(forged, make([]byte, max(0, headerSize+saltSize-len(forged)))))
	i, j := where%max(1, len(chunks)), far%max(1, len(chunks))
	_, others := split(twin)
	switch {
	case step%6 == 0 && len(forged) > 0: // flip a bit
		forged[where*509%len(forged)] ^= 1 << (far % 8)
		return forged
	case step%6 == 1: // cut
		return forged[:where*517%(len(forged)+1)]
	case step%6 == 2: // add
		return append(forged, twin[:far]...)
	case step%6 == 3 && len(chunks) > 0: // exchange two chunks
		chunks[i], chunks[j] = chunks[j], chunks[i]
		return join(head, chunks...)
	case step%6 == 4 && len(chunks) > 0: // leave one out
		return join(head, slices.Delete(chunks, i, i+1)...)
	case step%6 == 5 && len(chunks) > 0: // take one from the twin
		chunks[i] = others[j%len(others)]
		return join(head, chunks...)
	}
	return forged
}

func BenchmarkSealWriter(b *testing.B) {
	v := testVault(b, testRoot(b), cluster)
	plain := plaintext(1 << 20)
	b.SetBytes(int64(len(plain)))
	for b.Loop() {
		w := v.SealWriter(io.Discard, Snapshots, snapshot)
		if _, err := w.Write(plain); err != nil {
			b.Fatal(err)
		}
		if err := w.Close(); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkOpenReader(b *testing.B) {
	v := testVault(b, testRoot(b), cluster)
	sealed := sealStream(b, v, plaintext(1<<20), chunkSize)
	b.SetBytes(1 << 20)
	for b.Loop() {
		if _, err := io.Copy(io.Discard, v.OpenReader(bytes.NewReader(sealed), Snapshots, snapshot)); err != nil {
			b.Fatal(err)
		}
	}
}
