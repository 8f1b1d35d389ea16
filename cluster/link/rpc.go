package link

import (
	"context"
	"crypto/tls"
	"errors"
	"net"
	"net/http"
	"time"
)

const (
	maxHeader   = 16 << 10
	maxRPCBody  = 8 << 20  // a batch of commands, or journal records
	maxJoinBody = 64 << 10 // a certificate request and an invitation

	// Connections to one node. Waiting for a free one takes less time than a
	// handshake. Idle ones are kept, so a burst needs no new handshakes.
	maxCalls = 64

	clientIdle = 90 * time.Second
	serverIdle = 2 * time.Minute // longer, so that the client closes first, between requests
)

type peerKey struct{}

// Peer is the id of the node that sent the request with this context, empty for a
// request to join.
func Peer(ctx context.Context) string {
	if c, ok := ctx.Value(peerKey{}).(*conn); ok {
		return c.peer
	}
	return ""
}

// onlyMembers checks for each request that its sender is still a member.
func (l *Link) onlyMembers(h http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		c, ok := r.Context().Value(peerKey{}).(*conn)
		if !ok || l.checkKey(c.peer, c.key) != nil {
			w.Header().Set("Connection", "close")
			http.Error(w, ErrNotMember.Error(), http.StatusForbidden)
			return
		}
		h.ServeHTTP(w, r)
	})
}

// rpcServer serves members. A handler that needs more time than WriteTimeout extends
// its deadline with [http.ResponseController].
func rpcServer(h http.Handler) *http.Server {
	return &http.Server{
		Handler:           http.MaxBytesHandler(h, maxRPCBody),
		ReadHeaderTimeout: 10 * time.Second,
		ReadTimeout:       30 * time.Second,
		WriteTimeout:      time.Minute,
		IdleTimeout:       serverIdle,
		MaxHeaderBytes:    maxHeader,
		ConnContext: func(ctx context.Context, c net.Conn) context.Context {
			return context.WithValue(ctx, peerKey{}, c)
		},
	}
}

// joinServer serves strangers: one small request per connection, with short timeouts.
func joinServer(h http.Handler) *http.Server {
	s := &http.Server{
		Handler:           http.MaxBytesHandler(h, maxJoinBody),
		ReadHeaderTimeout: 5 * time.Second,
		ReadTimeout:       10 * time.Second,
		WriteTimeout:      30 * time.Second,
		MaxHeaderBytes:    maxHeader,
	}
	s.SetKeepAlivesEnabled(false)
	return s
}

// Client sends requests to members. The host of a URL is a node id, and the scheme is
// https: https://n2/decide. Connections are reused.
//
// A reused connection may be broken. The request is then repeated on a new one if that
// is safe: nothing was sent yet, or the request is a GET or has an Idempotency-Key
// header (with any value) and a body that can be read twice, such as a
// [bytes.Reader].
func (l *Link) Client() *http.Client { return l.client }

func newRPCClient(l *Link) *http.Client {
	return httpClient(func(ctx context.Context, _, hostPort string) (net.Conn, error) {
		nodeID, _, err := net.SplitHostPort(hostPort)
		if err != nil {
			return nil, err
		}
		addr, err := l.memberAddress(nodeID)
		if err != nil {
			return nil, err
		}
		return l.dial(ctx, nodeID, addr, protoRPC)
	})
}

// JoinConfig is what a machine knows about the cluster from its invitation.
type JoinConfig struct {
	Addr      string // host:port of any member
	Pin       string // of the cluster's CA, as returned by Pin
	ClusterID string
	Now       func() time.Time

	// Dial opens a connection, nil means TCP.
	Dial func(ctx context.Context, network, addr string) (net.Conn, error)
}

// JoinClient sends requests to the join handler of the node at c.Addr, whatever host
// the URL names. The scheme is https. The node must show a certificate of the
// cluster under the pinned CA.
func JoinClient(c JoinConfig) *http.Client {
	config := &tls.Config{
		MinVersion:         tls.VersionTLS13,
		NextProtos:         []string{protoJoin},
		Time:               c.Now,
		InsecureSkipVerify: true, // VerifyConnection checks the node
		VerifyConnection: func(state tls.ConnectionState) error {
			root, err := pinned(state, c.Pin)
			if err != nil {
				return err
			}
			if _, err := issuedBy(root, state.PeerCertificates[0], c.ClusterID, c.Now()); err != nil {
				return err
			}
			return wantProtocol(state, protoJoin)
		},
	}
	dial := c.Dial
	if dial == nil {
		dial = (&net.Dialer{}).DialContext
	}
	client := httpClient(func(ctx context.Context, _, _ string) (net.Conn, error) {
		_, tc, err := connect(ctx, dial, c.Addr, config)
		if err != nil {
			return nil, err
		}
		return tc, nil
	})
	client.Timeout = time.Minute
	return client
}

var errPlaintext = errors.New("nodes use https only")

func httpClient(dial func(ctx context.Context, network, hostPort string) (net.Conn, error)) *http.Client {
	return &http.Client{
		Transport: &http.Transport{
			DialTLSContext: dial,
			DialContext: func(context.Context, string, string) (net.Conn, error) {
				return nil, errPlaintext
			},
			MaxConnsPerHost:        maxCalls,
			MaxIdleConnsPerHost:    maxCalls,
			IdleConnTimeout:        clientIdle,
			ResponseHeaderTimeout:  30 * time.Second,
			MaxResponseHeaderBytes: maxHeader,
			DisableCompression:     true,
		},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
}
