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

// Config is what an operator may set. The zero value is not useful; begin with
// DefaultConfig.
type Config struct {
	Node string // this node's name, for the record
	Site string // of clients that name none

	// UDP addresses, host:port or a port alone.
	Listen     []string
	Accounting []string

	// RADIUS over TLS (RFC 6614) for everything, on TCP addresses. TLS has the
	// server's certificate and the CAs whose certificates clients may show;
	// both may change while the server runs, by the callbacks of tls.Config.
	RadSec      []string
	TLS         *tls.Config
	Connections int // over TLS, at the same time; a quarter of them from one address

	// PageURL is where users put their tokens right. It is named to users whose
	// VPN cannot ask anything back.
	PageURL string

	// Timeout is how long a request may wait for its decision. It must be less
	// than what the VPN waits before it asks again.
	Timeout time.Duration

	Readers     int // sockets for each address, where the system can share one
	Workers     int // requests that are decided at the same time
	Outstanding int // requests that came and are not yet answered
	PerClient   int // the same, of one client
	Remembered  int // answers kept at most

	Observer Observer // nil: nobody counts
}

// DefaultConfig is fit for a node that serves some thousand logins a second.
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

// maxPageURL leaves room for the words around it in a Reply-Message.
const maxPageURL = 160

// Validate reports all that is wrong with the configuration.
func (c Config) Validate() error {
	var problems []error
	if len(c.Listen)+len(c.Accounting)+len(c.RadSec) == 0 {
		problems = append(problems, errors.New("no address to listen on"))
	}
	if len(c.RadSec) > 0 && (c.TLS == nil || c.TLS.ClientCAs == nil && c.TLS.GetConfigForClient == nil) {
		problems = append(problems, errors.New("radsec needs a certificate and the CA of its clients"))
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
		problems = append(problems, fmt.Errorf("timeout %v: must be more than nothing and at most a minute", c.Timeout))
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
