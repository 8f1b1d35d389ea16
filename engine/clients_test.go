package engine_test

import (
	"errors"
	"net/netip"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"keyfob/engine"
	"keyfob/events"
)

var (
	clientNow = events.At(time.Date(2026, 11, 23, 12, 0, 0, 0, time.UTC))
	vpnAdded  = events.ClientAdded{
		Client: "vpn", Prefix: "192.0.2.0/24", Sealed: []byte("secret 0"), Site: "hq", Dialect: "plain",
		MessageAuthenticator: "require", Trusted: true,
	}
)

// clientsAfter folds events that happened a minute apart, the last one a minute
// ago.
func clientsAfter(given ...events.Event) *engine.State {
	s := engine.NewState()
	for i, e := range given {
		s.Apply(clientNow.Add(time.Duration(i-len(given))*time.Minute), events.Draft{Event: e})
	}
	return s
}

func ptr[T any](v T) *T { return &v }

func rotated(revision uint64, left time.Duration) events.ClientSecretRotated {
	e := events.ClientSecretRotated{Client: "vpn", Sealed: []byte{'n', byte('0' + revision)}, Revision: revision}
	if left != 0 {
		e.OldUntil = clientNow.Add(left)
	}
	return e
}

func signed(address string) events.ClientSigned {
	return events.ClientSigned{Client: "vpn", Address: address}
}

// TestClearedAddressIsForgotten, and nothing else.
func TestClearedAddressIsForgotten(t *testing.T) {
	given := []events.Event{vpnAdded, signed("192.0.2.1"), signed("192.0.2.2")}
	one := clientsAfter(append(given, events.ClientSignedCleared{Client: "vpn", Address: "192.0.2.1"})...).Client("vpn")
	if one.MustSign(netip.MustParseAddr("192.0.2.1")) || !one.MustSign(netip.MustParseAddr("192.0.2.2")) {
		t.Errorf("must sign: %v", one.Signed)
	}
	all := clientsAfter(append(given, events.ClientSigned{Client: "vpn", Address: "192.0.2.3", All: true}, events.ClientSignedCleared{Client: "vpn"})...).Client("vpn")
	if all.SignedAll || len(all.Signed) != 0 {
		t.Errorf("must sign: %v, all: %v", all.Signed, all.SignedAll)
	}
}

func TestClientCommands(t *testing.T) {
	other := events.ClientAdded{Client: "other", Prefix: "198.51.100.7/32", Sealed: []byte("s"), Dialect: "rsa", MessageAuthenticator: "auto"}
	mapped := vpnAdded
	mapped.Prefix = "::ffff:192.0.2.0/120"
	for _, c := range []struct {
		name    string
		given   []events.Event
		when    engine.Command
		then    []events.Event
		refused string
	}{
		{"add", nil, engine.AddClient{Client: vpnAdded}, []events.Event{vpnAdded}, ""},
		{"add again", []events.Event{vpnAdded}, engine.AddClient{Client: vpnAdded}, nil, engine.Exists},
		{"add without a secret", nil, engine.AddClient{Client: events.ClientAdded{Client: "vpn", Prefix: "192.0.2.0/24", Dialect: "rsa", MessageAuthenticator: "auto"}}, nil, engine.Invalid},
		{
			"add the addresses of another, mapped into IPv6",
			[]events.Event{vpnAdded},
			engine.AddClient{Client: events.ClientAdded{Client: "thief", Prefix: "::ffff:192.0.2.0/120", Sealed: []byte("s"), Dialect: "rsa", MessageAuthenticator: "auto"}},
			nil, engine.Conflict,
		},
		{
			"set the addresses of another that a former version stored mapped",
			[]events.Event{mapped, other},
			engine.SetClient{Change: events.ClientChanged{Client: "other", Prefix: ptr("192.0.2.0/24")}},
			nil, engine.Conflict,
		},
		{
			"set mapped addresses",
			[]events.Event{vpnAdded},
			engine.SetClient{Change: events.ClientChanged{Client: "vpn", Prefix: ptr("::ffff:203.0.113.9/120")}},
			[]events.Event{events.ClientChanged{Client: "vpn", Prefix: ptr("203.0.113.0/24")}},
			"",
		},
		{
			"set one setting",
			[]events.Event{vpnAdded},
			engine.SetClient{Change: events.ClientChanged{Client: "vpn", Dialect: ptr("rsa")}},
			[]events.Event{events.ClientChanged{Client: "vpn", Dialect: ptr("rsa")}},
			"",
		},
		{
			"set all settings",
			[]events.Event{vpnAdded},
			engine.SetClient{Change: events.ClientChanged{Client: "vpn", Prefix: ptr("203.0.113.9/24"), Site: ptr(""), Dialect: ptr("rsa"), MessageAuthenticator: ptr("auto"), Trusted: ptr(false)}},
			[]events.Event{events.ClientChanged{Client: "vpn", Prefix: ptr("203.0.113.0/24"), Site: ptr(""), Dialect: ptr("rsa"), MessageAuthenticator: ptr("auto"), Trusted: ptr(false)}},
			"",
		},
		{
			"set what differs",
			[]events.Event{vpnAdded},
			engine.SetClient{Change: events.ClientChanged{Client: "vpn", Prefix: ptr("192.0.2.77/24"), Site: ptr("hq"), Dialect: ptr("plain"), Trusted: ptr(false)}},
			[]events.Event{events.ClientChanged{Client: "vpn", Trusted: ptr(false)}},
			"",
		},
		{
			"set what is so already",
			[]events.Event{vpnAdded},
			engine.SetClient{Change: events.ClientChanged{Client: "vpn", Site: ptr("hq"), Trusted: ptr(true)}},
			nil, "",
		},
		{"set an unknown client", nil, engine.SetClient{Change: events.ClientChanged{Client: "vpn"}}, nil, engine.NotFound},
		{"set an unknown dialect", []events.Event{vpnAdded}, engine.SetClient{Change: events.ClientChanged{Client: "vpn", Dialect: ptr("latin")}}, nil, engine.Invalid},
		{"set an unknown policy", []events.Event{vpnAdded}, engine.SetClient{Change: events.ClientChanged{Client: "vpn", MessageAuthenticator: ptr("never")}}, nil, engine.Invalid},
		{"set no address", []events.Event{vpnAdded}, engine.SetClient{Change: events.ClientChanged{Client: "vpn", Prefix: ptr("everywhere")}}, nil, engine.Invalid},
		{"set every address", []events.Event{vpnAdded}, engine.SetClient{Change: events.ClientChanged{Client: "vpn", Prefix: ptr("0.0.0.0/0")}}, nil, engine.Invalid},
		{"set every IPv6 address", []events.Event{vpnAdded}, engine.SetClient{Change: events.ClientChanged{Client: "vpn", Prefix: ptr("2001:db8::1/0")}}, nil, engine.Invalid},
		{"set every IPv4 address, mapped", []events.Event{vpnAdded}, engine.SetClient{Change: events.ClientChanged{Client: "vpn", Prefix: ptr("::ffff:0.0.0.0/96")}}, nil, engine.Invalid},
		{
			"add every address", nil,
			engine.AddClient{Client: events.ClientAdded{Client: "vpn", Prefix: "0.0.0.0/0", Sealed: []byte("s"), Dialect: "rsa", MessageAuthenticator: "auto"}},
			nil, engine.Invalid,
		},
		{"set the address of another", []events.Event{vpnAdded, other}, engine.SetClient{Change: events.ClientChanged{Client: "vpn", Prefix: ptr("198.51.100.7/32")}}, nil, engine.Conflict},

		{
			"clear one address",
			[]events.Event{vpnAdded, signed("192.0.2.1"), signed("192.0.2.2")},
			engine.ClearSigned{Client: "vpn", Address: "::ffff:192.0.2.1"},
			[]events.Event{events.ClientSignedCleared{Client: "vpn", Address: "192.0.2.1"}},
			"",
		},
		{
			"clear all addresses",
			[]events.Event{vpnAdded, events.ClientSigned{Client: "vpn", Address: "192.0.2.9", All: true}},
			engine.ClearSigned{Client: "vpn"},
			[]events.Event{events.ClientSignedCleared{Client: "vpn"}},
			"",
		},
		{"clear one address when all must sign", []events.Event{vpnAdded, events.ClientSigned{Client: "vpn", Address: "192.0.2.9", All: true}}, engine.ClearSigned{Client: "vpn", Address: "192.0.2.9"}, nil, engine.Conflict},
		{"clear an address that has not signed", []events.Event{vpnAdded, signed("192.0.2.1")}, engine.ClearSigned{Client: "vpn", Address: "192.0.2.2"}, nil, engine.NotFound},
		{"clear what is no address", []events.Event{vpnAdded}, engine.ClearSigned{Client: "vpn", Address: "gw1"}, nil, engine.Invalid},
		{"clear when none has signed", []events.Event{vpnAdded}, engine.ClearSigned{Client: "vpn"}, nil, ""},
		{"clear an unknown client", nil, engine.ClearSigned{Client: "vpn"}, nil, engine.NotFound},

		{
			"rotate",
			[]events.Event{vpnAdded},
			engine.RotateClientSecret{Client: "vpn", Sealed: []byte("n1"), Overlap: time.Hour},
			[]events.Event{rotated(1, time.Hour)},
			"",
		},
		{
			"rotate at once",
			[]events.Event{vpnAdded},
			engine.RotateClientSecret{Client: "vpn", Sealed: []byte("n1")},
			[]events.Event{rotated(1, 0)},
			"",
		},
		{
			"rotate once more before the new secret is seen",
			[]events.Event{vpnAdded, rotated(1, time.Hour)},
			engine.RotateClientSecret{Client: "vpn", Sealed: []byte("n2"), Overlap: 2 * time.Hour},
			[]events.Event{events.ClientSecretRotated{Client: "vpn", Sealed: []byte("n2"), Revision: 2, OldUntil: clientNow.Add(2 * time.Hour), KeepsOld: true}},
			"",
		},
		{
			"rotate once more at once",
			[]events.Event{vpnAdded, rotated(1, time.Hour)},
			engine.RotateClientSecret{Client: "vpn", Sealed: []byte("n2")},
			[]events.Event{rotated(2, 0)},
			"",
		},
		{
			"rotate once more after the old secret has ended",
			[]events.Event{vpnAdded, rotated(1, -time.Second)},
			engine.RotateClientSecret{Client: "vpn", Sealed: []byte("n2"), Overlap: time.Hour},
			[]events.Event{rotated(2, time.Hour)},
			"",
		},
		{
			"rotate once more after the new secret was seen",
			[]events.Event{vpnAdded, rotated(1, time.Hour), events.ClientSecretSeen{Client: "vpn", Revision: 1}},
			engine.RotateClientSecret{Client: "vpn", Sealed: []byte("n2"), Overlap: time.Hour},
			[]events.Event{rotated(2, time.Hour)},
			"",
		},
		{"rotate an unknown client", nil, engine.RotateClientSecret{Client: "vpn", Sealed: []byte("n1")}, nil, engine.NotFound},
		{"rotate to nothing", []events.Event{vpnAdded}, engine.RotateClientSecret{Client: "vpn"}, nil, engine.Invalid},
		{"rotate into the past", []events.Event{vpnAdded}, engine.RotateClientSecret{Client: "vpn", Sealed: []byte("n1"), Overlap: -1}, nil, engine.Invalid},
		{"rotate for ever", []events.Event{vpnAdded}, engine.RotateClientSecret{Client: "vpn", Sealed: []byte("n1"), Overlap: engine.MaxOverlap + 1}, nil, engine.Invalid},

		{
			"see the new secret",
			[]events.Event{vpnAdded, rotated(1, time.Hour)},
			engine.RecordSecretSeen{Client: "vpn", Revision: 1, Address: "192.0.2.1"},
			[]events.Event{events.ClientSecretSeen{Client: "vpn", Revision: 1, Address: "192.0.2.1"}},
			"",
		},
		{
			"see the new secret after the old one has ended",
			[]events.Event{vpnAdded, rotated(1, 0)},
			engine.RecordSecretSeen{Client: "vpn", Revision: 1, Address: "192.0.2.1"},
			[]events.Event{events.ClientSecretSeen{Client: "vpn", Revision: 1, Address: "192.0.2.1"}},
			"",
		},
		{"see it again", []events.Event{vpnAdded, rotated(1, time.Hour), events.ClientSecretSeen{Client: "vpn", Revision: 1}}, engine.RecordSecretSeen{Client: "vpn", Revision: 1, Address: "192.0.2.1"}, nil, ""},
		{"see the secret before", []events.Event{vpnAdded, rotated(1, time.Hour), rotated(2, time.Hour)}, engine.RecordSecretSeen{Client: "vpn", Revision: 1, Address: "192.0.2.1"}, nil, ""},
		{"see a secret that was not rotated", []events.Event{vpnAdded}, engine.RecordSecretSeen{Client: "vpn", Address: "192.0.2.1"}, nil, ""},
		{"see the secret of nobody", nil, engine.RecordSecretSeen{Client: "vpn", Revision: 1, Address: "192.0.2.1"}, nil, ""},

		{"remove", []events.Event{vpnAdded}, engine.RemoveClient{Client: "vpn"}, []events.Event{events.ClientRemoved{Client: "vpn"}}, ""},
		{"remove an unknown client", nil, engine.RemoveClient{Client: "vpn"}, nil, engine.NotFound},
	} {
		t.Run(c.name, func(t *testing.T) {
			d, err := engine.Decide(clientsAfter(c.given...), events.Origin{}, c.when, clientNow)
			var refusal *engine.Refusal
			if errors.As(err, &refusal) != (c.refused != "") || refusal != nil && refusal.Code != c.refused {
				t.Fatalf("error is %v, want %q", err, c.refused)
			}
			var got []events.Event
			for _, draft := range d.Drafts {
				got = append(got, draft.Event)
			}
			if diff := cmp.Diff(c.then, got); diff != "" {
				t.Errorf("events (-want +got):\n%s", diff)
			}
		})
	}
}

func TestChangedClientKeepsWhatIsNotNamed(t *testing.T) {
	signed := events.ClientSigned{Client: "vpn", Address: "192.0.2.1"}
	want := *clientsAfter(vpnAdded, signed, rotated(1, time.Hour)).Client("vpn")
	for name, c := range map[string]struct {
		change events.ClientChanged
		want   func(*engine.Client)
	}{
		"address": {events.ClientChanged{Client: "vpn", Prefix: ptr("203.0.113.0/24")}, func(c *engine.Client) { c.Prefix = netip.MustParsePrefix("203.0.113.0/24") }},
		"site":    {events.ClientChanged{Client: "vpn", Site: ptr("")}, func(c *engine.Client) { c.Site = "" }},
		"dialect": {events.ClientChanged{Client: "vpn", Dialect: ptr("rsa")}, func(c *engine.Client) { c.Dialect = "rsa" }},
		"policy":  {events.ClientChanged{Client: "vpn", MessageAuthenticator: ptr("allow")}, func(c *engine.Client) { c.MessageAuthenticator = "allow" }},
		"trusted": {events.ClientChanged{Client: "vpn", Trusted: ptr(false)}, func(c *engine.Client) { c.Trusted = false }},
	} {
		s := clientsAfter(vpnAdded, signed, rotated(1, time.Hour))
		s.Apply(clientNow, events.Draft{Event: c.change})
		want := want
		c.want(&want)
		got := *s.Client("vpn")
		if diff := cmp.Diff(want, got, cmpopts.EquateComparable(netip.Prefix{}, netip.Addr{}), cmpopts.IgnoreFields(engine.Client{}, "Rotated")); diff != "" {
			t.Errorf("%s (-want +got):\n%s", name, diff)
		}
	}
}

// TestSecretsOfAClient: which of them are kept, and which one is in use.
func TestSecretsOfAClient(t *testing.T) {
	seen := events.ClientSecretSeen{Client: "vpn", Revision: 1}
	keeps := rotated(2, 2*time.Hour)
	keeps.KeepsOld = true
	replaced := vpnAdded
	replaced.Sealed = []byte("anew")
	for name, c := range map[string]struct {
		given       []events.Event
		secret, old string
		inUse       engine.SecretUse
	}{
		"never rotated":                  {nil, "secret 0", "", engine.CurrentSecret},
		"rotated":                        {[]events.Event{rotated(1, time.Hour)}, "n1", "secret 0", engine.OldSecret},
		"rotated, seen":                  {[]events.Event{rotated(1, time.Hour), seen}, "n1", "", engine.CurrentSecret},
		"rotated, the old one over":      {[]events.Event{rotated(1, -time.Second)}, "n1", "secret 0", engine.NoSecret},
		"rotated, the old one just over": {[]events.Event{events.ClientSecretRotated{Client: "vpn", Sealed: []byte("n1"), Revision: 1, OldUntil: clientNow}}, "n1", "secret 0", engine.NoSecret},
		"rotated at once":                {[]events.Event{rotated(1, 0)}, "n1", "", engine.NoSecret},
		"rotated at once, seen":          {[]events.Event{rotated(1, 0), seen}, "n1", "", engine.CurrentSecret},
		"rotated twice, none seen":       {[]events.Event{rotated(1, time.Hour), keeps}, "n2", "secret 0", engine.OldSecret},
		"rotated twice, the first seen":  {[]events.Event{rotated(1, time.Hour), seen, rotated(2, time.Hour)}, "n2", "n1", engine.OldSecret},
		"rotated twice, at once":         {[]events.Event{rotated(1, time.Hour), rotated(2, 0)}, "n2", "", engine.NoSecret},
		"the first seen after the second": {
			[]events.Event{rotated(1, time.Hour), keeps, seen}, "n2", "secret 0", engine.OldSecret,
		},
		"replaced, as an older version did it": {[]events.Event{rotated(1, time.Hour), replaced}, "anew", "", engine.CurrentSecret},
	} {
		got := clientsAfter(append([]events.Event{vpnAdded}, c.given...)...).Client("vpn")
		if string(got.Secret) != c.secret || string(got.OldSecret) != c.old || got.SecretInUse(clientNow) != c.inUse {
			t.Errorf("%s: secret %q, old %q, in use %s; want %q, %q, %s", name, got.Secret, got.OldSecret, got.SecretInUse(clientNow), c.secret, c.old, c.inUse)
		}
	}
}
