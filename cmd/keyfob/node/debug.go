package node

import (
	"net/http"
	"net/http/pprof" //nolint:gosec // G108: nobody serves the default mux; the socket below is for root
)

// inspected adds the profiles of the running process to what is at the node's
// socket, where root alone comes in:
//
//	curl --unix-socket DIR/admin.sock 'http://keyfob/debug/pprof/profile?seconds=10'
//
// They hold names of functions and counts, and nothing that anybody typed.
func inspected(commands http.Handler) http.Handler {
	mux := http.NewServeMux()
	mux.Handle("/", commands)
	mux.HandleFunc("GET /debug/pprof/", pprof.Index)
	mux.HandleFunc("GET /debug/pprof/profile", pprof.Profile)
	mux.HandleFunc("GET /debug/pprof/trace", pprof.Trace)
	return mux
}
