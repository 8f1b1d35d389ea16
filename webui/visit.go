package webui

import (
	"bytes"
	"context"
	"encoding/hex"
	"fmt"
	"io"
	"math"
	"net/http"
	"net/netip"
	"strconv"
	"time"

	"github.com/a-h/templ"

	"keyfob/events"
)

// visit is one request and its response.
type visit struct {
	site    *site
	w       http.ResponseWriter
	r       *http.Request
	path    string
	arrived time.Time
	source  netip.Addr
	lang    string
	form    form // of a POST
}

func (s *site) visit(w http.ResponseWriter, r *http.Request) *visit {
	return &visit{
		site:    s,
		w:       w,
		r:       r,
		path:    r.URL.Path,
		arrived: s.cfg.Now(),
		source:  sourceOf(r, s.cfg.TrustedProxies),
		lang:    s.words.choose(r),
	}
}

// contentPolicy allows only what our own files need. No page has inline script
// or style, so no nonce is needed.
const contentPolicy = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; " +
	"form-action 'self'; frame-ancestors 'none'; base-uri 'none'; require-trusted-types-for 'script'; trusted-types 'none'"

func (v *visit) setHeaders() {
	h := v.w.Header()
	h.Set("Content-Security-Policy", contentPolicy)
	h.Set("Cache-Control", "no-store")
	h.Set("Referrer-Policy", "no-referrer")
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("X-Robots-Tag", "noindex")
	h.Set("Cross-Origin-Opener-Policy", "same-origin")
	h.Set("Cross-Origin-Resource-Policy", "same-origin")
	h.Set("Permissions-Policy", "camera=(), display-capture=(), geolocation=(), microphone=(), payment=(), usb=()")
	if v.r.TLS != nil || v.site.cfg.PublicURL != "" {
		h.Set("Strict-Transport-Security", "max-age=31536000")
	}
}

// show sends a page. It is rendered completely first, so its length is known and
// an error cannot leave half a page.
func (v *visit) show(status int, content templ.Component) {
	ctx := v.site.words.withLanguage(v.r.Context(), v.lang)
	var body bytes.Buffer
	if err := content.Render(ctx, &body); err != nil {
		if ctx.Err() != nil {
			return // the visitor is gone
		}
		v.site.cfg.Log.ErrorContext(ctx, "page rendering failed", "path", v.path, "err", err)
		v.plain(http.StatusInternalServerError, "This page cannot be shown.\n")
		return
	}
	h := v.w.Header()
	h.Set("Content-Type", "text/html; charset=utf-8")
	h.Set("Content-Language", v.lang)
	v.send(status, body.Bytes())
}

// notice sends a page with one message and a link to the first page.
func (v *visit) notice(status int, what string) {
	v.show(status, noticePage(v.page(what+"_title", stageNone), notice{text: what + "_text", link: pathSignIn, label: "back"}))
}

func (v *visit) plain(status int, text string) {
	v.w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	v.send(status, []byte(text))
}

func (v *visit) send(status int, body []byte) {
	v.w.Header().Set("Content-Length", strconv.Itoa(len(body)))
	v.w.WriteHeader(status)
	if v.r.Method != http.MethodHead {
		_, _ = v.w.Write(body)
	}
}

// redirect sends the browser to one of our own paths.
func (v *visit) redirect(to string) {
	v.w.Header().Set("Location", to)
	v.w.WriteHeader(http.StatusSeeOther)
}

func (v *visit) retryAfter(wait time.Duration) {
	seconds := max(1, int(math.Ceil(wait.Seconds())))
	v.w.Header().Set("Retry-After", strconv.Itoa(seconds))
}

// origin says where the request came from, with a new request id and reference.
func (v *visit) origin() (events.Origin, error) {
	o := events.Origin{
		Node:     v.site.cfg.NodeName,
		Site:     v.site.cfg.Site,
		Door:     events.DoorWeb,
		SourceIP: v.source.String(),
	}
	var reference [5]byte
	for _, b := range [][]byte{o.Request[:], reference[:]} {
		if _, err := io.ReadFull(v.site.cfg.Random, b); err != nil {
			return events.Origin{}, fmt.Errorf("reading random bytes: %w", err)
		}
	}
	o.Reference = events.SpellReference(reference)
	return o, nil
}

// newRequest returns the random number of a form. When there is none, a form
// that is sent twice counts as two.
func (v *visit) newRequest() string {
	var r events.Request
	if _, err := io.ReadFull(v.site.cfg.Random, r[:]); err != nil {
		return ""
	}
	return hex.EncodeToString(r[:])
}

// decideWithin limits how long a form waits for its answer.
const decideWithin = 10 * time.Second

func (v *visit) context() (context.Context, context.CancelFunc) {
	return context.WithTimeout(v.r.Context(), decideWithin)
}
