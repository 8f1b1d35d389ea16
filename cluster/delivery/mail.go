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

// mailer sends by SMTP, with one connection per mail: tokencodes are few, and a
// connection that is kept open may be broken when it is needed.
type mailer struct {
	c             Mail
	service       string
	timeout       time.Duration
	subject, text template
}

func newMailer(c Mail, service string, timeout time.Duration) *mailer {
	m := &mailer{c: c, service: service, timeout: timeout}
	m.subject, _ = parseTemplate(c.Subject, wordsOfText) // checked by Validate
	m.text, _ = parseTemplate(c.Text, wordsOfText)
	return m
}

// Methods of authentication at the mail server, best first.
var authTypes = []mail.SMTPAuthType{
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
	session, err := client.DialToSMTPClientWithContext(ctx)
	if err != nil {
		return m.refused(ctx, "connecting to the mail server", err)
	}
	err = client.SendWithSMTPClient(session, letter)
	_ = client.CloseWithSMTPClient(session) // the mail has been sent or not
	if err != nil && !letter.IsDelivered() {
		return m.refused(ctx, "sending the mail", err)
	}
	return nil
}

// write composes the mail.
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
	letter.SetGenHeader("Auto-Submitted", "auto-generated") // RFC 3834, section 5: prevents automatic replies
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
		policy = mail.NoTLS // the connection that the library gets already uses TLS
	}
	options := []mail.Option{
		mail.WithPort(m.c.Port), mail.WithTimeout(m.timeout), mail.WithTLSConfig(secure), mail.WithTLSPolicy(policy),
		mail.WithoutNoop(), mail.WithoutRset(),
		mail.WithDialContextFunc(func(dial context.Context, network, address string) (net.Conn, error) {
			return m.dial(dial, ctx, network, address, secure)
		}),
	}
	if m.c.User != "" {
		options = append(options, mail.WithUsername(m.c.User), mail.WithPassword(m.c.Password.Reveal()), mail.WithOpportunisticSMTPAuth(authTypes...))
	}
	client, err := mail.NewClient(m.c.Host, options...)
	if err != nil {
		return nil, fmt.Errorf("configuring the mail client: %w", errFinal) // options are checked by Validate
	}
	return client, nil
}

// dial connects. It closes the connection when attempt ends, because the library
// observes its context only while it dials.
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

// refused explains why a mail was not sent.
func (m *mailer) refused(ctx context.Context, doing string, err error) error {
	var reply *textproto.Error
	if errors.As(err, &reply) {
		return answered("mail server", reply.Code, reply.Code < 500)
	}
	var send *mail.SendError
	if errors.As(err, &send) && send.ErrorCode() != 0 {
		return answered("mail server", send.ErrorCode(), send.ErrorCode() < 500)
	}
	switch said := err.Error(); { // the library has no error values for two of these
	case strings.HasPrefix(said, "STARTTLS mode"):
		return fmt.Errorf("%s: the server does not offer STARTTLS", doing)
	case errors.Is(err, smtp.ErrUnencrypted), errors.Is(err, mail.ErrNoSupportedAuthDiscovered), said == "server does not support SMTP AUTH":
		return fmt.Errorf("%s: the server offers no safe method of authentication for smtp.user", doing)
	}
	return shown(ctx, doing, err)
}
