package webui

import (
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/netip"
	"net/url"
	"time"
)

// defaultService is the service name on the last page when none is configured.
// Other languages have their own words for it.
const defaultService = "company VPN connection"

// Config configures the wizard.
type Config struct {
	Node     Node
	NodeName string // of this node, for the audit trail
	Site     string
	Branding Branding
	// PublicURL is the address that users open, such as
	// https://token.example.com. Forms are accepted from this origin and from
	// the request's own Host. Leave it empty when there is no proxy.
	PublicURL string
	// TrustedProxies are the peers whose X-Forwarded-For header is used.
	TrustedProxies []netip.Prefix
	Now            func() time.Time
	Random         io.Reader // for request ids and references
	Log            *slog.Logger
}

// Branding is the company's own text and logo.
type Branding struct {
	// ServiceName completes "Your token is now configured for use with your".
	// Default "company VPN connection".
	ServiceName string
	// HelpLine says how to reach the help desk. It is on every page. Telephone
	// numbers, mail addresses and URLs in it become links.
	HelpLine string
	Logo     []byte // SVG, PNG, JPEG, GIF or WebP; default keyfob's own mark
	DoneText string // replaces the text below the heading of the last page
}

// Validate reports all problems in one error.
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
	if err := validPublicURL(c.PublicURL); err != nil {
		errs = append(errs, err)
	}
	if _, err := imageType(c.Branding.Logo); err != nil {
		errs = append(errs, err)
	}
	return errors.Join(errs...)
}

// validPublicURL accepts an origin only. The cookies are bound to the host and
// to the path /, so the wizard cannot be served below another path.
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

// complete returns the configuration with defaults filled in.
func (c Config) complete() (Config, error) {
	if err := c.Validate(); err != nil {
		return Config{}, err
	}
	if c.Branding.ServiceName == defaultService {
		c.Branding.ServiceName = ""
	}
	if n := len(c.PublicURL); n > 0 && c.PublicURL[n-1] == '/' {
		c.PublicURL = c.PublicURL[:n-1]
	}
	return c, nil
}
