package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/rogpeppe/go-internal/testscript"

	"keyfob/cmd/keyfob/demo"
	"keyfob/cmd/keyfob/node"
)

// status runs a command and checks its exit status: status 2 keyfob user.
func status(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 2 {
		ts.Fatalf("usage: status N command …")
	}
	want, err := strconv.Atoi(args[0])
	ts.Check(err)
	got := 0
	if err := ts.Exec(args[1], args[2:]...); err != nil {
		var exit *exec.ExitError
		if !errors.As(err, &exit) {
			ts.Fatalf("%v", err)
		}
		got = exit.ExitCode()
	}
	if got != want {
		ts.Fatalf("exit status %d, want %d", got, want)
	}
}

// jsonEquals checks a value in a JSON file, or sets a variable to it:
// json stdout nodes.0.name n1; json dev.json nodes.0.dir -> N1.
func jsonEquals(ts *testscript.TestScript, neg bool, args []string) {
	if len(args) < 2 {
		ts.Fatalf("usage: json FILE PATH [VALUE | -> VARIABLE]")
	}
	var v any
	ts.Check(json.Unmarshal([]byte(ts.ReadFile(args[0])), &v))
	for _, step := range strings.Split(args[1], ".") {
		switch at := v.(type) {
		case map[string]any:
			v = at[step]
		case []any:
			i, err := strconv.Atoi(step)
			if err != nil || i >= len(at) {
				ts.Fatalf("%s has no %s of %s", args[0], step, args[1])
			}
			v = at[i]
		default:
			v = nil
		}
	}
	text := ""
	if v != nil {
		text = strings.TrimSuffix(fmt.Sprintf("%v", v), ".0")
	}
	switch {
	case len(args) == 4 && args[2] == "->":
		ts.Setenv(args[3], text)
	case len(args) == 2:
		if (text != "") == neg {
			ts.Fatalf("%s of %s is %q", args[1], args[0], text)
		}
	case (text == strings.Join(args[2:], " ")) == neg:
		ts.Fatalf("%s of %s is %q, not %q", args[1], args[0], text, strings.Join(args[2:], " "))
	}
}

// get downloads a URL to a file: get URL FILE.
func get(ts *testscript.TestScript, _ bool, args []string) {
	resp, err := http.Get(args[0])
	ts.Check(err)
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	ts.Check(err)
	if resp.StatusCode != http.StatusOK {
		ts.Fatalf("%s: %s: %s", args[0], resp.Status, body)
	}
	ts.Check(os.WriteFile(ts.MkAbs(args[1]), body, 0o600))
}

// reads connects to NATS with a credentials file: reads URL FILE. It waits for
// the server to accept the credentials or, with !, to refuse them.
func reads(ts *testscript.TestScript, neg bool, args []string) {
	deadline := time.Now().Add(30 * time.Second)
	for {
		nc, err := nats.Connect(args[0], nats.UserCredentials(ts.MkAbs(args[1])), nats.NoReconnect())
		if err == nil {
			nc.Close()
		}
		switch {
		case err == nil && !neg, errors.Is(err, nats.ErrAuthorization) && neg:
			return
		case time.Now().After(deadline):
			ts.Fatalf("connecting to %s: %v", args[0], err)
		}
		pause(20 * time.Millisecond)
	}
}

// endNodes ends the nodes of a dev.json and waits until they are gone.
func endNodes(ts *testscript.TestScript, _ bool, args []string) {
	var info demo.Info
	ts.Check(json.Unmarshal([]byte(ts.ReadFile(args[0])), &info))
	if len(args) > 1 {
		info.Nodes = slices.DeleteFunc(info.Nodes, func(n demo.NodeInfo) bool { return n.Name != args[1] })
	}
	for _, n := range info.Nodes {
		ts.Check(syscall.Kill(n.PID, syscall.SIGTERM))
	}
	for _, n := range info.Nodes {
		deadline := time.Now().Add(30 * time.Second)
		for !node.Ended(n.PID) {
			if time.Now().After(deadline) {
				_ = syscall.Kill(n.PID, syscall.SIGKILL)
				ts.Fatalf("node %s does not end", n.Name)
			}
			pause(20 * time.Millisecond)
		}
	}
}

// endLeftovers ends the nodes that a failed script left running.
func endLeftovers(file string) {
	info, err := demo.ReadFile(file)
	if err != nil {
		return
	}
	for _, n := range info.Nodes {
		if !node.Ended(n.PID) {
			_ = syscall.Kill(n.PID, syscall.SIGKILL)
		}
	}
}

func pause(d time.Duration) { <-time.After(d) }

// Ports of test clusters. They are below the range from which the kernel takes
// ports for outgoing connections (ip_local_port_range), so a free port stays
// free until a node listens on it.
const (
	firstBase = 20_000
	lastBase  = 32_600
	baseStep  = 100
)

// bases are the base ports of test clusters. The first one depends on the
// process, because other runs of these tests may be under way.
var bases = struct {
	mu   sync.Mutex // guards next
	next int
}{next: firstBase + os.Getpid()*baseStep%(lastBase-firstBase)}

// freeBase returns a base port from which on all ports of a dev cluster are
// free, another one each time.
func freeBase(t *testing.T) int {
	t.Helper()
	bases.mu.Lock()
	defer bases.mu.Unlock()
	for range (lastBase - firstBase) / baseStep {
		base := bases.next
		if bases.next += baseStep; bases.next > lastBase {
			bases.next = firstBase
		}
		if allFree(base) {
			return base
		}
	}
	t.Fatal("no free ports")
	return 0
}

// interval waits until at least half of an interval is left, so that the next step
// is in the same interval: interval 30s.
func interval(ts *testscript.TestScript, _ bool, args []string) {
	period, err := time.ParseDuration(args[0])
	ts.Check(err)
	for time.Since(time.Now().Truncate(period)) > period/2 {
		pause(20 * time.Millisecond)
	}
}

// await waits for a file.
func await(ts *testscript.TestScript, _ bool, args []string) {
	deadline := time.Now().Add(time.Minute)
	for {
		if _, err := os.Stat(ts.MkAbs(args[0])); err == nil {
			return
		}
		if time.Now().After(deadline) {
			ts.Fatalf("%s does not come", args[0])
		}
		pause(20 * time.Millisecond)
	}
}

// becomes runs a command until its output matches: becomes REGEXP command …
func becomes(ts *testscript.TestScript, _ bool, args []string) {
	want := regexp.MustCompile(args[0])
	deadline := time.Now().Add(time.Minute)
	for {
		ts.Check(ts.Exec(args[1], args[2:]...))
		out := ts.ReadFile("stdout")
		if want.MatchString(out) {
			return
		}
		if time.Now().After(deadline) {
			ts.Fatalf("the output does not come to match %q:\n%s", args[0], out)
		}
		pause(20 * time.Millisecond)
	}
}

func allFree(base int) bool {
	for port := base; port < base+30; port++ {
		l, err := net.Listen("tcp", demo.Loopback(port))
		if err != nil {
			return false
		}
		_ = l.Close()
		c, err := net.ListenPacket("udp", demo.Loopback(port))
		if err != nil {
			return false
		}
		_ = c.Close()
	}
	return true
}
