package main

import (
	"cmp"
	"context"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"keyfob/cmd/keyfob/demo"
	"keyfob/webui/browsertest"
)

// configured is the heading of the last page.
const configured = "Your token is now configured for use with your company VPN connection."

// desk is the namespace of the users' browser. It is not that of the gateways,
// because Chromium drops what it is loading when a tunnel comes up beside it.
const (
	desk     = "desk"
	deskAddr = "10.99.3.2"
	pageAddr = "10.99.3.1" // where the pages are, seen from there
)

// startBrowser starts Chromium in the namespace desk.
func startBrowser(t *testing.T) *browsertest.Browser {
	t.Helper()
	cable(t, pageAddr, desk, deskAddr)
	program, err := exec.LookPath("chromium")
	if err != nil {
		t.Fatal(err)
	}
	dir, path := t.TempDir(), os.Getenv("PATH")
	script := fmt.Sprintf("#!/bin/sh\nexec ip netns exec %s %s \"$@\"\n", desk, program)
	if err := os.WriteFile(filepath.Join(dir, "chromium"), []byte(script), 0o700); err != nil {
		t.Fatal(err)
	}
	t.Setenv("PATH", dir+":"+path)
	return browsertest.Start(t)
}

// visitor is a user of the pages.
type visitor struct {
	*browsertest.Page
	t    *testing.T
	name string // of the pictures
}

// visit opens the page at the first node that accepts the connection.
func visit(t *testing.T, b *browsertest.Browser, name string, nodes ...demo.NodeInfo) *visitor {
	t.Helper()
	url := balance(t, nodes) // before the tab, so that it ends after it
	v := &visitor{Page: b.Open(t, browsertest.Options{}), t: t, name: name}
	v.Visit(url)
	v.at("/", "Set up your token")
	return v
}

// at checks that the visitor is on a page, and takes a screenshot.
func (v *visitor) at(path, heading string) {
	v.t.Helper()
	if at, says := v.Path(), v.Text("h1"); at != path || says != heading {
		v.t.Fatalf("%s is at %s, which says %q: want %s and %q\n%s", v.name, at, says, path, heading, v.Text("main"))
	}
	v.Shoot("story." + v.name + "." + cmp.Or(strings.Trim(path, "/"), "first"))
}

// signIn fills in the first page.
func (v *visitor) signIn(user, passcode string) {
	v.t.Helper()
	v.Fill("#user", user)
	v.answer("#passcode", passcode)
}

// answer fills in one field and sends the form.
func (v *visitor) answer(field, text string) {
	v.t.Helper()
	v.Fill(field, text)
	v.Follow("button[type=submit]")
}

// choosePIN fills in the page for a new PIN.
func (v *visitor) choosePIN(pin string) {
	v.t.Helper()
	v.Fill("#pin", pin)
	v.answer("#pin_again", pin)
}

// balance is a load balancer in front of the pages: one address, which connects to
// the first node that accepts.
func balance(t *testing.T, nodes []demo.NodeInfo) string {
	t.Helper()
	l, err := net.Listen("tcp", net.JoinHostPort(pageAddr, "0"))
	if err != nil {
		t.Fatal(err)
	}
	var open sync.WaitGroup
	ctx, cancel := context.WithCancel(context.WithoutCancel(t.Context())) // the tab is closed after the test's own context
	open.Go(func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			open.Go(func() { relay(ctx, conn, nodes) })
		}
	})
	t.Cleanup(func() {
		cancel()
		_ = l.Close()
		open.Wait()
	})
	return "https://" + l.Addr().String()
}

func relay(ctx context.Context, user net.Conn, nodes []demo.NodeInfo) {
	defer user.Close()
	for _, n := range nodes {
		node, err := net.Dial("tcp", strings.TrimPrefix(n.Web, "https://"))
		if err != nil {
			continue
		}
		defer node.Close()
		stop := context.AfterFunc(ctx, func() { _ = user.Close() })
		defer stop()
		var both sync.WaitGroup
		for _, way := range [][2]net.Conn{{user, node}, {node, user}} {
			both.Go(func() {
				_, _ = io.Copy(way[0], way[1])
				_, _ = way[0].Close(), way[1].Close()
			})
		}
		both.Wait()
		return
	}
}
