package throttle

import (
	"net/netip"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"pgregory.net/rapid"
)

var noon = time.Date(2026, 11, 23, 12, 0, 0, 0, time.UTC)

func TestBurstIsSpentAndComesBackOneByOne(t *testing.T) {
	th, r := New[string](10), Rate{Burst: 3, Every: 20 * time.Second}
	for i, tc := range []struct {
		at   time.Duration
		ok   bool
		wait time.Duration
	}{
		{0, true, 0},
		{0, true, 0},
		{0, true, 0},
		{0, false, 20 * time.Second},
		{15 * time.Second, false, 5 * time.Second},
		{20 * time.Second, true, 0},
		{20 * time.Second, false, 20 * time.Second},
		{time.Hour, true, 0},
		{time.Hour, true, 0},
		{time.Hour, true, 0},
		{time.Hour, false, 20 * time.Second}, // no more than the burst has gathered
		{0, false, 20 * time.Second},         // a clock that was put back holds nobody longer than a full bucket
		{time.Minute, true, 0},
	} {
		if wait, ok := th.Spend("a", r, noon.Add(tc.at)); ok != tc.ok || wait != tc.wait {
			t.Errorf("%d, at %v: %v, wait %v; want %v, %v", i, tc.at, ok, wait, tc.ok, tc.wait)
		}
	}
	if _, ok := th.Spend("b", r, noon); !ok {
		t.Error("one key uses up another's share")
	}
}

func TestNothingIsBoundByNoRate(t *testing.T) {
	th := New[string](10)
	for _, r := range []Rate{{}, {Burst: 5}, {Every: time.Second}} {
		for range 100 {
			if _, ok := th.Spend("a", r, noon); !ok {
				t.Fatalf("%+v stops something", r)
			}
		}
	}
	if len(th.counts) != 0 {
		t.Error("what is not bound is counted")
	}
}

func TestWhatTurnsOutWellNeverUsesAnythingUp(t *testing.T) {
	th, r := New[int](10), Rate{Burst: 2, Every: time.Hour}
	for range 10_000 {
		if _, ok := th.Enter(1, r, noon); !ok {
			t.Fatal("stopped")
		}
		th.Leave(1, r, false, noon)
	}
	if len(th.counts) != 0 || th.recent.Len() != 0 {
		t.Error("who did nothing wrong is remembered")
	}
}

func TestWhatIsUnderWayCountsButIsToldFromFailures(t *testing.T) {
	th, r := New[int](10), Rate{Burst: 2, Every: time.Minute}
	for range 2 {
		if _, ok := th.Enter(1, r, noon); !ok {
			t.Fatal("stopped")
		}
	}
	if wait, ok := th.Enter(1, r, noon); ok || wait != 0 {
		t.Errorf("a third at once: %v, wait %v", ok, wait)
	}
	th.Leave(1, r, true, noon)
	if wait, ok := th.Enter(1, r, noon); ok || wait != 0 {
		t.Errorf("one failed, one under way: %v, wait %v", ok, wait)
	}
	th.Leave(1, r, false, noon)
	if _, ok := th.Enter(1, r, noon); !ok {
		t.Error("the one that turned out well has not given back its place")
	}
	th.Leave(1, r, true, noon)
	if wait, ok := th.Enter(1, r, noon); ok || wait != time.Minute {
		t.Errorf("two failed: %v, wait %v", ok, wait)
	}
}

func TestThousandTriesAtOnceGetNoFurther(t *testing.T) {
	th, r := New[int](10), Rate{Burst: 50, Every: time.Minute}
	var entered atomic.Int32
	var tries sync.WaitGroup
	for range 1000 {
		tries.Go(func() {
			if _, ok := th.Enter(1, r, noon); ok {
				entered.Add(1)
				th.Leave(1, r, true, noon)
			}
		})
	}
	tries.Wait()
	if n := entered.Load(); n != 50 {
		t.Errorf("%d entered, want 50", n)
	}
}

// Whatever the order in which tries come and end, and however they end: no span
// of time holds more failures than the burst and what has come back in it.
func TestNoSpanHoldsMoreFailuresThanTheRate(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		r := Rate{Burst: rapid.IntRange(1, 5).Draw(rt, "burst"), Every: time.Duration(rapid.IntRange(1, 10).Draw(rt, "every")) * time.Second}
		th, now, open := New[int](10), noon, 0
		var failed []time.Time
		for range rapid.IntRange(1, 200).Draw(rt, "steps") {
			switch rapid.IntRange(0, 3).Draw(rt, "step") {
			case 0:
				now = now.Add(time.Duration(rapid.IntRange(0, 15_000).Draw(rt, "ms")) * time.Millisecond)
			case 1:
				wait, ok := th.Enter(1, r, now)
				if ok {
					open++
				}
				if !ok && open == 0 && wait <= 0 {
					rt.Fatal("stopped without a reason")
				}
			case 2, 3:
				if open == 0 {
					continue
				}
				open--
				bad := rapid.Bool().Draw(rt, "failed")
				th.Leave(1, r, bad, now)
				if bad {
					failed = append(failed, now)
				}
			}
		}
		for i, from := range failed {
			for k, to := range failed[i:] {
				if most := float64(r.Burst) + to.Sub(from).Seconds()/r.Every.Seconds(); float64(k+1) > most+1e-9 {
					rt.Fatalf("%d failures in %v, want at most %v", k+1, to.Sub(from), most)
				}
			}
		}
	})
}

func TestWaitIsHowLongItTakes(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		r := Rate{Burst: rapid.IntRange(1, 9).Draw(rt, "burst"), Every: time.Duration(rapid.IntRange(1, 1000).Draw(rt, "every")) * time.Millisecond}
		th, now := New[int](10), noon
		for range 30 {
			now = now.Add(time.Duration(rapid.IntRange(0, 500).Draw(rt, "ms")) * time.Millisecond)
			wait, ok := th.Spend(1, r, now)
			if ok {
				continue
			}
			if _, ok := th.Spend(1, r, now.Add(wait-1)); ok {
				rt.Fatalf("there was room before %v had passed", wait)
			}
			now = now.Add(wait)
			if _, ok := th.Spend(1, r, now); !ok {
				rt.Fatalf("there is no room after %v", wait)
			}
		}
	})
}

func TestMemoryIsBoundAndTheQuietestIsForgotten(t *testing.T) {
	th, r := New[int](100), Rate{Burst: 1, Every: time.Hour}
	for i := range 250 {
		th.Spend(i, r, noon)
		th.Spend(0, r, noon) // keeps on trying
	}
	if len(th.counts) != 100 || th.recent.Len() != 100 {
		t.Errorf("%d keys are remembered, want 100", len(th.counts))
	}
	if _, ok := th.Spend(0, r, noon); ok {
		t.Error("who keeps on trying is forgotten")
	}
	if _, ok := th.Enter(1, r, noon); !ok {
		t.Error("the quietest is not forgotten")
	}
	for i := range 200 {
		th.Spend(1000+i, r, noon)
	}
	th.Leave(1, r, true, noon) // forgotten meanwhile
	if _, ok := th.Enter(1, r, noon); ok {
		t.Error("a failure of somebody who was forgotten is not counted")
	}
}

func TestSourceIsWhatOneSubscriberIsGiven(t *testing.T) {
	for text, want := range map[string]string{
		"192.0.2.1":          "192.0.2.1/32",
		"::ffff:192.0.2.1":   "192.0.2.1/32",
		"2001:db8::1":        "2001:db8::/64",
		"2001:db8::ffff":     "2001:db8::/64",
		"2001:db8:0:1::1":    "2001:db8:0:1::/64",
		"fe80::1%eth0":       "fe80::/64",
		"2001:db8:0:0:1::99": "2001:db8::/64",
	} {
		if got := Network(netip.MustParseAddr(text)).String(); got != want {
			t.Errorf("%s counts for %s, want %s", text, got, want)
		}
	}
	if Network(netip.Addr{}).IsValid() {
		t.Error("no address is a source")
	}
}

func BenchmarkThrottle(b *testing.B) {
	th, r := New[netip.Prefix](Remembered), Rate{Burst: 50, Every: 20 * time.Second}
	source := Network(netip.MustParseAddr("2001:db8::1"))
	for _, failed := range []bool{false, true} {
		name := map[bool]string{false: "turns out well", true: "fails"}[failed]
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			now := noon
			for b.Loop() {
				now = now.Add(r.Every)
				if _, ok := th.Enter(source, r, now); ok {
					th.Leave(source, r, failed, now)
				}
			}
		})
	}
}
