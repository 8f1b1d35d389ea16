package cluster

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"runtime"
	"sync"
	"testing"
	"time"

	"github.com/hashicorp/raft"

	"keyfob/cluster/clock"
	"keyfob/engine"
	"keyfob/engine/tokencode"
	"keyfob/events"
	"keyfob/fsm"
)

// book is an in-memory ledger whose commits the test can disturb.
type book struct {
	*fsm.Machine
	index   uint64
	entries int
	before  func(n int) error // called with the number of the commit; its error is the result
}

type nowhere struct{}

func (nowhere) Append([]events.Record) error       { return nil }
func (nowhere) Sync() error                        { return nil }
func (nowhere) Restored(uint64, events.Hash) error { return nil }
func (nowhere) Write(b []byte) (int, error)        { return len(b), nil }
func (nowhere) Close() error                       { return nil }
func seal(io.Writer) io.WriteCloser                { return nowhere{} }
func asIs(b []byte) ([]byte, error)                { return b, nil }
func (b *book) Commit(entry []byte) error {
	b.entries++
	if b.before != nil {
		if err := b.before(b.entries); err != nil {
			return err
		}
	}
	return b.apply(entry)
}

func (b *book) apply(entry []byte) error {
	b.index++
	err, _ := b.Apply(&raft.Log{Index: b.index, Data: entry}).(error)
	return err
}

// desk is a batcher over a book, with one user and a token.
type desk struct {
	*batcher
	t      *testing.T
	book   *book
	stop   context.CancelFunc
	over   sync.WaitGroup
	moment time.Time
	passed time.Duration // by the monotonic clock
}

func newDesk(t *testing.T) *desk {
	t.Helper()
	d := &desk{t: t, moment: time.Date(2026, 11, 23, 12, 0, 0, 0, time.UTC)}
	d.book = &book{Machine: fsm.New(fsm.Config{
		Open: asIs, Journal: nowhere{}, SealSnapshot: seal, Halt: func(err error) { t.Error(err) },
	})}
	d.batcher = &batcher{
		ledger: d.book, seal: func(_ uint64, b []byte) []byte { return b },
		stamper: clock.Stamper{
			Now:       func() time.Time { return d.moment },
			Monotonic: func() time.Duration { return d.passed }, Sound: func() bool { return true },
		},
		timeout: 10 * time.Second, observe: func(int, time.Duration) {},
		log: slog.New(slog.DiscardHandler), queue: make(chan *proposal, 64),
	}
	d.write(
		events.ClusterFounded{Cluster: "test"},
		events.UserAdded{User: "ada"},
		events.TokenImported{Serial: "T1", Kind: "totp", Algorithm: "SHA1", Digits: 6, Period: 30, PINStyle: "none", Form: engine.FormFob, Sealed: []byte{1}},
		events.TokenAssigned{Serial: "T1", User: "ada"},
	)
	return d
}

// write commits events as another leader would.
func (d *desk) write(facts ...events.Event) {
	d.t.Helper()
	v := d.book.View()
	b := events.Batch{Base: v.Sequence, Head: v.Head, Time: events.At(d.moment)}
	for _, e := range facts {
		b.Drafts = append(b.Drafts, events.Draft{Event: e})
	}
	entry, err := events.EncodeBatch(b)
	if err != nil {
		d.t.Fatal(err)
	}
	if err := d.book.apply(entry); err != nil {
		d.t.Fatal(err)
	}
}

// run runs the batcher until the test ends.
func (d *desk) run() {
	ctx, stop := context.WithCancel(context.Background())
	d.stop = stop
	d.over.Go(func() { d.batcher.run(ctx, nil) })
	d.t.Cleanup(func() { stop(); d.over.Wait() })
	for !d.leads() {
		runtime.Gosched()
	}
}

func (d *desk) interval() int64 { return tokencode.Interval(fobParams, d.moment) }

// login submits the evidence of a correct passcode.
func (d *desk) login() *proposal {
	t := d.book.View().State.Token("T1")
	c := engine.Authenticate{User: "ada", Evidence: engine.Evidence{Tokens: []engine.TokenEvidence{
		{Serial: "T1", Revision: t.Revision, Found: true, Interval: d.interval(), PIN: true},
	}}}
	p := newProposal(context.Background(), events.Origin{Request: newRequest(), Door: events.DoorAPI}, loginRequest(c))
	d.submit(p)
	return p
}

func (d *desk) add(user string) *proposal {
	p := newProposal(context.Background(), events.Origin{Request: newRequest(), Actor: "tester"}, commandRequest{engine.AddUser{User: user}})
	d.submit(p)
	return p
}

// A leader was deposed without noticing, and the entry of the next leader, with the
// same tokencode, is committed first. The batch is dropped and decided again.
func TestBatchIsDecidedAgainAfterAChangeOfLeader(t *testing.T) {
	d := newDesk(t)
	d.book.before = func(n int) error {
		if n == 1 {
			d.write(events.PasscodeAccepted{User: "ada", Use: events.Use{Serial: "T1", Kind: "totp", Interval: d.interval()}})
		}
		return nil
	}
	d.run()
	r := <-d.login().answer
	if r.Fate != decided || r.Decision.Answer.Verdict != engine.Reject {
		t.Fatalf("the second use was answered %+v", r)
	}
	if d.book.View().State.User("ada").LastSuccess.IsZero() {
		t.Fatal("the first use is not in the state")
	}
}

func TestBatchIsGivenUpAfterRepeatedConflicts(t *testing.T) {
	d := newDesk(t)
	d.book.before = func(n int) error {
		d.write(events.UserAdded{User: fmt.Sprintf("user%d", n)})
		return nil
	}
	d.run()
	if r := <-d.add("bob").answer; r.Fate != unknown {
		t.Fatalf("answered %+v", r)
	}
	if d.book.entries != maxConflicts+1 {
		t.Fatalf("tried %d times", d.book.entries)
	}
}

func TestUnknownOutcomeIsNeverAnAccept(t *testing.T) {
	d := newDesk(t)
	d.timeout = time.Millisecond
	release := make(chan struct{})
	d.book.before = func(n int) error {
		if n == 1 {
			<-release
		}
		return nil
	}
	d.run()
	first := d.login()
	if r := <-first.answer; r.Fate != unknown || r.Decision.Answer.Verdict != engine.Reject {
		t.Fatalf("answered %+v", r)
	}
	// Nothing else is decided meanwhile: the next batch waits for the outcome.
	second := d.login()
	select {
	case r := <-second.answer:
		t.Fatalf("decided on a state that may not be: %+v", r)
	case <-time.After(20 * time.Millisecond):
	}
	close(release)
	if r := <-second.answer; r.Fate == decided && r.Decision.Answer.Verdict != engine.Reject {
		t.Fatalf("the same tokencode again: %+v", r)
	}
}

func TestLostLeadershipAnswersEverybody(t *testing.T) {
	d := newDesk(t)
	entered, release := make(chan struct{}), make(chan struct{})
	d.book.before = func(int) error {
		close(entered)
		<-release
		return raft.ErrLeadershipLost
	}
	d.run()
	under := d.add("bob")
	<-entered
	queued := d.add("carol")
	close(release)
	if r := <-under.answer; r.Fate != unknown || !r.again() {
		t.Fatalf("under way: %+v", r)
	}
	if r := <-queued.answer; !r.again() {
		t.Fatalf("queued: %+v", r)
	}
	d.over.Wait()
	if r := <-d.add("dave").answer; r.Fate != notLeader {
		t.Fatalf("after the end: %+v", r)
	}
}

func TestWaitingCommandsShareOneBatch(t *testing.T) {
	d := newDesk(t)
	entered, release := make(chan struct{}), make(chan struct{})
	d.book.before = func(n int) error {
		if n == 1 {
			close(entered)
			<-release
		}
		return nil
	}
	d.run()
	all := []*proposal{d.add("user0")}
	<-entered
	for i := 1; i <= 50; i++ {
		all = append(all, d.add(fmt.Sprintf("user%d", i)))
	}
	close(release)
	for i, p := range all {
		if r := <-p.answer; r.Fate != decided {
			t.Fatalf("user%d: %+v", i, r)
		}
	}
	if d.book.entries != 2 {
		t.Fatalf("%d entries for what one batch holds", d.book.entries)
	}
}

func TestFullQueueIsBusy(t *testing.T) {
	d := newDesk(t)
	entered, release := make(chan struct{}), make(chan struct{})
	d.book.before = func(n int) error {
		if n == 1 {
			close(entered)
			<-release
		}
		return nil
	}
	d.run()
	d.add("first")
	<-entered
	var last *proposal
	for i := range cap(d.queue) + 1 {
		last = d.add(fmt.Sprintf("user%d", i))
	}
	r := <-last.answer
	close(release)
	if r.Fate != busyNow || !errors.Is(r.err(), engine.ErrBusy) {
		t.Fatalf("answered %+v", r)
	}
}

func TestLongBatchIsSplitIntoEntries(t *testing.T) {
	d := newDesk(t)
	entered, release := make(chan struct{}), make(chan struct{})
	d.book.before = func(n int) error {
		if n == 1 {
			close(entered)
			<-release
		}
		return nil
	}
	d.run()
	first := d.add("first")
	<-entered
	var all []*proposal
	for i := range 8 {
		p := newProposal(context.Background(), events.Origin{Request: newRequest(), Actor: "tester"}, commandRequest{engine.ImportToken{Token: events.TokenImported{
			Serial: fmt.Sprintf("L%d", i), Kind: "totp", Algorithm: "SHA1", Digits: 6, Period: 30, PINStyle: "fob",
			Form: engine.FormFob, Sealed: make([]byte, maxBatchBytes/2),
		}}})
		d.submit(p)
		all = append(all, p)
	}
	close(release)
	<-first.answer
	for _, p := range all {
		if r := <-p.answer; r.Fate != decided {
			t.Fatalf("%+v", r)
		}
	}
	if d.book.entries != 5 {
		t.Fatalf("%d entries, want 1 and 4 of two tokens each", d.book.entries)
	}
}

func TestUntrustedClockDecidesNoLogin(t *testing.T) {
	d := newDesk(t)
	d.stamper.Sound = func() bool { return false }
	d.run()
	if r := <-d.login().answer; r.Fate != unsound || !r.again() {
		t.Fatalf("a login: %+v", r)
	}
	if r := <-d.add("bob").answer; r.Fate != decided {
		t.Fatalf("an administrator's command: %+v", r)
	}
}

func TestUntrustedClockDecidesEventTokens(t *testing.T) {
	d := newDesk(t)
	d.write(
		events.UserAdded{User: "erin"},
		events.TokenImported{Serial: "E1", Kind: "hotp", Algorithm: "SHA1", Digits: 6, PINStyle: "none", Form: engine.FormFob, Sealed: []byte{1}},
		events.TokenAssigned{Serial: "E1", User: "erin"},
	)
	d.stamper.Sound = func() bool { return false }
	d.run()
	press := func() *proposal {
		p := newProposal(context.Background(), events.Origin{Request: newRequest(), Door: events.DoorAPI}, loginRequest{
			User:     "erin",
			Evidence: engine.Evidence{Tokens: []engine.TokenEvidence{{Serial: "E1", Revision: 1, Found: true, Interval: 2, PIN: true}}},
		})
		d.submit(p)
		return p
	}
	if r := <-press().answer; r.Fate != decided || r.Decision.Answer.Verdict != engine.Accept {
		t.Fatalf("answered %+v", r)
	}
	d.stamper.Sound = func() bool { return true }
	if r := <-press().answer; r.Fate != decided || r.Decision.Answer.Verdict != engine.Reject {
		t.Fatalf("once more, after the clock is back: %+v", r)
	}
}

func TestUntrustedClockStampsNoNewTime(t *testing.T) {
	d := newDesk(t)
	last := d.book.View().Time
	d.moment = d.moment.Add(time.Hour)
	d.stamper.Sound = func() bool { return false }
	d.run()
	if r := <-d.add("bob").answer; r.Fate != decided {
		t.Fatalf("%+v", r)
	}
	if at := d.book.View().Time; at != last {
		t.Fatalf("stamped %v after %v by a clock that is wrong", at.Std(), last.Std())
	}
}

func TestStampsNeverGoBack(t *testing.T) {
	d := newDesk(t)
	last := d.book.View().Time
	d.moment = d.moment.Add(-time.Hour)
	d.run()
	if r := <-d.add("bob").answer; r.Fate != decided {
		t.Fatalf("%+v", r)
	}
	if at := d.book.View().Time; at != last {
		t.Fatalf("stamped %v after %v", at.Std(), last.Std())
	}
}
