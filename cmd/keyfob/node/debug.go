package node

import (
	"net/http"
	"net/http/pprof" //nolint:gosec // G108: the default mux is not served; the socket is for root
)

// withProfiles adds the profiles of the process to the socket, which only root and
// the user of the node can use:
//
//	curl --unix-socket DIR/admin.sock 'http://keyfob/debug/pprof/profile?seconds=10'
//
// They contain names of functions and counts, and no user input.
func withProfiles(commands http.Handler) http.Handler {
	mux := http.NewServeMux()
	mux.Handle("/", commands)
	mux.HandleFunc("GET /debug/pprof/", pprof.Index)
	mux.HandleFunc("GET /debug/pprof/profile", pprof.Profile)
	mux.HandleFunc("GET /debug/pprof/trace", pprof.Trace)
	return mux
}
