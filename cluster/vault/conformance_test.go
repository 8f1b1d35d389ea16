package vault

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"errors"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"keyfob/cluster/vault/hsm"
)

// conforms checks what a node relies on with every provider. other is the same kind
// of provider with another key.
func conforms(t *testing.T, p, other Provider) {
	t.Helper()
	ctx, aad := t.Context(), []byte("keyfob root file c1")
	for _, size := range []int{1 + 1 + keySize, 1 + 255*(1+keySize)} {
		key := bytes.Repeat([]byte("k3y "), size)[:size]
		wrapped, err := p.Wrap(ctx, bytes.Clone(key), aad)
		if err != nil {
			t.Fatalf("wrapping %d bytes: %v", size, err)
		}
		if bytes.Contains(wrapped, key[:16]) || bytes.Contains(wrapped, []byte(base64.StdEncoding.EncodeToString(key[:15]))) {
			t.Error("the wrapped key shows the key")
		}
		if got, err := p.Unwrap(ctx, wrapped, aad); err != nil || !bytes.Equal(got, key) {
			t.Errorf("%d bytes come back as %d: %v", size, len(got), err)
		}
		again, err := p.Wrap(ctx, bytes.Clone(key), aad)
		if err != nil || bytes.Equal(again, wrapped) {
			t.Errorf("wrapped twice alike: %v", err)
		}
		for name, open := range map[string]func() ([]byte, error){
			"another aad":   func() ([]byte, error) { return p.Unwrap(ctx, wrapped, []byte("keyfob root file c2")) },
			"no aad":        func() ([]byte, error) { return p.Unwrap(ctx, wrapped, nil) },
			"a flipped bit": func() ([]byte, error) { return p.Unwrap(ctx, flip(wrapped), aad) },
			"a piece":       func() ([]byte, error) { return p.Unwrap(ctx, wrapped[:len(wrapped)/2], aad) },
			"nothing":       func() ([]byte, error) { return p.Unwrap(ctx, nil, aad) },
			"another key":   func() ([]byte, error) { return other.Unwrap(ctx, wrapped, aad) },
		} {
			got, err := open()
			if err == nil || got != nil {
				t.Errorf("%s opens it", name)
			}
			if errors.Is(err, ErrUnreachable) {
				t.Errorf("%s: is not refused for good: %v", name, err)
			}
		}
	}
	// What is stored under the provider's name is found again.
	root, path := testRoot(t), filepath.Join(t.TempDir(), "root.json")
	if err := root.Save(ctx, path, p, "c1"); err != nil {
		t.Fatal(err)
	}
	if got, err := LoadRoot(ctx, path, p, "c1"); err != nil || !bytes.Equal(got.encode(), root.encode()) {
		t.Errorf("the root key comes back as another: %v", err)
	}
}

// absent checks a provider that is out of reach: an error that says so, within the
// time of the caller.
func absent(t *testing.T, p Provider) {
	t.Helper()
	for name, use := range map[string]func(ctx context.Context) ([]byte, error){
		"wrap":   func(ctx context.Context) ([]byte, error) { return p.Wrap(ctx, []byte("key"), nil) },
		"unwrap": func(ctx context.Context) ([]byte, error) { return p.Unwrap(ctx, []byte("vault:v1:AAAA"), nil) },
	} {
		if got, err := use(t.Context()); got != nil || !errors.Is(err, ErrUnreachable) {
			t.Errorf("%s: %v", name, err)
		}
		ended, cancel := context.WithCancel(t.Context())
		cancel()
		if _, err := use(ended); err == nil {
			t.Errorf("%s goes on although nobody waits", name)
		}
	}
}

func flip(b []byte) []byte {
	b = bytes.Clone(b)
	b[len(b)-2] ^= 1
	return b
}

func TestKeyFileConforms(t *testing.T) {
	dir := t.TempDir()
	for _, name := range []string{"a", "b"} {
		if err := CreateKeyFile(filepath.Join(dir, name), new(sequence)); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.WriteFile(filepath.Join(dir, "b"), bytes.Repeat([]byte{9}, keySize), 0o600); err != nil {
		t.Fatal(err)
	}
	conforms(t, NewKeyFile(filepath.Join(dir, "a")), NewKeyFile(filepath.Join(dir, "b")))
	conforms(t, NewCredential(dir, "a"), NewCredential(dir, "b"))
}

// transitServer answers as the documentation of Transit and AppRole says.
type transitServer struct {
	*httptest.Server
	keys   map[string][keySize]byte
	status int // of every answer, if it is not 0
	ca     string
	seen   []*http.Request
}

const (
	transitToken  = "hvs.token"
	transitSecret = "the secret id"
)

func startTransit(t *testing.T) *transitServer {
	t.Helper()
	s := &transitServer{keys: map[string][keySize]byte{"keyfob": {1}, "other": {2}}}
	s.Server = httptest.NewTLSServer(s)
	t.Cleanup(s.Close)
	s.ca = filepath.Join(t.TempDir(), "ca.pem")
	cert := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: s.Certificate().Raw})
	if err := os.WriteFile(s.ca, cert, 0o600); err != nil {
		t.Fatal(err)
	}
	return s
}

func (s *transitServer) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	s.seen = append(s.seen, r)
	refuse := func(status int, why string) {
		w.WriteHeader(status)
		_ = json.NewEncoder(w).Encode(map[string]any{"errors": []string{why}})
	}
	var in map[string]string
	if err := json.NewDecoder(r.Body).Decode(&in); err != nil {
		refuse(http.StatusBadRequest, "malformed")
		return
	}
	if s.status != 0 {
		refuse(s.status, "sealed")
		return
	}
	if r.URL.Path == "/v1/auth/approle/login" {
		if in["role_id"] != "role" || in["secret_id"] != transitSecret {
			refuse(http.StatusBadRequest, "invalid role or secret ID")
			return
		}
		_ = json.NewEncoder(w).Encode(map[string]any{"auth": map[string]any{"client_token": transitToken}})
		return
	}
	operation, name, _ := strings.Cut(strings.TrimPrefix(r.URL.Path, "/v1/seals/transit/"), "/")
	key, ok := s.keys[name]
	if r.Header.Get("X-Vault-Token") != transitToken || r.Header.Get("X-Vault-Namespace") != "it" || !ok {
		refuse(http.StatusForbidden, "permission denied")
		return
	}
	switch operation {
	case "encrypt":
		plain, _ := base64.StdEncoding.DecodeString(in["plaintext"])
		sealed := base64.StdEncoding.EncodeToString(newAEAD(key).Seal(nil, nil, plain, nil))
		_ = json.NewEncoder(w).Encode(map[string]any{"data": map[string]any{"ciphertext": "vault:v1:" + sealed}})
	case "decrypt":
		sealed, err := base64.StdEncoding.DecodeString(strings.TrimPrefix(in["ciphertext"], "vault:v1:"))
		if err == nil {
			var plain []byte
			if plain, err = newAEAD(key).Open(nil, nil, sealed, nil); err == nil {
				_ = json.NewEncoder(w).Encode(map[string]any{"data": map[string]any{"plaintext": plain}})
				return
			}
		}
		refuse(http.StatusBadRequest, "cipher: message authentication failed")
	}
}

func (s *transitServer) provider(t *testing.T, key string, change func(*TransitConfig)) *Transit {
	t.Helper()
	file := filepath.Join(t.TempDir(), "credential")
	c := TransitConfig{Address: s.URL, Namespace: "it", Mount: "seals/transit", Key: key, CAFile: s.ca, RoleID: "role", SecretIDFile: file}
	content := transitSecret
	if change != nil {
		change(&c)
	}
	if c.RoleID == "" {
		c.TokenFile, content = file, transitToken
	}
	if err := os.WriteFile(file, []byte(content+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	p, err := NewTransit(c)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func TestTransitConforms(t *testing.T) {
	s := startTransit(t)
	conforms(t, s.provider(t, "keyfob", nil), s.provider(t, "other", nil))
	byToken := func(c *TransitConfig) { c.RoleID = "" }
	conforms(t, s.provider(t, "keyfob", byToken), s.provider(t, "other", byToken))
}

func TestTransitOutOfReachIsToldFromARefusal(t *testing.T) {
	s := startTransit(t)
	p := s.provider(t, "keyfob", nil)
	for _, s.status = range []int{http.StatusServiceUnavailable, http.StatusTooManyRequests, http.StatusBadGateway, 472} {
		absent(t, p)
	}
	s.status = http.StatusForbidden
	if _, err := p.Wrap(t.Context(), []byte("key"), nil); err == nil || errors.Is(err, ErrUnreachable) || !strings.Contains(err.Error(), "policy") {
		t.Errorf("a refusal: %v", err)
	}
	s.status = http.StatusTemporaryRedirect // with a Location it would lead the token elsewhere
	if _, err := p.Wrap(t.Context(), []byte("key"), nil); err == nil {
		t.Error("a redirect was followed")
	}
	s.status = 0
	s.Close()
	absent(t, p)
}

func TestTransitTrustsItsCAOnly(t *testing.T) {
	s := startTransit(t)
	other := filepath.Join(t.TempDir(), "ca.pem")
	if err := os.WriteFile(other, []byte("-----BEGIN CERTIFICATE-----\n-----END CERTIFICATE-----\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := NewTransit(TransitConfig{CAFile: other}); err == nil {
		t.Error("an empty CA file was accepted")
	}
	p := s.provider(t, "keyfob", func(c *TransitConfig) { c.CAFile = "" })
	if _, err := p.Wrap(t.Context(), []byte("key"), nil); err == nil {
		t.Error("a server with an unknown certificate got the key")
	}
	if len(s.seen) > 0 {
		t.Error("a request was sent to it")
	}
}

func TestTransitErrorsShowNoSecret(t *testing.T) {
	s := startTransit(t)
	p := s.provider(t, "nokey", nil)
	_, err := p.Wrap(t.Context(), []byte("the root key"), nil)
	for _, secret := range []string{transitToken, transitSecret, "the root key", base64.StdEncoding.EncodeToString([]byte("root"))} {
		if err == nil || strings.Contains(err.Error(), secret) {
			t.Errorf("the error shows %q: %v", secret, err)
		}
	}
}

// softHSM makes a token with two AES keys, and builds the program that speaks to it.
func softHSM(t *testing.T) (program string, key hsm.Key) {
	t.Helper()
	const module = "/usr/lib/softhsm/libsofthsm2.so"
	for _, need := range []string{"softhsm2-util", "gcc"} {
		if _, err := exec.LookPath(need); err != nil {
			t.Skipf("%s is missing: run deploy/peers.sh", need)
		}
	}
	dir := t.TempDir()
	write := func(name, text string) string {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	if err := os.Mkdir(filepath.Join(dir, "tokens"), 0o700); err != nil {
		t.Fatal(err)
	}
	t.Setenv("SOFTHSM2_CONF", write("softhsm2.conf", "directories.tokendir = "+filepath.Join(dir, "tokens")+"\nobjectstore.backend = file\nlog.level = ERROR\n"))
	run := func(name string, args ...string) {
		cmd := exec.CommandContext(t.Context(), name, args...)
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Fatalf("%s: %v\n%s", name, err, out)
		}
	}
	run("softhsm2-util", "--init-token", "--free", "--label", "keyfob", "--pin", "2468", "--so-pin", "135790")
	for i, label := range []string{"root", "other"} {
		key := write(label, string(bytes.Repeat([]byte{byte(i + 1)}, keySize)))
		run("softhsm2-util", "--import", key, "--aes", "--token", "keyfob", "--pin", "2468", "--label", label, "--id", "0"+string(rune('1'+i)))
	}
	program = filepath.Join(dir, "keyfob-pkcs11")
	build := exec.CommandContext(t.Context(), "go", "build", "-o", program, "keyfob/cmd/keyfob-pkcs11")
	build.Env = append(os.Environ(), "CGO_ENABLED=1")
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("building keyfob-pkcs11: %v\n%s", err, out)
	}
	return program, hsm.Key{Module: module, Token: "keyfob", Label: "root", PINFile: write("pin", "2468\n")}
}

func TestPKCS11Conforms(t *testing.T) {
	program, key := softHSM(t)
	other := key
	other.Label = "other"
	conforms(t, NewPKCS11(program, key), NewPKCS11(program, other))

	for name, gone := range map[string]hsm.Key{
		"module": {Module: "/nonexistent.so", Token: key.Token, Label: key.Label, PINFile: key.PINFile},
		"token":  {Module: key.Module, Token: "unplugged", Label: key.Label, PINFile: key.PINFile},
	} {
		t.Run("no "+name, func(t *testing.T) { absent(t, NewPKCS11(program, gone)) })
	}
	wrong := key
	wrong.PINFile = filepath.Join(t.TempDir(), "pin")
	if err := os.WriteFile(wrong.PINFile, []byte("97531"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := NewPKCS11(program, wrong).Wrap(t.Context(), []byte("key"), nil); err == nil || errors.Is(err, ErrUnreachable) || strings.Contains(err.Error(), "97531") {
		t.Errorf("a wrong PIN: %v", err)
	}
	missing := key
	missing.Label = "nothing"
	if _, err := NewPKCS11(program, missing).Wrap(t.Context(), []byte("key"), nil); err == nil || !strings.Contains(err.Error(), "exactly one AES key") {
		t.Errorf("no key: %v", err)
	}
}
