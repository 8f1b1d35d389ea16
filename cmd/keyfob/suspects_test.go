package main

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sync/errgroup"

	"keyfob/api"
	"keyfob/api/client"
	"keyfob/cmd/keyfob/demo"
	"keyfob/cmd/keyfob/node"
	"keyfob/engine"
	"keyfob/engine/tokencode"
	"keyfob/radius"
)

// state is a reason for a refusal. The answer must not reveal it.
type state struct {
	name  string
	few   bool // few users asked over and over: their refusals are not each written down
	rare  bool // asked less often: Argon2id each time
	vpn   bool // over RADIUS only: on the page what was typed is the whole proof, and is answered
	token bool // the user has one
	pin   bool // and a PIN
	seen  bool // that every node has found right before: no Argon2id
	after func(c *trial, p *holder) error
	typed func(p *holder) string
}

const (
	noPIN    = ""
	wrongPIN = "18000000"
)

// holder is a user with an event token.
type holder struct {
	user, serial, pin string
	seed              tokencode.Seed
	token             *tokencode.Generator
	pressed           int64
}

func newHolders(n int) ([]*holder, error) {
	all := make([]*holder, n)
	for i := range all {
		// A PIN that begins with 19 is neither a repeat nor a run.
		p := &holder{pin: fmt.Sprintf("19%06d", i), seed: make(tokencode.Seed, 20)}
		_, _ = rand.Read(p.seed) // never fails
		var err error
		if p.token, err = tokencode.New(tokencode.Params{Kind: tokencode.HOTP, Algorithm: tokencode.SHA1, Digits: 6}, p.seed); err != nil {
			return nil, err
		}
		all[i] = p
	}
	return all, nil
}

// passcode presses the token.
func (p *holder) passcode() string {
	p.pressed++
	return p.pin + p.token.At(p.pressed-1)
}

// right returns the correct passcode without advancing the token, because a refused
// passcode can be entered again.
func right(p *holder) string { return p.pin + p.token.At(p.pressed) }

func states() []state {
	disable := func(c *trial, p *holder) error {
		_, err := c.api.DisableUser(c.t.Context(), p.user, byTrial)
		return err
	}
	disableToken := func(c *trial, p *holder) error {
		_, err := c.api.DisableToken(c.t.Context(), p.serial, byTrial)
		return err
	}
	demandNext := func(c *trial, p *holder) error {
		_, err := c.api.RequireNextTokencode(c.t.Context(), p.serial, byTrial)
		return err
	}
	lock := func(c *trial, p *holder) error { return c.login(p, "00000000", radius.AccessReject) }
	return []state{
		{name: "unknown user", typed: right},
		{name: "no token", after: func(c *trial, p *holder) error { return c.addUser(p) }, typed: right},
		{name: "locked", token: true, pin: true, seen: true, after: lock, typed: right},
		{name: "locked, pressed", few: true, token: true, pin: true, seen: true, after: lock, typed: right},
		{name: "disabled", token: true, pin: true, seen: true, after: disable, typed: right},
		{name: "disabled token", token: true, pin: true, after: disableToken, typed: right},
		{name: "wrong PIN", token: true, pin: true, seen: true, typed: func(p *holder) string { return wrongPIN + p.token.At(p.pressed) }},
		{name: "wrong PIN, Argon2id", rare: true, token: true, pin: true, typed: func(p *holder) string { return wrongPIN + p.token.At(p.pressed) }},
		{name: "wrong tokencode", token: true, pin: true, seen: true, typed: func(p *holder) string { return p.pin + p.wrongCode() }},
		{name: "replay", token: true, pin: true, seen: true, typed: func(p *holder) string { return p.pin + p.token.At(p.pressed-1) }},
		{name: "New PIN mode", vpn: true, token: true, typed: func(p *holder) string { return p.token.At(p.pressed) }},
		{name: "Next Tokencode mode", vpn: true, token: true, pin: true, seen: true, after: demandNext, typed: right},
	}
}

// wrongCode returns a tokencode that is not in the widest window.
func (p *holder) wrongCode() string {
	const beyond = 1000
	near := map[string]bool{}
	for i := range p.pressed + 2*beyond {
		near[p.token.At(i)] = true
	}
	for i := p.pressed + 2*beyond; ; i++ {
		if code := p.token.At(i); !near[code] {
			return code
		}
	}
}

// suspect is a user in a state, with the passcode that is entered.
type suspect struct {
	state *state
	user  string
	typed engine.Secret
}

// trial is a cluster of real nodes with users in every state.
type trial struct {
	t    *testing.T
	info demo.Info
	api  *client.Client
	vpn  [][]*radius.Client // sockets of a VPN that cannot ask anything back, by node
	turn atomic.Uint64
}

// newTrial starts nodes, as keyfob dev does. They end with the test.
func newTrial(t *testing.T, nodes int) *trial {
	t.Helper()
	program, err := binary()
	if err != nil {
		t.Fatal(err)
	}
	c := &trial{t: t}
	dir := t.TempDir()
	t.Cleanup(func() { c.end(filepath.Join(dir, demo.File)) })
	dev := exec.CommandContext(t.Context(), program, "dev", "--dir", dir, "--nodes", strconv.Itoa(nodes), "--base-port", strconv.Itoa(freeBase(t)), "--detach")
	if out, err := dev.CombinedOutput(); err != nil {
		t.Fatalf("starting %d nodes: %v\n%s", nodes, err, out)
	}
	if c.info, err = demo.ReadFile(filepath.Join(dir, demo.File)); err != nil || len(c.info.Nodes) != nodes {
		t.Fatalf("reading what was started: %d nodes, %v", len(c.info.Nodes), err)
	}
	c.api = apiAt(c.info.Nodes[0])
	dialect, trusted := "nochallenge", false
	_, err = c.api.SetClient(t.Context(), demo.RADIUSClient, api.SetClientRequest{CommandRequest: byTrial, Dialect: &dialect, Trusted: &trusted})
	c.must(err)
	c.dial()
	return c
}

func (c *trial) must(err error) {
	c.t.Helper()
	if err != nil {
		c.t.Fatal(err)
	}
}

func (c *trial) dial() {
	c.t.Helper()
	const sockets = 8
	for _, n := range c.info.Nodes {
		var clients []*radius.Client
		for range sockets {
			client, err := radius.Dial(c.t.Context(), radius.ClientConfig{
				Server: n.RADIUS, Secret: engine.Secret(c.info.Secret), Timeout: 5 * time.Second, Tries: 4, Random: rand.Reader,
			})
			c.must(err)
			c.t.Cleanup(func() { _ = client.Close() })
			clients = append(clients, client)
		}
		c.vpn = append(c.vpn, clients)
	}
}

// socket returns a socket of a node, a different one each time.
func (c *trial) socket(node int) *radius.Client {
	return c.vpn[node][c.turn.Add(1)%uint64(len(c.vpn[node]))]
}

// end ends the nodes and waits until they have ended.
func (c *trial) end(file string) {
	info, err := demo.ReadFile(file)
	if err != nil {
		return
	}
	for _, n := range info.Nodes {
		if n.PID > 1 {
			_ = syscall.Kill(n.PID, syscall.SIGKILL)
		}
	}
	for _, n := range info.Nodes {
		for deadline := time.Now().Add(soon); !node.Ended(n.PID) && time.Now().Before(deadline); {
			pause(glance)
		}
		if b, err := os.ReadFile(filepath.Join(n.Dir, "log")); err == nil && c.t.Failed() {
			c.t.Logf("log of node %s:\n%s", n.Name, b[max(0, len(b)-4000):])
		}
	}
}

// byTrial is the reason of the changes of a trial.
var byTrial = api.CommandRequest{Reason: "a trial"}

// policy changes settings, and waits until every node has them.
func (c *trial) policy(settings map[string]string) {
	c.t.Helper()
	_, err := c.api.SetPolicy(c.t.Context(), api.SetPolicyRequest{
		CommandRequest: byTrial, PolicySettings: api.PolicySettings{Settings: settings}, Force: true,
	})
	c.must(err)
	for _, n := range c.info.Nodes {
		eventually(c.t, "the policy on node "+n.Name, func() error {
			now, err := apiAt(n).ShowPolicy(c.t.Context())
			if err != nil {
				return err
			}
			for _, s := range now.Settings {
				if want, ok := settings[s.Key]; ok && s.Value != want {
					return fmt.Errorf("%s is %s, want %s", s.Key, s.Value, want)
				}
			}
			return nil
		})
	}
}

func (c *trial) addUser(p *holder) error {
	_, err := c.api.AddUser(c.t.Context(), api.AddUserRequest{CommandRequest: byTrial, User: p.user})
	return err
}

func (c *trial) login(p *holder, typed string, want radius.Code) error {
	return c.loginAt(0, p, typed, want)
}

func (c *trial) loginAt(node int, p *holder, typed string, want radius.Code) error {
	r, err := c.socket(node).Authenticate(c.t.Context(), radius.Login{User: p.user, Passcode: engine.Secret(typed)})
	if err != nil {
		return err
	}
	if r.Code != want {
		now, err := c.api.ShowState(c.t.Context(), p.user, api.ShowStateQuery{})
		return errors.Join(fmt.Errorf("%s at node %d: %v, want %v; its state: %+v", p.user, node+1, r.Code, want, now), err)
	}
	return nil
}

// introduce adds users in every state, enough for a number of attempts per state so
// that no user is locked.
func (c *trial) introduce(attempts int) map[*state][]suspect {
	c.t.Helper()
	const attemptsEach = 60 // well below what locks anybody
	all := map[*state][]suspect{}
	// Locks must last, and no other state may change by itself.
	c.policy(map[string]string{
		"lock.after": "1", "lock.for": "24h", "lock.stop_after": "1000",
		"wait.step": "0s", "next_tokencode.after": "100", "refusal.delay": "20ms",
		"source.failures": "0", "client.failures": "0", // so many as come here would not be looked at
	})
	var begun []func(context.Context) error
	list := states()
	for i := range list {
		s := &list[i]
		count := attempts/attemptsEach + 2
		if s.few {
			count = 3
		}
		people, err := newHolders(count)
		c.must(err)
		for k, p := range people {
			p.user, p.serial = fmt.Sprintf("%c%05d", 'a'+i, k), fmt.Sprintf("%c-%05d", 'a'+i, k)
			all[s] = append(all[s], suspect{})
			begun = append(begun, func(context.Context) error {
				if err := c.prepare(s, p); err != nil {
					return fmt.Errorf("making a user: %s: %w", s.name, err)
				}
				all[s][k] = suspect{s, p.user, engine.Secret(s.typed(p))}
				return nil
			})
		}
	}
	group, ctx := errgroup.WithContext(c.t.Context())
	group.SetLimit(16) // Argon2id at once, less than a node would shed
	for _, begin := range begun {
		group.Go(func() error { return begin(ctx) })
	}
	c.must(group.Wait())
	c.policy(map[string]string{"lock.after": "100", "refusal.delay": "250ms"})
	return all
}

func (c *trial) prepare(s *state, p *holder) error {
	if s.token {
		if err := c.addUser(p); err != nil {
			return err
		}
		n := api.AddTokenRequest{CommandRequest: byTrial, TokenRecord: api.TokenRecord{
			Serial: p.serial, Kind: string(tokencode.HOTP), Seed: api.Secret(hex.EncodeToString(p.seed)), Encoding: "hex", User: p.user,
		}}
		if n.PIN = api.Secret(p.pin); !s.pin {
			n.PIN = noPIN
		}
		if _, err := c.api.AddToken(c.t.Context(), n); err != nil {
			return err
		}
	}
	if s.seen {
		for node := range c.info.Nodes {
			if err := c.loginAt(node, p, p.passcode(), radius.AccessAccept); err != nil {
				return err
			}
		}
	}
	if s.after != nil {
		return s.after(c, p)
	}
	return nil
}

// browser returns an HTTPS client with an address of its own, because forms per
// address are limited.
func (c *trial) browser(from net.IP) *http.Client {
	conf := trust(c.t, c.info.CA)
	dialer := &net.Dialer{LocalAddr: &net.TCPAddr{IP: from}}
	transport := &http.Transport{TLSClientConfig: conf, ForceAttemptHTTP2: true, DialContext: dialer.DialContext}
	c.t.Cleanup(transport.CloseIdleConnections)
	return &http.Client{Transport: transport, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
}
