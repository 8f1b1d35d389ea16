package bench

import (
	"bytes"
	"context"
	"errors"
	"io"
	"math"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"keyfob/cmd/keyfob/cli"
	"keyfob/engine/tokencode"
)

func TestLatenciesAreExactToTwoPercent(t *testing.T) {
	for us := uint64(0); us < 1<<34; us += 1 + us/7 {
		low, high := lowest(step(us)), lowest(step(us)+1)
		if us < low || us >= high || float64(high-low) > math.Max(1, 0.02*float64(us)) {
			t.Fatalf("%d µs counts as %d to %d", us, low, high)
		}
	}
	if got := step(math.MaxUint64); got != len(latencies{})-1 {
		t.Errorf("the longest wait counts at %d", got)
	}
	var waits latencies
	for us := 1; us <= 1000; us++ {
		waits.add(time.Duration(us) * time.Microsecond)
	}
	for q, want := range map[float64]float64{0.5: 0.5, 0.99: 0.99, 1: 1} {
		if got := milliseconds(waits.quantile(q)); math.Abs(got-want) > 0.02*want {
			t.Errorf("quantile %v is %v ms, want %v", q, got, want)
		}
	}
}

func TestALoadIsAClosedLoopAndTellsWhatWasNotAccepted(t *testing.T) {
	people, err := newPeople(5)
	if err != nil {
		t.Fatal(err)
	}
	b := &bench{env: &cli.Environment{Err: io.Discard}, concurrency: 2, duration: 50 * time.Millisecond}
	var done atomic.Uint64
	got, err := b.load(t.Context(), people, func(_ context.Context, p *person, turn int) (verdict, error) {
		done.Add(1)
		p.passcode()   // of one goroutine, or the race detector tells
		if turn == 0 { // of the first goroutine
			return rejected, errors.New("no")
		}
		return accepted, nil
	})
	if err != nil {
		t.Fatal(err)
	}
	f := got.figures()
	if f.Rejects != 1 || f.Failures != 0 || f.Why != "no" || f.Accepts < 10 {
		t.Errorf("%+v", f)
	}
	for _, p := range people {
		if p.pressed == 0 {
			t.Errorf("%s never logged in", p.user)
		}
	}
	if n := done.Load(); n != got.logins() {
		t.Errorf("%d logins counted, %d done", got.logins(), n)
	}
	report := benchReport{Clusters: []clusterFigures{{Nodes: 1, RADIUS: f}}}
	if failure := report.failure(); !strings.Contains(failure, "1 rejected") {
		t.Errorf("the report says %q", failure)
	}
}

func TestAStoppedLoadHasNoFigures(t *testing.T) {
	people, err := newPeople(1)
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(t.Context())
	b := &bench{env: &cli.Environment{Err: io.Discard}, concurrency: 1, duration: time.Minute}
	if _, err := b.load(ctx, people, func(context.Context, *person, int) (verdict, error) {
		stop()
		return accepted, nil
	}); !errors.Is(err, errStopped) {
		t.Errorf("got %v", err)
	}
}

func TestCostsAreOfTheLoadAlone(t *testing.T) {
	f := figures{Accepts: 90, Rejects: 10}
	f.spent(cost{batches: 15, events: 150, transactions: 35, cpu: 3 * time.Millisecond, load: 2 * time.Millisecond}.
		since(cost{batches: 5, events: 50, transactions: 10, cpu: time.Millisecond, load: time.Millisecond}))
	f.Ceiling = 0 // depends on the machine
	if diff := cmp.Diff(figures{Accepts: 90, Rejects: 10, Batch: 10, Fsyncs: 0.5, CPU: 20, LoadCPU: 10}, f); diff != "" {
		t.Error(diff)
	}
}

func TestBenchRefusesWhatItCannotMeasure(t *testing.T) {
	for _, line := range []string{
		"--nodes 0", "--nodes 1,99", "--users 3 --concurrency 4", "--concurrency 0", "--duration 1h", "--duration 0s", "--users 1000000",
	} {
		var said bytes.Buffer
		e := &cli.Environment{Out: io.Discard, Err: &said}
		if got := e.Execute(t.Context(), Command(e), strings.Fields(line)); got != 2 {
			t.Errorf("%s ends with status %d: %s", line, got, &said)
		}
	}
}

// The whole of it, small: every part measures something, and nothing is
// rejected. The nodes as processes are left to keyfob bench itself, which a
// script in testdata runs.
func TestTheLeaderIsMeasuredBesideRaftAlone(t *testing.T) {
	b := &bench{env: &cli.Environment{Err: io.Discard, Now: time.Now}, users: 4, concurrency: 4, duration: 200 * time.Millisecond, dir: t.TempDir()}
	for _, nodes := range []int{1, 3} {
		direct, err := b.onLeader(t.Context(), nodes)
		if err != nil {
			t.Fatal(err)
		}
		raw, err := b.raftAlone(t.Context(), nodes, direct)
		if err != nil {
			t.Fatal(err)
		}
		r := benchReport{Clusters: []clusterFigures{{Nodes: nodes, Direct: direct}}}
		if failure := r.failure(); failure != "" || direct.Accepts == 0 {
			t.Errorf("%d nodes: %s %+v", nodes, failure, direct)
		}
		if direct.Fsyncs <= 0 || direct.Batch < 1 || direct.EntryBytes < 50 || raw.PerSecond <= 0 || raw.Fsyncs <= 0 {
			t.Errorf("%d nodes: %+v %+v", nodes, direct, raw)
		}
	}
}

// One press in a million shows the tokencode of the press before.
func TestPasscodeIsNotTheOneBefore(t *testing.T) {
	token, err := tokencode.New(benchToken, tokencode.Seed("seed of e366 0123456789"))
	if err != nil {
		t.Fatal(err)
	}
	if token.At(935) != token.At(936) {
		t.Fatal("the token does not show the same twice")
	}
	p := &person{pin: "471108", token: token, pressed: 935}
	want := []string{"471108" + token.At(935), "471108" + token.At(937), "471108" + token.At(938)}
	for i := range want {
		if got := p.passcode(); got != want[i] {
			t.Errorf("passcode %d is %s, want %s", i+1, got, want[i])
		}
	}
}
