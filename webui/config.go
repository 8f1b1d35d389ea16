package webui

import (
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/netip"
	"net/url"
	"time"

	"keyfob/engine/throttle"
)

// defaultService is what the last page calls the service when nobody says
// otherwise; other languages have words of their own for it.
const defaultService = "company VPN connection"

// defaultPosts is how many forms an address may send in a minute.
const defaultPosts = 30

// Config is what the wizard is made of.
type Config struct {
	Node     Node
	NodeName string // of this node, for the audit trail
	Site     string
	Branding Branding
	// PublicURL is the address that users open, such as
	// https://token.example.com: the one origin besides the request's own Host
	// that forms may come from. Empty behind no proxy.
	PublicURL string
	// TrustedProxies are the only peers whose X-Forwarded-For is believed.
	TrustedProxies []netip.Prefix
	// PostsPerMinute is how many forms one source may send: an IPv4 address or
	// an IPv6 /64. Default 30.
	PostsPerMinute int
	Now            func() time.Time
	Random         io.Reader // for request ids and references
	Log            *slog.Logger
}

// Branding is what a company says in its own words.
type Branding struct {
	// ServiceName completes "Your token is now configured for use with your".
	// Default "company VPN connection".
	ServiceName string
	HelpLine    string // whom to call, on every page
	Logo        []byte // SVG, PNG, JPEG, GIF or WebP; empty: keyfob's mark
	DoneText    string // below the heading of the last page, instead of ours
}

// Validate reports all that is wrong, in one error.
func (c Config) Validate() error {
	var errs []error
	missing := func(is bool, what string) {
		if is {
			errs = append(errs, errors.New(what+" is missing"))
		}
	}
	missing(c.Node == nil, "node")
	missing(c.Now == nil, "clock")
	missing(c.Random == nil, "source of random bytes")
	missing(c.Log == nil, "log")
	if c.PostsPerMinute < 0 {
		errs = append(errs, fmt.Errorf("posts per minute is %d, want more than 0", c.PostsPerMinute))
	}
	if err := validPublicURL(c.PublicURL); err != nil {
		errs = append(errs, err)
	}
	if _, err := imageType(c.Branding.Logo); err != nil {
		errs = append(errs, err)
	}
	return errors.Join(errs...)
}

// validPublicURL allows an origin only: the cookies are bound to the host and
// to the path /, so the wizard cannot live below another path.
func validPublicURL(text string) error {
	if text == "" {
		return nil
	}
	u, err := url.Parse(text)
	if err != nil {
		return fmt.Errorf("public URL: %w", err)
	}
	if u.Scheme != "https" || u.Host == "" || u.User != nil || (u.Path != "" && u.Path != "/") || u.RawQuery != "" || u.Fragment != "" {
		return fmt.Errorf("public URL %q is not of the form https://host[:port]", text)
	}
	return nil
}

// perSource is how often one source may send a form.
func (c Config) perSource() throttle.Rate {
	return throttle.Rate{Burst: c.PostsPerMinute, Every: time.Minute / time.Duration(c.PostsPerMinute)}
}

// complete is the configuration with its defaults.
func (c Config) complete() (Config, error) {
	if err := c.Validate(); err != nil {
		return Config{}, err
	}
	if c.PostsPerMinute == 0 {
		c.PostsPerMinute = defaultPosts
	}
	if c.Branding.ServiceName == defaultService {
		c.Branding.ServiceName = ""
	}
	if n := len(c.PublicURL); n > 0 && c.PublicURL[n-1] == '/' {
		c.PublicURL = c.PublicURL[:n-1]
	}
	return c, nil
}
