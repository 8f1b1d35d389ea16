package admin

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"keyfob/cmd/keyfob/cli"
)

const refused = `{"data":{"client":"vpn=1","code":"KF1002W","door":"radius","hash":"ab","node":"n1","note":"a|b\\c","outcome":"reject","prev":"cd","reason":"bad_pin",` +
	`"reference":"R1","sequence":7,"site":"hq","source_ip":"192.0.2.7","token":{"kind":"totp","serial":"S1"},"user":"ada"},"id":"7","source":"/keyfob/c",` +
	`"specversion":"1.0","time":"2026-11-02T12:00:00.000Z","type":"keyfob.auth.rejected.v1"}`

func format(t *testing.T, name, line string) string {
	t.Helper()
	f, err := (&commands{&cli.Environment{}}).auditFormat(name)
	if err != nil {
		t.Fatal(err)
	}
	out, err := f([]byte(line))
	if err != nil {
		t.Fatal(err)
	}
	return string(out)
}

func TestCEFEscapesWhatItMust(t *testing.T) {
	got := format(t, "cef", refused)
	head, ext, _ := strings.Cut(got, "|6|")
	if !strings.HasPrefix(head, "CEF:0|keyfob|keyfob|") || !strings.HasSuffix(head, "|KF1002W|auth rejected") {
		t.Errorf("header %q", head)
	}
	want := `rt=1793620800000 externalId=7 dvchost=n1 duser=ada src=192.0.2.7 outcome=reject reason=bad_pin msg=a|b\\c ` +
		`cs1Label=site cs1=hq cs2Label=client cs2=vpn\=1 cs3Label=tokenSerial cs3=S1 cs4Label=reference cs4=R1 cs5Label=door cs5=radius cs6Label=chainHash cs6=ab` + "\n"
	if diff := cmp.Diff(want, ext); diff != "" {
		t.Errorf("extension (-want +got):\n%s", diff)
	}
}

func TestOCSFHasWhatItsClassRequires(t *testing.T) {
	for typ, want := range map[string]struct {
		class, activity float64
		required        string
	}{
		"auth.rejected":      {3002, 1, "user"},
		"auth.challenged":    {3002, 6, "service"},
		"auth.locked":        {3001, 9, "user"},
		"user.unlocked":      {3001, 12, "user"},
		"token.imported":     {3004, 1, "entity"},
		"client.removed":     {3004, 4, "entity"},
		"policy.changed":     {3004, 3, "entity"},
		"cluster.founded":    {3004, 1, "entity"},
		"some.thing_unheard": {3004, 3, "entity"},

		"admin.command_denied": {3004, 99, "entity"},
	} {
		var v map[string]any
		if err := json.Unmarshal([]byte(format(t, "ocsf", strings.Replace(refused, "auth.rejected", typ, 1))), &v); err != nil {
			t.Fatal(err)
		}
		if v["class_uid"] != want.class || v["activity_id"] != want.activity || v["type_uid"] != want.class*100+want.activity {
			t.Errorf("%s: class %v, activity %v, type %v", typ, v["class_uid"], v["activity_id"], v["type_uid"])
		}
		for _, attribute := range []string{"category_uid", "metadata", "severity_id", "time", want.required} {
			if v[attribute] == nil {
				t.Errorf("%s: no %s", typ, attribute)
			}
		}
	}
}

func TestUnknownFormatIsWrongUsage(t *testing.T) {
	if _, err := (&commands{&cli.Environment{}}).auditFormat("leef"); err == nil {
		t.Error("no error")
	}
}
