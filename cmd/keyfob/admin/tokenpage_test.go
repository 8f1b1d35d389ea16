package admin

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"keyfob/api"
	"keyfob/engine"
	"keyfob/webui/browsertest"
)

func TestEmergencyPageSaysWhoseAndHow(t *testing.T) {
	set := api.Emergency{
		Serial: "000123456789", User: "o'hara<b>", Kind: "totp", Tokencodes: []string{"0123456789", "9876543210"}, Found: engine.FoundRefuse,
		Until: time.Date(2026, 12, 2, 20, 15, 0, 0, time.UTC),
	}
	fixed := set
	fixed.Fixed, fixed.Tokencodes = true, set.Tokencodes[:1]
	alone := fixed
	alone.NoPIN = true
	for name, tt := range map[string]struct {
		lost       api.Emergency
		boxes      int
		says, nots []string
	}{
		"a set":         {set, 2, []string{"o&#39;hara&lt;b&gt;", "000123456789", "2 December 2026", "9876543210", "Type your PIN, then one of these tokencodes", "tick it off"}, []string{"<b>", "<script"}},
		"a fixed one":   {fixed, 0, []string{"Type your PIN, then this tokencode"}, []string{"tick it off"}},
		"without a PIN": {alone, 0, []string{"Type this tokencode"}, []string{"PIN"}},
	} {
		page, err := emergencyPage(tt.lost)
		if err != nil {
			t.Fatal(err)
		}
		if n := strings.Count(string(page), `class="box"`); n != tt.boxes {
			t.Errorf("%s: %d boxes to tick, want %d", name, n, tt.boxes)
		}
		for _, text := range tt.says {
			if !strings.Contains(string(page), text) {
				t.Errorf("%s: %q is not on the page", name, text)
			}
		}
		for _, text := range tt.nots {
			if strings.Contains(string(page), text) {
				t.Errorf("%s: %q is on the page", name, text)
			}
		}
	}
}

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
