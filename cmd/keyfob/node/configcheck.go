package node

import (
	"fmt"
	"net"
	"net/url"
	"strconv"
	"strings"

	"keyfob/cluster"
)

// problem is what is wrong with the value of a key, or of a group of keys.
type problem struct{ key, text string }

// at returns the problem with the line of the file that it is on, if the file
// sets the key.
func (c *Config) at(p problem) error {
	line := 0
	for key, n := range c.lines {
		if within(key, p.key) && (line == 0 || n < line) {
			line = n
		}
	}
	if line == 0 {
		return fmt.Errorf("%s: %s", p.key, p.text)
	}
	return fmt.Errorf("%s:%d: %s: %s", c.file, line, p.key, p.text)
}

// within reports whether a key is another one, or one of that group.
func within(key, group string) bool { return key == group || strings.HasPrefix(key, group+".") }

// problems are those of the values. Files are not opened.
func (c *Config) problems() []problem {
	var all []problem
	wrong := func(key, format string, args ...any) {
		all = append(all, problem{key, fmt.Sprintf(format, args...)})
	}
	for _, k := range keysOf(c) {
		switch value := k.value; {
		case k.address() && value.String() != Off && !isAddress(value.String()):
			wrong(k.path, "%q is neither a port nor host:port", value)
		case k.enum != nil && !contains(k.enum, value.String()):
			wrong(k.path, "%q: want %s", value, strings.Join(k.enum, " or "))
		}
	}
	for _, required := range []string{"cluster.listen", "web.listen", "admin.listen", "radius.listen"} {
		if k := keyOf(c, required); k.value.String() == Off {
			wrong(required, "cannot be switched off")
		}
	}
	if c.Node == "" {
		wrong("node", "is missing: set the name of this node, such as n1")
	} else if err := cluster.CheckNodeName(c.Node); err != nil {
		wrong("node", "%v", err)
	}
	if isAddress(c.Cluster.Listen) {
		if err := cluster.CheckAdvertise(c.Cluster.Advertise); err != nil {
			wrong("cluster.advertise", "%v", err)
		}
	}
	if c.Data == "" {
		wrong("data", "is missing: set the data directory, such as /var/lib/keyfob")
	}
	if (c.Web.TLS.Cert == "") != (c.Web.TLS.Key == "") {
		wrong("web.tls", "cert and key are set together, or neither")
	}
	if _, err := c.proxies(); err != nil {
		wrong("web.trusted_proxies", "%v", err)
	}
	if u, err := url.Parse(c.Web.PublicURL); c.Web.PublicURL != "" && (err != nil || u.Scheme != "https" || u.Host == "" || strings.Trim(u.Path, "/") != "") {
		wrong("web.public_url", "%q is not of the form https://host[:port]", c.Web.PublicURL)
	}
	if c.NATS.Creds != "" && c.NATS.URL == "" {
		wrong("nats.creds", "is used with nats.url, which is missing")
	}
	return append(append(append(all, c.Seal.problems()...), c.onDemandProblems()...), c.clashes()...)
}

// clashes are listeners with the same address.
func (c *Config) clashes() []problem {
	var all []problem
	taken := map[string]string{}
	for _, k := range keysOf(c) {
		address := k.value
		if !k.address() || address.String() == Off || strings.HasSuffix(address.String(), ":0") {
			continue
		}
		network := "tcp"
		if k.path == "radius.listen" || k.path == "radius.acct" {
			network = "udp"
		}
		at := network + " " + address.String()
		if other := taken[at]; other != "" {
			all = append(all, problem{k.path, fmt.Sprintf("%s is the address of %s already", address, other)})
		}
		taken[at] = k.path
	}
	return all
}

func isAddress(s string) bool {
	_, port, err := net.SplitHostPort(s)
	if err != nil {
		return false
	}
	_, err = strconv.ParseUint(port, 10, 16)
	return err == nil
}

func contains(list []string, s string) bool {
	for _, one := range list {
		if one == s {
			return true
		}
	}
	return false
}
