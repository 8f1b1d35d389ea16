package cluster

import (
	"fmt"
	"math"
	"math/rand/v2"
	"sync"
	"testing"
	"time"

	"github.com/anishathalye/porcupine"

	"keyfob/engine"
	"keyfob/engine/tokencode"
)

// A history is checked against the central rule of keyfob: an interval of a token works
// for one login, and after that no interval up to it works.
type (
	login struct {
		user     string
		interval int64
	}
	told struct {
		known    bool // the caller got an answer
		accepted bool
		why      string // for readers of a bad history
	}
)

var onceOnly = porcupine.NondeterministicModel{
	Partition: func(history []porcupine.Operation) [][]porcupine.Operation {
		users := make(map[string][]porcupine.Operation)
		for _, op := range history {
			user := op.Input.(login).user
			users[user] = append(users[user], op)
		}
		var parts [][]porcupine.Operation
		for _, ops := range users {
			parts = append(parts, ops)
		}
		return parts
	},
	Init: func() []any { return []any{int64(-1)} }, // the last interval used
	Step: func(state, input, output any) []any {
		last, in, out := state.(int64), input.(login), output.(told)
		fresh := in.interval > last
		switch {
		case !out.known && fresh:
			return []any{last, in.interval} // it may have happened or not
		case !out.known:
			return []any{last}
		case out.accepted && fresh:
			return []any{in.interval}
		case out.accepted || fresh:
			return nil
		default:
			return []any{last}
		}
	},
	Equal: func(a, b any) bool { return a == b },
	DescribeOperation: func(input, output any) string {
		return fmt.Sprintf("%+v -> %+v", input, output)
	},
}

func TestModelDetectsATokencodeUsedTwice(t *testing.T) {
	in, yes := login{"ada", 7}, told{known: true, accepted: true}
	twice := []porcupine.Operation{
		{ClientId: 0, Input: in, Call: 1, Output: yes, Return: 3},
		{ClientId: 1, Input: in, Call: 2, Output: yes, Return: 4},
	}
	if porcupine.CheckOperations(onceOnly.ToModel(), twice) {
		t.Fatal("the model lets a tokencode be used twice")
	}
	lost := []porcupine.Operation{
		{ClientId: 0, Input: in, Call: 1, Output: told{}, Return: math.MaxInt64},
		{ClientId: 1, Input: in, Call: 2, Output: yes, Return: 4},
	}
	if !porcupine.CheckOperations(onceOnly.ToModel(), lost) {
		t.Fatal("the model does not know that an unheard answer may mean anything")
	}
}

// Clients log in on all nodes while leaders are isolated and crash.
func TestHistoryWithPartitionsAndCrashesIsLinearizable(t *testing.T) {
	r := newClusterOf(t, 3, func(c *Config) { c.RequestTimeout, c.CommitTimeout = 2*time.Second, 1500*time.Millisecond })
	r.freeze()
	users := []string{"ada", "bob", "carol"}
	fobs := make(map[string]fob)
	for _, user := range users {
		fobs[user] = r.fob(user)
		r.known(fobs[user])
	}
	var mu sync.Mutex // guards history
	var history []porcupine.Operation
	began := time.Now()

	epochs := 8
	if testing.Short() {
		epochs = 3
	}
	accepted := 0
	for epoch := range epochs {
		r.advance("", 30*time.Second)
		r.ready(3)
		stamp := r.clock("")
		trouble := r.trouble(epoch)
		together(len(users)*6, func(i int) {
			user := users[i%len(users)]
			n := r.nodes[(i/len(users))%3]
			in := login{user, tokencode.Interval(fobParams, stamp)}
			wait := time.NewTimer(rand.N(700 * time.Millisecond))
			defer wait.Stop()
			<-wait.C
			op := porcupine.Operation{ClientId: i, Input: in, Call: time.Since(began).Nanoseconds(), Return: math.MaxInt64}
			out, err := n.Authenticate(t.Context(), r.attempt(user, fobs[user].passcode(stamp, 0)))
			if err == nil {
				op.Return = time.Since(began).Nanoseconds()
			}
			op.Output = told{known: err == nil, accepted: err == nil && out.Verdict == engine.Accept, why: string(out.Reason)}
			mu.Lock()
			defer mu.Unlock()
			history = append(history, op)
			if op.Output.(told).accepted {
				accepted++
			}
		})
		trouble()
	}
	r.ready(3)
	r.sameEverywhere()
	if accepted < epochs {
		t.Errorf("only %d logins were accepted in %d epochs", accepted, epochs)
	}
	if !porcupine.CheckOperations(onceOnly.ToModel(), history) {
		for _, op := range history {
			t.Logf("%d..%d %+v %+v", op.Call, op.Return, op.Input, op.Output)
		}
		t.Fatal("the history is not that of tokencodes good for one login")
	}
}

// trouble disturbs the cluster after a while. The function that it returns waits for
// that and repairs the cluster.
func (r *rig) trouble(kind int) (mend func()) {
	n := r.leader()
	done := make(chan struct{})
	go func() {
		defer close(done)
		wait := time.NewTimer(rand.N(400 * time.Millisecond))
		defer wait.Stop()
		<-wait.C
		switch kind % 3 {
		case 0:
			r.isolate(n.name, true)
		case 1:
			r.killed(n)
		case 2: // the network fails for a moment
			r.isolate(n.name, true)
			r.isolate(n.name, false)
		}
	}()
	return func() {
		<-done
		r.isolate(n.name, false)
		if kind%3 == 1 {
			n.done = nil
			r.start(n)
		}
	}
}

// killed is kill for goroutines other than the test's.
func (r *rig) killed(n *testNode) {
	if err := n.Close(); err != nil {
		r.t.Error(err)
	}
	<-n.done
}
