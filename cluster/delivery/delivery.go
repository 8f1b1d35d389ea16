// Package delivery sends on-demand tokencodes to their users, by mail and
// through an SMS gateway.
//
// Each way has its own queue and workers, so that a mail server that is down
// does not delay SMS. Deliver never blocks: a login does not wait for a mail
// server, and the user sees the same answer whether or not the message arrives.
// A message is retried at growing intervals while its tokencode is valid and
// expected. It may arrive twice, which is harmless, because the tokencode is
// valid once.
//
// Nothing is stored on disk. If the process dies, the user requests another
// tokencode, which counts towards the hourly limit.
//
// Addresses and tokencodes are secrets. They do not appear in logs or errors,
// and neither does a server's answer, which may quote them; only its status
// code is kept.
package delivery

import (
	"context"
	"errors"
	"fmt"
	"net/mail"
	"regexp"
	"strings"
	"sync"
	"time"

	"keyfob/engine"
)

// Result is the result of a delivery.
type Result string

// The results.
const (
	Sent     Result = "sent"     // the server accepted it
	Failed   Result = "failed"   // it was refused, or all attempts failed
	Expired  Result = "expired"  // its tokencode was no longer valid
	Overflow Result = "overflow" // too many were waiting, or the node is stopping
	NoWay    Result = "no_way"   // no way is configured for the address
	Unwanted Result = "unwanted" // the user has requested another one, or has logged in
)

// The ways of sending, as named in metrics and logs.
const (
	wayMail = "mail"
	waySMS  = "sms"
	wayNone = "none"
)

// Sender sends tokencodes. Run must be called once.
type Sender struct {
	c    Config
	ways map[string]*way

	stopping chan struct{} // closed when Run ends: retries no longer wait

	mu     sync.RWMutex // guards closed, and the queues against being closed during a send
	closed bool
}

// way is one way of sending.
type way struct {
	name      string
	transport transport
	queue     chan engine.Delivery
}

// transport makes one attempt within ctx. The error contains no secret. If it wraps
// errFinal, another attempt would fail too.
type transport interface {
	send(ctx context.Context, m message) error
}

// message is what is sent.
type message struct {
	to      string // ada@example.com or +441632960961
	code    string
	asked   time.Time
	minutes int // for which the code is still valid, rounded up
}

// New returns a sender. The error reports all errors in c.
func New(c Config) (*Sender, error) {
	if err := c.Validate(); err != nil {
		return nil, err
	}
	s := &Sender{c: c, ways: map[string]*way{}, stopping: make(chan struct{})}
	if c.Mail.Host != "" {
		s.add(wayMail, newMailer(c.Mail, c.Service, c.Timeout))
	}
	if c.SMS.URL != "" {
		s.add(waySMS, newGateway(c.SMS, c.Service))
	}
	return s, nil
}

func (s *Sender) add(name string, t transport) {
	s.ways[name] = &way{name: name, transport: t, queue: make(chan engine.Delivery, s.c.Queue)}
}

// Deliver queues a tokencode. It never blocks: if the queue is full, the tokencode is
// not sent, and the user requests another one.
func (s *Sender) Deliver(d engine.Delivery) {
	name, _ := route(d.Address)
	w := s.ways[name]
	if w == nil {
		s.unsent(d, name, NoWay, 0, errors.New("no way of sending is configured for the address"))
		return
	}
	s.mu.RLock()
	defer s.mu.RUnlock()
	if s.closed {
		s.unsent(d, name, Overflow, 0, errors.New("the node is stopping"))
		return
	}
	select {
	case w.queue <- d:
	default:
		s.unsent(d, name, Overflow, 0, fmt.Errorf("%d are waiting already", cap(w.queue)))
	}
}

// Sends reports whether the address can be reached.
func (s *Sender) Sends(address engine.Secret) bool {
	name, _ := route(address)
	return s.ways[name] != nil
}

// Run sends until ctx ends. Then what is waiting gets one more attempt, within
// Config.Drain for all, and Run returns when the workers have finished.
func (s *Sender) Run(ctx context.Context) error {
	work, stop := context.WithCancel(context.WithoutCancel(ctx))
	defer stop()
	var workers sync.WaitGroup
	for _, w := range s.ways {
		for range s.c.Workers {
			workers.Go(func() {
				for d := range w.queue {
					s.carry(work, w, d)
				}
			})
		}
	}
	<-ctx.Done()
	s.mu.Lock()
	s.closed = true
	for _, w := range s.ways {
		close(w.queue)
	}
	s.mu.Unlock()
	close(s.stopping)
	limit := time.AfterFunc(s.c.Drain, stop)
	defer limit.Stop()
	workers.Wait()
	return ctx.Err()
}

// carry sends one tokencode, or gives up.
func (s *Sender) carry(ctx context.Context, w *way, d engine.Delivery) {
	began, pause := s.c.Now(), s.c.Pause
	for attempt := 1; ; attempt++ {
		left := d.Expires.Sub(s.c.Now())
		if left <= 0 {
			s.unsent(d, w.name, Expired, attempt-1, errors.New("the tokencode is no longer valid"))
			return
		}
		if d.Wanted != nil && !d.Wanted() {
			// Of several that arrive together only the last one would be valid.
			s.c.Log.InfoContext(ctx, "tokencode not sent: it is no longer needed", "serial", d.Serial, "way", w.name, "attempts", attempt-1)
			s.c.observe(w.name, Unwanted)
			return
		}
		err := s.attempt(ctx, w, d, left)
		if err == nil {
			s.c.Log.InfoContext(ctx, "tokencode sent", "serial", d.Serial, "way", w.name, "attempts", attempt, "took", s.c.Now().Sub(began))
			s.c.observe(w.name, Sent)
			return
		}
		if errors.Is(err, errFinal) || attempt == s.c.Attempts || ctx.Err() != nil || s.isStopping() {
			s.unsent(d, w.name, Failed, attempt, err)
			return
		}
		s.c.Log.WarnContext(ctx, "tokencode not sent yet; it will be retried", "serial", d.Serial, "way", w.name, "attempts", attempt, "wait", pause, "err", err)
		s.wait(pause)
		pause = min(2*pause, s.c.PauseMost)
	}
}

func (s *Sender) attempt(ctx context.Context, w *way, d engine.Delivery, left time.Duration) error {
	_, to := route(d.Address)
	ctx, cancel := context.WithTimeout(ctx, min(s.c.Timeout, left))
	defer cancel()
	const minute = time.Minute
	return w.transport.send(ctx, message{to: to, code: d.Tokencode.Reveal(), asked: d.Asked, minutes: int((left + minute - 1) / minute)})
}

// wait waits, but not once the node is stopping.
func (s *Sender) wait(d time.Duration) {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-s.stopping:
	}
}

func (s *Sender) isStopping() bool {
	select {
	case <-s.stopping:
		return true
	default:
		return false
	}
}

// unsent reports a tokencode that was not sent.
func (s *Sender) unsent(d engine.Delivery, way string, r Result, attempts int, why error) {
	s.c.Log.Error("tokencode not sent", "serial", d.Serial, "way", way, "result", string(r), "attempts", attempts, "err", why)
	s.c.observe(way, r)
	if d.NotSent != nil {
		d.NotSent(way, string(r))
	}
}

// E.164: a plus and at most 15 digits. No subscriber has fewer than 7.
var telephone = regexp.MustCompile(`^\+[1-9][0-9]{6,14}$`)

// route returns the way for an address, and the address in the form of that way. The
// address was checked when an administrator entered it. It is checked again because
// a tokencode that is sent to two addresses is no longer secret.
func route(address engine.Secret) (way, to string) {
	if to, ok := strings.CutPrefix(address.Reveal(), "mailto:"); ok {
		if one, err := mail.ParseAddress(to); err == nil && one.Address == to {
			return wayMail, to
		}
	}
	if to, ok := strings.CutPrefix(address.Reveal(), "tel:"); ok && telephone.MatchString(to) {
		return waySMS, to
	}
	return wayNone, ""
}
