package demo

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"strconv"
	"strings"
	"time"

	"keyfob/cmd/keyfob/cli"
	"keyfob/cmd/keyfob/node"
)

const (
	File      = "dev.json"
	credsFile = "nats.creds"
)

// Info is dev.json: addresses and credentials, for people and tests.
type Info struct {
	Nodes     []NodeInfo `json:"nodes"`
	CA        string     `json:"ca"`
	APIToken  string     `json:"api_token"`
	NATSCreds string     `json:"nats_creds"`
	Secret    string     `json:"radius_secret"`
	Users     []Sample   `json:"users"`
}

type NodeInfo struct {
	Name    string `json:"name"`
	PID     int    `json:"pid"`
	Dir     string `json:"dir"`
	Config  string `json:"config"`
	Web     string `json:"web"`
	API     string `json:"api"`
	RADIUS  string `json:"radius"`
	RadSec  string `json:"radsec"`
	NATS    string `json:"nats"`
	Metrics string `json:"metrics"`
}

// ReadFile reads dev.json. Without one, the result is empty.
func ReadFile(name string) (Info, error) {
	var info Info
	b, err := os.ReadFile(name)
	if errors.Is(err, fs.ErrNotExist) {
		return info, nil
	}
	if err == nil {
		err = json.Unmarshal(b, &info)
	}
	if err != nil {
		return info, fmt.Errorf("reading %s: %w; remove it, and its directory if nothing in it is needed", name, err)
	}
	return info, nil
}

// basePort returns the base port of the nodes, or 0 if there are none.
func (i Info) basePort() int {
	if len(i.Nodes) == 0 {
		return 0
	}
	_, port, err := net.SplitHostPort(strings.TrimPrefix(i.Nodes[0].Web, "https://"))
	if err != nil {
		return 0
	}
	n, err := strconv.Atoi(port)
	if err != nil {
		return 0
	}
	return n
}

func (d *Cluster) writeFile() error {
	info := Info{CA: d.file("ca.pem"), APIToken: d.token, NATSCreds: d.file(credsFile), Secret: d.Secret, Users: d.people}
	for _, n := range d.Nodes {
		info.Nodes = append(info.Nodes, NodeInfo{
			Name: n.Name, PID: n.pid(), Dir: n.Dir, Config: n.config,
			Web: "https://" + Loopback(n.Ports.web), API: "https://" + Loopback(n.Ports.admin),
			RADIUS: Loopback(n.Ports.Radius), RadSec: Loopback(n.Ports.radsec),
			NATS: "nats://" + Loopback(n.Ports.nats), Metrics: "http://" + Loopback(n.Ports.Metrics),
		})
	}
	return writeJSONFile(d.file(File), info)
}

// authority returns the CA of the pages and APIs, which the first start makes.
func (d *Cluster) authority() (node.Issuer, error) {
	cert, key := d.file("ca.pem"), d.file("ca.key")
	if _, err := os.Stat(cert); errors.Is(err, fs.ErrNotExist) {
		made, err := node.Issue(node.Issuer{}, nil, d.Env.Now())
		if err != nil {
			return node.Issuer{}, fmt.Errorf("making the dev CA: %w", err)
		}
		if err := made.Save(cert, key); err != nil {
			return node.Issuer{}, err
		}
	}
	pair, err := tls.LoadX509KeyPair(cert, key)
	if err != nil {
		return node.Issuer{}, fmt.Errorf("reading the dev CA: %w", err)
	}
	private, ok := pair.PrivateKey.(*ecdsa.PrivateKey)
	if !ok {
		return node.Issuer{}, fmt.Errorf("reading the dev CA: %s is not its key", key)
	}
	return node.Issuer{Cert: pair.Leaf, Key: private}, nil
}

// certify makes a certificate for names, unless there is one that is still valid
// for a day.
func (d *Cluster) certify(by node.Issuer, cert, key string, names ...string) error {
	if d.certified(by, cert) {
		return nil
	}
	made, err := node.Issue(by, names, d.Env.Now())
	if err != nil {
		return fmt.Errorf("making %s: %w", cert, err)
	}
	return made.Save(cert, key)
}

func (d *Cluster) certified(by node.Issuer, file string) bool {
	b, err := os.ReadFile(file)
	if err != nil {
		return false
	}
	leaf, err := node.ParseCertificate(b)
	if err != nil {
		return false
	}
	roots := x509.NewCertPool()
	roots.AddCert(by.Cert)
	_, err = leaf.Verify(x509.VerifyOptions{Roots: roots, CurrentTime: d.Env.Now().Add(24 * time.Hour)})
	return err == nil
}

func writeJSONFile(name string, value any) error {
	var b bytes.Buffer
	if err := cli.WriteJSON(&b, value); err != nil {
		return fmt.Errorf("writing %s: %w", name, err)
	}
	return cli.WriteFile(name, b.Bytes(), 0o600)
}
