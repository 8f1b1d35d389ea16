package bench

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"fmt"
	"math"
	"math/bits"
	"sync"
	"syscall"
	"time"

	"golang.org/x/sync/errgroup"

	"keyfob/engine/tokencode"
)

// person is a user with an event token, which has a new tokencode for each login.
type person struct {
	user, serial, pin string
	seed              tokencode.Seed
	token             *tokencode.Generator
	pressed           int64
	shown             string // the last tokencode
}

var benchToken = tokencode.Params{Kind: tokencode.HOTP, Algorithm: tokencode.SHA1, Digits: 6}

func newPeople(n int) ([]*person, error) {
	people := make([]*person, n)
	for i := range people {
		// A PIN that begins with 19 is neither a repeat nor a run.
		p := &person{user: fmt.Sprintf("user%d", i), serial: fmt.Sprintf("bench%d", i), pin: fmt.Sprintf("19%06d", i), seed: make([]byte, 20)}
		if _, err := rand.Read(p.seed); err != nil {
			return nil, fmt.Errorf("making a token: %w", err)
		}
		var err error
		if p.token, err = tokencode.New(benchToken, p.seed); err != nil {
			return nil, fmt.Errorf("making a token: %w", err)
		}
		people[i] = p
	}
	return people, nil
}

func (p *person) seedText() string { return hex.EncodeToString(p.seed) }

// passcode presses the token, and once more if it shows the tokencode that it
// showed before, which the node would refuse as reused. It is for one goroutine
// at a time.
func (p *person) passcode() string {
	before := p.shown
	for p.shown == before {
		p.shown = p.token.At(p.pressed)
		p.pressed++
	}
	return p.pin + p.shown
}

// verdict is the result of a login.
type verdict uint8

const (
	accepted verdict = iota
	rejected
	failed // no answer, or an unexpected one
)

// ask logs a person in. Turn counts the logins of one goroutine and selects the
// node.
type ask func(ctx context.Context, p *person, turn int) (verdict, error)

// each calls do for all people, atOnce at a time.
func (b *bench) each(ctx context.Context, people []*person, atOnce int, what string, do func(ctx context.Context, p *person) error) error {
	said := &progress{env: b.env, what: what, all: len(people), said: time.Now()}
	var mu sync.Mutex // guards said and done
	done := 0
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(atOnce)
	for _, p := range people {
		group.Go(func() error {
			if ctx.Err() != nil {
				return errStopped
			}
			if err := do(ctx, p); err != nil {
				return fmt.Errorf("%s: %w", p.user, err)
			}
			mu.Lock()
			defer mu.Unlock()
			done++
			said.reached(done)
			return nil
		})
	}
	return group.Wait()
}

// tally is the result of a load.
type tally struct {
	verdicts [failed + 1]uint64
	first    error // of a login that was not accepted
	took     time.Duration
	waits    latencies
}

func (t *tally) count(v verdict, err error, took time.Duration) {
	t.verdicts[v]++
	t.waits.add(took)
	if v != accepted && t.first == nil {
		t.first = err
	}
}

func (t *tally) add(other *tally) {
	for v, n := range other.verdicts {
		t.verdicts[v] += n
	}
	for i, n := range other.waits {
		t.waits[i] += n
	}
	if t.first == nil {
		t.first = other.first
	}
}

// logins returns the number of logins, with any result.
func (t *tally) logins() (n uint64) {
	for _, one := range t.verdicts {
		n += one
	}
	return n
}

// load runs concurrent logins in a closed loop: each user waits for the answer
// before the next login.
func (b *bench) load(ctx context.Context, people []*person, log ask) (*tally, error) {
	b.env.Say("%d logins at once for %v", b.concurrency, b.duration)
	began := time.Now()
	end := began.Add(b.duration)
	tallies := make([]tally, b.concurrency)
	var workers sync.WaitGroup
	for w := range b.concurrency {
		workers.Go(func() {
			mine := &tallies[w]
			for i, turn := w, w; ctx.Err() == nil; turn++ {
				start := time.Now()
				if !start.Before(end) {
					return
				}
				v, err := log(ctx, people[i], turn)
				mine.count(v, err, time.Since(start))
				if i += b.concurrency; i >= len(people) {
					i = w
				}
			}
		})
	}
	workers.Wait()
	all := &tally{took: time.Since(began)}
	for i := range tallies {
		all.add(&tallies[i])
	}
	if ctx.Err() != nil {
		return nil, errStopped
	}
	return all, nil
}

// latencies is a histogram of durations with an error below 2 % and a fixed size:
// 64 steps for each power of two of microseconds.
type latencies [latencySteps * 32]uint64

const (
	latencyBits  = 6
	latencySteps = 1 << latencyBits
)

// step returns the bucket of a number of microseconds.
func step(us uint64) int {
	if us < latencySteps {
		return int(us)
	}
	power := bits.Len64(us) - latencyBits - 1 // number of bits that are lost
	return min((power+1)<<latencyBits+int(us>>power)-latencySteps, len(latencies{})-1)
}

// lowest returns the lower bound of a bucket, in microseconds.
func lowest(place int) uint64 {
	if place < latencySteps {
		return uint64(place)
	}
	power := place>>latencyBits - 1
	return uint64(place&(latencySteps-1)+latencySteps) << power
}

func (l *latencies) add(d time.Duration) { l[step(uint64(max(0, d.Microseconds())))]++ }

// quantile returns the duration that a share of the logins did not exceed.
func (l *latencies) quantile(q float64) time.Duration {
	var all uint64
	for _, n := range l {
		all += n
	}
	left := uint64(math.Ceil(q * float64(all)))
	for place, n := range l {
		if left <= n {
			return time.Duration(lowest(place)) * time.Microsecond
		}
		left -= n
	}
	return 0
}

// ownCPU returns the CPU time of this process.
func ownCPU() time.Duration {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		return 0
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}
