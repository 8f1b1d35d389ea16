package main

import (
	"context"
	"crypto/tls"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"keyfob/cmd/keyfob/demo"
)

// TestStrangersConnectionsKeepNobodyOut opens idle and slow connections to every TCP
// port of a node, renewed whenever the node closes them, while users log in there
// over RADIUS and on the page. KEYFOB_CONNECTIONS is the number of connections; the
// short form has fewer, at a node that may open few files.
func TestStrangersConnectionsKeepNobodyOut(t *testing.T) {
	if testing.Short() {
		t.Skip("starts a cluster of processes")
	}
	count, files := 1200, 1024
	if text := os.Getenv("KEYFOB_CONNECTIONS"); text != "" {
		n, err := strconv.Atoi(text)
		if err != nil {
			t.Fatal(err)
		}
		count, files = n, 0
	}
	l := startLabWith(t, files)
	victim := l.node("n1")
	limit := maxFiles(t, victim.PID)
	before := openFilesOf(t, victim.PID)
	quiet := l.logInAll(t, victim, 10)
	l.flood(t, victim, count)
	eventually(t, "the flood arrives", func() error {
		if n := openFilesOf(t, victim.PID); n < before+min(count, limit/4)/2 {
			return fmt.Errorf("%d files are open", n)
		}
		return nil
	})
	most := 0
	attacked := make([]time.Duration, 0, 30)
	for range 10 {
		attacked = append(attacked, l.logInAll(t, victim, 3)...)
		if err := l.visit(t, victim.Web); err != nil {
			t.Errorf("the page: %v", err)
		}
		if _, err := l.api(t, victim).ClusterStatus(t.Context()); err != nil {
			t.Errorf("the API: %v", err)
		}
		most = max(most, openFilesOf(t, victim.PID))
	}
	if most > limit*3/4 {
		t.Errorf("%d of %d files are open: too few are left for the journal and the other nodes", most, limit)
	}
	slices.Sort(quiet)
	slices.Sort(attacked)
	t.Logf("%d connections: RADIUS logins took %v (median) and %v (longest) before, %v and %v during; %d of %d files open, %s of memory",
		count, quiet[len(quiet)/2], quiet[len(quiet)-1], attacked[len(attacked)/2], attacked[len(attacked)-1], most, limit, residentOf(t, victim.PID))
}

// logInAll logs a user in several times over RADIUS and returns how long each took.
func (l *lab) logInAll(t *testing.T, n demo.NodeInfo, times int) []time.Duration {
	t.Helper()
	door, erin := l.radiusDoor(t, n), l.pressed(t)
	var took []time.Duration
	for range times {
		passcode := erin.press(t).Passcode
		began := time.Now()
		if in, err := door(t, erin.User, passcode); err != nil || !in {
			t.Fatalf("a login over RADIUS: accepted %v, %v", in, err)
		}
		took = append(took, time.Since(began).Round(100*time.Microsecond))
	}
	return took
}

// pressed returns the token with a button, which shows each tokencode once.
func (l *lab) pressed(t *testing.T) *device {
	t.Helper()
	if l.button == nil {
		l.button = l.fob(t, "erin")
	}
	return l.button
}

// visit opens the first page on a connection of its own.
func (l *lab) visit(t *testing.T, page string) error {
	t.Helper()
	client := l.client(t)
	defer client.CloseIdleConnections()
	res, err := client.Get(page)
	if err != nil {
		return err
	}
	defer res.Body.Close()
	if res.StatusCode != http.StatusOK {
		return fmt.Errorf("status %d", res.StatusCode)
	}
	_, err = io.Copy(io.Discard, res.Body)
	return err
}

// flood starts programs that keep connections to a node open. They end with the
// test.
func (l *lab) flood(t *testing.T, n demo.NodeInfo, count int) {
	t.Helper()
	targets := []string{strings.TrimPrefix(n.NATS, "nats://"), n.RadSec, strings.TrimPrefix(n.Metrics, "http://")}
	for range 3 { // most to the pages and the API
		targets = append(targets, strings.TrimPrefix(n.Web, "https://"), strings.TrimPrefix(n.API, "https://"))
	}
	const each = 5000 // connections of a program
	for ; count > 0; count -= each {
		c := exec.Command("/proc/self/exe")
		c.Env = append(os.Environ(), machineVar+"="+machineFlood, "KEYFOB_TEST_FLOOD="+strconv.Itoa(min(count, each))+" "+strings.Join(targets, " "))
		if err := c.Start(); err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = c.Process.Kill(); _ = c.Wait() })
	}
}

// flood keeps connections open until the program is killed.
func flood() {
	words := strings.Fields(os.Getenv("KEYFOB_TEST_FLOOD"))
	count, err := strconv.Atoi(words[0])
	if err != nil {
		panic(err)
	}
	for i := range count {
		target := words[1+i%(len(words)-1)]
		go func() {
			for {
				occupy(target, i%4)
				<-time.After(time.Second + rand.N(4*time.Second))
			}
		}()
	}
	select {}
}

// occupy opens a connection from one of 500 addresses, and returns when the other
// side has closed it.
func occupy(target string, way int) {
	from := rand.IntN(500)
	dialer := net.Dialer{Timeout: 10 * time.Second, LocalAddr: &net.TCPAddr{IP: net.IPv4(127, 77, byte(from>>8), byte(1+from&0x7f))}}
	conn, err := dialer.DialContext(context.Background(), "tcp", target)
	if err != nil {
		return
	}
	defer conn.Close()
	switch way {
	case 0: // silent
	case 1: // the beginning of a handshake
		_, _ = conn.Write([]byte{22, 3, 1, 2, 0, 1})
	default: // a header, or a form, that arrives byte by byte
		secure := tls.Client(conn, &tls.Config{InsecureSkipVerify: true, NextProtos: []string{"http/1.1"}})
		conn = secure
		text := "GET / HTTP/1.1\r\nHost: localhost\r\nX: "
		if way == 3 {
			text = "POST / HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/x-www-form-urlencoded\r\nContent-Length: 9999\r\n\r\nuser="
		}
		_, _ = io.WriteString(secure, text)
		go func() {
			for {
				<-time.After(time.Second)
				if _, err := secure.Write([]byte("x")); err != nil {
					return
				}
			}
		}()
	}
	_, _ = io.Copy(io.Discard, conn)
}

// maxFiles returns how many files a process may open.
func maxFiles(t *testing.T, pid int) int {
	t.Helper()
	return int(numberAfter(t, pid, "limits", "Max open files"))
}

func openFilesOf(t *testing.T, pid int) int {
	t.Helper()
	files, err := os.ReadDir(filepath.Join("/proc", strconv.Itoa(pid), "fd"))
	if err != nil {
		t.Fatal(err)
	}
	return len(files)
}

// residentOf returns the memory of a process.
func residentOf(t *testing.T, pid int) string {
	t.Helper()
	return fmt.Sprintf("%d MiB", numberAfter(t, pid, "status", "VmRSS:")>>10)
}

// numberAfter returns the number after a word in a file of a process.
func numberAfter(t *testing.T, pid int, file, word string) int64 {
	t.Helper()
	b, err := os.ReadFile(filepath.Join("/proc", strconv.Itoa(pid), file))
	if err != nil {
		t.Fatal(err)
	}
	_, rest, ok := strings.Cut(string(b), word)
	if fields := strings.Fields(rest); ok && len(fields) > 0 {
		if n, err := strconv.ParseInt(fields[0], 10, 64); err == nil {
			return n
		}
	}
	t.Fatalf("%s of process %d has no number after %q", file, pid, word)
	return 0
}
