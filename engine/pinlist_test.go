package engine_test

import (
	"strings"
	"testing"

	"keyfob/engine"
)

func TestSitesListOfPINsReplacesTheBuiltInOne(t *testing.T) {
	list, err := engine.ReadPINList(strings.NewReader("# ours\n471108\n\n Secret12 \n"))
	if err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct {
		pin     string
		common  engine.PINList
		refused bool
	}{
		{"471108", nil, false},
		{"471108", list, true},
		{"159753", nil, true},
		{"159753", list, false},
		{"111111", list, true}, // a repeat is refused even if the list lacks it
	} {
		w := given(t, "user ada", "token a1 user=ada")
		w.common = tt.common
		w.do(strings.Fields("login ada <code>"))
		got := w.do([]string{"answer", tt.pin, tt.pin})
		if refused := strings.Contains(got, "pin_common") || strings.Contains(got, "pin_trivial"); refused != tt.refused {
			t.Errorf("%s with the list %v: %s", tt.pin, tt.common != nil, got)
		}
	}
	if _, err := engine.ReadPINList(strings.NewReader("1234\nnot a pin\n")); err == nil || strings.Contains(err.Error(), "not a") {
		t.Errorf("a line without a PIN: %v", err)
	}
}
