package api

import (
	"net/http"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"keyfob/engine"
	"keyfob/events"
)

func TestOnDemandTokenIsSealedAndGiven(t *testing.T) {
	f := newFake(t)
	f.put(t, engine.TableUsers, engine.User{Name: "bob"})
	call(t, f.api(t), RoleAdmin, post, "/tokens/ondemand", `{"reason":"r","serial":"0002","user":" Bob","mail":"bob@example.com"}`)
	want := []engine.Command{engine.ImportToken{
		Token: events.TokenImported{Serial: "0002", Kind: "ondemand", Digits: 8, Sealed: []byte("sealed seed of 0002")},
		User:  "bob",
	}}
	if diff := cmp.Diff(want, f.Commands()); diff != "" {
		t.Errorf("commands (-want +got):\n%s", diff)
	}
}

// TestOnDemandTokenThatCannotBeSentToHasAWarning at the command that adds it.
func TestOnDemandTokenThatCannotBeSentToHasAWarning(t *testing.T) {
	f := newFake(t)
	f.put(t, engine.TableTokens, engine.Token{Serial: "0002", Kind: engine.KindOnDemand, Digits: 8})
	f.sends = "mailto:"
	a := f.api(t)
	for address, want := range map[string]string{`"mail":"bob@example.com"`: "", `"phone":"+441632960961"`: "set ondemand.sms.url"} {
		status, body := call(t, a, RoleAdmin, post, "/tokens/ondemand", `{"reason":"r","serial":"0002","user":"bob",`+address+`}`)
		if got := decode[GivenToken](t, body).Warning; status != http.StatusCreated || (got == "") != (want == "") || !strings.Contains(got, want) {
			t.Errorf("%s: status %d, warned: %q, want %q", address, status, got, want)
		}
	}
}

func TestOnDemandTokenNeedsOneAddress(t *testing.T) {
	for name, c := range map[string]struct {
		mail, phone Secret
		want        string
	}{
		"mail":             {"bob@example.com", "", "mailto:bob@example.com"},
		"phone":            {"", "+44 (1632) 960-961", "tel:+441632960961"},
		"neither":          {"", "", ""},
		"both":             {"bob@example.com", "+441632960961", ""},
		"two addresses":    {"bob@example.com, eve@example.com", "", ""},
		"a name around it": {"Bob <bob@example.com>", "", ""},
		"a header more":    {"bob@example.com\r\nBcc: eve@example.com", "", ""},
		"no country":       {"", "01632 960961", ""},
		"too long":         {"", "+4416329609611234", ""},
		"a letter":         {"", "+44163296096l", ""},
	} {
		got, err := AddOnDemandTokenRequest{Mail: c.mail, Phone: c.phone}.address()
		if got.Reveal() != c.want || (err == nil) != (c.want != "") {
			t.Errorf("%s: %q, %v, want %q", name, got.Reveal(), err, c.want)
		}
	}
}

func TestWrongAddressIsNotRepeated(t *testing.T) {
	f := newFake(t)
	status, body := call(t, f.api(t), RoleAdmin, post, "/tokens/ondemand", `{"reason":"r","serial":"0002","user":"bob","mail":"bob at home"}`)
	if status != http.StatusUnprocessableEntity || strings.Contains(body, "at home") || len(f.Commands()) != 0 {
		t.Errorf("status %d: %s; %d commands", status, body, len(f.Commands()))
	}
}
