package cli

import (
	"crypto/x509"
	"errors"
	"fmt"
	"io/fs"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"

	"github.com/spf13/cobra"

	"keyfob/api"
	"keyfob/api/client"
)

// Remote is a node's API, found by the flags and the environment of a command.
// It connects at the first request.
type Remote struct {
	*client.Client

	env    *Environment
	server string
	ca     string
	data   string
	reason string

	credential credential
	once       sync.Once // guards below
	transport  client.Transport
	err        error
}

// credential is what the requests of a command carry.
type credential int

const (
	anyCredential credential = iota // KEYFOB_TOKEN, or the saved session
	sessionOnly
	noCredential
)

// Remote returns the API for a command.
func (e *Environment) Remote() *Remote {
	r := &Remote{env: e}
	r.Client = client.New(lazy{r})
	return r
}

// Flags adds the flags that name the node.
func (r *Remote) Flags(c *cobra.Command) *cobra.Command {
	f := c.Flags()
	f.StringVar(&r.server, "server", "", "`URL` of a node's API (KEYFOB_SERVER)")
	f.StringVar(&r.ca, "ca", "", "`FILE` with the certificates that sign the node's (KEYFOB_CA)")
	f.StringVar(&r.data, "data", "", "data `DIR` of the node on this machine; its socket is used (KEYFOB_DATA)")
	return c
}

// Because adds the flag for the reason of a change, and those of Flags.
func (r *Remote) Because(c *cobra.Command) *cobra.Command {
	r.Flags(c)
	c.Flags().StringVar(&r.reason, "reason", "", "`TEXT` for the audit trail (default the command)")
	c.PreRunE = func(c *cobra.Command, _ []string) error {
		if c.Flags().Changed("reason") && strings.TrimSpace(r.reason) == "" {
			return Usagef("--reason is empty")
		}
		return nil
	}
	return c
}

// Why returns the reason of a change.
func (r *Remote) Why(c *cobra.Command) string {
	if r.reason != "" {
		return r.reason
	}
	return c.CommandPath()
}

// Reason returns the reason of a change, as requests have it.
func (r *Remote) Reason(c *cobra.Command) api.CommandRequest {
	return api.CommandRequest{Reason: r.Why(c)}
}

// lazy is the transport of a command: which one is known when the flags have
// been read.
type lazy struct{ *Remote }

// Do implements client.Transport.
func (l lazy) Do(req *http.Request) (*http.Response, error) {
	l.once.Do(func() { l.transport, l.err = l.connect() })
	if l.err != nil {
		return nil, l.err
	}
	resp, err := l.transport.Do(req)
	if err != nil {
		return nil, l.unreachable(err)
	}
	return resp, nil
}

// locate finds the node: its server, or its data directory.
func (r *Remote) locate() error {
	pick := func(flag *string, variable string) {
		if *flag == "" {
			*flag = r.env.Getenv(variable)
		}
	}
	if r.data == "" { // --data wins over KEYFOB_SERVER
		pick(&r.server, "KEYFOB_SERVER")
	}
	if r.server == "" {
		pick(&r.data, "KEYFOB_DATA")
	}
	pick(&r.ca, "KEYFOB_CA")
	r.server = strings.TrimRight(r.server, "/")
	if r.server != "" || r.data != "" {
		return nil
	}
	if _, err := os.Stat(filepath.Join(DefaultData, SocketName)); err == nil {
		r.data = DefaultData
		return nil
	}
	return errors.New("no node given: use --server URL (or KEYFOB_SERVER) after keyfob login or with an API token in KEYFOB_TOKEN, or, on the node itself, --data DIR")
}

func (r *Remote) connect() (client.Transport, error) {
	if err := r.locate(); err != nil {
		return nil, err
	}
	if r.server != "" {
		return r.overTLS()
	}
	return client.Socket(filepath.Join(r.data, SocketName)), nil
}

// bearer returns the API token or the session that requests carry.
func (r *Remote) bearer() (string, error) {
	if r.credential == noCredential {
		return "", nil
	}
	if token := r.env.Getenv("KEYFOB_TOKEN"); token != "" && r.credential != sessionOnly {
		return token, nil
	}
	session, err := r.session()
	switch {
	case err != nil:
		return "", err
	case session == "" && r.credential == sessionOnly:
		return "", errors.New("not logged in at " + r.server)
	case session == "":
		return "", errors.New("not logged in: run keyfob login, or set KEYFOB_TOKEN to an API token")
	}
	return session, nil
}

func (r *Remote) overTLS() (client.Transport, error) {
	var roots *x509.CertPool
	if r.ca != "" {
		pem, err := os.ReadFile(r.ca)
		if err != nil {
			return nil, fmt.Errorf("reading CA: %w", err)
		}
		roots = x509.NewCertPool()
		if !roots.AppendCertsFromPEM(pem) {
			return nil, fmt.Errorf("%s contains no certificate in PEM", r.ca)
		}
	}
	if _, err := client.HTTPS(r.server, "", roots); err != nil {
		return nil, Usagef("--server %w", err)
	}
	bearer, err := r.bearer()
	if err != nil {
		return nil, err
	}
	return client.HTTPS(r.server, bearer, roots)
}

// unreachable says what to do about a node that does not answer.
func (r *Remote) unreachable(err error) error {
	var node *client.UnreachableError
	socket := filepath.Join(r.data, SocketName)
	switch {
	case !errors.As(err, &node):
		return err
	case r.server == "" && errors.Is(err, fs.ErrNotExist):
		return fmt.Errorf("socket %s not found: check that the node is running and that this is its data directory", socket)
	case r.server == "" && errors.Is(err, fs.ErrPermission):
		return fmt.Errorf("socket %s is for root and the node's user: use sudo, or --server with an API token", socket)
	case r.server == "":
		return err
	case node.UnknownAuthority():
		return fmt.Errorf("the certificate of %s is signed by an unknown authority: use --ca FILE (or KEYFOB_CA)", r.server)
	}
	return fmt.Errorf("%w; check that the node is running and that this is its admin.listen", err)
}
