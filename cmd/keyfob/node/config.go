package node

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"reflect"
	"slices"
	"strconv"
	"strings"

	"keyfob/cmd/keyfob/cli"
)

// Off switches a listener off.
const Off = "off"

// Config is the configuration of a node. File, environment, schema and reference
// are derived from its tags.
type Config struct {
	Node     string         `yaml:"node" doc:"name of this node, unique in the cluster"`
	Data     string         `yaml:"data" doc:"data directory of this node"`
	Site     string         `yaml:"site" doc:"location of this node; part of the subjects of the audit stream"`
	Cluster  ClusterConfig  `yaml:"cluster"`
	Web      WebConfig      `yaml:"web"`
	Admin    AdminConfig    `yaml:"admin"`
	RADIUS   RADIUSConfig   `yaml:"radius"`
	NATS     NATSConfig     `yaml:"nats"`
	Metrics  MetricsConfig  `yaml:"metrics"`
	Seal     SealConfig     `yaml:"seal"`
	Log      LogConfig      `yaml:"log"`
	OnDemand OnDemandConfig `yaml:"ondemand"`
	PIN      PINConfig      `yaml:"pin"`
	Branding BrandingConfig `yaml:"branding"`

	file  string         // the path, if there is one
	lines map[string]int // of the keys in the file
}

// ClusterConfig is the port between nodes.
type ClusterConfig struct {
	Listen    string `yaml:"listen" kind:"address" doc:"address for connections of other nodes"`
	Advertise string `yaml:"advertise" doc:"host:port at which other nodes reach this node; default: the address of listen, or the host name"`
}

// WebConfig is the public listener with the pages for users.
type WebConfig struct {
	Listen         string    `yaml:"listen" kind:"address" doc:"address of the pages for users, HTTPS"`
	TLS            TLSConfig `yaml:"tls"`
	TrustedProxies []string  `yaml:"trusted_proxies" doc:"addresses or CIDRs of proxies whose X-Forwarded-For header is used"`
	Hosts          []string  `yaml:"hosts" doc:"further names under which the pages and the API are reached, besides public_url, the names in the certificate and this machine's; requests for another name get status 421"`
	PublicURL      string    `yaml:"public_url" doc:"https://host[:port] of the pages, as users open it; shown to users whose VPN cannot show a challenge"`
}

// TLSConfig is the certificate of the pages and the API.
type TLSConfig struct {
	Cert string `yaml:"cert" doc:"PEM file with the certificate and its chain; default: a self-signed certificate, created in the data directory"`
	Key  string `yaml:"key" doc:"PEM file with the private key of cert"`
}

// AdminConfig is the listener for administrators.
type AdminConfig struct {
	Listen string `yaml:"listen" kind:"address" doc:"address of console and API, HTTPS; keep it off the Internet"`
}

// RADIUSConfig is the front end for VPN gateways.
type RADIUSConfig struct {
	Listen   string `yaml:"listen" kind:"address" doc:"address for authentication, UDP"`
	Acct     string `yaml:"acct" kind:"address" doc:"address for accounting, UDP; off disables it"`
	RadSec   string `yaml:"radsec" kind:"address" doc:"address for RADIUS over TLS, open if client_ca is set; off disables it"`
	ClientCA string `yaml:"client_ca" doc:"PEM file with the CAs of RadSec clients; each certificate names its client"`
}

// NATSConfig is the destination of the audit stream.
type NATSConfig struct {
	Embedded EmbeddedConfig `yaml:"embedded"`
	URL      string         `yaml:"url" doc:"nats:// or tls:// URL of your own NATS, in place of the embedded server"`
	Creds    string         `yaml:"creds" doc:"credentials file for url"`
}

// EmbeddedConfig is the embedded NATS server.
type EmbeddedConfig struct {
	Listen string `yaml:"listen" kind:"address" doc:"address of the embedded NATS server; off disables it"`
}

// MetricsConfig is the listener for monitoring.
type MetricsConfig struct {
	Listen    string `yaml:"listen" kind:"address" host:"127.0.0.1" doc:"address of Prometheus metrics, /livez and /readyz, plain HTTP; a port alone is on 127.0.0.1, :9182 on all addresses; off disables it"`
	TokenFile string `yaml:"token_file" doc:"file with a bearer token of at least 16 characters, which /metrics then demands of all other machines; without it they see no names of clients"`
}

// PINConfig is about PINs and not part of the policy.
type PINConfig struct {
	Common string `yaml:"common" doc:"file with PINs that users may not choose, one per line, in place of the built-in list; use the same file on every node"`
}

// LogConfig is the log for operators.
type LogConfig struct {
	Level  string `yaml:"level" enum:"debug,info,warn,error" doc:"minimum level of log messages; read again on SIGHUP"`
	Format string `yaml:"format" enum:"text,json" doc:"format of log messages"`
}

// BrandingConfig is the text and the logo of the company.
type BrandingConfig struct {
	Service string `yaml:"service" doc:"name of the service, completes: Your token is now configured for use with your …"`
	Help    string `yaml:"help" doc:"how to reach the help desk, on every page; telephone numbers, mail addresses and URLs become links"`
	Logo    string `yaml:"logo" doc:"image file (SVG, PNG, JPEG, GIF or WebP)"`
	Done    string `yaml:"done" doc:"text below the heading of the last page"`
}

// DefaultConfig returns the defaults.
func DefaultConfig() Config {
	return Config{
		Data:     cli.DefaultData,
		Site:     "hq",
		Cluster:  ClusterConfig{Listen: ":7400"},
		Web:      WebConfig{Listen: ":8443"},
		Admin:    AdminConfig{Listen: ":8444"},
		RADIUS:   RADIUSConfig{Listen: ":1812", Acct: ":1813", RadSec: ":2083"},
		NATS:     NATSConfig{Embedded: EmbeddedConfig{Listen: ":4222"}},
		Metrics:  MetricsConfig{Listen: "127.0.0.1:9182"},
		Seal:     SealConfig{Provider: "keyfile"},
		Log:      LogConfig{Level: "info", Format: "text"},
		OnDemand: defaultOnDemand(),
	}
}

// warnings lists settings that work and should still be changed.
func (c *Config) warnings() []string {
	if c.Branding.Help == "" {
		return []string{"branding.help is empty: the pages tell users to call the help desk, but not how; set it, for example to a telephone number"}
	}
	return nil
}

// loadConfig reads a file and the environment, which takes precedence, and checks
// the result. Its error lists every problem.
func (e *program) loadConfig(file string) (Config, error) {
	c := DefaultConfig()
	c.file = file
	var problems []error
	var failed []string // keys whose values could not be read
	if file != "" {
		data, err := os.ReadFile(file)
		if err != nil {
			return c, fmt.Errorf("reading configuration: %w", err)
		}
		problems, failed = decodeConfig(file, data, &c)
		if c.lines == nil { // the file is not YAML
			return c, errors.Join(problems...)
		}
	}
	problems = append(problems, e.overlay(&c)...)
	c.Complete()
	for _, p := range c.problems() {
		if !slices.ContainsFunc(failed, func(key string) bool { return within(p.key, key) || within(key, p.key) }) {
			problems = append(problems, c.at(p))
		}
	}
	return c, errors.Join(problems...)
}

// Complete sets what follows from other settings.
func (c *Config) Complete() {
	for _, k := range keysOf(c) {
		if k.address() {
			k.value.SetString(withHost(k.host, k.value.String()))
		}
	}
	if c.Cluster.Advertise == "" {
		c.Cluster.Advertise = reachable(c.Cluster.Listen)
	}
	c.Seal.complete(c.Data)
}

// withHost converts a port into an address.
func withHost(host, address string) string {
	if _, err := strconv.ParseUint(address, 10, 16); err == nil {
		return host + ":" + address
	}
	return address
}

// reachable returns the address that other nodes use for a listener. If it listens
// on all addresses, this is the host name.
func reachable(listen string) string {
	host, port, err := net.SplitHostPort(listen)
	if err != nil || host != "" && !net.ParseIP(host).IsUnspecified() {
		return listen
	}
	name, err := os.Hostname()
	if err != nil {
		return listen
	}
	return net.JoinHostPort(name, port)
}

// proxies returns the trusted proxies as prefixes.
func (c *Config) proxies() ([]netip.Prefix, error) {
	var prefixes []netip.Prefix
	for _, text := range c.Web.TrustedProxies {
		prefix, err := netip.ParsePrefix(text)
		if err != nil {
			addr, err := netip.ParseAddr(text)
			if err != nil {
				return nil, fmt.Errorf("%q is neither an address nor a CIDR", text)
			}
			prefix = netip.PrefixFrom(addr, addr.BitLen())
		}
		prefixes = append(prefixes, prefix.Masked())
	}
	return prefixes, nil
}

// key is one setting of the configuration.
type key struct {
	path  string // such as web.tls.cert
	doc   string
	kind  string
	host  string // of an address that is a port alone; empty: all
	enum  []string
	value reflect.Value
}

func (k key) address() bool { return k.kind == "address" }

// variable returns the name of its environment variable.
func (k key) variable() string {
	return "KEYFOB_" + strings.ToUpper(strings.ReplaceAll(k.path, ".", "_"))
}

// keysOf returns all keys of a configuration, in the order of the file.
func keysOf(c *Config) []key { return keysIn(reflect.ValueOf(c).Elem(), "") }

func keyOf(c *Config, path string) key {
	for _, k := range keysOf(c) {
		if k.path == path {
			return k
		}
	}
	panic("keyfob: there is no key " + path) // paths are constants of this package
}

func keysIn(v reflect.Value, prefix string) []key {
	var keys []key
	for i := range v.NumField() {
		field := v.Type().Field(i)
		name := field.Tag.Get("yaml")
		switch {
		case name == "":
		case field.Type.Kind() == reflect.Struct:
			keys = append(keys, keysIn(v.Field(i), prefix+name+".")...)
		default:
			k := key{path: prefix + name, doc: field.Tag.Get("doc"), kind: field.Tag.Get("kind"), host: field.Tag.Get("host"), value: v.Field(i)}
			if enum := field.Tag.Get("enum"); enum != "" {
				k.enum = strings.Split(enum, ",")
			}
			keys = append(keys, k)
		}
	}
	return keys
}
