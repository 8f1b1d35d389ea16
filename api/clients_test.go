package api

import (
	"net/http"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"keyfob/engine"
	"keyfob/events"
)

var gateway = engine.Client{
	Name: "vpn", Prefix: netip.MustParsePrefix("192.0.2.0/24"), Secret: []byte("sealed"), Dialect: "rsa", MessageAuthenticator: "auto",
}

// TestClientCommandsOfTheAPI: a request, and the command that the node gets.
func TestClientCommandsOfTheAPI(t *testing.T) {
	text := func(s string) *string { return &s }
	no := false
	sealed := []byte("sealed secret of vpn")
	for name, c := range map[string]struct {
		method, path, body string
		status             int
		want               engine.Command
	}{
		"set one": {
			patch, "/clients/vpn", `{"reason":"r","dialect":"plain"}`, http.StatusOK,
			engine.SetClient{Change: events.ClientChanged{Client: "vpn", Dialect: text("plain")}},
		},
		"set all": {
			patch, "/clients/vpn", `{"reason":"r","prefix":"192.0.2.7","site":"","dialect":"rsa","message_authenticator":"require","trusted":false}`, http.StatusOK,
			engine.SetClient{Change: events.ClientChanged{
				Client: "vpn", Prefix: text("192.0.2.7/32"), Site: text(""), Dialect: text("rsa"), MessageAuthenticator: text("require"), Trusted: &no,
			}},
		},
		"set no address":         {patch, "/clients/vpn", `{"reason":"r","prefix":"here"}`, http.StatusUnprocessableEntity, nil},
		"set an unknown dialect": {patch, "/clients/vpn", `{"reason":"r","dialect":"latin"}`, http.StatusUnprocessableEntity, nil},
		"set a secret":           {patch, "/clients/vpn", `{"reason":"r","secret":"0123456789abcdef"}`, http.StatusUnprocessableEntity, nil},
		"rotate": {
			post, "/clients/vpn/rotate-secret", `{"reason":"r","secret":"0123456789abcdef"}`, http.StatusOK,
			engine.RotateClientSecret{Client: "vpn", Sealed: sealed, Overlap: 24 * time.Hour},
		},
		"rotate for an hour": {
			post, "/clients/vpn/rotate-secret", `{"reason":"r","secret":"0123456789abcdef","overlap_seconds":3600}`, http.StatusOK,
			engine.RotateClientSecret{Client: "vpn", Sealed: sealed, Overlap: time.Hour},
		},
		"rotate at once": {
			post, "/clients/vpn/rotate-secret", `{"reason":"r","secret":"0123456789abcdef","overlap_seconds":0}`, http.StatusOK,
			engine.RotateClientSecret{Client: "vpn", Sealed: sealed},
		},
		"rotate for the longest": {
			post, "/clients/vpn/rotate-secret", `{"reason":"r","secret":"0123456789abcdef","overlap_seconds":2592000}`, http.StatusOK,
			engine.RotateClientSecret{Client: "vpn", Sealed: sealed, Overlap: engine.MaxOverlap},
		},
		"rotate to a short secret": {post, "/clients/vpn/rotate-secret", `{"reason":"r","secret":"0123456789abcde"}`, http.StatusUnprocessableEntity, nil},
		"add with a short secret":  {post, "/clients", `{"reason":"r","name":"vpn2","prefix":"192.0.2.7","secret":"0123456789abcde"}`, http.StatusUnprocessableEntity, nil},
		"rotate for too long":      {post, "/clients/vpn/rotate-secret", `{"reason":"r","secret":"0123456789abcdef","overlap_seconds":2592001}`, http.StatusUnprocessableEntity, nil},
		"rotate without a secret":  {post, "/clients/vpn/rotate-secret", `{"reason":"r"}`, http.StatusUnprocessableEntity, nil},
		"replace": {
			post, "/clients", `{"reason":"r","name":"vpn","prefix":"192.0.2.0/24","secret":"0123456789abcdef","replace":true}`, http.StatusUnprocessableEntity, nil,
		},
	} {
		t.Run(name, func(t *testing.T) {
			f := newFake(t)
			f.put(t, engine.TableClients, gateway)
			status, body := call(t, f.api(t), RoleAdmin, c.method, c.path, c.body)
			if status != c.status || strings.Contains(body, "0123456789abcdef") {
				t.Fatalf("status %d, want %d: %s", status, c.status, body)
			}
			var want []engine.Command
			if c.want != nil {
				want = []engine.Command{c.want}
			}
			if diff := cmp.Diff(want, f.Commands()); diff != "" {
				t.Errorf("commands (-want +got):\n%s", diff)
			}
		})
	}
}

func TestClientShowsWhichSecretIsInUse(t *testing.T) {
	at := func(d time.Duration) events.Time { return events.At(noon.Add(d)) }
	for name, c := range map[string]struct {
		change func(*engine.Client)
		want   []string
		absent []string
	}{
		"never rotated": {func(*engine.Client) {}, []string{`"secret_in_use":"current"`}, []string{"secret_rotated", "secret_first_seen", "old_secret_until"}},
		"the old one": {
			func(c *engine.Client) {
				c.Rotated, c.OldSecret, c.OldUntil = at(-time.Hour), []byte("o"), at(time.Hour)
			},
			[]string{`"secret_in_use":"old"`, `"secret_rotated":"2026-11-02T11:00:00Z"`, `"old_secret_until":"2026-11-02T13:00:00Z"`},
			[]string{"secret_first_seen"},
		},
		"none": {
			func(c *engine.Client) { c.Rotated, c.OldSecret, c.OldUntil = at(-time.Hour), []byte("o"), at(0) },
			[]string{`"secret_in_use":"none"`, `"old_secret_until":"2026-11-02T12:00:00Z"`},
			[]string{"secret_first_seen"},
		},
		"the new one": {
			func(c *engine.Client) { c.Rotated, c.Seen = at(-time.Hour), at(-time.Minute) },
			[]string{`"secret_in_use":"current"`, `"secret_first_seen":"2026-11-02T11:59:00Z"`},
			[]string{"old_secret_until"},
		},
	} {
		t.Run(name, func(t *testing.T) {
			f := newFake(t)
			one := gateway
			c.change(&one)
			f.put(t, engine.TableClients, one)
			for _, path := range []string{"/clients/vpn", "/clients"} {
				status, body := call(t, f.api(t), RoleAuditor, get, path, "")
				if status != http.StatusOK || strings.Contains(body, "sealed") {
					t.Fatalf("%s: status %d: %s", path, status, body)
				}
				for _, want := range c.want {
					if !strings.Contains(body, want) {
						t.Errorf("%s lacks %s: %s", path, want, body)
					}
				}
				for _, field := range c.absent {
					if strings.Contains(body, field) {
						t.Errorf("%s has %s: %s", path, field, body)
					}
				}
			}
		})
	}
}
