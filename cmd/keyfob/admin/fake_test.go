package admin

import (
	"bytes"
	"encoding/json"
	"encoding/pem"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"keyfob/api"
	"keyfob/cmd/keyfob/cli"
)

// node is a fake node: it answers requests, by method and path below the API's
// prefix, and records them. What it does not know is not found.
type node struct {
	answers map[string]any // "GET /users/ada"; a *problem is a refusal
	seen    []string
	ca      string
	url     string
}

type problem struct {
	status int
	code   string
	detail string
}

func startNode(t *testing.T, answers map[string]any) *node {
	t.Helper()
	n := &node{answers: answers}
	server := httptest.NewTLSServer(n)
	t.Cleanup(server.Close)
	n.url, n.ca = server.URL, filepath.Join(t.TempDir(), "ca.pem")
	cert := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: server.Certificate().Raw})
	if err := os.WriteFile(n.ca, cert, 0o600); err != nil {
		t.Fatal(err)
	}
	return n
}

func (n *node) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	path := strings.TrimPrefix(r.URL.Path, api.Prefix)
	request := r.Method + " " + path
	if query := r.URL.Query(); len(query) > 0 {
		query.Del("limit")
		if len(query) > 0 {
			request += "?" + query.Encode()
		}
	}
	n.seen = append(n.seen, request)
	answer, ok := n.answers[r.Method+" "+path]
	if !ok {
		answer = &problem{http.StatusNotFound, "not_found", "there is no " + path}
	}
	if p, ok := answer.(*problem); ok {
		w.WriteHeader(p.status)
		_ = json.NewEncoder(w).Encode(map[string]any{"type": "urn:keyfob:problem:" + p.code, "status": p.status, "detail": p.detail})
		return
	}
	if text, ok := answer.(string); ok {
		_, _ = w.Write([]byte(text))
		return
	}
	_ = json.NewEncoder(w).Encode(answer)
}

// changes are the requests that were not for reading.
func (n *node) changes() (all []string) {
	for _, one := range n.seen {
		if !strings.HasPrefix(one, http.MethodGet) {
			all = append(all, one)
		}
	}
	return all
}

// result is what a command came to.
type result struct {
	status   int
	out, err string
}

// run runs a command against the node, away from a terminal.
func (n *node) run(t *testing.T, args ...string) result {
	t.Helper()
	var out, said bytes.Buffer
	e := &cli.Environment{
		In: strings.NewReader(""), Out: &out, Err: &said, Now: noon, Environ: func() []string { return nil },
		Getenv: func(name string) string {
			return map[string]string{"KEYFOB_SERVER": n.url, "KEYFOB_CA": n.ca, "KEYFOB_TOKEN": "kf_test"}[name]
		},
	}
	root := e.Group("keyfob", "", Commands(e)...)
	root.SetOut(&out)
	root.SetErr(&said)
	root.SilenceErrors, root.SilenceUsage = true, true
	status := e.Execute(t.Context(), root, args)
	return result{status, out.String(), said.String()}
}

// noon is a time to reckon from.
func noon() time.Time { return time.Date(2026, 11, 2, 15, 0, 0, 0, time.UTC) }
