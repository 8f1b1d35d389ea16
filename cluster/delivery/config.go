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

// Config configures a sender.
type Config struct {
	Mail    Mail
	SMS     SMS
	Service string // replaces {service}, default "company VPN connection"

	Queue     int           // deliveries that may wait per way, default 256
	Workers   int           // deliveries at once per way, default 8
	Timeout   time.Duration // of one attempt, default 15s
	Attempts  int           // per delivery, default 8
	Pause     time.Duration // before the second attempt, doubled for each further one; default 1s
	PauseMost time.Duration // longest pause, default 15s
	Drain     time.Duration // time for waiting deliveries when Run ends, default 8s

	Now func() time.Time
	Log *slog.Logger

	// Observe is called with the way (mail, sms or none) and result of each
	// delivery. It must not block. It may be nil.
	Observe func(way string, r Result)
}

// Mail configures sending to mailto: addresses. Without Host it is off.
type Mail struct {
	Host     string
	Port     int    // default 587
	TLS      string // StartTLS, Implicit or Opportunistic
	User     string // empty: without authentication
	Password engine.Secret
	From     string         // such as "Example Travel <noreply@example.com>"
	Roots    *x509.CertPool // for the server's certificate; nil: those of the system
	Subject  string         // one line
	Text     string         // may contain, like Subject, {tokencode}, {minutes}, {asked} and {service}
}

// The modes of TLS for a mail server.
const (
	StartTLS      = "starttls"      // TLS is required before anything is sent (RFC 3207)
	Implicit      = "implicit"      // TLS from the first byte (RFC 8314)
	Opportunistic = "opportunistic" // TLS if the server offers it; an attacker in between can prevent it
)

// SMS configures sending to tel: addresses, by a request to a gateway. Without URL it
// is off.
type SMS struct {
	URL         string // https; may contain {to}, {number} and {text} in path and query
	Method      string // default POST
	ContentType string // of Body: JSON or Form; determines how values are escaped
	Body        string // with {to}: +441632960961, {number}: 441632960961, {text}
	// Headers are lines of the form "Name: value", for example with an API key.
	Headers engine.Secret
	Text    string         // of the message, at most 140 bytes; may contain the same words as Mail.Text
	Roots   *x509.CertPool // for the gateway's certificate; nil: those of the system
}

// The content types of a gateway's body.
const (
	JSON = "application/json"
	Form = "application/x-www-form-urlencoded"
)

// maxSMS is the size of one text message: 140 bytes.
const maxSMS = 140

const defaultService = "company VPN connection"

// DefaultConfig returns the default configuration, which sends nothing.
func DefaultConfig() Config {
	return Config{
		Service: defaultService,
		Mail: Mail{
			Port: 587, TLS: StartTLS,
			Subject: "Your tokencode",
			Text: "Your tokencode is {tokencode}\n\n" +
				"You requested it at {asked}. If you have requested another one since,\n" +
				"only the one with the latest time works.\n" +
				"It works once, for {minutes} minutes, for your {service}.\n" +
				"If you did not request it, somebody knows your PIN: tell your help desk.\n",
		},
		SMS: SMS{
			Method: http.MethodPost, ContentType: JSON,
			Body: `{"to":"{to}","text":"{text}"}`,
			Text: "{tokencode} is your tokencode. It works once, for {minutes} minutes. Not requested? Tell your help desk.",
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

// Validate reports all errors in c. It ignores ways that are off.
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
	want(m.Port > 0 && m.Port < 1<<16, "port: %d is not a port", m.Port)
	want(slices.Contains([]string{StartTLS, Implicit, Opportunistic}, m.TLS), "tls: %q: want %s, %s or %s", m.TLS, StartTLS, Implicit, Opportunistic)
	_, err := mail.ParseAddress(m.From)
	want(err == nil, "from: %q is not a mail address", m.From)
	want((m.User == "") == (m.Password == ""), "user: give both user and password, or neither")
	want(m.User == "" || m.TLS != Opportunistic, "tls: a password is sent only over TLS; want %s or %s", StartTLS, Implicit)
	want(oneLine(m.Subject), "subject: want one line")
	_, err = parseTemplate(m.Subject, wordsOfText)
	want(err == nil, "subject: %v", err)
	text, err := parseTemplate(m.Text, wordsOfText)
	want(err == nil, "text: %v", err)
	want(err != nil || text.has(wordTokencode), "text: {%s} is missing", wordTokencode)
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
		"url: want https://host/… without a user name")
	want(slices.Contains([]string{http.MethodGet, http.MethodPost, http.MethodPut}, s.Method), "method: %q: want GET, POST or PUT", s.Method)
	want(s.ContentType == JSON || s.ContentType == Form, "content_type: %q: want %s or %s", s.ContentType, JSON, Form)
	_, err = parseHeaders(s.Headers)
	want(err == nil, "headers_file: %v", err)

	request, err := parseTemplate(s.URL, wordsOfRequest)
	want(err == nil, "url: %v", err)
	body, err := parseTemplate(s.Body, wordsOfRequest)
	want(err == nil, "body: %v", err)
	want(s.Method != http.MethodGet || s.Body == "", "body: a GET request has no body")
	want(request.has(wordText) || body.has(wordText), "body: {%s} is missing here and in url", wordText)
	want(request.has(wordTo) || request.has(wordNumber) || body.has(wordTo) || body.has(wordNumber), "body: {%s} and {%s} are both missing here and in url", wordTo, wordNumber)
	if s.ContentType == JSON && s.Body != "" {
		want(json.Valid([]byte(body.fill(filledRequest("+15005550006", `a "b"`), escapeJSON))), "body: it is not JSON after the values are filled in")
	}

	text, err := parseTemplate(s.Text, wordsOfText)
	want(err == nil, "text: %v", err)
	want(err != nil || text.has(wordTokencode), "text: {%s} is missing", wordTokencode)
	longest := len(text.fill(filledText(message{code: "0123456789", asked: time.Unix(0, 0), minutes: 70}, service), asItIs))
	want(longest <= maxSMS, "text: up to %d bytes after the values are filled in, at most %d fit", longest, maxSMS)
	return errors.Join(errs...)
}

func oneLine(s string) bool { return !strings.ContainsFunc(s, unicode.IsControl) }
