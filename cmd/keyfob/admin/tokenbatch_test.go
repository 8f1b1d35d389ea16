package admin

import (
	"fmt"
	"testing"

	"github.com/google/go-cmp/cmp"

	"keyfob/api"
)

func TestTokensOfOneUserAreInOneRequest(t *testing.T) {
	for name, c := range map[string]struct {
		users []string
		want  string
	}{
		"none":                     {nil, "[]"},
		"without users":            {[]string{"", "", "", ""}, "[[0 1 2] [3]]"},
		"far apart":                {[]string{"ada", "", "", "", "ada"}, "[[0 4 1] [2 3]]"},
		"in another spelling":      {[]string{"ada", "", "", "", "ADA"}, "[[0 4 1] [2 3]]"},
		"not where they begin":     {[]string{"", "", "ada", "ada", "ada"}, "[[0 1] [2 3 4]]"},
		"more than a request":      {[]string{"", "ada", "ada", "ada", "ada"}, "[[0] [1 2 3] [4]]"},
		"names that cannot be one": {[]string{"a\tb", "", "", "a\tb"}, "[[0 1 2] [3]]"},
	} {
		tokens := make([]api.TokenRecord, len(c.users))
		for i, u := range c.users {
			tokens[i].User = u
		}
		if diff := cmp.Diff(c.want, fmt.Sprint(batches(tokens, 3))); diff != "" {
			t.Errorf("%s (-want +got):\n%s", name, diff)
		}
	}
}
