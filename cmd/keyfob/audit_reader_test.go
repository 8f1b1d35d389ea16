package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/nats-io/nats.go"

	"keyfob/api"
	"keyfob/cmd/keyfob/demo"
)

// issueReader issues credentials and writes them to a file.
func (l *lab) issueReader(t *testing.T, name string) (file string) {
	t.Helper()
	var issued api.IssuedAuditReader
	if err := json.Unmarshal(l.admin(t, "audit", "reader", "add", name, "-o", "json"), &issued); err != nil {
		t.Fatal(err)
	}
	file = filepath.Join(t.TempDir(), name+".creds")
	if err := os.WriteFile(file, []byte(issued.Credentials), 0o600); err != nil {
		t.Fatal(err)
	}
	return file
}

// connectReader connects to a node's NATS server once it accepts the reader.
func connectReader(t *testing.T, n demo.NodeInfo, file string) *nats.Conn {
	t.Helper()
	var nc *nats.Conn
	eventually(t, "a connection to "+n.Name, func() (err error) {
		nc, err = nats.Connect(n.NATS, nats.UserCredentials(file), nats.NoReconnect())
		return err
	})
	t.Cleanup(nc.Close)
	return nc
}

// refusedReader fails the test if a node's NATS server accepts the reader.
func refusedReader(t *testing.T, n demo.NodeInfo, file string) {
	t.Helper()
	nc, err := nats.Connect(n.NATS, nats.UserCredentials(file), nats.NoReconnect())
	if err == nil {
		nc.Close()
		t.Fatalf("node %s accepts revoked credentials", n.Name)
	}
	if !errors.Is(err, nats.ErrAuthorization) {
		t.Fatalf("node %s: %v", n.Name, err)
	}
}

// TestRevokedAuditReaderIsCutOffOnEveryNode revokes a reader while it is
// connected to two nodes and the third is down.
func TestRevokedAuditReaderIsCutOffOnEveryNode(t *testing.T) {
	l := startLab(t)
	siem := l.issueReader(t, "siem")
	var open []*nats.Conn
	for _, n := range l.Nodes {
		open = append(open, connectReader(t, n, siem))
	}
	other := connectReader(t, l.Nodes[0], l.NATSCreds)
	away := l.Nodes[2]
	l.kill(away)

	start := time.Now()
	l.admin(t, "audit", "reader", "revoke", "siem", "--yes", "--reason", "laptop stolen")
	for i, n := range l.Nodes[:2] {
		eventually(t, "the end of the connection to "+n.Name, func() error {
			if !open[i].IsClosed() {
				return errors.New("still open")
			}
			return nil
		})
		refusedReader(t, n, siem)
	}
	t.Logf("closed %v after the command was started", time.Since(start))
	if !other.IsConnected() {
		t.Error("the other reader was cut off too")
	}

	// A node that was down starts with the state of before the revocation.
	tried, stop := make(chan error, 1), make(chan struct{})
	go func() { // ends with stop, or with the test
		for {
			nc, err := nats.Connect(away.NATS, nats.UserCredentials(siem), nats.NoReconnect())
			if err == nil {
				nc.Close()
				tried <- fmt.Errorf("node %s accepts revoked credentials after its restart", away.Name)
				return
			}
			select {
			case <-stop:
				tried <- nil
				return
			case <-t.Context().Done():
				return
			case <-time.After(glance):
			}
		}
	}()
	l.start()
	connectReader(t, away, l.NATSCreds)
	close(stop)
	if err := <-tried; err != nil {
		t.Fatal(err)
	}
	for _, n := range l.Nodes {
		refusedReader(t, n, siem)
	}

	// After a restart of all nodes, as after a power cut.
	l.killAll()
	l.start()
	for _, n := range l.Nodes {
		connectReader(t, n, l.NATSCreds)
		refusedReader(t, n, siem)
	}
}
