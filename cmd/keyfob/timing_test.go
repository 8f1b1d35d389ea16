package main

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"io"
	"math"
	"math/rand/v2"
	"net"
	"net/http"
	"net/url"
	"os"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"text/tabwriter"
	"time"

	"keyfob/radius"
)

const (
	askedPerSecond = 150 // over RADIUS: far below what two cores can do
	formsPerSecond = 40

	// A difference fails the test if it is significant and large. Significant: by
	// chance less than once in a million runs, over all comparisons of a run.
	// Large: the median differs by more than largest, or the distribution function
	// by more than widest at any point. A significant difference below both is
	// printed and passes.
	oncePerRuns = 1e-6
	largest     = 1.0 // ms
	widest      = 0.1

	block = 5 * time.Second // times are compared within
)

// timing returns the number of requests over RADIUS: KEYFOB_TIMING, or enough to
// test the test.
func timing(t *testing.T) (requests int, nodes []int) {
	n, err := strconv.Atoi(os.Getenv("KEYFOB_TIMING"))
	switch {
	case err == nil && n > 0:
		return n, []int{1, 3}
	case testing.Short():
		t.Skip("starts three nodes, and measures for a while")
	}
	return 2400, []int{3}
}

// T-08, T-12, T-13: all refusals have the same bytes and the same delay.
func TestRefusalsCannotBeToldApart(t *testing.T) {
	requests, clusters := timing(t)
	for _, nodes := range clusters {
		t.Run(fmt.Sprintf("%d nodes", nodes), func(t *testing.T) {
			c := newTrial(t, nodes)
			forms, control := requests/10, min(requests, 3000)
			suspects := c.introduce((requests + forms + control) / 10)
			t.Run("bytes over RADIUS", func(t *testing.T) { c.bytesOverRADIUS(t, suspects) })
			t.Run("bytes over the web", func(t *testing.T) { c.bytesOverTheWeb(t, suspects) })
			t.Run("time over RADIUS", func(t *testing.T) {
				judge(t, c.measure(t, deck(suspects, requests, false), askedPerSecond, c.overRADIUS), requests)
			})
			t.Run("time over the web", func(t *testing.T) {
				judge(t, c.measure(t, deck(suspects, forms, true), formsPerSecond, c.overTheWeb(t, forms)), forms)
			})
			t.Run("without the delay they can be", func(t *testing.T) {
				c.policy(map[string]string{"refusal.delay": "0s"})
				if report := compare(c.measure(t, deck(suspects, control, false), askedPerSecond, c.overRADIUS)); report.leaks() == "" {
					t.Errorf("nothing is seen of it, so nothing would be seen of anything:\n%s", report)
				}
			})
		})
	}
}

// deck returns attempts for every state in random order.
func deck(suspects map[*state][]suspect, requests int, web bool) []suspect {
	var parts []*state
	for s := range suspects {
		const often = 4 // as a rare one
		switch {
		case web && s.vpn:
		case s.rare:
			parts = append(parts, s)
		default:
			for range often {
				parts = append(parts, s)
			}
		}
	}
	turn := map[*state]int{}
	all := make([]suspect, requests)
	for i := range all {
		s := parts[i%len(parts)]
		all[i] = suspects[s][turn[s]%len(suspects[s])]
		turn[s]++
	}
	rand.Shuffle(len(all), func(i, j int) { all[i], all[j] = all[j], all[i] })
	return all
}

// refusal makes an attempt at a node, and reports whether it was refused.
type refusal func(ctx context.Context, node, turn int, s suspect) (refused bool, err error)

// taken is the duration of an attempt.
type taken struct {
	state *state
	node  int
	began time.Duration // of the run
	took  float64       // ms
}

// measure sends attempts to random nodes at random times and at a fixed rate,
// independent of the answers.
func (c *trial) measure(t *testing.T, attempts []suspect, perSecond float64, ask refusal) []taken {
	t.Helper()
	warm := min(len(attempts)/10, 200)
	all := make([]taken, len(attempts))
	errs := make([]error, len(attempts))
	var flights sync.WaitGroup
	start := time.Now()
	next := start
	timer := time.NewTimer(0)
	defer timer.Stop()
	for i, s := range attempts {
		next = next.Add(time.Duration(rand.ExpFloat64() / perSecond * float64(time.Second)))
		timer.Reset(time.Until(next))
		select {
		case <-timer.C:
		case <-t.Context().Done():
			t.Fatal(t.Context().Err())
		}
		node := rand.IntN(len(c.info.Nodes))
		flights.Go(func() {
			began := time.Now()
			refused, err := ask(t.Context(), node, i, s)
			took := time.Since(began)
			if err == nil && !refused {
				err = fmt.Errorf("%s was let in", s.user)
			}
			errs[i] = err
			all[i] = taken{s.state, node, began.Sub(start), float64(took) / float64(time.Millisecond)}
		})
	}
	flights.Wait()
	for i, err := range errs {
		if err != nil {
			t.Fatalf("%s: %v", attempts[i].state.name, err)
		}
	}
	return all[warm:]
}

func (c *trial) overRADIUS(ctx context.Context, node, _ int, s suspect) (bool, error) {
	r, err := c.socket(node).Authenticate(ctx, radius.Login{User: s.user, Passcode: s.typed})
	return r.Code == radius.AccessReject, err
}

// overTheWeb sends forms from many addresses, each over an open connection.
func (c *trial) overTheWeb(t *testing.T, forms int) refusal {
	t.Helper()
	const each = 20 // forms of an address
	browsers := make([]*http.Client, forms/each+1)
	for i := range browsers {
		browsers[i] = c.browser(net.IPv4(127, 1, byte(i/250), byte(1+i%250)))
		for _, n := range c.info.Nodes {
			resp, err := browsers[i].Get(n.Web + "/livez")
			c.must(err)
			c.must(resp.Body.Close())
		}
	}
	return func(ctx context.Context, node, turn int, s suspect) (bool, error) {
		form := url.Values{"user": {s.user}, "passcode": {s.typed.Reveal()}}.Encode()
		req, err := http.NewRequestWithContext(ctx, http.MethodPost, c.info.Nodes[node].Web+"/", strings.NewReader(form))
		if err != nil {
			return false, err
		}
		req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		resp, err := browsers[turn%len(browsers)].Do(req)
		if err != nil {
			return false, err
		}
		defer resp.Body.Close()
		_, err = io.Copy(io.Discard, resp.Body)
		return resp.StatusCode == http.StatusUnprocessableEntity, err
	}
}

// finding is the result for one state.
type finding struct {
	state       string
	n           int
	middle, p99 float64 // ms
	difference          // to all the others
}

type report struct {
	findings []finding
	bound    float64 // of a probability, below which a difference is real
}

// compare compares each state with all others together. Nodes and machine are slower
// at times: each duration is relative to the median of the attempts that began at the
// same node in the same block.
func compare(all []taken) report {
	type place struct{ node, block int }
	blocks := map[place][]float64{}
	at := func(t taken) place { return place{t.node, int(t.began / block)} }
	for _, t := range all {
		blocks[at(t)] = append(blocks[at(t)], t.took)
	}
	for _, times := range blocks {
		slices.Sort(times)
	}
	raw := map[string][]float64{}
	centred := map[string][]float64{}
	for _, t := range all {
		raw[t.state.name] = append(raw[t.state.name], t.took)
		centred[t.state.name] = append(centred[t.state.name], t.took-quantile(blocks[at(t)], 0.5))
	}
	const testsEach = 2
	r := report{bound: oncePerRuns / float64(testsEach*len(raw))}
	for name, times := range raw {
		var others []float64
		for other, these := range centred {
			if other != name {
				others = append(others, these...)
			}
		}
		slices.Sort(times)
		r.findings = append(r.findings, finding{
			state: name, n: len(times), middle: quantile(times, 0.5), p99: quantile(times, 0.99), difference: differ(centred[name], others),
		})
	}
	slices.SortFunc(r.findings, func(a, b finding) int { return strings.Compare(a.state, b.state) })
	return r
}

// leaks names the states that can be distinguished from the others.
func (r report) leaks() string {
	var names []string
	for _, f := range r.findings {
		// A shape is judged by the test of shapes: with few of a state, a gap of
		// chance is wide, and a mean that a few late ones move says nothing of it.
		shifted := math.Abs(f.median) > largest && min(f.welch, f.ks) < r.bound
		shaped := f.gap > widest && f.ks < r.bound
		if shifted || shaped {
			names = append(names, f.state)
		}
	}
	return strings.Join(names, ", ")
}

func (r report) String() string {
	var b bytes.Buffer
	tw := tabwriter.NewWriter(&b, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintln(tw, "state\tn\tmedian ms\tp99 ms\tmedian to others ms\tWelch p\tK-S gap\tK-S p\t")
	for _, f := range r.findings {
		fmt.Fprintf(tw, "%s\t%d\t%.3f\t%.3f\t%+.3f\t%.2g\t%.3f\t%.2g\t\n", f.state, f.n, f.middle, f.p99, f.median, f.welch, f.gap, f.ks)
	}
	_ = tw.Flush()
	return b.String()
}

func judge(t *testing.T, all []taken, requests int) {
	t.Helper()
	r := compare(all)
	t.Logf("%d requests; a difference is real below p = %.2g\n%s", requests, r.bound, r)
	if leaks := r.leaks(); leaks != "" {
		t.Errorf("can be told by their time: %s", leaks)
	}
}

// bytesOverRADIUS checks that all refusals over RADIUS are equal, except for the
// identifier and the two authenticators, which depend on the request.
func (c *trial) bytesOverRADIUS(t *testing.T, suspects map[*state][]suspect) {
	for node := range c.info.Nodes { // each names its own page
		var want []byte
		for s, users := range suspects {
			answer, err := c.socket(node).Exchange(t.Context(), radius.AccessRequest, func(r *radius.Request) {
				r.AddString(radius.UserName, users[0].user)
				r.AddPassword(users[0].typed)
			})
			if err != nil {
				t.Fatalf("%s: %v", s.name, err)
			}
			const identifier, authenticator, signature = 1, 4, 22
			answer[identifier] = 0
			clear(answer[authenticator : authenticator+16])
			clear(answer[signature : signature+16])
			if want == nil && answer.Code() == radius.AccessReject {
				want = answer
			}
			if !bytes.Equal(answer, want) {
				t.Errorf("%s at node %d is refused with\n%q, others with\n%q", s.name, node+1, answer, want)
			}
		}
	}
}

// Pages may differ in the second, the user name as it was typed, and random numbers
// of fixed length.
var varying = regexp.MustCompile(`(Date: )[^\r]{29}|(name="user"[^>]*value=")[a-z0-9]{6}"|(name="request" value=")[0-9a-f]{32}"|(class="reference">)[0-9A-Z]{4}-[0-9A-Z]{4}<`)

// bytesOverTheWeb checks that all refusals on the page are equal, from the status
// line on.
func (c *trial) bytesOverTheWeb(t *testing.T, suspects map[*state][]suspect) {
	conf := trust(t, c.info.CA)
	for node, n := range c.info.Nodes {
		var want string
		for s, users := range suspects {
			if s.vpn {
				continue
			}
			got := post(t, conf, strings.TrimPrefix(n.Web, "https://"), url.Values{"user": {users[0].user}, "passcode": {users[0].typed.Reveal()}}.Encode())
			if found := varying.FindAllString(got, -1); len(found) != 4 {
				t.Errorf("%s: what varies in a page is %q", s.name, found)
			}
			got = varying.ReplaceAllString(got, "$1$2$3$4")
			if want == "" && strings.HasPrefix(got, "HTTP/1.1 422 ") {
				want = got
			}
			if got != want {
				t.Errorf("%s at node %d is answered with\n%s\nothers with\n%s", s.name, node+1, got, want)
			}
		}
	}
}

// post sends a form over a new connection and returns the whole response.
func post(t *testing.T, conf *tls.Config, address, form string) string {
	t.Helper()
	conn, err := tls.Dial("tcp", address, conf)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	if _, err := fmt.Fprintf(conn, "POST / HTTP/1.1\r\nHost: %s\r\nContent-Type: application/x-www-form-urlencoded\r\nContent-Length: %d\r\nConnection: close\r\n\r\n%s", address, len(form), form); err != nil {
		t.Fatal(err)
	}
	answer, err := io.ReadAll(conn)
	if err != nil {
		t.Fatal(err)
	}
	return string(answer)
}

// trust returns the TLS configuration for the pages of a dev cluster.
func trust(t *testing.T, ca string) *tls.Config {
	t.Helper()
	pem, err := os.ReadFile(ca)
	if err != nil {
		t.Fatal(err)
	}
	pool := x509.NewCertPool()
	pool.AppendCertsFromPEM(pem)
	return &tls.Config{RootCAs: pool, MinVersion: tls.VersionTLS13}
}
