package engine_test

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"keyfob/engine"
	"keyfob/events"
)

func TestTokenGetsTheDefaultsOfItsKind(t *testing.T) {
	for _, tt := range []struct{ given, want events.TokenImported }{
		{events.TokenImported{Kind: "totp"}, events.TokenImported{Kind: "totp", Algorithm: "SHA1", Digits: 6, Period: 30, PINStyle: "fob", Form: "fob"}},
		{events.TokenImported{Kind: "hotp"}, events.TokenImported{Kind: "hotp", Algorithm: "SHA1", Digits: 6, PINStyle: "fob", Form: "event"}},
		{events.TokenImported{Kind: "securid"}, events.TokenImported{Kind: "securid", Digits: 8, Period: 60, PINStyle: "fob", Form: "fob"}},
		{events.TokenImported{Kind: "securid", PINStyle: "pinpad"}, events.TokenImported{Kind: "securid", Digits: 8, Period: 60, PINStyle: "pinpad", Form: "pinpad"}},
		{events.TokenImported{Kind: "ondemand"}, events.TokenImported{Kind: "ondemand", Digits: 8}},
	} {
		if diff := cmp.Diff(tt.want, engine.WithDefaults(tt.given)); diff != "" {
			t.Errorf("%s (-want +got):\n%s", tt.given.Kind, diff)
		}
		tt.want.Serial, tt.want.Sealed = "1", []byte{1}
		if _, err := engine.Decide(engine.NewState(), events.Origin{}, engine.ImportToken{Token: tt.want}, 1); err != nil {
			t.Errorf("%s: the defaults are refused: %v", tt.given.Kind, err)
		}
	}
	whole := events.TokenImported{Kind: "totp", Algorithm: "SHA256", Digits: 8, Period: 60, PINStyle: "none", Form: "app"}
	if diff := cmp.Diff(whole, engine.WithDefaults(whole)); diff != "" {
		t.Errorf("what was given is changed (-want +got):\n%s", diff)
	}
}
