package webui

import (
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"time"
)

// The cookies. Browsers accept the __Host- prefix only over TLS, for the whole
// of this host and no other (RFC 6265bis, section 4.1.3.2).
const (
	conversationCookie = "__Host-keyfob"
	doneCookie         = "__Host-keyfob-done"
	languageCookie     = "__Host-keyfob-lang"
)

// maxConversation is the largest sealed conversation that is read.
const maxConversation = 3 << 10

// doneFor is how long the last page can be opened again.
const doneFor = 5 * time.Minute

// conversation returns the sealed conversation in the request, or "".
func (v *visit) conversation() string {
	c, err := v.r.Cookie(conversationCookie)
	if err != nil || len(c.Value) > maxConversation {
		return ""
	}
	return c.Value
}

// remember stores the sealed conversation in the browser and drops the cookie
// of an earlier conversation that was completed.
func (v *visit) remember(conversation string, expires time.Time) error {
	c := secureCookie(&http.Cookie{Name: conversationCookie, Value: conversation})
	if !expires.IsZero() {
		c.MaxAge = max(1, int(expires.Sub(v.arrived).Seconds()))
	}
	if conversation == "" || len(conversation) > maxConversation {
		return fmt.Errorf("conversation of %d bytes does not fit in a cookie", len(conversation))
	}
	if err := c.Valid(); err != nil {
		return fmt.Errorf("conversation cookie: %w", err)
	}
	http.SetCookie(v.w, c)
	v.drop(doneCookie)
	return nil
}

// forget drops both conversation cookies. The response is the same whether the
// browser had them or not.
func (v *visit) forget() {
	v.drop(conversationCookie)
	v.drop(doneCookie)
}

func (v *visit) drop(name string) {
	http.SetCookie(v.w, secureCookie(&http.Cookie{Name: name, MaxAge: -1}))
}

// doneNote is the kind of note in doneCookie: when it expires, and which words the
// last page uses.
const doneNote = "done"

// finish ends the conversation and opens the last page for a while.
func (v *visit) finish(e entry) {
	v.drop(conversationCookie)
	http.SetCookie(v.w, secureCookie(&http.Cookie{
		Name: doneCookie, Value: sealDone(v.site.cfg.Node, e, v.arrived), MaxAge: int(doneFor.Seconds()),
	}))
}

func sealDone(n Node, e entry, now time.Time) string {
	return n.SealNote(doneNote, strconv.FormatInt(now.Add(doneFor).Unix(), 10)+" "+e.String())
}

// done reports whether a conversation was completed here a short while ago, and
// how its passcode was entered.
func (v *visit) done() (entry, bool) {
	c, err := v.r.Cookie(doneCookie)
	if err != nil || len(c.Value) > maxConversation {
		return entry{}, false
	}
	text, ok := v.site.cfg.Node.OpenNote(doneNote, c.Value)
	until, words, _ := strings.Cut(text, " ")
	seconds, err := strconv.ParseInt(until, 10, 64)
	if !ok || err != nil || v.arrived.Unix() > seconds {
		return entry{}, false
	}
	return parseEntry(words), true
}

// prefer keeps the language that ?lang= asked for. The cookie is also sent when
// a link from another site leads here.
func (v *visit) prefer(lang string) {
	c := secureCookie(&http.Cookie{Name: languageCookie, Value: lang, MaxAge: 365 * 24 * 60 * 60})
	c.SameSite = http.SameSiteLaxMode
	http.SetCookie(v.w, c)
}

func secureCookie(c *http.Cookie) *http.Cookie {
	c.Path, c.Secure, c.HttpOnly, c.SameSite = "/", true, true, http.SameSiteStrictMode
	return c
}
