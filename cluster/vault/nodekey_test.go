package vault

import (
	"bytes"
	"crypto/rand"
	"errors"
	"fmt"
	"testing"
)

func TestRootKeySealedForANodeOpensForThatNodeAlone(t *testing.T) {
	keys := make([]NodeKey, 2)
	for i := range keys {
		var err error
		if keys[i], err = NewNodeKey(); err != nil {
			t.Fatal(err)
		}
	}
	root, err := NewRoot(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	public, err := ParseNodePublic(keys[0].Public().Bytes())
	if err != nil {
		t.Fatal(err)
	}
	sealed, err := root.SealToNode(public, "c1", "n1.aa", 2)
	if err != nil {
		t.Fatal(err)
	}
	stored, err := keys[0].Bytes()
	if err != nil {
		t.Fatal(err)
	}
	own, err := ParseNodeKey(stored)
	if err != nil {
		t.Fatal(err)
	}
	opened, err := OpenRootByNode(sealed, own, "c1", "n1.aa", 2)
	if err != nil || !bytes.Equal(opened.encode(), root.encode()) {
		t.Fatalf("the root key does not open for its node: %v", err)
	}
	for name, try := range map[string]func() (Root, error){
		"another node's key": func() (Root, error) { return OpenRootByNode(sealed, keys[1], "c1", "n1.aa", 2) },
		"another cluster":    func() (Root, error) { return OpenRootByNode(sealed, own, "c2", "n1.aa", 2) },
		"another node":       func() (Root, error) { return OpenRootByNode(sealed, own, "c1", "n1.bb", 2) },
		"another version":    func() (Root, error) { return OpenRootByNode(sealed, own, "c1", "n1.aa", 1) },
		"a part":             func() (Root, error) { return OpenRootByNode(sealed[:40], own, "c1", "n1.aa", 2) },
	} {
		if _, err := try(); !errors.Is(err, ErrDamaged) {
			t.Errorf("%s opens it: %v", name, err)
		}
	}
	for _, format := range []string{"%v", "%s", "%#v", "%+v"} {
		if got := fmt.Sprintf(format, own); got != stars {
			t.Errorf("%s: %s", format, got)
		}
	}
}
