package api

import (
	"flag"
	"fmt"
	"net/http"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/danielgtaylor/huma/v2"
	"github.com/google/go-cmp/cmp"
)

var update = flag.Bool("update", false, "renew the files that tests compare with")

// operations lists every operation of the API.
func operations(a *API) []*huma.Operation {
	var all []*huma.Operation
	for _, item := range a.huma.OpenAPI().Paths {
		for _, op := range []*huma.Operation{item.Get, item.Post, item.Patch, item.Put, item.Delete} {
			if op != nil {
				all = append(all, op)
			}
		}
	}
	slices.SortFunc(all, func(x, y *huma.Operation) int {
		return strings.Compare(x.Path+x.Method, y.Path+y.Method)
	})
	return all
}

// The test calls every route with every role. The roles that are admitted are in
// testdata/matrix.txt, which is reviewed: a new route, or one that is open to
// another role, changes a line there.
func TestEveryRouteIsOpenToWhomTheMatrixSays(t *testing.T) {
	a := newFake(t).api(t)
	var got strings.Builder
	fmt.Fprintf(&got, "%-7s %-44s %-8s %s\n", "method", "path", "nobody", strings.Join(Roles(), " "))
	for _, op := range operations(a) {
		path := strings.NewReplacer("{user}", "ada", "{serial}", "0001", "{name}", "n9", "{session}", "0123456789ab", "{reference}", "7K3M-QX4P", "{id}", "7K3M-QX4P").Replace(strings.TrimPrefix(op.Path, Prefix))
		row := fmt.Sprintf("%-7s %-44s %-8s", op.Method, op.Path, grade(t, a, "", op.Method, path))
		for _, role := range Roles() {
			row += fmt.Sprintf(" %-*s", len(role), grade(t, a, role, op.Method, path))
		}
		got.WriteString(strings.TrimRight(row, " ") + "\n")
	}
	const file = "testdata/matrix.txt"
	if *update {
		if err := os.WriteFile(file, []byte(got.String()), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), got.String()); diff != "" {
		t.Errorf("the permissions have changed (-want +got); if this is intended, go test ./api -update:\n%s", diff)
	}
}

func grade(t *testing.T, a *API, role, method, path string) string {
	t.Helper()
	switch status, _ := call(t, a, role, method, path, ""); status {
	case http.StatusUnauthorized, http.StatusForbidden:
		return "-"
	default:
		return "yes"
	}
}

func TestOperationThatNamesNoRoleIsOpenToNobody(t *testing.T) {
	a := newFake(t).api(t)
	register(a, route{method: get, path: "/forgotten", id: "forgotten"}, a.status)
	for _, role := range Roles() {
		if status, _ := call(t, a, role, get, "/forgotten", ""); status != http.StatusForbidden {
			t.Errorf("%s: status %d, want 403", role, status)
		}
	}
}

func TestDescriptionInDocsIsCurrent(t *testing.T) {
	const file = "../docs/openapi.json"
	got := newFake(t).api(t).Description()
	if *update {
		if err := os.WriteFile(file, got, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), string(got)); diff != "" {
		t.Errorf("docs/openapi.json is out of date (-file +program); go test ./api -update:\n%s", diff)
	}
}

// TestHelpDeskCanDoWhatTheManualDescribes reads the commands of the help-desk
// table in docs/OPERATIONS.md.
func TestHelpDeskCanDoWhatTheManualDescribes(t *testing.T) {
	manual, err := os.ReadFile("../docs/OPERATIONS.md")
	if err != nil {
		t.Fatal(err)
	}
	_, table, ok := strings.Cut(string(manual), "| the user says | do |")
	if !ok {
		t.Fatal("docs/OPERATIONS.md has no help-desk table")
	}
	table, _, _ = strings.Cut(table, "\n\n")
	// The routes behind the commands.
	routes := map[string][2]string{
		"state show": {get, "/users/ada/state"}, "audit show": {get, "/audit/references/7K3M-QX4P"}, "audit tail": {get, "/users/ada/audit"},
		"token clear-pin": {post, "/tokens/0001/clear-pin"}, "token set-temporary-pin": {post, "/tokens/0001/temporary-pin"},
		"token resync": {post, "/tokens/0001/resync"}, "user unlock": {post, "/users/ada/unlock"},
		"token lost": {post, "/tokens/0001/lost"}, "token found": {post, "/tokens/0001/found"},
		"user check": {post, "/users/ada/check"}, "token replace": {post, "/tokens/0001/replace"}, "user delete": {remove, "/users/ada"},
	}
	a := newFake(t).api(t)
	told := regexp.MustCompile("`keyfob (\\w+ [\\w-]+)").FindAllStringSubmatch(table, -1)
	if len(told) < 8 {
		t.Errorf("only %d commands in the table", len(told))
	}
	for _, m := range told {
		route, ok := routes[m[1]]
		if !ok {
			t.Errorf("keyfob %s: the test does not know its route", m[1])
			continue
		}
		if grade(t, a, RoleHelpdesk, route[0], route[1]) != "yes" {
			t.Errorf("keyfob %s is not open to the help desk", m[1])
		}
	}
}

func TestManualListsTheRoles(t *testing.T) {
	manual, err := os.ReadFile("../docs/OPERATIONS.md")
	if err != nil {
		t.Fatal(err)
	}
	for _, r := range RoleList() {
		if row := "| `" + r.Name + "` | " + r.Permits + " |\n"; !strings.Contains(string(manual), row) {
			t.Errorf("docs/OPERATIONS.md has no row %s", row)
		}
	}
}
