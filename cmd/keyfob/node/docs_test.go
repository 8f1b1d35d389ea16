package node

import (
	"flag"
	"fmt"
	"os"
	"reflect"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"keyfob/engine"
)

var updateDocs = flag.Bool("update", false, "renew the tables in docs/reference.md")

func TestTablesInDocsAreCurrent(t *testing.T) {
	const file = "../../../docs/reference.md"
	b, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	want := between(t, between(t, string(b), "policy", policyTable()), "configuration", configTable())
	if *updateDocs {
		if err := os.WriteFile(file, []byte(want), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	if diff := cmp.Diff(string(b), want); diff != "" {
		t.Errorf("docs/reference.md is not current (-file +program); go test ./cmd/keyfob/node -run Docs -update:\n%s", diff)
	}
}

// between puts a table between the marks of its name.
func between(t *testing.T, text, name, table string) string {
	t.Helper()
	begin, end := strings.Index(text, "<!-- "+name+":"), strings.Index(text, "<!-- end of "+name+" -->")
	if begin < 0 || end < begin {
		t.Fatalf("no marks of the %s table", name)
	}
	begin += strings.Index(text[begin:], "\n") + 1
	return text[:begin] + table + text[end:]
}

func policyTable() string {
	var b strings.Builder
	b.WriteString("| key | default | bounds | unit | meaning |\n|---|---|---|---|---|\n")
	for _, s := range engine.Settings() {
		fmt.Fprintf(&b, "| `%s` | %s | %s | %s | %s |\n", s.Key, s.Read(engine.DefaultPolicy()), s.Bounds, s.Unit, s.Doc)
	}
	return b.String()
}

func configTable() string {
	c := DefaultConfig()
	var b strings.Builder
	b.WriteString("| key | default | meaning | variable |\n|---|---|---|---|\n")
	for _, k := range keysOf(&c) {
		value := ""
		if k.value.Kind() == reflect.String {
			value = short(strings.TrimPrefix(k.value.String(), ":"))
		}
		fmt.Fprintf(&b, "| `%s` | %s | %s | `%s` |\n", k.path, value, k.doc, k.variable())
	}
	return b.String()
}

// short is a value for a cell of a table.
func short(value string) string {
	const most = 40
	value = strings.Join(strings.Fields(value), " ")
	if runes := []rune(value); len(runes) > most {
		value = string(runes[:most]) + "…"
	}
	if value == "" {
		return ""
	}
	return "`" + value + "`"
}
