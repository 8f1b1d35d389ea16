package main

import (
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/nats-io/nats.go/jetstream"

	"keyfob/api"
	"keyfob/cmd/keyfob/demo"
)

// auditOf returns what a node reports about another one's audit stream.
func (l *lab) auditOf(t *testing.T, asked, about demo.NodeInfo) (api.NodeStatus, error) {
	t.Helper()
	status, err := l.status(t.Context(), asked)
	for _, n := range status.Nodes {
		if n.Name == about.Name {
			return n, err
		}
	}
	return api.NodeStatus{}, errors.Join(err, fmt.Errorf("%s is not in %+v", about.Name, status))
}

// fetch returns a page of a monitoring listener.
func fetch(t *testing.T, url string) (status int, body string) {
	t.Helper()
	request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, url, nil)
	if err != nil {
		t.Fatal(err)
	}
	answer, err := http.DefaultClient.Do(request)
	if err != nil {
		t.Fatal(err)
	}
	defer answer.Body.Close()
	text, err := io.ReadAll(answer.Body)
	if err != nil {
		t.Fatal(err)
	}
	return answer.StatusCode, string(text)
}

// TestBrokenAuditStreamShowsAndHeals takes the disk of a node's NATS server away.
// The node goes on deciding logins; its status, its metrics and the audit trail
// show the failure, from another node too, and publishing resumes by itself.
func TestBrokenAuditStreamShowsAndHeals(t *testing.T) {
	l := startLab(t)
	broken := l.Nodes[2]
	l.kill(broken)
	store := filepath.Join(broken.Dir, "nats")
	if err := errors.Join(os.Rename(store, store+"-away"), os.WriteFile(store, nil, 0o600)); err != nil {
		t.Fatal(err)
	}
	l.start()
	broken = l.node(broken.Name)
	eventually(t, "the failure in the status", func() error {
		n, err := l.auditOf(t, l.Nodes[0], broken)
		if err == nil && (n.AuditState != "failing" || !strings.Contains(n.AuditError, "accepts no writes")) {
			err = fmt.Errorf("%+v", n)
		}
		return err
	})
	if out := string(l.admin(t, "cluster", "status")); !strings.Contains(out, broken.Name+" does not publish the audit trail") {
		t.Errorf("cluster status: %s", out)
	}
	base := strings.TrimSuffix(broken.Metrics, "/metrics")
	if _, metrics := fetch(t, base+"/metrics"); !strings.Contains(metrics, "keyfob_audit_publisher_up 0\n") {
		t.Error("the metric does not show it")
	}
	if status, body := fetch(t, base+"/readyz"); status != http.StatusOK {
		t.Errorf("the node is not ready: %d %s", status, body)
	}
	eventually(t, "the event", func() error {
		if out := string(l.admin(t, "audit", "tail", "--format", "json")); !strings.Contains(out, "keyfob.cluster.publishing_failed.v1") {
			return errors.New("not recorded")
		}
		return nil
	})

	if err := errors.Join(os.Remove(store), os.Rename(store+"-away", store)); err != nil {
		t.Fatal(err)
	}
	eventually(t, "publishing", func() error {
		n, err := l.auditOf(t, l.Nodes[0], broken)
		if err == nil && (n.AuditState != "publishing" || n.AuditPublished < n.Sequence) {
			err = fmt.Errorf("%+v", n)
		}
		return err
	})
	js, err := jetstream.New(connectReader(t, broken, l.NATSCreds))
	if err != nil {
		t.Fatal(err)
	}
	eventually(t, "the end of the failure in the stream", func() error {
		st, err := js.Stream(t.Context(), "KEYFOB_AUDIT")
		if err != nil {
			return err
		}
		_, err = st.GetLastMsgForSubject(t.Context(), "keyfob.audit.*.cluster.publishing_resumed")
		return err
	})
}
