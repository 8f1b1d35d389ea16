package admin

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"keyfob/api"
	"keyfob/engine/tokenfile"
)

func TestRecordsOwnWindowsAreBounded(t *testing.T) {
	for _, c := range []struct {
		asks tokenfile.Windows
		want *api.Windows
		said string
	}{
		{tokenfile.Windows{}, nil, ""},
		{tokenfile.Windows{Small: 10, Medium: 72, Large: 72}, &api.Windows{Small: 10, Medium: 72, Large: 72}, ""},
		{tokenfile.Windows{Small: 21, Medium: 22, Large: 1001}, &api.Windows{Small: 20, Medium: 22, Large: 1000}, "limited to 20, 22, 1000"},
		{tokenfile.Windows{Small: 1 << 30, Medium: 1 << 30, Large: 1 << 30}, &api.Windows{Small: 20, Medium: 1000, Large: 1000}, "limited to 20, 1000, 1000"},
		{tokenfile.Windows{Small: 10, Medium: 5, Large: 72}, nil, "not in ascending order"},
		{tokenfile.Windows{Large: 72}, nil, "not in ascending order"},
	} {
		got, said := windowsOf(c.asks)
		if diff := cmp.Diff(c.want, got); diff != "" || (said == "") != (c.said == "") || !strings.Contains(said, c.said) {
			t.Errorf("%+v: %q (-want +got):\n%s", c.asks, said, diff)
		}
	}
}
