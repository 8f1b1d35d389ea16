package node

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"keyfob/cluster"
	"keyfob/cluster/vault"
	"keyfob/cmd/keyfob/cli"
)

// away is a key file that is out of reach at times.
type away struct {
	vault.KeyFile
	gone *atomic.Bool
}

func (a away) Unwrap(ctx context.Context, wrapped, aad []byte) ([]byte, error) {
	if a.gone.Load() {
		return nil, fmt.Errorf("%w: no route to the HSM", vault.ErrUnreachable)
	}
	return a.KeyFile.Unwrap(ctx, wrapped, aad)
}

func freePort(t *testing.T) net.Listener {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.Close() })
	return l
}

func TestNodeWaitsForItsSealProviderAndSaysSo(t *testing.T) {
	address := freePort(t)
	_ = address.Close()
	path := filepath.Join(t.TempDir(), "kek")
	if err := vault.CreateKeyFile(path, bytes.NewReader(bytes.Repeat([]byte{7}, 32))); err != nil {
		t.Fatal(err)
	}
	provider := away{vault.NewKeyFile(path), new(atomic.Bool)}
	var said bytes.Buffer
	log := slog.New(slog.NewTextHandler(&said, nil))
	c := cluster.DefaultConfig()
	c.Node, c.Data, c.Listen, c.Log, c.Seal = "n1", t.TempDir(), address.Addr().String(), log, provider
	if _, err := cluster.Bootstrap(t.Context(), c); err != nil {
		t.Fatal(err)
	}
	provider.gone.Store(true)
	e := &program{&cli.Environment{Getenv: func(string) string { return "" }, Now: time.Now}}
	metrics := freePort(t)
	type opened struct {
		node *cluster.Node
		err  error
	}
	done := make(chan opened, 1)
	go func() {
		n, err := e.openNode(t.Context(), c, metrics, 10*time.Millisecond, log)
		done <- opened{n, err}
	}()
	ask := func(path string) (int, string) {
		resp, err := http.Get("http://" + metrics.Addr().String() + path) //nolint:noctx // a test of its own server
		if err != nil {
			t.Fatal(err)
		}
		defer resp.Body.Close()
		text, _ := io.ReadAll(resp.Body)
		return resp.StatusCode, string(text)
	}
	if status, text := ask("/readyz"); status != http.StatusServiceUnavailable || !strings.Contains(text, "no route to the HSM") {
		t.Errorf("readyz: %d %s", status, text)
	}
	if status, _ := ask("/livez"); status != http.StatusOK {
		t.Errorf("livez: %d", status)
	}
	provider.gone.Store(false)
	got := <-done
	if got.err != nil {
		t.Fatal(got.err)
	}
	defer got.node.Close()
	if !strings.Contains(said.String(), "seal provider out of reach; trying again") {
		t.Errorf("the log does not say so: %s", said.String())
	}
	// The listener is there for the node.
	go func() { _, _ = net.Dial("tcp", metrics.Addr().String()) }() //nolint:noctx // see above
	conn, err := metrics.Accept()
	if err != nil {
		t.Fatalf("the metrics listener was closed: %v", err)
	}
	_ = conn.Close()
}

func TestWaitingForTheSealProviderCanBeEnded(t *testing.T) {
	gone := away{vault.NewKeyFile(filepath.Join(t.TempDir(), "kek")), new(atomic.Bool)}
	if err := vault.CreateKeyFile(filepath.Join(t.TempDir(), "other"), bytes.NewReader(make([]byte, 32))); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	c := cluster.DefaultConfig()
	c.Node, c.Data, c.Listen, c.Log = "n1", t.TempDir(), "127.0.0.1:7400", slog.New(slog.DiscardHandler)
	if _, err := cluster.Bootstrap(t.Context(), c); err != nil {
		t.Fatal(err)
	}
	c.Seal = gone
	gone.gone.Store(true)
	cancel()
	e := &program{&cli.Environment{Getenv: func(string) string { return "" }, Now: time.Now}}
	if _, err := e.openNode(ctx, c, nil, time.Hour, c.Log); !errors.Is(err, context.Canceled) {
		t.Errorf("ended with %v", err)
	}
}

func TestSealSettingsAreChecked(t *testing.T) {
	for name, tc := range map[string]struct {
		seal SealConfig
		want string // empty: valid
	}{
		"key file":            {SealConfig{Provider: "keyfile"}, ""},
		"transit by token":    {SealConfig{Provider: "transit", Transit: TransitConfig{Address: "https://bao:8200", Key: "k", TokenFile: "t"}}, ""},
		"transit by role":     {SealConfig{Provider: "transit", Transit: TransitConfig{Address: "https://bao:8200", Key: "k", RoleID: "r", SecretIDFile: "s"}}, ""},
		"transit without TLS": {SealConfig{Provider: "transit", Transit: TransitConfig{Address: "http://bao:8200", Key: "k", TokenFile: "t"}}, "seal.transit.address"},
		"transit without key": {SealConfig{Provider: "transit", Transit: TransitConfig{Address: "https://bao:8200", TokenFile: "t"}}, "seal.transit.key"},
		"no credentials":      {SealConfig{Provider: "transit", Transit: TransitConfig{Address: "https://bao:8200", Key: "k"}}, "seal.transit"},
		"two credentials":     {SealConfig{Provider: "transit", Transit: TransitConfig{Address: "https://bao:8200", Key: "k", TokenFile: "t", RoleID: "r", SecretIDFile: "s"}}, "seal.transit"},
		"half a role":         {SealConfig{Provider: "transit", Transit: TransitConfig{Address: "https://bao:8200", Key: "k", RoleID: "r"}}, "seal.transit"},
		"HSM":                 {SealConfig{Provider: "pkcs11", PKCS11: PKCS11Config{Module: "m", Token: "t", Key: "k", PINFile: "p"}}, ""},
		"HSM without PIN":     {SealConfig{Provider: "pkcs11", PKCS11: PKCS11Config{Module: "m", Token: "t", Key: "k"}}, "seal.pkcs11.pin_file"},
		"settings of another": {SealConfig{Provider: "keyfile", Transit: TransitConfig{Key: "k"}}, "seal.transit"},
		"settings of an HSM":  {SealConfig{Provider: "credential", PKCS11: PKCS11Config{Key: "k"}}, "seal.pkcs11"},
	} {
		tc.seal.complete("/data")
		problems := tc.seal.problems()
		if tc.want == "" && len(problems) > 0 || tc.want != "" && (len(problems) == 0 || problems[0].key != tc.want) {
			t.Errorf("%s: %v, want %q", name, problems, tc.want)
		}
	}
}

// The protection is for a whole process, so another one gets it.
func TestProcessCannotBeDumped(t *testing.T) {
	const child = "KEYFOB_TEST_PROTECTED"
	if os.Getenv(child) != "" {
		protectMemory(t.Context(), slog.New(slog.DiscardHandler))
		dumpable, err := unix.PrctlRetInt(unix.PR_GET_DUMPABLE, 0, 0, 0, 0)
		var core, locked unix.Rlimit
		if err := errors.Join(err, unix.Getrlimit(unix.RLIMIT_CORE, &core), unix.Getrlimit(unix.RLIMIT_MEMLOCK, &locked)); err != nil {
			t.Fatal(err)
		}
		status, err := os.ReadFile("/proc/self/status")
		if err != nil {
			t.Fatal(err)
		}
		if dumpable != 0 || core.Cur != 0 {
			t.Errorf("dumpable %d, core files of up to %d bytes", dumpable, core.Cur)
		}
		if none := strings.Contains(string(status), "VmLck:\t       0 kB"); none == (locked.Cur == unix.RLIM_INFINITY) {
			t.Errorf("with a limit of %d bytes for locked memory:\n%s", locked.Cur, status)
		}
		return
	}
	for name, limit := range map[string]string{"limited": "ulimit -l 64", "unlimited": "ulimit -l unlimited || exit 77"} {
		cmd := exec.CommandContext(t.Context(), "sh", "-c", limit+`; ulimit -c unlimited; exec "$0" -test.run ^TestProcessCannotBeDumped$ -test.v`, os.Args[0])
		cmd.Env = append(os.Environ(), child+"=1")
		out, err := cmd.CombinedOutput()
		var ended *exec.ExitError
		if errors.As(err, &ended) && ended.ExitCode() == 77 {
			continue // only root may raise the limit; the other case was tried
		}
		if err != nil {
			t.Errorf("%s: %v\n%s", name, err, out)
		}
	}
}
