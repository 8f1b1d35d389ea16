package delivery

import (
	"context"
	"crypto/x509"
	"errors"
	"net"
	"strings"
	"testing"
	"time"

	"keyfob/cluster/delivery/mailtest"
)

// mailTo is the configuration for a server of the tests.
func mailTo(s *mailtest.Server, tls string) Mail {
	m := DefaultConfig().Mail
	m.Host, m.Port, m.TLS, m.Roots = "localhost", s.Port, tls, s.Roots
	m.User, m.Password, m.From = mailtest.User, mailtest.Password, "Example Travel <noreply@example.com>"
	return m
}

var olga = message{to: "olga@example.com", code: "40713286", asked: time.Date(2026, 11, 23, 14, 3, 27, 0, time.Local), minutes: 10}

func attempt(t *testing.T, m Mail, to message) error {
	t.Helper()
	c := config()
	c.Mail = m
	if err := c.Validate(); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	return newMailer(m, defaultService, 10*time.Second).send(ctx, to)
}

func TestMailArrives(t *testing.T) {
	for _, mode := range []string{StartTLS, Implicit} {
		t.Run(mode, func(t *testing.T) {
			s := mailtest.Start(t, mode)
			if err := attempt(t, mailTo(s, mode), olga); err != nil {
				t.Fatal(err)
			}
			letters := s.Letters(t)
			if len(letters) != 1 {
				t.Fatalf("%d mails arrived, want 1", len(letters))
			}
			for name, want := range map[string]string{
				"To": "<olga@example.com>", "From": `"Example Travel" <noreply@example.com>`, "Subject": "Your tokencode",
				"Auto-Submitted": "auto-generated", "X-Rcptto": "olga@example.com",
			} {
				if got := letters[0].Get(name); got != want {
					t.Errorf("%s: %q, want %q", name, got, want)
				}
			}
			for _, want := range []string{"Your tokencode is 40713286\n", "You requested it at 14:03:27 ", "for 10 minutes, for your company VPN connection."} {
				if !strings.Contains(letters[0].Text, want) {
					t.Errorf("%q is not in\n%s", want, letters[0].Text)
				}
			}
		})
	}
}

func TestNothingIsSentToAnUntrustedServer(t *testing.T) {
	s, plain := mailtest.Start(t, StartTLS), mailtest.Start(t, "plain")
	change := func(m Mail, f func(*Mail)) Mail { f(&m); return m }
	for name, try := range map[string]struct {
		mail Mail
		says string
	}{
		"a stranger's certificate": {change(mailTo(s, StartTLS), func(m *Mail) { m.Roots = x509.NewCertPool() }), "unknown authority"},
		"another name":             {change(mailTo(s, StartTLS), func(m *Mail) { m.Host = "127.0.0.1" }), "cannot validate certificate for 127.0.0.1"},
		"no STARTTLS":              {mailTo(plain, StartTLS), "does not offer STARTTLS"},
		"no TLS at all":            {mailTo(plain, Implicit), "does not use TLS"},
	} {
		if err := attempt(t, try.mail, olga); err == nil || !strings.Contains(err.Error(), try.says) {
			t.Errorf("%s: %v, want %q", name, err, try.says)
		}
	}
	if n := len(s.Letters(t)) + len(plain.Letters(t)); n != 0 {
		t.Errorf("%d mails arrived", n)
	}
}

func TestOpportunisticTLSMustBeConfigured(t *testing.T) {
	s := mailtest.Start(t, "plain")
	m := mailTo(s, Opportunistic)
	c := config()
	if c.Mail = m; c.Validate() == nil {
		t.Error("a password may go over a connection that need not be TLS")
	}
	m.User, m.Password = "", ""
	if err := attempt(t, m, olga); err != nil {
		t.Fatal(err)
	}
	if n := len(s.Letters(t)); n != 1 {
		t.Errorf("%d mails arrived", n)
	}
}

// The answer of the server contains the address.
func TestMailServerErrorsContainNoSecret(t *testing.T) {
	s := mailtest.Start(t, StartTLS)
	wrong := mailTo(s, StartTLS)
	wrong.Password = "open up"
	for name, try := range map[string]struct {
		mail  Mail
		to    string
		says  string
		final bool
	}{
		"unknown address": {mailTo(s, StartTLS), "nobody@example.com", "answered 550", true},
		"put off":         {mailTo(s, StartTLS), "busy@example.com", "answered 450", false},
		"wrong password":  {wrong, "olga@example.com", "answered 535", true},
	} {
		err := attempt(t, try.mail, message{to: try.to, code: "40713286", minutes: 1})
		if err == nil || !strings.Contains(err.Error(), try.says) || errors.Is(err, errFinal) != try.final {
			t.Errorf("%s: %v, want %q, final %v", name, err, try.says, try.final)
			continue
		}
		for _, secret := range []string{"40713286", "example.com", "open up", "sesame"} {
			if strings.Contains(err.Error(), secret) {
				t.Errorf("%s: %v", name, err)
			}
		}
	}
}

// The server accepts connections and sends nothing.
func TestSilentMailServerDoesNotBlock(t *testing.T) {
	silent, err := new(net.ListenConfig).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer silent.Close()
	m := mailTo(&mailtest.Server{Port: silent.Addr().(*net.TCPAddr).Port}, StartTLS)
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	began := time.Now()
	err = newMailer(m, defaultService, time.Minute).send(ctx, olga)
	if !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("%v, want that time is over", err)
	}
	if took := time.Since(began); took > 10*time.Second {
		t.Errorf("took %v", took)
	}
}
