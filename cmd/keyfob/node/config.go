package node

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strconv"
	"strings"

	"keyfob/cmd/keyfob/cli"
)

// Off switches a listener off.
const Off = "off"

// Config is the configuration file of a node. Its tags are all that is said of
// a key: file, environment, schema and documentation come from them.
type Config struct {
	Node     string         `yaml:"node" doc:"this node's name, unique in the cluster"`
	Data     string         `yaml:"data" doc:"directory of everything this node keeps"`
	Site     string         `yaml:"site" doc:"where the node stands; part of the subjects of the audit stream"`
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

	file  string         // that it was read from
	lines map[string]int // of the keys that it sets
}

// ClusterConfig is how the nodes reach each other.
type ClusterConfig struct {
	Listen    string `yaml:"listen" kind:"address" doc:"where the other nodes connect"`
	Advertise string `yaml:"advertise" doc:"host:port that the other nodes are told; default the address of listen, or the machine's name"`
}

// WebConfig is the public listener with the pages for users.
type WebConfig struct {
	Listen         string    `yaml:"listen" kind:"address" doc:"the pages for users, HTTPS"`
	TLS            TLSConfig `yaml:"tls"`
	TrustedProxies []string  `yaml:"trusted_proxies" doc:"addresses or CIDRs of proxies whose X-Forwarded-For is believed"`
	PublicURL      string    `yaml:"public_url" doc:"https://host[:port] that users open; named to users whose VPN cannot ask anything back"`
}

// TLSConfig names the certificate of the pages and of the API.
type TLSConfig struct {
	Cert string `yaml:"cert" doc:"PEM file with the certificate and its chain; default: a self-signed one is made in the data directory"`
	Key  string `yaml:"key" doc:"PEM file with its private key"`
}

// AdminConfig is the listener for administrators.
type AdminConfig struct {
	Listen string `yaml:"listen" kind:"address" doc:"console and API, HTTPS; never the public listener"`
}

// RADIUSConfig is the door for VPN gateways.
type RADIUSConfig struct {
	Listen   string `yaml:"listen" kind:"address" doc:"authentication, UDP"`
	Acct     string `yaml:"acct" kind:"address" doc:"accounting, UDP; off to switch it off"`
	RadSec   string `yaml:"radsec" kind:"address" doc:"RADIUS over TLS, open when client_ca is set; off to switch it off"`
	ClientCA string `yaml:"client_ca" doc:"PEM file with the CAs of RadSec clients, whose certificates carry the clients' names"`
}

// NATSConfig is where the audit stream goes.
type NATSConfig struct {
	Embedded EmbeddedConfig `yaml:"embedded"`
	URL      string         `yaml:"url" doc:"nats:// or tls:// of a site's own NATS, instead of the embedded one"`
	Creds    string         `yaml:"creds" doc:"credentials file for url"`
}

// EmbeddedConfig is the NATS server inside this node.
type EmbeddedConfig struct {
	Listen string `yaml:"listen" kind:"address" doc:"the embedded NATS server; off to switch it off"`
}

// MetricsConfig is the listener for monitoring.
type MetricsConfig struct {
	Listen string `yaml:"listen" kind:"address" doc:"Prometheus metrics, /livez and /readyz, plain HTTP; off to switch it off"`
}

// SealConfig says what wraps the root key.
type SealConfig struct {
	Provider   string `yaml:"provider" enum:"keyfile,credential" doc:"keyfile: 32 bytes in a file; credential: the same from systemd's LoadCredentialEncrypted, which a TPM can protect"`
	KeyFile    string `yaml:"keyfile" doc:"file of the provider keyfile; default seal.key in the data directory, made by cluster init"`
	Credential string `yaml:"credential" doc:"name of the provider credential, in $CREDENTIALS_DIRECTORY"`
}

// PINConfig is what the policy, which is the same on all nodes, does not hold.
type PINConfig struct {
	Common string `yaml:"common" doc:"file with PINs that nobody may choose, one a line, instead of the built-in list; the same on every node"`
}

// LogConfig is what operators read.
type LogConfig struct {
	Level  string `yaml:"level" enum:"debug,info,warn,error" doc:"least level that is logged; read again on SIGHUP"`
	Format string `yaml:"format" enum:"text,json" doc:"of a line"`
}

// BrandingConfig is what the company says in its own words.
type BrandingConfig struct {
	Service string `yaml:"service" doc:"completes: Your token is now configured for use with your …"`
	Help    string `yaml:"help" doc:"how to reach the help desk, on every page; telephone numbers, mail addresses and URLs become links"`
	Logo    string `yaml:"logo" doc:"file with an SVG, PNG, JPEG, GIF or WebP"`
	Done    string `yaml:"done" doc:"text below the heading of the last page"`
}

// DefaultConfig is what holds where nothing is said.
func DefaultConfig() Config {
	return Config{
		Data:     cli.DefaultData,
		Site:     "hq",
		Cluster:  ClusterConfig{Listen: ":7400"},
		Web:      WebConfig{Listen: ":8443"},
		Admin:    AdminConfig{Listen: ":8444"},
		RADIUS:   RADIUSConfig{Listen: ":1812", Acct: ":1813", RadSec: ":2083"},
		NATS:     NATSConfig{Embedded: EmbeddedConfig{Listen: ":4222"}},
		Metrics:  MetricsConfig{Listen: ":9182"},
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

// loadConfig reads a file, and the environment over it, and checks the whole. Its
// error lists every problem.
func (e *program) loadConfig(file string) (Config, error) {
	c := DefaultConfig()
	c.file = file
	var problems []error
	var failed []string // keys without a value that could be checked
	if file != "" {
		data, err := os.ReadFile(file)
		if err != nil {
			return c, fmt.Errorf("reading configuration: %w", err)
		}
		problems, failed = decodeConfig(file, data, &c)
		if c.lines == nil { // the file is no YAML
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

// Complete fills in what follows from the rest.
func (c *Config) Complete() {
	for _, k := range keysOf(c) {
		if k.address() {
			k.value.SetString(withHost(k.value.String()))
		}
	}
	if c.Cluster.Advertise == "" {
		c.Cluster.Advertise = reachable(c.Cluster.Listen)
	}
	if c.Seal.KeyFile == "" && c.Seal.Provider == "keyfile" && c.Data != "" {
		c.Seal.KeyFile = filepath.Join(c.Data, "seal.key")
	}
	if c.Seal.Provider == "credential" && c.Seal.Credential == "" {
		c.Seal.Credential = "keyfob-seal"
	}
}

// withHost turns a port alone into an address.
func withHost(address string) string {
	if _, err := strconv.ParseUint(address, 10, 16); err == nil {
		return ":" + address
	}
	return address
}

// reachable is what to tell other nodes of an address to listen on: itself, or
// with this machine's name where it is all of the machine's addresses.
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

// proxies are the trusted proxies as prefixes.
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

// key is one value of the configuration.
type key struct {
	path  string // such as web.tls.cert
	doc   string
	kind  string
	enum  []string
	value reflect.Value
}

func (k key) address() bool { return k.kind == "address" }

// variable is its name in the environment.
func (k key) variable() string {
	return "KEYFOB_" + strings.ToUpper(strings.ReplaceAll(k.path, ".", "_"))
}

// keysOf is every key of a configuration, in the order of the file.
func keysOf(c *Config) []key { return keysIn(reflect.ValueOf(c).Elem(), "") }

func keyOf(c *Config, path string) key {
	for _, k := range keysOf(c) {
		if k.path == path {
			return k
		}
	}
	panic("keyfob: there is no key " + path) // the paths are written in this file
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
			k := key{path: prefix + name, doc: field.Tag.Get("doc"), kind: field.Tag.Get("kind"), value: v.Field(i)}
			if enum := field.Tag.Get("enum"); enum != "" {
				k.enum = strings.Split(enum, ",")
			}
			keys = append(keys, k)
		}
	}
	return keys
}
