package events

import "testing"

func TestReferencesCanBeReadOut(t *testing.T) {
	for bytes, want := range map[[5]byte]string{
		{}:                             "0000-0000",
		{0xff, 0xff, 0xff, 0xff, 0xff}: "ZZZZ-ZZZZ",
		{0x00, 0x44, 0x32, 0x14, 0xc7}: "0123-4567",
	} {
		if got := SpellReference(bytes); got != want {
			t.Errorf("reference of %x is %s, want %s", bytes, got, want)
		}
		if got := (Request{bytes[0], bytes[1], bytes[2], bytes[3], bytes[4], 9}).Reference(); got != want {
			t.Errorf("reference of a request that begins with %x is %s, want %s", bytes, got, want)
		}
	}
}

func TestSpellingsOfAReferenceAreOne(t *testing.T) {
	want := CanonicalReference("7K3M-QX01")
	for _, text := range []string{"7k3m-qx01", "7K3MQX01", " 7k3m qxol ", "7K3M–QXOI", "7.k.3.m-q.x.0.1"} {
		if got := CanonicalReference(text); got != want {
			t.Errorf("%q is %q, want %q", text, got, want)
		}
	}
	if CanonicalReference("7K3M-QX02") == want || CanonicalReference("-- ") != "" {
		t.Error("different references are one")
	}
}
