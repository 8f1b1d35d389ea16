package vault

import (
	"crypto/rand"
	"errors"
	"testing"
)

func TestBoxOpensForItsHolderWithTheVersionBefore(t *testing.T) {
	root := testRoot(t)
	next, err := NewRootVersion(new(sequence), 2)
	if err != nil {
		t.Fatal(err)
	}
	v := testVault(t, root, cluster)
	stranger, err := NewRoot(&[]sequence{9}[0])
	if err != nil {
		t.Fatal(err)
	}
	own, removed := nodeKey(t), nodeKey(t)
	box, err := v.BoxForNode(own.Public(), "n1.aa", next)
	if err != nil {
		t.Fatal(err)
	}
	got, err := v.OpenNodeBox(box, own, "n1.aa", 2)
	if err != nil {
		t.Fatal(err)
	}
	sameRoot(t, got, next)
	if got.Derive(cluster, Signing, "x") != testVault(t, next, cluster).Derive(Signing, "x") {
		t.Error("the root key derives something else than its vault")
	}

	forged, err := testVault(t, stranger, cluster).BoxForNode(own.Public(), "n1.aa", next)
	if err != nil {
		t.Fatal(err)
	}
	later, err := NewRootVersion(new(sequence), 3)
	if err != nil {
		t.Fatal(err)
	}
	for name, open := range map[string]func() (Root, error){
		"a removed node, which knows the version before": func() (Root, error) { return v.OpenNodeBox(box, removed, "n1.aa", 2) },
		"another node":    func() (Root, error) { return v.OpenNodeBox(box, own, "n1.bb", 2) },
		"another version": func() (Root, error) { return v.OpenNodeBox(box, own, "n1.aa", 3) },
		"a vault without the version before": func() (Root, error) {
			return testVault(t, later, cluster).OpenNodeBox(box, own, "n1.aa", 2)
		},
		"a box by somebody who knows only the public key": func() (Root, error) { return v.OpenNodeBox(forged, own, "n1.aa", 2) },
		"nothing": func() (Root, error) { return v.OpenNodeBox(nil, own, "n1.aa", 2) },
	} {
		if _, err := open(); !errors.Is(err, ErrDamaged) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestBoxOpensWithTheRecoveryKey(t *testing.T) {
	v := testVault(t, testRoot(t), cluster)
	next, err := NewRootVersion(new(sequence), 2)
	if err != nil {
		t.Fatal(err)
	}
	key, err := NewRecoveryKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	other, err := NewRecoveryKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	box, err := v.BoxForRecovery(key.Public(), next)
	if err != nil {
		t.Fatal(err)
	}
	got, err := v.OpenRecoveryBox(box, key, 2)
	if err != nil {
		t.Fatal(err)
	}
	sameRoot(t, got, next)
	if _, err := v.OpenRecoveryBox(box, other, 2); !errors.Is(err, ErrDamaged) {
		t.Errorf("another recovery key: %v", err)
	}
}

func nodeKey(t *testing.T) NodeKey {
	t.Helper()
	k, err := NewNodeKey()
	if err != nil {
		t.Fatal(err)
	}
	return k
}
