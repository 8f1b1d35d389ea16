package delivery

import (
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/mail"
	"net/url"
	"slices"
	"strings"
	"time"
	"unicode"

	"keyfob/engine"
)

// Config is how a sender is made.
type Config struct {
	Mail    Mail
	SMS     SMS
	Service string // what {service} stands for, default "company VPN connection"

	Queue     int           // deliveries that may wait for one way, default 256
	Workers   int           // deliveries under way at once by one way, default 8
	Timeout   time.Duration // of one attempt, default 15s
	Attempts  int           // at one delivery, default 8
	Pause     time.Duration // before the second attempt, doubled before each further one; default 1s
	PauseMost time.Duration // longest pause, default 15s
	Drain     time.Duration // for what is waiting when Run ends, default 8s

	Now func() time.Time
	Log *slog.Logger

	// Observe is told what became of each delivery by which way: mail, sms or
	// none. It must not block. Nil is allowed.
	Observe func(way string, r Result)
}

// Mail is the way to mailto: addresses. No Host: there is none.
type Mail struct {
	Host     string
	Port     int    // default 587
	TLS      string // StartTLS, Implicit or Opportunistic
	User     string // empty: without authentication
	Password engine.Secret
	From     string         // such as "Example Travel <noreply@example.com>"
	Roots    *x509.CertPool // that the server's certificate is checked against; nil: the machine's
	Subject  string         // of one line
	Text     string         // of the mail; both may hold {tokencode}, {minutes}, {asked} and {service}
}

// How a mail server is spoken to.
const (
	StartTLS      = "starttls"      // TLS is demanded before anything is said (RFC 3207)
	Implicit      = "implicit"      // TLS from the first byte (RFC 8314)
	Opportunistic = "opportunistic" // TLS where the server offers it: whoever sits between can read along
)

// SMS is the way to tel: addresses: a request to a gateway. No URL: there is
// none.
type SMS struct {
	URL         string // https; may hold {to}, {number} and {text} in path and query
	Method      string // default POST
	ContentType string // of Body: JSON or Form; tells how what is filled in is escaped
	Body        string // with {to}: +441632960961, {number}: 441632960961, {text}
	// Headers are lines of the form "Name: value", such as the gateway's key.
	Headers engine.Secret
	Text    string         // of the message, at most 140 bytes; may hold what Mail.Text may
	Roots   *x509.CertPool // that the gateway's certificate is checked against; nil: the machine's
}

// The types of a gateway's body.
const (
	JSON = "application/json"
	Form = "application/x-www-form-urlencoded"
)

// maxSMS is what fits into one short message: 140 bytes.
const maxSMS = 140

const defaultService = "company VPN connection"

// DefaultConfig sends nothing until a way is configured.
func DefaultConfig() Config {
	return Config{
		Service: defaultService,
		Mail: Mail{
			Port: 587, TLS: StartTLS,
			Subject: "Your tokencode",
			Text: "Your tokencode is {tokencode}\n\n" +
				"You asked for it at {asked}. If you have asked again since,\n" +
				"only the one with the latest time is good.\n" +
				"It is good once, for {minutes} minutes, for your {service}.\n" +
				"If you did not ask for it, somebody knows your PIN: tell your help desk.\n",
		},
		SMS: SMS{
			Method: http.MethodPost, ContentType: JSON,
			Body: `{"to":"{to}","text":"{text}"}`,
			Text: "{tokencode} is your tokencode, good once within {minutes} minutes. Not asked for? Tell your help desk.",
		},
		Queue: 256, Workers: 8,
		Timeout: 15 * time.Second, Attempts: 8, Pause: time.Second, PauseMost: 15 * time.Second, Drain: 8 * time.Second,
		Now: time.Now,
	}
}

func (c Config) observe(way string, r Result) {
	if c.Observe != nil {
		c.Observe(way, r)
	}
}

// Validate reports all that is wrong with c. A way that is not configured is
// not looked at.
func (c Config) Validate() error {
	var errs []error
	want := func(ok bool, format string, args ...any) {
		if !ok {
			errs = append(errs, fmt.Errorf(format, args...))
		}
	}
	want(c.Queue > 0 && c.Workers > 0 && c.Attempts > 0, "queue, workers and attempts must be at least 1")
	want(c.Timeout > 0 && c.Pause > 0 && c.PauseMost >= c.Pause && c.Drain > 0, "timeout, pauses and drain must be more than 0, and the longest pause no shorter than the first")
	want(oneLine(c.Service), "service %q: want one line", c.Service)
	want(c.Now != nil, "no clock")
	want(c.Log != nil, "no logger")
	if c.Mail.Host != "" {
		errs = append(errs, c.Mail.validate())
	}
	if c.SMS.URL != "" {
		errs = append(errs, c.SMS.validate(c.Service))
	}
	return errors.Join(errs...)
}

func (m Mail) validate() error {
	var errs []error
	want := func(ok bool, format string, args ...any) {
		if !ok {
			errs = append(errs, fmt.Errorf("smtp."+format, args...))
		}
	}
	want(m.Port > 0 && m.Port < 1<<16, "port: %d is no port", m.Port)
	want(slices.Contains([]string{StartTLS, Implicit, Opportunistic}, m.TLS), "tls: %q: want %s, %s or %s", m.TLS, StartTLS, Implicit, Opportunistic)
	_, err := mail.ParseAddress(m.From)
	want(err == nil, "from: %q is no mail address", m.From)
	want((m.User == "") == (m.Password == ""), "user: it and the password go together, one of them is missing")
	want(m.User == "" || m.TLS != Opportunistic, "tls: a password is sent over TLS only; want %s or %s", StartTLS, Implicit)
	want(oneLine(m.Subject), "subject: want one line")
	_, err = parseTemplate(m.Subject, wordsOfText)
	want(err == nil, "subject: %v", err)
	text, err := parseTemplate(m.Text, wordsOfText)
	want(err == nil, "text: %v", err)
	want(err != nil || text.has(wordTokencode), "text: without {%s}", wordTokencode)
	return errors.Join(errs...)
}

func (s SMS) validate(service string) error {
	var errs []error
	want := func(ok bool, format string, args ...any) {
		if !ok {
			errs = append(errs, fmt.Errorf("sms."+format, args...))
		}
	}
	u, err := url.Parse(s.URL)
	want(err == nil && u.Scheme == "https" && u.Host != "" && u.User == nil && !strings.ContainsAny(u.Host, "{}"),
		"url: want https://host/… without a user in it")
	want(slices.Contains([]string{http.MethodGet, http.MethodPost, http.MethodPut}, s.Method), "method: %q: want GET, POST or PUT", s.Method)
	want(s.ContentType == JSON || s.ContentType == Form, "content_type: %q: want %s or %s", s.ContentType, JSON, Form)
	_, err = parseHeaders(s.Headers)
	want(err == nil, "headers_file: %v", err)

	request, err := parseTemplate(s.URL, wordsOfRequest)
	want(err == nil, "url: %v", err)
	body, err := parseTemplate(s.Body, wordsOfRequest)
	want(err == nil, "body: %v", err)
	want(s.Method != http.MethodGet || s.Body == "", "body: a GET has none")
	want(request.has(wordText) || body.has(wordText), "body: {%s} is neither here nor in url", wordText)
	want(request.has(wordTo) || request.has(wordNumber) || body.has(wordTo) || body.has(wordNumber), "body: neither {%s} nor {%s} is here or in url", wordTo, wordNumber)
	if s.ContentType == JSON && s.Body != "" {
		want(json.Valid([]byte(body.fill(filledRequest("+15005550006", `a "b"`), escapeJSON))), "body: is no JSON when it is filled in")
	}

	text, err := parseTemplate(s.Text, wordsOfText)
	want(err == nil, "text: %v", err)
	want(err != nil || text.has(wordTokencode), "text: without {%s}", wordTokencode)
	longest := len(text.fill(filledText(message{code: "0123456789", asked: time.Unix(0, 0), minutes: 70}, service), asItIs))
	want(longest <= maxSMS, "text: up to %d bytes when it is filled in, and %d fit", longest, maxSMS)
	return errors.Join(errs...)
}

func oneLine(s string) bool { return !strings.ContainsFunc(s, unicode.IsControl) }
