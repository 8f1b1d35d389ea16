package vault

import (
	"bytes"
	"crypto/rand"
	"errors"
	"fmt"
	"strings"
	"testing"
)

func newRecovery(t *testing.T) (RecoveryKey, string) {
	t.Helper()
	key, err := NewRecoveryKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	text, err := key.Reveal()
	if err != nil {
		t.Fatal(err)
	}
	return key, text
}

func TestRecoveryKeyOpensTheRootKeySealedForIt(t *testing.T) {
	key, text := newRecovery(t)
	root, err := NewRoot(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	public, err := ParseRecoveryPublic(key.Public().Bytes())
	if err != nil {
		t.Fatal(err)
	}
	sealed, err := root.SealToRecovery(public, "c1")
	if err != nil {
		t.Fatal(err)
	}
	again, err := ParseRecoveryKey(text)
	if err != nil {
		t.Fatal(err)
	}
	opened, err := OpenRootByRecovery(sealed, again, "c1")
	if err != nil || !bytes.Equal(opened.encode(), root.encode()) {
		t.Fatalf("the root came back as another: %v", err)
	}
	other, _ := newRecovery(t)
	for name, try := range map[string]func() (Root, error){
		"another key":     func() (Root, error) { return OpenRootByRecovery(sealed, other, "c1") },
		"another cluster": func() (Root, error) { return OpenRootByRecovery(sealed, key, "c2") },
		"a flipped bit": func() (Root, error) {
			bad := bytes.Clone(sealed)
			bad[len(bad)-1] ^= 1
			return OpenRootByRecovery(bad, key, "c1")
		},
		"a piece": func() (Root, error) { return OpenRootByRecovery(sealed[:40], key, "c1") },
	} {
		if _, err := try(); !errors.Is(err, ErrDamaged) {
			t.Errorf("%s opens it: %v", name, err)
		}
	}
}

func TestRecoveryKeyMayBeTypedFreely(t *testing.T) {
	key, text := newRecovery(t)
	for name, typed := range map[string]string{
		"as it was shown": text,
		"lower case":      strings.ToLower(text),
		"no dashes":       strings.ReplaceAll(text, "-", ""),
		"lines":           strings.ReplaceAll(text, "-", "\n"),
		"digits":          strings.NewReplacer("O", "0", "I", "1", "B", "8").Replace(text),
	} {
		got, err := ParseRecoveryKey(typed)
		if err != nil || got.Public().Name() != key.Public().Name() {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestTypingErrorsInARecoveryKeyAreDetectedAndNotShown(t *testing.T) {
	_, text := newRecovery(t)
	for i := len(recoveryPrefix); i < len(text); i++ {
		if text[i] == '-' {
			continue
		}
		letter := byte('A')
		if text[i] == letter {
			letter = 'C'
		}
		_, err := ParseRecoveryKey(text[:i] + string(letter) + text[i+1:])
		if err == nil {
			t.Fatalf("letter %d was exchanged and nothing said", i)
		}
		if strings.Contains(err.Error(), text[8:16]) {
			t.Fatalf("the error shows the key: %v", err)
		}
	}
	for _, bad := range []string{"", "KFR-", text[:20], text + "A", "kf_token"} {
		if _, err := ParseRecoveryKey(bad); err == nil {
			t.Errorf("%q was taken for a key", bad)
		}
	}
}

func TestRecoveryKeyPrintsAsStars(t *testing.T) {
	key, _ := newRecovery(t)
	for _, format := range []string{"%v", "%s", "%#v", "%+v"} {
		if got := fmt.Sprintf(format, key); got != stars {
			t.Errorf("%s: %s", format, got)
		}
	}
}

func FuzzRecoveryKey(f *testing.F) {
	f.Add("KFR-AAAAAAAA")
	f.Fuzz(func(t *testing.T, text string) {
		key, err := ParseRecoveryKey(text)
		if err != nil {
			return
		}
		again, err := key.Reveal()
		if err != nil {
			t.Fatal(err)
		}
		if _, err := ParseRecoveryKey(again); err != nil {
			t.Fatalf("a key is not read as it was spelled: %v", err)
		}
	})
}

// A key is revealed and used in any order.
func TestRecoveryKeyIsRevealedMoreThanOnce(t *testing.T) {
	key, text := newRecovery(t)
	again, err := key.Reveal()
	if err != nil || again != text {
		t.Errorf("the second time it is another key: %v", err)
	}
}
