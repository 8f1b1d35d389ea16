package main

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"keyfob/webui/browsertest"
)

// TestTokenPageCanBeRead shows the page in the browser and reads the QR code
// off the screen, as a telephone does.
func TestTokenPageCanBeRead(t *testing.T) {
	if _, err := exec.LookPath("zbarimg"); err != nil {
		t.Skip("zbarimg is missing (Debian: zbar-tools)")
	}
	token := issued{User: "o'hara<b>", Serial: "000123456789", URI: "otpauth://totp/keyfob:o%27hara?secret=JBSWY3DPEHPK3PXP&digits=6&serial=000123456789"}
	page, err := tokenPage(token)
	if err != nil {
		t.Fatal(err)
	}
	if strings.Contains(string(page), "<b>") || strings.Contains(string(page), "<script") {
		t.Error("the page holds what it was told unescaped, or a script")
	}
	dir := t.TempDir()
	t.Setenv("KEYFOB_SCREENSHOTS", dir)
	file := filepath.Join(dir, "token.html")
	if err := os.WriteFile(file, page, 0o600); err != nil {
		t.Fatal(err)
	}
	p := browsertest.Start(t).Open(t, browsertest.Options{NoScript: true})
	p.Visit("file://" + file)
	p.Shoot("token")
	read, err := exec.CommandContext(t.Context(), "zbarimg", "-q", "--raw", filepath.Join(dir, "token.png")).Output()
	if err != nil || strings.TrimSpace(string(read)) != token.URI {
		t.Errorf("the QR code says %q, %v", read, err)
	}
}
