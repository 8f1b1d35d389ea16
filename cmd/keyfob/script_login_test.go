package main

import (
	"cmp"
	"context"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"io"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"time"

	"github.com/rogpeppe/go-internal/testscript"

	"keyfob/api"
	"keyfob/api/client"
	"keyfob/cmd/keyfob/cli"
	"keyfob/cmd/keyfob/demo"
	"keyfob/engine"
	"keyfob/radius"
)

// login logs in at a front end of a node of dev/dev.json, and sets the variable
// REFERENCE to the reference that the page or the API returns: login radius|web|api
// NODE USER PASSCODE. It accepts any result; the script checks what is recorded. At RADIUS the shared secret is
// that of dev/dev.json, or the one in the variable RADIUS_SECRET; ! login radius
// expects no answer.
func login(ts *testscript.TestScript, neg bool, args []string) {
	if len(args) != 4 || neg && args[0] != "radius" {
		ts.Fatalf("usage: login radius|web|api NODE USER PASSCODE")
	}
	info, err := demo.ReadFile(ts.MkAbs("dev/" + demo.File))
	ts.Check(err)
	node := info.Nodes[args[1][1]-'1']
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	user, passcode := args[2], args[3]
	shown := ""
	switch args[0] {
	case "radius":
		tries := 5
		if neg {
			tries = 1
		}
		secret := cmp.Or(ts.Getenv("RADIUS_SECRET"), info.Secret)
		vpn, err := radius.Dial(ctx, radius.ClientConfig{
			Server: node.RADIUS, Secret: engine.Secret(secret), Timeout: 2 * time.Second, Tries: tries, Random: rand.Reader,
		})
		ts.Check(err)
		defer vpn.Close()
		_, err = vpn.Authenticate(ctx, radius.Login{User: user, Passcode: engine.Secret(passcode)})
		if neg && errors.Is(err, radius.ErrNoAnswer) {
			break
		}
		ts.Check(err)
		if neg {
			ts.Fatalf("node %s answered", args[1])
		}
	case "web":
		shown = loginAtPage(ts, info.CA, node.Web, user, passcode)
	case "api":
		out, err := apiAt(node).Authenticate(ctx, "", api.LoginRequest{User: user, Passcode: api.Secret(passcode)})
		ts.Check(err)
		shown = out.Reference
	}
	ts.Setenv("REFERENCE", shown)
}

// apiAt returns the API of a node, through its socket.
func apiAt(n demo.NodeInfo) *client.Client {
	return client.New(client.Socket(filepath.Join(n.Dir, cli.SocketName)))
}

// spoken sets the variable SPOKEN to a reference as it is typed after a phone call:
// spoken REFERENCE.
func spoken(ts *testscript.TestScript, _ bool, args []string) {
	ts.Setenv("SPOKEN", " "+strings.ToLower(strings.NewReplacer("-", " ", "0", "o", "1", "l").Replace(args[0])))
}

// caller gets a word for the help desk at the page of a node and sets the
// variable WORD: caller NODE USER TOKENCODE. With ! the page shows none.
func caller(ts *testscript.TestScript, neg bool, args []string) {
	if len(args) != 3 {
		ts.Fatalf("usage: caller NODE USER TOKENCODE")
	}
	info, err := demo.ReadFile(ts.MkAbs("dev/" + demo.File))
	ts.Check(err)
	page := postForm(ts, info.CA, info.Nodes[args[0][1]-'1'].Web+"/caller", url.Values{"user": {args[1]}, "tokencode": {args[2]}})
	word := regexp.MustCompile(`>([0-9A-Z]{3} [0-9A-Z]{3})<`).FindStringSubmatch(page)
	if (word == nil) != neg {
		ts.Fatalf("the page shows %q", word)
	}
	if word != nil {
		ts.Setenv("WORD", strings.ReplaceAll(word[1], " ", ""))
	}
}

// loginAtPage sends the form of the first page and returns the reference in the
// response.
func loginAtPage(ts *testscript.TestScript, ca, base, user, passcode string) string {
	page := postForm(ts, ca, base+"/", url.Values{"user": {user}, "passcode": {passcode}})
	return regexp.MustCompile(`[0-9A-Z]{4}-[0-9A-Z]{4}`).FindString(page)
}

// postForm sends a form and returns the page that answers it.
func postForm(ts *testscript.TestScript, ca, to string, form url.Values) string {
	pem, err := os.ReadFile(ca)
	ts.Check(err)
	pool := x509.NewCertPool()
	pool.AppendCertsFromPEM(pem)
	client := &http.Client{Transport: &http.Transport{TLSClientConfig: &tls.Config{RootCAs: pool, MinVersion: tls.VersionTLS13}}}
	defer client.CloseIdleConnections()
	resp, err := client.PostForm(to, form)
	ts.Check(err)
	defer resp.Body.Close()
	page, err := io.ReadAll(resp.Body)
	ts.Check(err)
	return string(page)
}
