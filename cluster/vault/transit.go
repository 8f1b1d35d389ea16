package vault

import (
	"bytes"
	"context"
	"crypto/sha256"
	"crypto/subtle"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"strings"
	"time"
)

// ErrUnreachable is returned by a Provider that did not answer. Trying again later
// may help.
var ErrUnreachable = errors.New("the seal provider cannot be reached")

// TransitConfig configures the Provider of a Transit secrets engine of Vault or
// OpenBao.
type TransitConfig struct {
	Address   string // https URL of the server
	Namespace string // empty: none
	Mount     string // path of the engine, such as transit
	Key       string // name of the key
	CAFile    string // PEM file with the CAs of the server; empty: those of the system

	// Either a file with a token, or an AppRole.
	TokenFile    string
	RoleID       string
	SecretIDFile string
}

const (
	transitTimeout = 10 * time.Second
	maxTransit     = 1 << 20 // bytes of an answer
)

// Transit is the Provider whose key stays in Vault or OpenBao. Every use reads the
// token again, or logs in anew, so a token that was renewed on disk is found.
type Transit struct {
	c      TransitConfig
	client *http.Client
}

// NewTransit returns the provider. It makes no connection.
func NewTransit(c TransitConfig) (*Transit, error) {
	trust := &tls.Config{MinVersion: tls.VersionTLS12}
	if c.CAFile != "" {
		pem, err := os.ReadFile(c.CAFile)
		if err != nil {
			return nil, fmt.Errorf("reading the CA of the Transit server: %w", err)
		}
		trust.RootCAs = x509.NewCertPool()
		if !trust.RootCAs.AppendCertsFromPEM(pem) {
			return nil, fmt.Errorf("%s contains no PEM certificate", c.CAFile)
		}
	}
	return &Transit{c: c, client: &http.Client{
		Timeout:   transitTimeout,
		Transport: &http.Transport{TLSClientConfig: trust, Proxy: http.ProxyFromEnvironment, DisableKeepAlives: true},
		// A redirect would carry the token to another server.
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}}, nil
}

// Name implements Provider.
func (t *Transit) Name() string { return "transit" }

// Wrap implements Provider. The digest of aad goes into the plaintext, because a
// server may ignore associated data that it does not know.
func (t *Transit) Wrap(ctx context.Context, key, aad []byte) ([]byte, error) {
	bound := sha256.Sum256(aad)
	plaintext := append(bound[:], key...)
	defer clear(plaintext)
	var out struct {
		Data struct{ Ciphertext string } `json:"data"`
	}
	if err := t.use(ctx, "encrypt", map[string]any{"plaintext": plaintext}, &out); err != nil {
		return nil, err
	}
	if out.Data.Ciphertext == "" {
		return nil, errors.New("the Transit server answered without a ciphertext")
	}
	return []byte(out.Data.Ciphertext), nil
}

// Unwrap implements Provider.
func (t *Transit) Unwrap(ctx context.Context, wrapped, aad []byte) ([]byte, error) {
	var out struct {
		Data struct{ Plaintext []byte } `json:"data"`
	}
	if err := t.use(ctx, "decrypt", map[string]any{"ciphertext": string(wrapped)}, &out); err != nil {
		return nil, err
	}
	bound := sha256.Sum256(aad)
	if len(out.Data.Plaintext) < len(bound) || subtle.ConstantTimeCompare(out.Data.Plaintext[:len(bound)], bound[:]) != 1 {
		clear(out.Data.Plaintext)
		return nil, fmt.Errorf("the root key file was changed, or belongs to another cluster: %w", ErrDamaged)
	}
	return out.Data.Plaintext[len(bound):], nil
}

// use calls the engine with the key.
func (t *Transit) use(ctx context.Context, what string, in, out any) error {
	token, err := t.token(ctx)
	if err != nil {
		return err
	}
	return t.post(ctx, token, strings.Trim(t.c.Mount, "/")+"/"+what+"/"+url.PathEscape(t.c.Key), in, out)
}

// token reads the token, or logs in with the AppRole.
func (t *Transit) token(ctx context.Context) (string, error) {
	if t.c.TokenFile != "" {
		return secretIn(t.c.TokenFile)
	}
	secret, err := secretIn(t.c.SecretIDFile)
	if err != nil {
		return "", err
	}
	var out struct {
		Auth struct {
			Token string `json:"client_token"`
		} `json:"auth"`
	}
	err = t.post(ctx, "", "auth/approle/login", map[string]any{"role_id": t.c.RoleID, "secret_id": secret}, &out)
	if err == nil && out.Auth.Token == "" {
		err = errors.New("the Transit server answered a login without a token")
	}
	return out.Auth.Token, err
}

func secretIn(file string) (string, error) {
	text, err := os.ReadFile(file)
	if err != nil {
		return "", fmt.Errorf("reading the credentials for the Transit server: %w", err)
	}
	if secret := strings.TrimSpace(string(text)); secret != "" {
		return secret, nil
	}
	return "", fmt.Errorf("%s is empty", file)
}

func (t *Transit) post(ctx context.Context, token, path string, in, out any) error {
	body, err := json.Marshal(in)
	if err != nil {
		return err
	}
	defer clear(body)
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, strings.TrimRight(t.c.Address, "/")+"/v1/"+path, bytes.NewReader(body))
	if err != nil {
		return err
	}
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set("X-Vault-Request", "true") // a server may demand it, against forged requests of browsers
	if t.c.Namespace != "" {
		req.Header.Set("X-Vault-Namespace", t.c.Namespace)
	}
	if token != "" {
		req.Header.Set("X-Vault-Token", token)
	}
	resp, err := t.client.Do(req)
	if err != nil {
		return fmt.Errorf("%w: %w", ErrUnreachable, err)
	}
	defer resp.Body.Close()
	answer, err := io.ReadAll(io.LimitReader(resp.Body, maxTransit))
	if err != nil {
		return fmt.Errorf("%w: %w", ErrUnreachable, err)
	}
	defer clear(answer)
	if resp.StatusCode != http.StatusOK {
		return t.refused(resp.StatusCode, path, answer)
	}
	if err := json.Unmarshal(answer, out); err != nil {
		return fmt.Errorf("the Transit server did not answer %s in its form", path) // the cause may quote the answer
	}
	return nil
}

// refused words an answer that is not 200. A server that is sealed, overloaded or a
// standby may answer later.
func (t *Transit) refused(status int, path string, answer []byte) error {
	var said struct{ Errors []string }
	_ = json.Unmarshal(answer, &said)
	text := fmt.Sprintf("%s answered %s with status %d %.200q", t.c.Address, path, status, strings.Join(said.Errors, "; "))
	switch {
	case status >= 500 || status == http.StatusTooManyRequests || status == 472 || status == 473:
		return fmt.Errorf("%w: %s", ErrUnreachable, text)
	case status == http.StatusForbidden:
		return fmt.Errorf("%s: check the token and its policy, which needs update on %s/encrypt/%s and %s/decrypt/%s",
			text, t.c.Mount, t.c.Key, t.c.Mount, t.c.Key)
	default:
		return errors.New(text)
	}
}
