package cluster

import (
	"strings"
	"testing"
)

// An address that the others cannot reach is refused before the invitation is used.
func TestJoinWithAnUnreachableAddressIsRefused(t *testing.T) {
	for advertise, loopback := range map[string]bool{
		"127.0.0.1:7400": true, "127.8.8.8:7400": true, "[::1]:7400": true, "localhost:7400": true,
		"192.0.2.9:7400": false, "n2.example.com:7400": false,
	} {
		c := Config{Advertise: advertise}
		err := c.reachableFrom([]string{"192.0.2.1:7400", "192.0.2.2:7400"})
		if (err != nil) != loopback {
			t.Errorf("%s, members elsewhere: %v", advertise, err)
		}
		if loopback && (!strings.Contains(err.Error(), advertise) || !strings.Contains(err.Error(), "set cluster.advertise")) {
			t.Errorf("%s: the error is %q", advertise, err)
		}
		if err := c.reachableFrom([]string{"127.0.0.1:7400"}); err != nil {
			t.Errorf("%s, members on this machine: %v", advertise, err)
		}
	}

	r := newCluster(t, 1)
	text, err := r.nodes[0].Invite(t.Context(), admin(), Invitee{Node: "n2"})
	if err != nil {
		t.Fatal(err)
	}
	i, err := parseInvitation(text)
	if err != nil {
		t.Fatal(err)
	}
	c := r.config("n2")
	i.Addresses = []string{"192.0.2.1:7400"}
	if text, err = i.text(); err != nil {
		t.Fatal(err)
	}
	if err := Join(t.Context(), text, c, nil); err == nil || !strings.Contains(err.Error(), "loopback address") {
		t.Errorf("joined as %s: %v", c.Listen, err)
	}

	// Members that advertise a loopback address cannot be reached by anybody.
	i.Addresses = []string{"127.0.0.1:1"}
	if text, err = i.text(); err != nil {
		t.Fatal(err)
	}
	c.Advertise = "192.0.2.9:7400"
	if err := Join(t.Context(), text, c, nil); err == nil || !strings.Contains(err.Error(), "members advertise only loopback addresses") {
		t.Errorf("members on a loopback address: %v", err)
	}
}
