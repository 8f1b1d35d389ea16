package cli

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"
	"time"

	"keyfob/api"
)

// savedSession is the session of an administrator, as it is kept in a file.
type savedSession struct {
	Server  string     `json:"server"`
	User    string     `json:"user"`
	Expires *time.Time `json:"expires"`
	Session api.Secret `json:"session"` // its secret
}

const maxSessionFile = 16 << 10 // bytes

// Anonymous makes requests carry no credential.
func (r *Remote) Anonymous() *Remote { r.credential = noCredential; return r }

// WithSession makes requests carry the saved session, also if KEYFOB_TOKEN is set.
func (r *Remote) WithSession() *Remote { r.credential = sessionOnly; return r }

// SaveSession keeps a session for the commands that follow. Only the owner of the
// file can read it.
func (r *Remote) SaveSession(s api.IssuedSession) error {
	path, err := r.sessionFile()
	if err != nil {
		return err
	}
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return fmt.Errorf("keeping the session: %w", err)
	}
	text, err := json.Marshal(savedSession{r.server, s.User, s.Expires, api.Secret(s.Secret)})
	if err != nil {
		return fmt.Errorf("keeping the session: %w", err)
	}
	return WriteFile(path, append(text, '\n'), 0o600)
}

// CanKeepSession reports why there is no place to keep a session.
func (r *Remote) CanKeepSession() error {
	_, err := r.sessionFile()
	return err
}

// ForgetSession removes the saved session, if there is one.
func (r *Remote) ForgetSession() error {
	path, err := r.sessionFile()
	if err != nil {
		return err
	}
	if err := os.Remove(path); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("removing the session: %w", err)
	}
	return nil
}

// session returns the secret of the saved session, or an empty one.
func (r *Remote) session() (string, error) {
	path, err := r.sessionFile()
	if err != nil {
		return "", err
	}
	info, err := os.Stat(path)
	if errors.Is(err, fs.ErrNotExist) {
		return "", nil
	}
	if err != nil {
		return "", fmt.Errorf("reading the session: %w", err)
	}
	owner, ok := info.Sys().(*syscall.Stat_t)
	if !ok || info.Mode().Perm()&0o077 != 0 || int(owner.Uid) != os.Geteuid() || info.Size() > maxSessionFile {
		return "", fmt.Errorf("the session in %s could be read by others: remove the file, and log in again", path)
	}
	text, err := os.ReadFile(path)
	if err != nil {
		return "", fmt.Errorf("reading the session: %w", err)
	}
	var s savedSession
	if err := json.Unmarshal(text, &s); err != nil || s.Server != r.server || s.Session == "" {
		return "", fmt.Errorf("the session in %s cannot be read: remove the file, and log in again", path)
	}
	if s.Expires != nil && !r.env.Now().Before(*s.Expires) {
		return "", fmt.Errorf("the session of %s has expired; run keyfob login %s", s.User, s.User)
	}
	return string(s.Session), nil
}

// sessionFile is where the session for the server is kept. The name depends on the
// server and on who signs its certificate, so that a session is sent to nobody
// else.
func (r *Remote) sessionFile() (string, error) {
	if err := r.locate(); err != nil {
		return "", err
	}
	if r.server == "" {
		return "", errors.New("a session needs --server URL (or KEYFOB_SERVER); at the socket of a node none is needed")
	}
	dir := r.env.Getenv("XDG_STATE_HOME")
	if !filepath.IsAbs(dir) {
		home := r.env.Getenv("HOME")
		if !filepath.IsAbs(home) {
			return "", errors.New("no place to keep a session: set XDG_STATE_HOME or HOME")
		}
		dir = filepath.Join(home, ".local", "state")
	}
	id := sha256.New()
	fmt.Fprintf(id, "%s\n", r.server)
	if r.ca != "" {
		pem, err := os.ReadFile(r.ca)
		if err != nil {
			return "", fmt.Errorf("reading CA: %w", err)
		}
		_, _ = id.Write(pem) // cannot fail
	}
	return filepath.Join(dir, "keyfob", "sessions", hex.EncodeToString(id.Sum(nil)[:16])+".json"), nil
}
