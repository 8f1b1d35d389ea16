package delivery

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"net/textproto"
	"strings"
	"time"

	mail "github.com/wneessen/go-mail"
	"github.com/wneessen/go-mail/smtp"
)

// mailer sends by SMTP, one connection for each mail: codes are few, and a
// connection that was kept is the one that has died.
type mailer struct {
	c             Mail
	service       string
	timeout       time.Duration
	subject, text template
}

func newMailer(c Mail, service string, timeout time.Duration) *mailer {
	m := &mailer{c: c, service: service, timeout: timeout}
	m.subject, _ = parseTemplate(c.Subject, wordsOfText) // Validate has read both
	m.text, _ = parseTemplate(c.Text, wordsOfText)
	return m
}

// How a user is proved to the mail server, best first.
var proofs = []mail.SMTPAuthType{
	mail.SMTPAuthSCRAMSHA256, mail.SMTPAuthSCRAMSHA1, mail.SMTPAuthPlain, mail.SMTPAuthLogin,
}

// send implements transport.
func (m *mailer) send(ctx context.Context, msg message) error {
	letter, err := m.write(msg)
	if err != nil {
		return err
	}
	client, err := m.client(ctx)
	if err != nil {
		return err
	}
	conversation, err := client.DialToSMTPClientWithContext(ctx)
	if err != nil {
		return m.refused(ctx, "greeting the mail server", err)
	}
	err = client.SendWithSMTPClient(conversation, letter)
	_ = client.CloseWithSMTPClient(conversation) // how it ends matters to nobody
	if err != nil && !letter.IsDelivered() {
		return m.refused(ctx, "handing over the mail", err)
	}
	return nil
}

// write makes the mail.
func (m *mailer) write(msg message) (*mail.Msg, error) {
	words := filledText(msg, m.service)
	letter := mail.NewMsg(mail.WithNoDefaultUserAgent())
	if err := letter.From(m.c.From); err != nil {
		return nil, fmt.Errorf("reading smtp.from: %w", errFinal)
	}
	if err := letter.To(msg.to); err != nil { // the error quotes the address
		return nil, fmt.Errorf("reading the address: %w", errFinal)
	}
	letter.Subject(m.subject.fill(words, asItIs))
	letter.SetDate()
	letter.SetMessageID()
	letter.SetGenHeader("Auto-Submitted", "auto-generated") // RFC 3834, section 5: no answers from holiday
	letter.SetBodyString(mail.TypeTextPlain, m.text.fill(words, asItIs))
	return letter, nil
}

func (m *mailer) client(ctx context.Context) (*mail.Client, error) {
	secure := &tls.Config{ServerName: m.c.Host, RootCAs: m.c.Roots, MinVersion: tls.VersionTLS12}
	policy := mail.TLSMandatory
	switch m.c.TLS {
	case Opportunistic:
		policy = mail.TLSOpportunistic
	case Implicit:
		policy = mail.NoTLS // the connection is TLS when the library gets it
	}
	options := []mail.Option{
		mail.WithPort(m.c.Port), mail.WithTimeout(m.timeout), mail.WithTLSConfig(secure), mail.WithTLSPolicy(policy),
		mail.WithoutNoop(), mail.WithoutRset(),
		mail.WithDialContextFunc(func(dial context.Context, network, address string) (net.Conn, error) {
			return m.dial(dial, ctx, network, address, secure)
		}),
	}
	if m.c.User != "" {
		options = append(options, mail.WithUsername(m.c.User), mail.WithPassword(m.c.Password.Reveal()), mail.WithOpportunisticSMTPAuth(proofs...))
	}
	client, err := mail.NewClient(m.c.Host, options...)
	if err != nil {
		return nil, fmt.Errorf("preparing for the mail server: %w", errFinal) // options are checked by Validate
	}
	return client, nil
}

// dial connects. The connection is closed when attempt ends: the library looks
// at its context while it dials and not afterwards.
func (m *mailer) dial(ctx, attempt context.Context, network, address string, secure *tls.Config) (net.Conn, error) {
	var conn net.Conn
	var err error
	if m.c.TLS == Implicit {
		conn, err = (&tls.Dialer{Config: secure}).DialContext(ctx, network, address)
	} else {
		conn, err = new(net.Dialer).DialContext(ctx, network, address)
	}
	if err != nil {
		return nil, err
	}
	context.AfterFunc(attempt, func() { _ = conn.Close() })
	return conn, nil
}

// refused says why a mail did not leave.
func (m *mailer) refused(ctx context.Context, doing string, err error) error {
	var reply *textproto.Error
	if errors.As(err, &reply) {
		return answered("mail server", reply.Code, reply.Code < 500)
	}
	var send *mail.SendError
	if errors.As(err, &send) && send.ErrorCode() != 0 {
		return answered("mail server", send.ErrorCode(), send.ErrorCode() < 500)
	}
	switch said := err.Error(); { // the library has no error of its own for two of these
	case strings.HasPrefix(said, "STARTTLS mode"):
		return fmt.Errorf("%s: it offers no STARTTLS", doing)
	case errors.Is(err, smtp.ErrUnencrypted), errors.Is(err, mail.ErrNoSupportedAuthDiscovered), said == "server does not support SMTP AUTH":
		return fmt.Errorf("%s: it offers no safe way of proving who smtp.user is", doing)
	}
	return shown(ctx, doing, err)
}
