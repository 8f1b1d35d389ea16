package node

import (
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"os"
	"strconv"
	"strings"

	"github.com/prometheus/client_golang/prometheus"

	"keyfob/cluster/delivery"
	"keyfob/engine"
)

// OnDemandConfig is the delivery of tokencodes. The node that receives a request
// sends the tokencode, so every node needs it.
type OnDemandConfig struct {
	SMTP SMTPConfig `yaml:"smtp"`
	SMS  SMSConfig  `yaml:"sms"`
}

// SMTPConfig is the mail server for tokencodes by mail.
type SMTPConfig struct {
	Host         string `yaml:"host" doc:"host name of the mail server; empty: no tokencodes by mail"`
	Port         string `yaml:"port" doc:"port of the mail server: 587 for starttls, 465 for implicit"`
	TLS          string `yaml:"tls" enum:"starttls,implicit,opportunistic" doc:"starttls: required; implicit: from the first byte; opportunistic: only if the server offers it, so tokencodes can be intercepted"`
	CA           string `yaml:"ca" doc:"PEM file with the CAs of the mail server; default: those of the system"`
	User         string `yaml:"user" doc:"user name at the mail server; empty: no authentication"`
	PasswordFile string `yaml:"password_file" doc:"file with the password of user"`
	From         string `yaml:"from" doc:"sender address, such as Example Travel <noreply@example.com>"`
	Subject      string `yaml:"subject" doc:"subject of the mail; {tokencode}, {minutes}, {asked} (time of the request) and {service} are replaced"`
	Text         string `yaml:"text" doc:"text of the mail; {tokencode}, {minutes}, {asked} (time of the request) and {service} are replaced"`
}

// SMSConfig is the gateway for tokencodes by SMS.
type SMSConfig struct {
	URL         string `yaml:"url" doc:"https URL of the gateway, may contain {to}, {number} and {text}; empty: no tokencodes by SMS"`
	Method      string `yaml:"method" enum:"POST,PUT,GET" doc:"method of the request"`
	ContentType string `yaml:"content_type" enum:"application/json,application/x-www-form-urlencoded" doc:"content type of body; values are escaped accordingly"`
	HeadersFile string `yaml:"headers_file" doc:"file with additional headers, one Name: value per line, such as the gateway's key"`
	Body        string `yaml:"body" doc:"body of the request, not sent with GET; {to} is +441632960961, {number} is 441632960961, {text} is the message"`
	CA          string `yaml:"ca" doc:"PEM file with the CAs of the gateway; default: those of the system"`
	Text        string `yaml:"text" doc:"text of the message, at most 140 bytes; {tokencode}, {minutes}, {asked} (time of the request) and {service} are replaced"`
}

func defaultOnDemand() OnDemandConfig {
	d := delivery.DefaultConfig()
	return OnDemandConfig{
		SMTP: SMTPConfig{Port: strconv.Itoa(d.Mail.Port), TLS: d.Mail.TLS, Subject: d.Mail.Subject, Text: d.Mail.Text},
		SMS:  SMSConfig{Method: d.SMS.Method, ContentType: d.SMS.ContentType, Body: d.SMS.Body, Text: d.SMS.Text},
	}
}

// onDemandFiles are the keys whose values are files.
var onDemandFiles = []string{
	"ondemand.smtp.ca", "ondemand.smtp.password_file", "ondemand.sms.ca", "ondemand.sms.headers_file",
}

// delivery returns the configuration of the sender, without the contents of files.
func (c *Config) delivery() delivery.Config {
	out := delivery.DefaultConfig()
	if c.Branding.Service != "" {
		out.Service = c.Branding.Service
	}
	mail, sms := c.OnDemand.SMTP, c.OnDemand.SMS
	port, _ := strconv.Atoi(mail.Port) // 0 is not a valid port
	out.Mail = delivery.Mail{
		Host: mail.Host, Port: port, TLS: mail.TLS, User: mail.User, From: mail.From, Subject: mail.Subject, Text: mail.Text,
	}
	out.SMS = delivery.SMS{URL: sms.URL, Method: sms.Method, ContentType: sms.ContentType, Body: sms.Body, Text: sms.Text}
	if sms.Method == http.MethodGet {
		out.SMS.Body = ""
	}
	return out
}

// onDemandProblems are those of the keys for delivery. Files are not opened.
func (c *Config) onDemandProblems() []problem {
	check := c.delivery()
	check.Log = slog.New(slog.DiscardHandler)
	if c.OnDemand.SMTP.PasswordFile != "" {
		check.Mail.Password = "in the file"
	}
	err := check.Validate()
	if err == nil {
		return nil
	}
	var all []problem
	for line := range strings.Lines(err.Error()) {
		key, text, _ := strings.Cut(strings.TrimSuffix(line, "\n"), ": ")
		all = append(all, problem{"ondemand." + key, text})
	}
	return all
}

// newSender returns the sender of tokencodes, or nil if none is configured.
func (e *program) newSender(cfg Config, log *slog.Logger, counts *metrics) (*delivery.Sender, error) {
	c := cfg.delivery()
	if c.Mail.Host == "" && c.SMS.URL == "" {
		return nil, nil //nolint:nilnil // a node need not have one
	}
	mail, sms := cfg.OnDemand.SMTP, cfg.OnDemand.SMS
	var problems [4]error
	c.Mail.Password, problems[0] = e.fileSecret("ondemand.smtp.password_file", mail.PasswordFile)
	c.Mail.Roots, problems[1] = fileRoots("ondemand.smtp.ca", mail.CA)
	c.SMS.Headers, problems[2] = e.fileSecret("ondemand.sms.headers_file", sms.HeadersFile)
	c.SMS.Roots, problems[3] = fileRoots("ondemand.sms.ca", sms.CA)
	if err := errors.Join(problems[:]...); err != nil {
		return nil, err
	}
	c.Now, c.Log, c.Observe = e.Now, log, counts.deliveries()
	k, err := delivery.New(c)
	if err != nil {
		return nil, fmt.Errorf("ondemand: %w", err)
	}
	return k, nil
}

// fileSecret returns the secret in the file that a key names, if it names one.
func (e *program) fileSecret(key, file string) (engine.Secret, error) {
	if file == "" {
		return "", nil
	}
	text, err := e.ReadSecret(file)
	if err != nil {
		return "", fmt.Errorf("%s: %w", key, err)
	}
	return engine.Secret(text), nil
}

// fileRoots returns the certificates in the file that a key names, or nil, those of
// the system, if it names none.
func fileRoots(key, file string) (*x509.CertPool, error) {
	if file == "" {
		return nil, nil //nolint:nilnil // as in tls.Config
	}
	pem, err := os.ReadFile(file)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", key, err)
	}
	pool := x509.NewCertPool()
	if !pool.AppendCertsFromPEM(pem) {
		return nil, fmt.Errorf("%s: %s contains no PEM certificate", key, file)
	}
	return pool, nil
}

// deliveries counts tokencodes on demand by their result.
func (m *metrics) deliveries() func(way string, r delivery.Result) {
	counted := prometheus.NewCounterVec(prometheus.CounterOpts{
		Name: "keyfob_ondemand_total", Help: "Tokencodes sent to users, by way and result.",
	}, []string{"way", "result"})
	m.registry.MustRegister(counted)
	return func(way string, r delivery.Result) { counted.WithLabelValues(way, string(r)).Inc() }
}

// send delivers tokencodes until ctx ends, if this node has a sender.
func (in *instance) send(ctx context.Context) error {
	if in.sender == nil {
		return nil
	}
	return in.sender.Run(ctx)
}
