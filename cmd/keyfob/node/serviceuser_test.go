package node

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/spf13/cobra"

	"keyfob/cmd/keyfob/cli"
)

// stranger is a user who owns nothing here.
var stranger = serviceUser{name: "keyfob", uid: 54321, groups: []uint32{54321}}

func TestFilesAreReadByTheUserOfTheNode(t *testing.T) {
	dir := t.TempDir()
	file, locked := filepath.Join(dir, "open"), filepath.Join(dir, "locked")
	inside := filepath.Join(locked, "file")
	for _, err := range []error{
		os.Chmod(filepath.Dir(dir), 0o755), // which is the test's own
		os.WriteFile(file, nil, 0o644), os.Mkdir(locked, 0o755), os.WriteFile(inside, nil, 0o644), os.Chmod(locked, 0o700),
	} {
		if err != nil {
			t.Fatal(err)
		}
	}
	if err := stranger.canRead(file); err != nil {
		t.Errorf("an open file: %v", err)
	}
	if err := stranger.canRead(inside); err == nil || !strings.Contains(err.Error(), "user keyfob cannot enter "+locked) {
		t.Errorf("a file in a closed directory: %v", err)
	}
	if err := os.Chmod(file, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := stranger.canRead(file); err == nil || !strings.Contains(err.Error(), "user keyfob cannot read "+file) {
		t.Errorf("a file of another user: %v", err)
	}
	info, err := os.Stat(file)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(file, 0o640); err != nil {
		t.Fatal(err)
	}
	member := serviceUser{name: "keyfob", uid: 54321, groups: []uint32{ownerOf(info).Gid}}
	if err := member.canRead(file); err != nil {
		t.Errorf("a file of the group: %v", err)
	}
	if err := stranger.canRead(filepath.Join(dir, "absent")); !os.IsNotExist(err) {
		t.Errorf("an absent file: %v", err)
	}
}

func TestRootMakesNoFilesOfAnotherUser(t *testing.T) {
	c := &cobra.Command{Use: "init"}
	if err := onlyItself(c, stranger, 0); err == nil || !strings.Contains(err.Error(), "sudo -u keyfob init") {
		t.Errorf("root: %v", err)
	}
	for name, err := range map[string]error{
		"root for root":         onlyItself(c, serviceUser{name: "root"}, 0),
		"the user itself":       onlyItself(c, stranger, 54321),
		"another user for root": onlyItself(c, serviceUser{name: "root"}, 54321),
	} {
		if err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestTheOwnerOfTheDataRunsTheNode(t *testing.T) {
	c := DefaultConfig()
	c.Data = t.TempDir()
	s, err := c.serviceUser("")
	if err != nil || int(s.uid) != os.Geteuid() {
		t.Errorf("got %+v, %v", s, err)
	}
	if s, err := c.serviceUser("root"); err != nil || s.uid != 0 {
		t.Errorf("a named user: %+v, %v", s, err)
	}
	if _, err := c.serviceUser("no-such-user"); err == nil {
		t.Error("an unknown user was taken")
	}
}

// TestEveryProblemIsReportedWithItsLine has unknown keys, wrong values and files
// that are not there in one file.
func TestEveryProblemIsReportedWithItsLine(t *testing.T) {
	file := filepath.Join(t.TempDir(), "keyfob.yaml")
	content := "nodes: n1\nlog:\n  level: loud\nweb:\n  tls:\n    cert: /absent\nradius:\n  listen: [1812]\nadmin: {listen: off}\n"
	if err := os.WriteFile(file, []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
	e := &program{&cli.Environment{Environ: func() []string { return []string{"KEYFOB_WEB_PUBLIC_URL=http://x"} }}}
	c, err := e.loadConfig(file)
	if err == nil {
		t.Fatal("it is valid")
	}
	got := err.Error()
	for _, p := range c.fileProblems(stranger) {
		got += "\n" + c.at(p).Error()
	}
	want := strings.ReplaceAll(`FILE:1: "nodes: n1": unknown key nodes; see keyfob config schema
FILE:8: "listen: [1812]": radius.listen is a single value
FILE:3: log.level: "loud": want debug or info or warn or error
FILE:9: admin.listen: cannot be switched off
node: is missing: set the name of this node, such as n1
FILE:6: web.tls: cert and key are set together, or neither
web.public_url: "http://x" is not of the form https://host[:port]
FILE:6: web.tls.cert: lstat /absent: no such file or directory`, "FILE", file)
	if got != want {
		t.Errorf("got\n%s\n\nwant\n%s", got, want)
	}
}

func TestConfigCheckReadsTheCertificate(t *testing.T) {
	c := DefaultConfig()
	c.Data = t.TempDir()
	c.Web.TLS.Cert, c.Web.TLS.Key = filepath.Join(c.Data, "tls.crt"), filepath.Join(c.Data, "tls.key")
	if err := makeSelfSigned(c.Web.TLS.Cert, c.Web.TLS.Key, "n1:7400", time.Now()); err != nil {
		t.Fatal(err)
	}
	itself, err := c.serviceUser("")
	if err != nil {
		t.Fatal(err)
	}
	if got := c.fileProblems(itself); len(got) != 0 {
		t.Errorf("a certificate and its key: %v", got)
	}
	if err := os.WriteFile(c.Web.TLS.Key, []byte("no key"), 0o600); err != nil {
		t.Fatal(err)
	}
	if got := c.fileProblems(itself); len(got) != 1 || got[0].key != "web.tls" {
		t.Errorf("a file without a key: %v", got)
	}
}
