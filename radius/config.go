package radius

import (
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"runtime"
	"slices"
	"strings"
	"time"
)

// Config configures a Server. The zero value is not valid; start from
// DefaultConfig.
type Config struct {
	Node string // this node's name, for the audit trail
	Site string // of clients without a site of their own

	// UDP addresses: host:port, or a port alone.
	Listen     []string
	Accounting []string

	// TCP addresses for RADIUS over TLS (RFC 6614). TLS holds the server's
	// certificate and the CAs of the clients' certificates. The callbacks of
	// tls.Config can change both while the server runs.
	RadSec      []string
	TLS         *tls.Config
	Connections int // over TLS at a time; at most a quarter from one address

	// PageURL is the self-service page. Users whose VPN cannot show a challenge
	// are told to go there.
	PageURL string

	// Timeout is how long a request may wait for its decision. It must be
	// shorter than the VPN's own timeout.
	Timeout time.Duration

	Readers     int // sockets per address, where the system can share one
	Workers     int // requests decided at a time
	Outstanding int // requests received and not yet answered
	PerClient   int // the same, from one client
	Remembered  int // responses kept for retransmissions

	Observer Observer // nil: nothing is counted
}

// DefaultConfig suits a node that serves some thousand logins a second.
func DefaultConfig() Config {
	return Config{
		Listen:      []string{":1812"},
		Accounting:  []string{":1813"},
		Timeout:     4 * time.Second,
		Readers:     min(4, runtime.GOMAXPROCS(0)),
		Workers:     1024,
		Outstanding: 4096,
		PerClient:   512,
		Connections: 256,
		Remembered:  1 << 16,
	}
}

// maxPageURL leaves room for the text around it in a Reply-Message.
const maxPageURL = 160

// Validate reports every problem of the configuration.
func (c Config) Validate() error {
	var problems []error
	if len(c.Listen)+len(c.Accounting)+len(c.RadSec) == 0 {
		problems = append(problems, errors.New("no address to listen on"))
	}
	if len(c.RadSec) > 0 && (c.TLS == nil || c.TLS.ClientCAs == nil && c.TLS.GetConfigForClient == nil) {
		problems = append(problems, errors.New("radsec needs a certificate and a CA for its clients"))
	}
	for _, address := range slices.Concat(c.Listen, c.Accounting, c.RadSec) {
		if _, _, err := net.SplitHostPort(withPort(address)); err != nil {
			problems = append(problems, fmt.Errorf("address %q: %w", address, err))
		}
	}
	if len(c.PageURL) > maxPageURL || printable(c.PageURL) != c.PageURL {
		problems = append(problems, fmt.Errorf("page URL must be ASCII, at most %d characters", maxPageURL))
	}
	if c.Timeout <= 0 || c.Timeout > time.Minute {
		problems = append(problems, fmt.Errorf("timeout %v: must be more than 0 and at most 1m", c.Timeout))
	}
	for _, n := range []struct {
		name       string
		value, max int
	}{
		{"readers", c.Readers, 64},
		{"workers", c.Workers, 1 << 14},
		{"outstanding", c.Outstanding, 1 << 17},
		{"connections", c.Connections, 1 << 14},
		{"per client", c.PerClient, 1 << 17},
		{"remembered", c.Remembered, 1 << 22},
	} {
		if n.value < 1 || n.value > n.max {
			problems = append(problems, fmt.Errorf("%s %d: must be from 1 to %d", n.name, n.value, n.max))
		}
	}
	return errors.Join(problems...)
}

// withPort turns a port alone into an address.
func withPort(address string) string {
	if address != "" && strings.Trim(address, "0123456789") == "" {
		return ":" + address
	}
	return address
}
