package delivery

import (
	"bufio"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"regexp"
	"strings"
	"time"

	"keyfob/engine"
)

// gateway sends text messages by a request to an SMS gateway.
type gateway struct {
	c                       SMS
	service                 string
	client                  *http.Client
	path, query, body, text template
	headers                 http.Header
}

func newGateway(c SMS, service string) *gateway {
	g := &gateway{c: c, service: service, client: &http.Client{
		Transport: &http.Transport{
			TLSClientConfig:        &tls.Config{RootCAs: c.Roots, MinVersion: tls.VersionTLS12},
			ForceAttemptHTTP2:      true,
			MaxIdleConnsPerHost:    1,
			IdleConnTimeout:        time.Minute,
			MaxResponseHeaderBytes: 64 << 10,
		},
		// A redirect would send the tokencode to a host that nobody configured, or
		// turn a POST into a GET that always succeeds.
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}}
	path, query, _ := strings.Cut(c.URL, "?")
	g.path, _ = parseTemplate(path, wordsOfRequest) // checked by Validate
	g.query, _ = parseTemplate(query, wordsOfRequest)
	g.body, _ = parseTemplate(c.Body, wordsOfRequest)
	g.text, _ = parseTemplate(c.Text, wordsOfText)
	g.headers, _ = parseHeaders(c.Headers)
	return g
}

// send implements transport.
func (g *gateway) send(ctx context.Context, m message) error {
	request, err := g.request(ctx, m)
	if err != nil {
		return err
	}
	response, err := g.client.Do(request)
	if err != nil {
		var outer *url.Error // quotes the URL, which may contain the text
		if errors.As(err, &outer) {
			err = outer.Err
		}
		return shown(ctx, "sending to the SMS gateway", err)
	}
	defer response.Body.Close()
	_, _ = io.CopyN(io.Discard, response.Body, 64<<10) // so that the connection can be reused
	if response.StatusCode/100 == 2 {
		return nil
	}
	status := response.StatusCode
	again := status >= 500 || status == http.StatusTooManyRequests || status == http.StatusRequestTimeout
	return answered("SMS gateway", status, again)
}

func (g *gateway) request(ctx context.Context, m message) (*http.Request, error) {
	text := g.text.fill(filledText(m, g.service), asItIs)
	if len(text) > maxSMS { // Validate has checked the longest text
		return nil, fmt.Errorf("writing the message: it is longer than %d bytes: %w", maxSMS, errFinal)
	}
	words := filledRequest(m.to, text)
	address := g.path.fill(words, url.PathEscape)
	if len(g.query) > 0 {
		address += "?" + g.query.fill(words, url.QueryEscape)
	}
	escape := url.QueryEscape
	if g.c.ContentType == JSON {
		escape = escapeJSON
	}
	request, err := http.NewRequestWithContext(ctx, g.c.Method, address, strings.NewReader(g.body.fill(words, escape)))
	if err != nil { // quotes the URL
		return nil, fmt.Errorf("writing the request: sms.url is not a URL after the values are filled in: %w", errFinal)
	}
	request.Header = g.headers.Clone()
	if g.c.Body != "" && request.Header.Get("Content-Type") == "" {
		request.Header.Set("Content-Type", g.c.ContentType)
	}
	return request, nil
}

var headerName = regexp.MustCompile("^[0-9A-Za-z!#$%&'*+.^_`|~-]+$") // RFC 9110, section 5.1

// parseHeaders parses lines of the form "Name: value". It ignores empty lines and
// lines that begin with #. Errors give the number of the line and do not quote it,
// because it may contain a key.
func parseHeaders(lines engine.Secret) (http.Header, error) {
	headers := http.Header{}
	in := bufio.NewScanner(strings.NewReader(lines.Reveal()))
	for n := 1; in.Scan(); n++ {
		line := strings.TrimSpace(in.Text())
		if line == "" || strings.HasPrefix(line, "#") {
			continue
		}
		name, value, ok := strings.Cut(line, ":")
		value = strings.TrimSpace(value)
		if !ok || !headerName.MatchString(name) || !oneLine(value) {
			return nil, fmt.Errorf("line %d does not have the form Name: value", n)
		}
		headers.Add(name, value)
	}
	if err := in.Err(); err != nil {
		return nil, errors.New("a line is too long")
	}
	return headers, nil
}
