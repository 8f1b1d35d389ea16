package main

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
)

const (
	devFile   = "dev.json"
	credsFile = "nats.creds"
)

// devInfo is dev.json: where everything is, for people and tests.
type devInfo struct {
	Nodes     []devNodeInfo `json:"nodes"`
	CA        string        `json:"ca"`
	APIToken  string        `json:"api_token"`
	NATSCreds string        `json:"nats_creds"`
	Secret    string        `json:"radius_secret"`
	Users     []sample      `json:"users"`
}

type devNodeInfo struct {
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

// readDevFile reads dev.json; where there is none, it is empty.
func readDevFile(name string) (devInfo, error) {
	var info devInfo
	b, err := os.ReadFile(name)
	if errors.Is(err, fs.ErrNotExist) {
		return info, nil
	}
	if err == nil {
		err = json.Unmarshal(b, &info)
	}
	if err != nil {
		return info, fmt.Errorf("reading %s: %w; remove it, and the directory it is in if nothing there is needed", name, err)
	}
	return info, nil
}

// basePort is the base port that the nodes were made with, 0 when there are none.
func (i devInfo) basePort() int {
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

func (d *devCluster) writeFile() error {
	info := devInfo{CA: d.file("ca.pem"), APIToken: d.token, NATSCreds: d.file(credsFile), Secret: d.secret, Users: d.people}
	for _, n := range d.nodes {
		info.Nodes = append(info.Nodes, devNodeInfo{
			Name: n.name, PID: n.pid(), Dir: n.dir, Config: n.config,
			Web: "https://" + loopback(n.ports.web), API: "https://" + loopback(n.ports.admin),
			RADIUS: loopback(n.ports.radius), RadSec: loopback(n.ports.radsec),
			NATS: "nats://" + loopback(n.ports.nats), Metrics: "http://" + loopback(n.ports.metrics),
		})
	}
	return writeJSONFile(d.file(devFile), info)
}

// authority is the CA of the nodes' pages and APIs; it is made at the first start.
func (d *devCluster) authority() (issuer, error) {
	cert, key := d.file("ca.pem"), d.file("ca.key")
	if _, err := os.Stat(cert); errors.Is(err, fs.ErrNotExist) {
		made, err := issue(issuer{}, nil, d.env.Now())
		if err != nil {
			return issuer{}, fmt.Errorf("making the dev CA: %w", err)
		}
		if err := made.save(cert, key); err != nil {
			return issuer{}, err
		}
	}
	pair, err := tls.LoadX509KeyPair(cert, key)
	if err != nil {
		return issuer{}, fmt.Errorf("reading the dev CA: %w", err)
	}
	private, ok := pair.PrivateKey.(*ecdsa.PrivateKey)
	if !ok {
		return issuer{}, fmt.Errorf("reading the dev CA: %s is not its key", key)
	}
	return issuer{cert: pair.Leaf, key: private}, nil
}

// certify makes a certificate for names, unless there is one that is good for
// a while.
func (d *devCluster) certify(by issuer, cert, key string, names ...string) error {
	if d.certified(by, cert) {
		return nil
	}
	made, err := issue(by, names, d.env.Now())
	if err != nil {
		return fmt.Errorf("making %s: %w", cert, err)
	}
	return made.save(cert, key)
}

func (d *devCluster) certified(by issuer, file string) bool {
	b, err := os.ReadFile(file)
	if err != nil {
		return false
	}
	leaf, err := parseCertificate(b)
	if err != nil {
		return false
	}
	roots := x509.NewCertPool()
	roots.AddCert(by.cert)
	_, err = leaf.Verify(x509.VerifyOptions{Roots: roots, CurrentTime: d.env.Now().Add(24 * time.Hour)})
	return err == nil
}

func writeJSONFile(name string, value any) error {
	var b bytes.Buffer
	if err := writeJSON(&b, value); err != nil {
		return fmt.Errorf("writing %s: %w", name, err)
	}
	return writeFile(name, b.Bytes(), 0o600)
}
