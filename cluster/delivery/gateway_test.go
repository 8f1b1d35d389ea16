package delivery

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"

	"keyfob/engine"
)

// asked is a request as it arrived at the gateway.
type asked struct {
	Method, Path, Query, Type, Key, Body string
}

// startGateway starts a gateway that answers with a status and records requests.
func startGateway(t *testing.T, answer http.HandlerFunc) (SMS, *[]asked) {
	t.Helper()
	var got []asked
	s := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		if err != nil {
			t.Error(err)
		}
		got = append(got, asked{r.Method, r.URL.EscapedPath(), r.URL.RawQuery, r.Header.Get("Content-Type"), r.Header.Get("Authorization"), string(body)})
		answer(w, r)
	}))
	t.Cleanup(s.Close)
	s.Config.ErrorLog = nil
	c := DefaultConfig().SMS
	c.URL = s.URL + "/v1/messages"
	c.Headers = "# of our account\nAuthorization: Bearer open-sesame\n\n"
	c.Roots = s.Client().Transport.(*http.Transport).TLSClientConfig.RootCAs
	return c, &got
}

func status(code int) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(code) }
}

var olgasPhone = message{to: "+441632960961", code: "40713286", minutes: 10}

func ask(t *testing.T, s SMS, service string) error {
	t.Helper()
	c := config()
	c.SMS, c.Service = s, service
	if err := c.Validate(); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	g := newGateway(s, service)
	defer g.client.CloseIdleConnections()
	return g.send(ctx, olgasPhone)
}

func TestGatewayGetsTheConfiguredRequest(t *testing.T) {
	const service = `Ann & Bob's "VPN"`
	const text = `40713286 for Ann & Bob's "VPN"`
	for name, try := range map[string]struct {
		change func(*SMS)
		want   asked
	}{
		"JSON": {
			func(*SMS) {},
			asked{Method: "POST", Path: "/v1/messages", Type: JSON, Body: `{"to":"+441632960961","text":"40713286 for Ann \u0026 Bob's \"VPN\""}`},
		},
		"form": {
			func(s *SMS) { s.ContentType, s.Body = Form, "To={to}&Body={text}&From=4711" },
			asked{Method: "POST", Path: "/v1/messages", Type: Form, Body: "To=%2B441632960961&Body=" + url.QueryEscape(text) + "&From=4711"},
		},
		"all in the URL": {
			func(s *SMS) { s.Method, s.Body, s.URL = "GET", "", s.URL+"/{number}?text={text}" },
			asked{Method: "GET", Path: "/v1/messages/441632960961", Query: "text=" + url.QueryEscape(text)},
		},
	} {
		t.Run(name, func(t *testing.T) {
			s, got := startGateway(t, status(202))
			s.Text = "{tokencode} for {service}"
			try.change(&s)
			if err := ask(t, s, service); err != nil {
				t.Fatal(err)
			}
			try.want.Key = "Bearer open-sesame"
			if diff := cmp.Diff([]asked{try.want}, *got); diff != "" {
				t.Errorf("asked (-want +got):\n%s", diff)
			}
		})
	}
}

func TestStatusOfTheGatewayDecides(t *testing.T) {
	for code, want := range map[int]struct{ ok, again bool }{
		200: {ok: true}, 202: {ok: true}, 204: {ok: true},
		302: {}, 307: {}, 400: {}, 401: {}, 404: {},
		408: {again: true}, 429: {again: true}, 500: {again: true}, 503: {again: true},
	} {
		s, got := startGateway(t, func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Location", "/elsewhere")
			w.WriteHeader(code)
		})
		err := ask(t, s, defaultService)
		if (err == nil) != want.ok || err != nil && errors.Is(err, errFinal) == want.again {
			t.Errorf("%d: %v, want ok %v, again %v", code, err, want.ok, want.again)
		}
		if len(*got) != 1 {
			t.Errorf("%d: asked %d times, want that nothing is followed", code, len(*got))
		}
	}
}

// net/http puts the URL into its errors, and servers quote the request.
func TestGatewayErrorsContainNoSecret(t *testing.T) {
	in := func(s SMS) SMS {
		s.Method, s.Body, s.URL = "GET", "", s.URL+"?to={to}&text={text}&account=sesame"
		return s
	}
	refusing, _ := startGateway(t, func(w http.ResponseWriter, r *http.Request) {
		http.Error(w, r.URL.RawQuery, http.StatusForbidden)
	})
	strange, _ := startGateway(t, func(w http.ResponseWriter, r *http.Request) {
		conn, _, err := w.(http.Hijacker).Hijack()
		if err == nil {
			_, _ = io.WriteString(conn, r.URL.RawQuery+"\r\n\r\n") // no HTTP
			_ = conn.Close()
		}
	})
	untrusted, got := startGateway(t, status(200))
	untrusted.Roots = nil
	gone, _ := startGateway(t, status(200))
	gone.URL = "https://127.0.0.1:1/"
	for name, try := range map[string]struct {
		sms  SMS
		says string
	}{
		"refuses":   {refusing, "SMS gateway answered 403"},
		"no HTTP":   {strange, "the connection failed"},
		"untrusted": {untrusted, "certificate"},
		"gone":      {gone, "connection refused"},
	} {
		err := ask(t, in(try.sms), defaultService)
		if err == nil || !strings.Contains(err.Error(), try.says) {
			t.Errorf("%s: %v, want %q", name, err, try.says)
			continue
		}
		for _, secret := range []string{"40713286", "1632960961", "sesame"} {
			if strings.Contains(err.Error(), secret) {
				t.Errorf("%s: %v", name, err)
			}
		}
	}
	if len(*got) != 0 {
		t.Error("an untrusted gateway was asked")
	}
}

func TestConfigurationReportsAllErrors(t *testing.T) {
	if err := config().Validate(); err != nil {
		t.Errorf("nothing is configured: %v", err)
	}
	c := config()
	c.Workers, c.Service = 0, "a\nb"
	c.Mail = Mail{Host: "mail", Port: 0, TLS: "no", User: "keyfob", From: "nobody", Subject: "a\r\nBcc: eve", Text: "{code}"}
	c.SMS = SMS{URL: "http://{to}/", Method: "HEAD", ContentType: "text/plain", Headers: "Authorization sesame", Body: "{body}", Text: strings.Repeat("x", 141)}
	err := c.Validate()
	if err == nil {
		t.Fatal("all is well")
	}
	for _, want := range []string{
		"workers", "service", "smtp.port", "smtp.tls", "smtp.from", "smtp.user", "smtp.subject: want one line", "smtp.text: {code} is unknown here",
		"sms.url: want https", "sms.method", "sms.content_type", "sms.headers_file: line 1", "sms.body: {body} is unknown", "sms.text: {tokencode} is missing", "sms.text: up to 141 bytes",
	} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("%q is not in\n%v", want, err)
		}
	}
	if strings.Contains(err.Error(), "sesame") {
		t.Errorf("a header is told: %v", err)
	}
	for body, good := range map[string]bool{
		`{"to":"{to}","text":"{text}"}`:   true,
		`{"to":{number},"text":"{text}"}`: true,
		`{"to":{to},"text":"{text}"}`:     false, // a plus is no JSON
		`{"text":"{text}"}`:               false, `{"to":"{to}"}`: false, `{"to":"{to}","text":{text}}`: false, `to={to}&text={text}`: false,
	} {
		c := config()
		c.SMS.URL, c.SMS.Body = "https://gateway.example/", body
		if err := c.Validate(); (err == nil) != good {
			t.Errorf("%s: %v", body, err)
		}
	}
}

// FuzzBody checks that a body stays valid with any text, and contains it.
func FuzzBody(f *testing.F) {
	f.Add(`a "quoted" {to} text & more`)
	f.Add("line\nbreak\x00\u2028")
	body, err := parseTemplate(`{"to":"{to}","text":"{text}"}`, wordsOfRequest)
	if err != nil {
		f.Fatal(err)
	}
	form, err := parseTemplate("to={to}&text={text}", wordsOfRequest)
	if err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, text string) {
		words := filledRequest("+441632960961", text)
		var got struct{ To, Text string }
		if err := json.Unmarshal([]byte(body.fill(words, escapeJSON)), &got); err != nil {
			t.Fatal(err)
		}
		if got.To != "+441632960961" || utf8.ValidString(text) && got.Text != text {
			t.Errorf("%q became %q", text, got.Text)
		}
		values, err := url.ParseQuery(form.fill(words, url.QueryEscape))
		if err != nil || values.Get("text") != text || len(values) != 2 {
			t.Errorf("%q became %q: %v", text, values, err)
		}
	})
}

// FuzzHeaders checks that an error contains only the number of the line.
func FuzzHeaders(f *testing.F) {
	f.Add("Authorization: Bearer sesame\n# comment\nX: y")
	f.Add("no header")
	f.Fuzz(func(t *testing.T, lines string) {
		headers, err := parseHeaders(engine.Secret(lines))
		if err != nil {
			if n := len(err.Error()); n > 60 {
				t.Errorf("%v", err)
			}
			return
		}
		for name, values := range headers {
			for _, v := range values {
				if !headerName.MatchString(name) || !oneLine(v) {
					t.Errorf("%q: %q", name, v)
				}
			}
		}
	})
}
