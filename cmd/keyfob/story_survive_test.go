package main

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"keyfob/api"
	"keyfob/api/client"
	"keyfob/cmd/keyfob/demo"
	"keyfob/engine"
	"keyfob/radius"
)

// rounds returns the number of rounds of a race: KEYFOB_ROUNDS, or the default.
func rounds(t *testing.T, usual int) int {
	t.Helper()
	text := os.Getenv("KEYFOB_ROUNDS")
	if text == "" {
		return usual
	}
	n, err := strconv.Atoi(text)
	if err != nil {
		t.Fatal(err)
	}
	return n
}

// tryDoor logs in at a front end of a node. It returns true for an accept, and an
// error for no answer.
type tryDoor func(t *testing.T, user, passcode string) (bool, error)

// doors returns the front ends of all nodes.
func (l *lab) doors(t *testing.T) []tryDoor {
	t.Helper()
	var doors []tryDoor
	for _, n := range l.Nodes {
		node := l.api(t, n)
		doors = append(doors, l.radiusDoor(t, n), l.webDoor(n), func(t *testing.T, user, passcode string) (bool, error) {
			t.Helper()
			result, err := tryAuthenticate(t.Context(), node, user, passcode)
			return result == "accept", err
		})
	}
	return doors
}

func (l *lab) radiusDoor(t *testing.T, n demo.NodeInfo) tryDoor {
	t.Helper()
	c, err := radius.Dial(t.Context(), radius.ClientConfig{
		Server: n.RADIUS, Secret: engine.Secret(l.Secret), Timeout: 3 * time.Second, Tries: 3, Random: rand.Reader,
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close() })
	return func(t *testing.T, user, passcode string) (bool, error) {
		t.Helper()
		reply, err := c.Authenticate(t.Context(), radius.Login{User: user, Passcode: engine.Secret(passcode)})
		return reply.Code == radius.AccessAccept, err
	}
}

// webDoor sends the form of the first page, from a different address each time.
func (l *lab) webDoor(n demo.NodeInfo) tryDoor {
	return func(t *testing.T, user, passcode string) (bool, error) {
		t.Helper()
		client := l.client(t)
		from := make([]byte, 2)
		_, _ = rand.Read(from)
		dialer := &net.Dialer{LocalAddr: &net.TCPAddr{IP: net.IPv4(127, 9, from[0], max(1, from[1]))}}
		transport, ok := client.Transport.(*http.Transport)
		if !ok {
			return false, errors.New("client has no transport of its own")
		}
		transport.DialContext = dialer.DialContext
		defer transport.CloseIdleConnections()
		body := strings.NewReader(url.Values{"user": {user}, "passcode": {passcode}}.Encode())
		req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, n.Web+"/", body)
		if err != nil {
			return false, err
		}
		req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		resp, err := client.Do(req)
		if err != nil {
			return false, err
		}
		_ = resp.Body.Close()
		switch {
		case resp.StatusCode == http.StatusSeeOther && resp.Header.Get("Location") == "/done":
			return true, nil
		case resp.StatusCode == http.StatusUnprocessableEntity:
			return false, nil
		default:
			return false, fmt.Errorf("the page says %s", resp.Status)
		}
	}
}

// TestOnePasscodeOpensOneDoorOnce races requests with one passcode at all front
// ends of all nodes. The user has a token with a button, so that each round has a
// fresh passcode without a wait.
func TestOnePasscodeOpensOneDoorOnce(t *testing.T) {
	l := startLab(t)
	// Many rounds are more refusals than one address may cause.
	l.admin(t, "policy", "set", "source.failures=0", "client.failures=0")
	doors := l.doors(t)
	erin := l.fob(t, "erin")
	for _, racers := range []int{2, 64} {
		t.Run(strconv.Itoa(racers), func(t *testing.T) {
			for round := range rounds(t, 25) {
				passcode := erin.press(t).Passcode
				let := race(t, racers, func(i int) (bool, error) {
					return doors[(round+i*4)%len(doors)](t, erin.User, passcode)
				})
				if let != 1 {
					t.Fatalf("round %d: one passcode let %d in; erin: %s", round, let, l.admin(t, "state", "show", erin.User, "-o", "json"))
				}
			}
		})
	}
}

// race makes all attempts at once and counts the accepts. Every attempt must be
// answered.
func race(t *testing.T, racers int, attempt func(i int) (bool, error)) int {
	t.Helper()
	var mu sync.Mutex
	var all sync.WaitGroup
	let, start := 0, make(chan struct{})
	for i := range racers {
		all.Go(func() {
			<-start
			ok, err := attempt(i)
			mu.Lock()
			defer mu.Unlock()
			if err != nil {
				t.Errorf("attempt %d: %v", i, err)
			}
			if ok {
				let++
			}
		})
	}
	close(start)
	all.Wait()
	return let
}

// TestWhatWasAcknowledgedSurvives kills all nodes at once, as a power failure does,
// during logins and changes. After a restart every node has everything that was
// acknowledged, and used passcodes are refused.
func TestWhatWasAcknowledgedSurvives(t *testing.T) {
	for round := range rounds(t, 2) {
		t.Run(strconv.Itoa(round), func(t *testing.T) { startLab(t).losesPower(t) })
	}
}

// TestDevStartsNodesThatWereJustKilled starts a cluster at once after its nodes
// were killed. A process that is being ended may still hold its sockets.
func TestDevStartsNodesThatWereJustKilled(t *testing.T) {
	l := startLab(t)
	for round := range rounds(t, 3) {
		before := l.Nodes
		for _, n := range before[min(round, 1):] { // the first time all of them
			_ = syscall.Kill(n.PID, syscall.SIGKILL)
		}
		l.start()
		for i, n := range l.Nodes {
			if !l.alive(n) {
				t.Errorf("round %d: node %s does not run", round, n.Name)
			}
			if killed := round == 0 || i > 0; killed == (n.PID == before[i].PID) {
				t.Errorf("round %d: node %s was process %d and is process %d", round, n.Name, before[i].PID, n.PID)
			}
			if _, err := l.status(t.Context(), n); err != nil {
				t.Errorf("round %d: node %s: %v", round, n.Name, err)
			}
		}
	}
}

func (l *lab) losesPower(t *testing.T) {
	erin := l.fob(t, "erin")
	before := l.audit(t)
	w := l.work(t, erin)
	l.killAll()
	w.wait()
	seen := before.read(t)
	l.start()

	after := l.audit(t)
	eventually(t, "the records from before", func() error {
		if n := len(after.read(t)); n < len(seen) {
			return fmt.Errorf("%d of %d", n, len(seen))
		}
		return nil
	})
	for i, r := range after.read(t)[:len(seen)] {
		if r.Data.Hash != seen[i].Data.Hash {
			t.Fatalf("record %d was %s and is %s", i+1, seen[i].about(), r.about())
		}
	}
	l.holdsUsers(t, w.users)
	for _, n := range l.Nodes {
		l.run(t, "audit", "verify", filepath.Join(n.Dir, "journal"))
		for _, passcode := range w.accepted[len(w.accepted)-3:] {
			if result := l.authenticate(t, n, erin.User, passcode); result != "reject" {
				t.Fatalf("node %s, after the restart, to a used passcode: %s", n.Name, result)
			}
		}
	}
	t.Logf("%d logins, %d users and %d records were there before the lights went out", len(w.accepted), len(w.users), len(seen))
}

// holdsUsers checks that every node has the users.
func (l *lab) holdsUsers(t *testing.T, users []string) {
	t.Helper()
	for _, n := range l.Nodes {
		var known []api.User
		if err := json.Unmarshal(l.run(t, "user", "list", "-o", "json", "--data", n.Dir), &known); err != nil {
			t.Fatal(err)
		}
		for _, user := range users {
			if !slices.ContainsFunc(known, func(u api.User) bool { return u.User == user }) {
				t.Errorf("node %s has forgotten user %s", n.Name, user)
			}
		}
	}
}

// work is logins and changes that continue until no node answers.
type work struct {
	wait     func()
	accepted []string // passcodes
	users    []string
}

// work returns when some logins and changes are acknowledged, and continues in the
// background until no node answers.
func (l *lab) work(t *testing.T, f *device) *work {
	t.Helper()
	const enough = 5
	w, nodes := &work{}, map[string]*client.Client{}
	for _, n := range l.Nodes {
		nodes[n.Name] = l.api(t, n)
	}
	var both sync.WaitGroup
	var warm [2]chan struct{}
	for i := range warm {
		warm[i] = make(chan struct{})
	}
	until := func(i int, act func(n demo.NodeInfo) error) {
		defer both.Done()
		for done := 0; ; done++ {
			if done == enough {
				close(warm[i])
			}
			if err := act(l.Nodes[done%len(l.Nodes)]); err != nil {
				if done < enough {
					t.Errorf("working before the power failure: %v", err)
					close(warm[i])
				}
				return
			}
		}
	}
	var passcodes []string
	for range 40 {
		passcodes = append(passcodes, f.press(t).Passcode)
	}
	both.Add(len(warm))
	go until(0, func(n demo.NodeInfo) error {
		if len(w.accepted) == len(passcodes) {
			return errors.New("no passcodes left")
		}
		passcode := passcodes[len(w.accepted)]
		result, err := tryAuthenticate(t.Context(), nodes[n.Name], f.User, passcode)
		if err == nil && result != "accept" {
			err = fmt.Errorf("a fresh passcode: %s", result)
		}
		if err == nil {
			w.accepted = append(w.accepted, passcode)
		}
		return err
	})
	go until(1, func(n demo.NodeInfo) error {
		user := fmt.Sprintf("guest.%d", len(w.users))
		_, err := nodes[n.Name].AddUser(t.Context(), api.AddUserRequest{CommandRequest: api.CommandRequest{Reason: "test"}, User: user})
		if err == nil {
			w.users = append(w.users, user)
		}
		return err
	})
	w.wait = both.Wait
	for i := range warm {
		<-warm[i]
	}
	return w
}

// tryAuthenticate logs in through the API of a node, as an application does.
func tryAuthenticate(ctx context.Context, node *client.Client, user, passcode string) (string, error) {
	answer, err := node.Authenticate(ctx, "", api.LoginRequest{User: user, Passcode: api.Secret(passcode), NoChallenge: true})
	return answer.Result, err
}
