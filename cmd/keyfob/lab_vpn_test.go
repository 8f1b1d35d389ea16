package main

import (
	"context"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"text/template"

	"keyfob/cmd/keyfob/demo"
)

// Networks of the lab: gateways and nodes are in the network of the tests, the
// computers of users in a namespace behind a virtual cable. The nodes of a dev
// cluster listen on loopback only, so each gateway has a loopback address of its
// own.
const (
	outside     = "computer"  // the namespace of the users' computers
	gatewayAddr = "10.99.2.1" // what users connect to
	usersAddr   = "10.99.2.2"
)

// vpnPrograms are the programs for a VPN.
var vpnPrograms = []string{"ocserv", "openconnect", "ip", "ping"}

// cable makes a namespace and connects it to the network of the tests.
func cable(t *testing.T, here, namespace, there string) {
	t.Helper()
	sh(t, "ip", "netns", "add", namespace)
	t.Cleanup(func() { _ = exec.Command("ip", "netns", "del", namespace).Run() })
	near := "to-" + namespace
	sh(t, "ip", "link", "add", near, "type", "veth", "peer", "name", "cable", "netns", namespace)
	sh(t, "ip", "addr", "add", here+"/24", "dev", near)
	sh(t, "ip", "link", "set", near, "up")
	sh(t, "ip", "-n", namespace, "link", "set", "lo", "up")
	sh(t, "ip", "-n", namespace, "addr", "add", there+"/24", "dev", "cable")
	sh(t, "ip", "-n", namespace, "link", "set", "cable", "up")
}

func sh(t *testing.T, name string, args ...string) {
	t.Helper()
	if out, err := exec.CommandContext(t.Context(), name, args...).CombinedOutput(); err != nil {
		t.Fatalf("%s %s: %v\n%s", name, strings.Join(args, " "), err, out)
	}
}

// gateway is a VPN gateway: ocserv, with keyfob as its RADIUS server.
type gateway struct {
	Dir     string
	Number  int    // tells the gateways of a lab apart: their addresses, ports and networks
	Secret  string // shared with keyfob
	Servers string // the nodes it asks, the first one first
}

// Source is the address that its requests come from.
func (g *gateway) Source() string { return fmt.Sprintf("127.0.1.%d", g.Number) }

// Listen and Port are where users connect to.
func (g *gateway) Listen() string { return gatewayAddr }
func (g *gateway) Port() int      { return 4430 + g.Number }

// Inside is an address that is reachable through the tunnel only.
func (g *gateway) Inside() string { return fmt.Sprintf("192.168.%d.1", 70+g.Number) }

// Pool is the network of the tunnels.
func (g *gateway) Pool() string { return fmt.Sprintf("192.168.%d.0", 80+g.Number) }

var ocservConf = template.Must(template.New("ocserv.conf").Parse(`auth = "radius[config={{.Dir}}/radcli.conf]"
listen-host = {{.Listen}}
tcp-port = {{.Port}}
udp-port = {{.Port}}
run-as-user = root
run-as-group = root
socket-file = {{.Dir}}/ocserv.sock
isolate-workers = false
server-cert = {{.Dir}}/server.crt
server-key = {{.Dir}}/server.key
auth-timeout = 240
max-ban-score = 0
max-clients = 16
max-same-clients = 0
cookie-timeout = 60
use-occtl = false
device = gw{{.Number}}n
ipv4-network = {{.Pool}}
ipv4-netmask = 255.255.255.0
route = {{.Inside}}/32
cisco-client-compat = true
`))

var radcliConf = template.Must(template.New("radcli.conf").Parse(`nas-identifier gateway-{{.Number}}
authserver {{.Servers}}
acctserver {{.Servers}}
servers {{.Dir}}/servers
dictionary /etc/radcli/dictionary
radius_timeout 3
radius_retries 2
bindaddr {{.Source}}
`))

// newGateway configures a gateway and adds it to keyfob, with a dialect.
func (l *lab) newGateway(t *testing.T, number int, dialect string) *gateway {
	t.Helper()
	g := &gateway{Dir: t.TempDir(), Number: number, Secret: fmt.Sprintf("secret-of-gateway-%d-6bd1f0c2", number)}
	certify(t, g.Dir, net.ParseIP(g.Listen()))
	sh(t, "ip", "addr", "add", g.Inside()+"/32", "dev", "lo")
	t.Cleanup(func() { _ = exec.Command("ip", "addr", "del", g.Inside()+"/32", "dev", "lo").Run() })
	secret := filepath.Join(g.Dir, "secret")
	if err := os.WriteFile(secret, []byte(g.Secret), 0o600); err != nil {
		t.Fatal(err)
	}
	l.admin(t, "client", "add", fmt.Sprintf("gateway-%d", number), g.Source()+"/32", "--dialect", dialect, "--secret-file", secret)
	return g
}

// asks starts the gateway with the given nodes, in order of preference. It runs
// until stop is called, or the test ends.
func (g *gateway) asks(t *testing.T, nodes ...demo.NodeInfo) (stop func()) {
	t.Helper()
	var servers []string
	for _, n := range nodes {
		servers = append(servers, n.RADIUS)
	}
	g.Servers = strings.Join(servers, ",")
	g.write(t, "servers", "127.0.0.1 "+g.Secret+"\n") // by address, without the port
	g.write(t, "radcli.conf", render(t, radcliConf, g))
	g.write(t, "ocserv.conf", render(t, ocservConf, g))
	p := launch(t, "ocserv", "--foreground", "--config", filepath.Join(g.Dir, "ocserv.conf"))
	eventually(t, "the gateway", func() error {
		if p.ended() {
			return fmt.Errorf("ocserv ended:\n%s", p.output())
		}
		conn, err := net.Dial("tcp", net.JoinHostPort(g.Listen(), strconv.Itoa(g.Port())))
		if err == nil {
			_ = conn.Close()
		}
		return err
	})
	return p.stop
}

func (g *gateway) write(t *testing.T, name, text string) {
	t.Helper()
	if err := os.WriteFile(filepath.Join(g.Dir, name), []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

func render(t *testing.T, tmpl *template.Template, data any) string {
	t.Helper()
	var b strings.Builder
	if err := tmpl.Execute(&b, data); err != nil {
		t.Fatal(err)
	}
	return b.String()
}

// openconnect runs openconnect on the user's computer and enters the first answer.
func (g *gateway) openconnect(t *testing.T, user, answer string) *process {
	t.Helper()
	p := launch(t, "ip", "netns", "exec", outside, "openconnect", "--passwd-on-stdin",
		"--user="+user, "--cafile="+filepath.Join(g.Dir, "ca.crt"),
		fmt.Sprintf("--interface=vpn%d", g.Number), "--script=/usr/share/vpnc-scripts/vpnc-script",
		fmt.Sprintf("https://%s:%d/", g.Listen(), g.Port()))
	p.say(t, answer)
	return p
}

// connect runs openconnect for a user who enters only a passcode.
func (g *gateway) connect(t *testing.T, user, passcode string) *process {
	t.Helper()
	p := g.openconnect(t, user, passcode)
	_ = p.stdin.Close() // later prompts get no answer
	return p
}

// refuses checks that the gateway refuses a login, and returns what the user saw.
func (g *gateway) refuses(t *testing.T, user, passcode string) string {
	t.Helper()
	p := g.connect(t, user, passcode)
	defer p.stop()
	eventually(t, "the end of openconnect", func() error {
		if !p.ended() {
			return fmt.Errorf("it runs:\n%s", p.output())
		}
		return nil
	})
	if said := p.output(); !strings.Contains(said, "Access denied.") || strings.Contains(said, "CSTP connected") {
		t.Errorf("openconnect showed no refusal:\n%s", said)
	}
	return p.output()
}

// letsIn checks that the gateway accepts a login: the tunnel comes up and carries a
// packet.
func (g *gateway) letsIn(t *testing.T, user, passcode string) {
	t.Helper()
	if err := g.ping(t.Context()); err == nil {
		t.Fatalf("%s can be reached without a tunnel", g.Inside())
	}
	p := g.connect(t, user, passcode)
	defer p.stop()
	g.carries(t, p)
}

// carries waits until the tunnel carries a packet.
func (g *gateway) carries(t *testing.T, p *process) {
	t.Helper()
	eventually(t, "a packet through the tunnel", func() error {
		if p.ended() {
			t.Fatalf("openconnect ended:\n%s", p.output())
		}
		if err := g.ping(t.Context()); err != nil {
			return fmt.Errorf("%w; openconnect said:\n%s", err, p.output())
		}
		return nil
	})
}

// ping sends one packet from the user's computer to the inside.
func (g *gateway) ping(ctx context.Context) error {
	out, err := exec.CommandContext(ctx, "ip", "netns", "exec", outside, "ping", "-c", "1", "-W", "1", g.Inside()).CombinedOutput()
	if err != nil {
		return fmt.Errorf("ping %s: %w: %s", g.Inside(), err, out)
	}
	return nil
}
