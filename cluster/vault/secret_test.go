package vault

import (
	"bytes"
	"encoding/json"
	"encoding/xml"
	"fmt"
	"log/slog"
	"strings"
	"testing"
)

func TestSecretPrintsAsStars(t *testing.T) {
	secret := Secret("2468")
	record := struct {
		Name  string
		PIN   Secret
		Point *Secret
		List  []Secret
		Map   map[string]Secret
	}{"ada", secret, &secret, []Secret{secret}, map[string]Secret{"pin": secret}}

	var out bytes.Buffer
	for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x", "%X", "%d", "%o", "%c", "%10s", "%T %[1]v"} {
		fmt.Fprintf(&out, verb+"\n", secret)
		fmt.Fprintf(&out, verb+"\n", &secret)
		fmt.Fprintf(&out, verb+"\n", record)
	}
	fmt.Fprintln(&out, secret, secret.String(), secret.GoString(), fmt.Errorf("pin %v", secret))
	text := slog.New(slog.NewTextHandler(&out, nil))
	text.Info("text", "value", secret, "record", record.List)
	structured := slog.New(slog.NewJSONHandler(&out, nil))
	structured.Info("json", "value", secret, "record", record)
	for _, encoder := range []func(any) ([]byte, error){json.Marshal, xml.Marshal} {
		for _, value := range []any{secret, record.PIN, record.List} {
			data, err := encoder(value)
			if err != nil {
				t.Fatal(err)
			}
			out.Write(data)
		}
	}

	for _, form := range []string{"2468", "50 52 54 56", "32343638", "0x32", "62 64 66 70", "MjQ2OA"} {
		if strings.Contains(out.String(), form) {
			t.Errorf("the secret shows as %q in\n%s", form, out.String())
		}
	}
	if data, err := json.Marshal(record); err != nil || !strings.Contains(string(data), `"PIN":"***"`) {
		t.Errorf("as JSON: %s, %v", data, err)
	}
}

func TestWipedSecretIsGone(t *testing.T) {
	secret := Secret("2468")
	secret.Wipe()
	if !bytes.Equal(secret, make([]byte, 4)) {
		t.Error("it is still there")
	}
}
