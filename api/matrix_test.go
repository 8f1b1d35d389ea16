package api

import (
	"flag"
	"fmt"
	"net/http"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/danielgtaylor/huma/v2"
	"github.com/google/go-cmp/cmp"
)

var update = flag.Bool("update", false, "renew the files that tests compare with")

// operations lists every operation of the description, and with it every
// route that register has made.
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

// Every route is called with every grade of caller. Who gets past the guard is
// in testdata/matrix.txt, which is read in review: a new route, or one that has
// become open to somebody, is a line that changes there.
func TestEveryRouteIsOpenToWhomTheMatrixSays(t *testing.T) {
	a := newFake(t).api(t)
	var got strings.Builder
	fmt.Fprintf(&got, "%-7s %-44s %-8s %s\n", "method", "path", "nobody", strings.Join(Roles(), " "))
	for _, op := range operations(a) {
		path := strings.NewReplacer("{user}", "ada", "{serial}", "0001", "{name}", "n9", "{reference}", "7K3M-QX4P").Replace(strings.TrimPrefix(op.Path, Prefix))
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
		t.Errorf("who may call what has changed (-want +got); if it is meant, go test ./api -update:\n%s", diff)
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
		t.Errorf("docs/openapi.json is not what the program says (-file +program); go test ./api -update:\n%s", diff)
	}
}
