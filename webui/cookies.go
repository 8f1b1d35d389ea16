package webui

import (
	"fmt"
	"net/http"
	"time"
)

// The cookies. The __Host- prefix makes browsers refuse them from anywhere but
// this host, over TLS, for the whole of it (RFC 6265bis, section 4.1.3.2).
const (
	conversationCookie = "__Host-keyfob"
	doneCookie         = "__Host-keyfob-done"
	languageCookie     = "__Host-keyfob-lang"
)

// maxConversation is the longest sealed text that is looked at.
const maxConversation = 3 << 10

// doneFor is how long the last page can be looked at again.
const doneFor = 5 * time.Minute

// conversation is the sealed text that the browser brought, or nothing.
func (v *visit) conversation() string {
	c, err := v.r.Cookie(conversationCookie)
	if err != nil || len(c.Value) > maxConversation {
		return ""
	}
	return c.Value
}

// remember gives the browser the sealed text of the step that comes next, and
// takes away the mark of an earlier conversation that came to its end.
func (v *visit) remember(conversation string, expires time.Time) error {
	c := sealCookie(&http.Cookie{Name: conversationCookie, Value: conversation})
	if !expires.IsZero() {
		c.MaxAge = max(1, int(expires.Sub(v.arrived).Seconds()))
	}
	if conversation == "" || len(conversation) > maxConversation {
		return fmt.Errorf("conversation of %d bytes does not fit in a cookie", len(conversation))
	}
	if err := c.Valid(); err != nil {
		return fmt.Errorf("keeping conversation: %w", err)
	}
	http.SetCookie(v.w, c)
	v.drop(doneCookie)
	return nil
}

// forget ends whatever the browser had. It sends the same lines whether there
// was anything or not.
func (v *visit) forget() {
	v.drop(conversationCookie)
	v.drop(doneCookie)
}

func (v *visit) drop(name string) {
	http.SetCookie(v.w, sealCookie(&http.Cookie{Name: name, MaxAge: -1}))
}

// finish ends the conversation and lets the last page be shown for a while.
func (v *visit) finish() {
	v.drop(conversationCookie)
	http.SetCookie(v.w, sealCookie(&http.Cookie{Name: doneCookie, Value: "1", MaxAge: int(doneFor.Seconds())}))
}

func (v *visit) isDone() bool {
	_, err := v.r.Cookie(doneCookie)
	return err == nil
}

// prefer keeps the language that was asked for with ?lang=. It may be sent
// along when a link leads here from another site.
func (v *visit) prefer(lang string) {
	c := sealCookie(&http.Cookie{Name: languageCookie, Value: lang, MaxAge: 365 * 24 * 60 * 60})
	c.SameSite = http.SameSiteLaxMode
	http.SetCookie(v.w, c)
}

func sealCookie(c *http.Cookie) *http.Cookie {
	c.Path, c.Secure, c.HttpOnly, c.SameSite = "/", true, true, http.SameSiteStrictMode
	return c
}
