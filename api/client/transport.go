package client

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/url"
)

// Transport sends requests to a node. The URL of a request has only a path and a
// query; the transport adds the address.
type Transport interface {
	Do(*http.Request) (*http.Response, error)
}

// UnreachableError is returned if no node answered, or if the server is not a
// node.
type UnreachableError struct {
	At  string // the socket or the server
	Err error
}

// Error implements error.
func (e *UnreachableError) Error() string { return fmt.Sprintf("asking %s: %v", e.At, e.Err) }

// Unwrap returns the cause.
func (e *UnreachableError) Unwrap() error { return e.Err }

// UnknownAuthority reports whether the certificate of the server is signed by an
// authority that this machine does not trust.
func (e *UnreachableError) UnknownAuthority() bool {
	var authority x509.UnknownAuthorityError
	return errors.As(e.Err, &authority)
}

// transport is an HTTP client for one base URL.
type transport struct {
	at     string
	base   *url.URL
	bearer string
	http   *http.Client
}

// Socket reaches the node on this machine by its socket. The caller must be
// root or the node's user.
func Socket(path string) Transport {
	return &transport{
		at: path, base: &url.URL{Scheme: "http", Host: "keyfob"},
		http: &http.Client{Transport: &http.Transport{
			DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
				return new(net.Dialer).DialContext(ctx, "unix", path)
			},
		}},
	}
}

// HTTPS reaches a node at its URL, https://host:port, with an API token. Nil
// roots means the machine's own.
func HTTPS(server, token string, roots *x509.CertPool) (Transport, error) {
	u, err := url.Parse(server)
	if err != nil || u.Scheme != "https" || u.Host == "" {
		return nil, fmt.Errorf("%q is not of the form https://host:port", server)
	}
	return &transport{
		at: server, base: &url.URL{Scheme: u.Scheme, Host: u.Host}, bearer: token,
		http: &http.Client{Transport: &http.Transport{
			TLSClientConfig:   &tls.Config{MinVersion: tls.VersionTLS12, RootCAs: roots},
			ForceAttemptHTTP2: true,
		}},
	}, nil
}

// Do implements Transport.
func (t *transport) Do(req *http.Request) (*http.Response, error) {
	req.URL = t.base.ResolveReference(req.URL)
	req.Host = ""
	if t.bearer != "" {
		req.Header.Set("Authorization", "Bearer "+t.bearer)
	}
	resp, err := t.http.Do(req)
	if err != nil {
		var outer *url.Error // which repeats the URL
		if errors.As(err, &outer) {
			err = outer.Err
		}
		return nil, &UnreachableError{At: t.at, Err: err}
	}
	return resp, nil
}
