package delivery

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"keyfob/engine"
)

func config() Config {
	c := DefaultConfig()
	c.Log = slog.New(slog.DiscardHandler)
	return c
}

// fakeSender answers as configured and records the messages.
type fakeSender struct {
	mu    sync.Mutex
	tries []time.Time
	got   []message
	fails func(attempt int) error
}

func (f *fakeSender) send(_ context.Context, m message) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.tries, f.got = append(f.tries, time.Now()), append(f.got, m)
	if f.fails != nil {
		return f.fails(len(f.tries))
	}
	return nil
}

// bench is a sender on a fake clock, with one way.
type bench struct {
	*Sender
	fake    *fakeSender
	logged  *bytes.Buffer
	results []string
	mu      sync.Mutex
	stop    func()
}

func newBench(t *testing.T, change func(*Config)) *bench {
	t.Helper()
	b := &bench{fake: &fakeSender{}, logged: &bytes.Buffer{}}
	c := config()
	c.Log = slog.New(slog.NewTextHandler(b.logged, nil))
	c.Observe = func(way string, r Result) {
		b.mu.Lock()
		defer b.mu.Unlock()
		b.results = append(b.results, way+" "+string(r))
	}
	if change != nil {
		change(&c)
	}
	var err error
	if b.Sender, err = New(c); err != nil {
		t.Fatal(err)
	}
	b.add(wayMail, b.fake)
	return b
}

// run starts the sender; b.stop ends it and waits.
func (b *bench) run() {
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- b.Run(ctx) }()
	b.stop = func() { cancel(); <-done }
}

func (b *bench) want(t *testing.T, results ...string) {
	t.Helper()
	b.mu.Lock()
	defer b.mu.Unlock()
	if diff := cmp.Diff(results, b.results); diff != "" {
		t.Errorf("results (-want +got):\n%s\n%s", diff, b.logged)
	}
	for _, secret := range []string{"40713286", "olga@", "+4416"} {
		if strings.Contains(b.logged.String(), secret) {
			t.Errorf("the log tells %s:\n%s", secret, b.logged)
		}
	}
}

func delivery(address engine.Secret, good time.Duration) engine.Delivery {
	return engine.Delivery{Serial: "O-1", Address: address, Tokencode: "40713286", Expires: time.Now().Add(good)}
}

const olgasMail engine.Secret = "mailto:olga@example.com"

func TestFailedDeliveryIsRetriedWithGrowingPauses(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t, nil)
		b.fake.fails = func(attempt int) error {
			if attempt < 7 {
				return errors.New("mail server answered 451")
			}
			return nil
		}
		b.run()
		began := time.Now()
		b.Deliver(delivery(olgasMail, 10*time.Minute))
		time.Sleep(2 * time.Minute) // of the fake clock
		b.stop()
		var at []string
		for _, try := range b.fake.tries {
			at = append(at, try.Sub(began).String())
		}
		if diff := cmp.Diff([]string{"0s", "1s", "3s", "7s", "15s", "30s", "45s"}, at); diff != "" {
			t.Errorf("attempts (-want +got):\n%s", diff)
		}
		b.want(t, "mail sent")
		if first, last := b.fake.got[0].minutes, b.fake.got[6].minutes; first != 10 || last != 10 {
			t.Errorf("good for %d and then %d minutes, want 10: what is begun is counted", first, last)
		}
	})
}

func TestExpiredTokencodeIsNotSent(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t, nil)
		b.fake.fails = func(int) error { return errors.New("mail server answered 451") }
		b.run()
		b.Deliver(delivery(olgasMail, 5*time.Second)) // attempts at 0, 1 and 3 s
		b.Deliver(delivery(olgasMail, -time.Second))
		b.Deliver(engine.Delivery{Serial: "O-1", Address: olgasMail})
		time.Sleep(time.Minute)
		b.stop()
		b.want(t, "mail expired", "mail expired", "mail expired")
		if n := len(b.fake.tries); n != 3 {
			t.Errorf("%d attempts, want 3", n)
		}
	})
}

// While the mail server was down a user asked three times. Two of the mails would
// mislead.
func TestOnlyTheLatestTokencodeIsSent(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t, func(c *Config) { c.Workers = 1 })
		b.fake.fails = func(attempt int) error {
			if attempt == 1 {
				return errors.New("mail server answered 451")
			}
			return nil
		}
		b.run()
		var latest atomic.Int32
		for i := range int32(3) {
			d := delivery(olgasMail, 10*time.Minute)
			d.Asked, d.Wanted = time.Now(), func() bool { return latest.Load() == i }
			latest.Store(i)
			b.Deliver(d)
			synctest.Wait()
			time.Sleep(time.Millisecond) // of the fake clock: each is asked for at another time
		}
		time.Sleep(time.Minute)
		b.stop()
		b.want(t, "mail unwanted", "mail unwanted", "mail sent")
		if got := b.fake.got[len(b.fake.got)-1]; len(b.fake.got) != 2 || got.asked.IsZero() {
			t.Errorf("%d attempts, the last for what was asked for at %v", len(b.fake.got), got.asked)
		}
	})
}

func TestFinalRefusalIsNotRetried(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t, nil)
		b.fake.fails = func(int) error { return answered("mail server", 550, false) }
		b.run()
		d, told := delivery(olgasMail, 10*time.Minute), ""
		d.NotSent = func(way, result string) { told += way + " " + result + "\n" }
		b.Deliver(d)
		time.Sleep(10 * time.Minute)
		b.stop()
		b.want(t, "mail failed")
		if n := len(b.fake.tries); n != 1 || told != "mail failed\n" {
			t.Errorf("%d attempts, want 1; told %q", n, told)
		}
	})
}

func TestAttemptsAreLimited(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t, nil)
		b.fake.fails = func(int) error { return errors.New("mail server answered 451") }
		b.run()
		b.Deliver(delivery(olgasMail, time.Hour))
		time.Sleep(time.Hour)
		b.stop()
		b.want(t, "mail failed")
		if n := len(b.fake.tries); n != b.c.Attempts {
			t.Errorf("%d attempts, want %d", n, b.c.Attempts)
		}
	})
}

// Before Run nothing is taken from the queue. What does not fit is counted.
func TestDeliverNeverBlocks(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t, func(c *Config) { c.Queue = 2 })
		for range 5 {
			b.Deliver(delivery(olgasMail, time.Minute))
		}
		b.want(t, "mail overflow", "mail overflow", "mail overflow")
		b.run()
		synctest.Wait()
		b.stop()
		b.want(t, "mail overflow", "mail overflow", "mail overflow", "mail sent", "mail sent")
		b.Deliver(delivery(olgasMail, time.Minute)) // after the end
		b.want(t, "mail overflow", "mail overflow", "mail overflow", "mail sent", "mail sent", "mail overflow")
	})
}

// A delivery between two attempts gets one more immediately, and Run ends even if the
// server does not answer.
func TestStopSendsWhatIsWaiting(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t, func(c *Config) { c.Pause, c.PauseMost = time.Minute, time.Minute })
		b.fake.fails = func(attempt int) error {
			if attempt == 1 {
				return errors.New("mail server answered 451")
			}
			return nil
		}
		b.run()
		b.Deliver(delivery(olgasMail, 10*time.Minute))
		synctest.Wait()
		began := time.Now()
		b.stop()
		b.want(t, "mail sent")
		if took := time.Since(began); took != 0 {
			t.Errorf("took %v", took)
		}
	})
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t, nil)
		b.ways[wayMail].transport = deafSender{}
		b.run()
		b.Deliver(delivery(olgasMail, 10*time.Minute))
		synctest.Wait()
		began := time.Now()
		b.stop()
		b.want(t, "mail failed")
		if took := time.Since(began); took != b.c.Drain {
			t.Errorf("took %v, want %v", took, b.c.Drain)
		}
	})
}

// deafSender waits until its context ends.
type deafSender struct{}

func (deafSender) send(ctx context.Context, _ message) error {
	<-ctx.Done()
	return ctx.Err()
}

func TestTokencodeIsSentToOneAddressOnly(t *testing.T) {
	for address, want := range map[engine.Secret]string{
		"mailto:olga@example.com":                   "mail olga@example.com",
		"tel:+441632960961":                         "sms +441632960961",
		"mailto:olga@example.com, eve@example.com":  "none ",
		"mailto:Olga <olga@example.com>":            "none ",
		"mailto:olga@example.com\r\nBcc: eve@x.org": "none ",
		"mailto:":             "none ",
		"tel:01632960961":     "none ",
		"tel:+441632960961;a": "none ",
		"tel:+44 1632 960961": "none ",
		"tel:+1":              "none ",
		"olga@example.com":    "none ",
		"":                    "none ",
	} {
		way, to := route(address)
		if got := way + " " + to; got != want {
			t.Errorf("%q: %q, want %q", address.Reveal(), got, want)
		}
	}
	b := newBench(t, nil)
	b.Deliver(delivery("tel:+441632960961", time.Minute))
	b.want(t, "sms no_way")
}

func TestDeliveryPrintsNoSecret(t *testing.T) {
	if text := fmt.Sprintf("%v %+v %#v", delivery(olgasMail, 0), delivery(olgasMail, 0), delivery(olgasMail, 0)); strings.Contains(text, "olga@") || strings.Contains(text, "4071") {
		t.Error(text)
	}
}

func FuzzRoute(f *testing.F) {
	f.Add("mailto:olga@example.com")
	f.Add("tel:+441632960961")
	f.Fuzz(func(t *testing.T, address string) {
		way, to := route(engine.Secret(address))
		if way == wayMail && strings.ContainsAny(to, "\r\n\x00") || way == waySMS && !telephone.MatchString(to) {
			t.Errorf("%q goes to %q by %s", address, to, way)
		}
	})
}
