package cli

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"keyfob/api"
)

const callWait = 30 * time.Second

// Remote is a node's API, for the commands that need one.
type Remote struct {
	env    *Environment
	server string
	ca     string
	Data   string
	reason string

	base   string // of URLs
	token  string
	Client *http.Client
}

// Flags adds the flags by which a node is found.
func (r *Remote) Flags(c *cobra.Command) *cobra.Command {
	f := c.Flags()
	f.StringVar(&r.server, "server", "", "`URL` of a node's API (KEYFOB_SERVER)")
	f.StringVar(&r.ca, "ca", "", "`FILE` with the certificates that the node's must chain to (KEYFOB_CA)")
	f.StringVar(&r.Data, "data", "", "data `DIR` of the node on this machine, whose socket is used (KEYFOB_DATA)")
	return c
}

// Because adds the flag for the reason of a change.
func (r *Remote) Because(c *cobra.Command) *cobra.Command {
	r.Flags(c)
	c.Flags().StringVar(&r.reason, "reason", "", "`TEXT` for the audit trail; default the command")
	c.PreRunE = func(c *cobra.Command, _ []string) error {
		if c.Flags().Changed("reason") && strings.TrimSpace(r.reason) == "" {
			return Usagef("--reason is empty")
		}
		return nil
	}
	return c
}

// Why is the reason of a change.
func (r *Remote) Why(c *cobra.Command) string {
	if r.reason != "" {
		return r.reason
	}
	return c.CommandPath()
}

// Connect finds out where the API is.
func (r *Remote) Connect() error {
	pick := func(flag *string, variable string) {
		if *flag == "" {
			*flag = r.env.Getenv(variable)
		}
	}
	if r.Data == "" { // a socket that was asked for wins over the environment
		pick(&r.server, "KEYFOB_SERVER")
	}
	if r.server == "" {
		pick(&r.Data, "KEYFOB_DATA")
	}
	pick(&r.ca, "KEYFOB_CA")
	switch {
	case r.server != "":
		return r.overTLS()
	case r.Data != "":
		return r.overSocket()
	}
	if _, err := os.Stat(filepath.Join(DefaultData, SocketName)); err == nil {
		r.Data = DefaultData
		return r.overSocket()
	}
	return errors.New("which node? give --server URL (or KEYFOB_SERVER) with an API token in KEYFOB_TOKEN, or, on the node, --data DIR")
}

func (r *Remote) overSocket() error {
	path := filepath.Join(r.Data, SocketName)
	r.base = "http://keyfob" + api.Prefix
	r.Client = &http.Client{Transport: &http.Transport{
		DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
			conn, err := new(net.Dialer).DialContext(ctx, "unix", path)
			switch {
			case errors.Is(err, fs.ErrNotExist):
				return nil, fmt.Errorf("there is no %s: is the node running, and is that its data directory?", path)
			case errors.Is(err, fs.ErrPermission):
				return nil, fmt.Errorf("%s is for root and the server's user: use sudo, or --server with an API token", path)
			}
			return conn, err
		},
	}}
	return nil
}

func (r *Remote) overTLS() error {
	u, err := url.Parse(r.server)
	if err != nil || u.Scheme != "https" || u.Host == "" {
		return Usagef("--server %q is not of the form https://host:port", r.server)
	}
	if r.token = r.env.Getenv("KEYFOB_TOKEN"); r.token == "" {
		return errors.New("an API token is needed: put one into KEYFOB_TOKEN (keyfob api-token issue makes one)")
	}
	conf := &tls.Config{MinVersion: tls.VersionTLS12}
	if r.ca != "" {
		pem, err := os.ReadFile(r.ca)
		if err != nil {
			return fmt.Errorf("reading CA: %w", err)
		}
		conf.RootCAs = x509.NewCertPool()
		if !conf.RootCAs.AppendCertsFromPEM(pem) {
			return fmt.Errorf("%s holds no certificate in PEM", r.ca)
		}
	}
	r.base = "https://" + u.Host + api.Prefix
	r.Client = &http.Client{Transport: &http.Transport{TLSClientConfig: conf, ForceAttemptHTTP2: true}}
	return nil
}

// Call asks the API; in and out may be nil.
func (r *Remote) Call(ctx context.Context, method, path string, in, out any) error {
	ctx, cancel := context.WithTimeout(ctx, callWait)
	defer cancel()
	resp, err := r.Send(ctx, method, path, in)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	if out == nil {
		return nil
	}
	if err := json.NewDecoder(resp.Body).Decode(out); err != nil {
		return fmt.Errorf("reading the node's answer: %w", err)
	}
	return nil
}

// Send sends a request and answers the response of one that went well.
func (r *Remote) Send(ctx context.Context, method, path string, in any) (*http.Response, error) {
	if r.Client == nil {
		if err := r.Connect(); err != nil {
			return nil, err
		}
	}
	var body io.Reader
	if in != nil {
		b, err := json.Marshal(in)
		if err != nil {
			return nil, fmt.Errorf("writing the request: %w", err)
		}
		body = bytes.NewReader(b)
	}
	req, err := http.NewRequestWithContext(ctx, method, r.base+path, body)
	if err != nil {
		return nil, fmt.Errorf("making the request: %w", err)
	}
	if in != nil {
		req.Header.Set("Content-Type", "application/json")
	}
	if r.token != "" {
		req.Header.Set("Authorization", "Bearer "+r.token)
	}
	resp, err := r.Client.Do(req)
	if err != nil {
		return nil, r.unreachable(err)
	}
	if resp.StatusCode/100 != 2 {
		defer resp.Body.Close()
		return nil, problemIn(resp)
	}
	return resp, nil
}

// Profile has the node take a CPU profile, which it does at its socket alone.
func (r *Remote) Profile(ctx context.Context, seconds int) ([]byte, error) {
	if err := r.Connect(); err != nil {
		return nil, err
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, fmt.Sprintf("http://keyfob/debug/pprof/profile?seconds=%d", seconds), nil)
	if err != nil {
		return nil, err
	}
	resp, err := r.Client.Do(req)
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("it answers %s", resp.Status)
	}
	return io.ReadAll(io.LimitReader(resp.Body, 64<<20))
}

// unreachable says what to do about a node that does not answer.
func (r *Remote) unreachable(err error) error {
	var authority x509.UnknownAuthorityError
	var outer *url.Error
	if errors.As(err, &outer) {
		err = outer.Err
	}
	switch {
	case errors.As(err, &authority):
		return fmt.Errorf("%s has a certificate that this machine does not know: give --ca FILE (or KEYFOB_CA)", r.server)
	case r.server == "":
		return fmt.Errorf("asking the node at %s: %w", r.Data, err)
	}
	return fmt.Errorf("asking %s: %w; does the node run, and is that its admin.listen?", r.server, err)
}

// apiError is a problem that the API answered.
type apiError struct {
	Type   string `json:"type"`
	Detail string `json:"detail"`
	Errors []struct {
		Message  string `json:"message"`
		Location string `json:"location"`
	} `json:"errors"`
}

func (e *apiError) Error() string { return e.Detail }

// misuse is what the API's schema does not take, in the words of the command
// line.
func (e *apiError) misuse() error {
	var all []string
	for _, one := range e.Errors {
		_, field, _ := strings.Cut(one.Location, ".")
		demand := inWords(one.Message)
		if strings.HasSuffix(field, "_seconds") {
			demand += " seconds"
		}
		if word, ok := fieldWords[field]; ok {
			field = word
		}
		all = append(all, strings.TrimPrefix(field+": "+demand, ": "))
	}
	return Usagef("%s", strings.Join(all, "; "))
}

// fieldWords are the flags and arguments behind fields of the API that are
// called otherwise.
var fieldWords = map[string]string{
	"for_seconds": "--for", "ttl_seconds": "--ttl", "period_seconds": "--period", "found": "--found", "tokencodes": "--tokencodes",
	"first": "TOKENCODE", "second": "NEXT", "dialect": "--dialect", "message_authenticator": "--message-authenticator",
	"role": "--role", "reason": "--reason", "user": "USER", "name": "NAME", "serial": "SERIAL", "replacement": "NEW",
	"digits": "--digits", "algorithm": "--algorithm", "pin_style": "--pin-style", "pin_source": "--pin-source", "kind": "--kind",
	"counter": "--counter", "form": "--form", "site": "--site",
}

var schemaLength = regexp.MustCompile(`expected length ([<>])= (\d+)`)

// inWords is what a schema demands, to be read.
func inWords(demand string) string {
	if m := schemaLength.FindStringSubmatch(demand); m != nil {
		return "want at " + map[string]string{">": "least ", "<": "most "}[m[1]] + m[2] + " characters"
	}
	return schemaWords.Replace(demand)
}

var schemaWords = strings.NewReplacer(
	"expected number >= ", "want at least ", "expected number <= ", "want at most ",
	`expected value to be one of "`, "want one of ", `"`, "", "expected ", "want ",
)

func problemIn(resp *http.Response) error {
	e := &apiError{}
	body, err := io.ReadAll(io.LimitReader(resp.Body, 64<<10))
	if err != nil || json.Unmarshal(body, e) != nil || e.Detail == "" {
		return fmt.Errorf("%s answered %s, which is not keyfob's API: is that the node's admin.listen?", resp.Request.URL.Host, resp.Status)
	}
	if len(e.Errors) > 0 {
		return e.misuse()
	}
	return e
}

// IsCode reports whether an error is the API's problem of that code.
func IsCode(err error, code string) bool {
	var e *apiError
	return errors.As(err, &e) && strings.HasSuffix(e.Type, ":"+code)
}

// All collects every page of a listing.
func All[T any](ctx context.Context, r *Remote, path string, query url.Values) ([]T, error) {
	items := []T{}
	if query == nil {
		query = url.Values{}
	}
	query.Set("limit", "1000")
	for {
		var list api.List[T]
		if err := r.Call(ctx, http.MethodGet, path+"?"+query.Encode(), nil, &list); err != nil {
			return nil, err
		}
		items = append(items, list.Items...)
		if list.Next == "" {
			return items, nil
		}
		query.Set("after", list.Next)
	}
}

// At is a path of the API with names in it.
func At(parts ...string) string {
	for i, p := range parts {
		parts[i] = url.PathEscape(p)
	}
	return "/" + strings.Join(parts, "/")
}

func (e *Environment) Remote() *Remote { return &Remote{env: e} }
