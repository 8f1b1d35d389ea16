package vault

import (
	"bytes"
	"encoding/hex"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

const cluster = "keyfob-test"

// sequence is a source of bytes that counts: 0, 1, 2, …
type sequence byte

func (s *sequence) Read(p []byte) (int, error) {
	for i := range p {
		p[i] = byte(*s)
		*s++
	}
	return len(p), nil
}

func testRoot(t testing.TB) Root {
	t.Helper()
	root, err := NewRoot(new(sequence))
	if err != nil {
		t.Fatal(err)
	}
	return root
}

func testVault(t testing.TB, root Root, clusterID string) *Vault {
	t.Helper()
	v, err := Open(root, clusterID, DefaultConfig())
	if err != nil {
		t.Fatal(err)
	}
	return v
}

// The values were computed by another program, from the recipe. They are for
// ever: what was sealed under other keys does not open.
func TestKeysAreTheSameInEveryRelease(t *testing.T) {
	want := [purposes]string{
		Seeds:         "ce5e1e24b3e27de1e64a5430b01abc9e9acccf877048a6922acd2a0adb1791fd",
		PINs:          "9478ce7dc977213e79619d81a162bec9470d7238b4e2c5cd2e88e05c072a24a5",
		Clients:       "232ad288d556f743ca3f5ae87d781af72dd7b692b3ffa3be9a1dd7a552199a3d",
		Conversations: "73166497def26dae785e86b8998551eddea7724394b586a8f2ff4f50b1650bfd",
		Log:           "46d94e90abd7392a40f23453d3872487f1937be20d730ad24283b4a7bdb9e6af",
		Snapshots:     "034a403623c1e4f9e6c649a9b317cccd91ac143875ed031672e407007a934db8",
		Audit:         "c8c377ca2f078256ef4e0f5b16f2b79c9ea9586a432d8c3264c7932ba44e6e0c",
		Signing:       "23efa8b604c8a2d6a079b3b1e6f2e05ba080e686879bcd3455cdac22679a9955",
		CA:            "1fe687163467f3a0dc04d079fd98c875d4e210bc0613d457f3105769734a1f81",
		Roots:         "4e83396fd993819d378440406fc2ca5a18245fcf769184aca7f87b98a3990ea1",
	}
	root := testRoot(t)
	keys := purposeKeys(root.ring.keys[1], cluster, 1)
	for p := range purposes {
		if got := hex.EncodeToString(keys[p][:]); got != want[p] {
			t.Errorf("key of %v is %s, want %s", p, got, want[p])
		}
	}

	v := testVault(t, root, cluster)
	derived := v.Derive(Signing, "checkpoint")
	if got, want := hex.EncodeToString(derived[:]), "782bceef49021ae014a7485032a21999d159fcaeb54dd6c296dd15039965c888"; got != want {
		t.Errorf("Derive(Signing, checkpoint) is %s, want %s", got, want)
	}
	if got, want := v.Pseudonym("mallory"), "42bf09977a95d3d13078e0b78c0621c2"; got != want {
		t.Errorf("Pseudonym(mallory) is %s, want %s", got, want)
	}
}

func TestDerivedBytesDependOnPurposeLabelClusterAndVersion(t *testing.T) {
	root := testRoot(t)
	second, err := NewRootVersion(new(sequence), 2) // the same bytes again: the version alone differs
	if err != nil {
		t.Fatal(err)
	}
	rotated := root.With(second)
	seen := map[[32]byte]string{}
	for name, v := range map[string]*Vault{
		"here":      testVault(t, root, cluster),
		"elsewhere": testVault(t, root, "elsewhere"),
		"rotated":   testVault(t, rotated, cluster),
	} {
		for p := range purposes {
			for _, label := range []string{"", "account", "operator"} {
				what := fmt.Sprintf("%s, %v, %q", name, p, label)
				key := v.Derive(p, label)
				if other, ok := seen[key]; ok {
					t.Errorf("%s and %s derive the same", what, other)
				}
				seen[key] = what
			}
		}
	}
}

func TestVaultRefusesInvalidInput(t *testing.T) {
	root, wiped := testRoot(t), testRoot(t)
	wiped.Wipe()
	for name, open := range map[string]func() (*Vault, error){
		"no root":    func() (*Vault, error) { return Open(Root{}, cluster, DefaultConfig()) },
		"wiped root": func() (*Vault, error) { return Open(wiped, cluster, DefaultConfig()) },
		"no cluster": func() (*Vault, error) { return Open(root, "", DefaultConfig()) },
		"no config":  func() (*Vault, error) { return Open(root, cluster, Config{}) },
		"no randomness": func() (*Vault, error) {
			cfg := DefaultConfig()
			cfg.Random = strings.NewReader("too short")
			return Open(root, cluster, cfg)
		},
	} {
		if v, err := open(); err == nil || v != nil {
			t.Errorf("%s: opened", name)
		}
	}
}

func TestConfigReportsAllErrors(t *testing.T) {
	err := Config{Hashes: 0, Waiting: -1, Remembered: -2}.Validate()
	for _, want := range []string{"random", "hashes", "waiting", "remembered"} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("error %q does not mention %s", err, want)
		}
	}
	if err := DefaultConfig().Validate(); err != nil {
		t.Errorf("the default is refused: %v", err)
	}
}

func TestVaultAndRootPrintNoKeys(t *testing.T) {
	root := testRoot(t)
	random := new(sequence)
	*random = 100
	cfg := DefaultConfig()
	cfg.Random = random
	v, err := Open(root, cluster, cfg)
	if err != nil {
		t.Fatal(err)
	}
	inside := struct {
		root  Root
		vault *Vault
	}{root, v}
	ofMemory := make([]byte, keySize)
	*random = 100
	_, _ = random.Read(ofMemory)
	keys := [][]byte{root.ring.keys[1][:], ofMemory, v.ring.Load().keys[1][Seeds][:]}

	for _, verb := range []string{"%v", "%+v", "%#v", "%x", "%s", "%d"} {
		for _, value := range []any{root, &root, v, inside, &inside} {
			printed := fmt.Sprintf(verb, value)
			for _, key := range keys {
				for _, form := range []string{"%s", "%x", "%v", "%#v"} {
					shown := strings.Trim(strings.TrimPrefix(fmt.Sprintf(form, key), "[]byte"), "[]{}")
					if strings.Contains(printed, shown) {
						t.Errorf("%s of %T shows a key", verb, value)
					}
				}
			}
		}
	}
}

func TestRotation(t *testing.T) {
	first := testRoot(t)
	v, late := testVault(t, first, cluster), testVault(t, first, cluster)
	id := Identity{"tokens", "000123456789", "seed"}
	old := v.Seal(Seeds, id, []byte("seed"))
	begun := &bytes.Buffer{}
	stream := v.SealWriter(begun, Snapshots, id)

	second, err := NewRootVersion(bytes.NewReader(bytes.Repeat([]byte{7}, 32)), 2)
	if err != nil {
		t.Fatal(err)
	}
	add(t, v, second)
	if v.Primary() != 2 || late.Primary() != 1 {
		t.Errorf("the primary versions are %d and %d", v.Primary(), late.Primary())
	}
	renewed, err := v.Move(Seeds, id, id, old)
	if err != nil || renewed[1] != 2 {
		t.Fatalf("renewed under version %d, %v", renewed[1], err)
	}
	if _, err := late.Open(Seeds, id, renewed); !errors.Is(err, ErrDamaged) {
		t.Errorf("without the new version: %v", err)
	}
	if err := stream.Close(); err != nil || begun.Bytes()[1] != 1 {
		t.Errorf("a stream that was begun before is under version %d, %v", begun.Bytes()[1], err)
	}

	v.Forget(2)
	if _, err := v.Open(Seeds, id, old); !errors.Is(err, ErrDamaged) {
		t.Errorf("what a forgotten version sealed: %v", err)
	}
	if got, err := v.Open(Seeds, id, renewed); err != nil || string(got) != "seed" {
		t.Errorf("what was renewed: %q, %v", got, err)
	}
	add(t, late, second)
	if got, err := late.Open(Seeds, id, renewed); err != nil || string(got) != "seed" {
		t.Errorf("a node that was late opens %q, %v", got, err)
	}
	late.Forget(9)
	if diff := cmp.Diff([]byte{2}, late.Versions()); diff != "" {
		t.Errorf("the version that seals was forgotten (-want +got):\n%s", diff)
	}
}

func TestDerivedBytesCanBeHadUnderAnOlderVersion(t *testing.T) {
	root := testRoot(t)
	second, err := NewRootVersion(new(sequence), 2)
	if err != nil {
		t.Fatal(err)
	}
	v := testVault(t, root, cluster)
	derived, pseudonym := v.Derive(Signing, "x"), v.Pseudonym("x")
	add(t, v, second)
	if got, ok := v.DeriveUnder(1, Signing, "x"); !ok || got != derived || got == v.Derive(Signing, "x") {
		t.Error("version 1 derives something else after a rotation")
	}
	if got, ok := v.PseudonymUnder(1, "x"); !ok || hex.EncodeToString(got[:]) != pseudonym || pseudonym == v.Pseudonym("x") {
		t.Error("version 1 gives another pseudonym after a rotation")
	}
	if _, ok := v.DeriveUnder(3, Signing, "x"); ok {
		t.Error("a version that does not exist derives something")
	}
}

func add(t *testing.T, v *Vault, root Root) {
	t.Helper()
	if err := v.Add(root); err != nil {
		t.Fatal(err)
	}
}

// The tests of this package run once more in a process where everything that is
// not FIPS 140 is an error or a panic.
func TestEverythingWorksUnderStrictFIPS(t *testing.T) {
	const setting = "GODEBUG=fips140=only"
	if slices.Contains(os.Environ(), setting) {
		t.Skip("this is the second run")
	}
	cmd := exec.CommandContext(t.Context(), os.Args[0], "-test.short", "-test.run=^Test")
	cmd.Env = append(os.Environ(), setting)
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Errorf("under %s: %v\n%s", setting, err, out)
	}
}
