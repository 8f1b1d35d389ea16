package webui

import (
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestHelpLineLinksWhatCanBeCalledOrOpened(t *testing.T) {
	for _, tt := range []struct {
		line string
		want []part
	}{
		{"Call us.", []part{{text: "Call us."}}},
		{"Help desk: 555 0199, weekdays 8 to 18", []part{{text: "Help desk: "}, {"555 0199", "tel:5550199"}, {text: ", weekdays 8 to 18"}}},
		{"Extension 4711.", []part{{text: "Extension "}, {"4711", "tel:4711"}, {text: "."}}},
		{"+44 (0)20 7946 0123, 08-18", []part{{"+44 (0)20 7946 0123", "tel:+442079460123"}, {text: ", 08-18"}}},
		{"030/901-820", []part{{"030/901-820", "tel:030901820"}}},
		{"Mon-Fri 8.00-18.00, 24/7 for emergencies", []part{{text: "Mon-Fri 8.00-18.00, 24/7 for emergencies"}}},
		{"Mail help@example.com or 4711", []part{{text: "Mail "}, {"help@example.com", "mailto:help@example.com"}, {text: " or "}, {"4711", "tel:4711"}}},
		{"See https://help.example.com/token?a=1.", []part{{text: "See "}, {"https://help.example.com/token?a=1", "https://help.example.com/token?a=1"}, {text: "."}}},
		{"team24x7@it.example.org, https://example.com/4711", []part{
			{"team24x7@it.example.org", "mailto:team24x7@it.example.org"}, {text: ", "}, {"https://example.com/4711", "https://example.com/4711"},
		}},
		{"javascript:alert(1)", []part{{text: "javascript:alert(1)"}}},
	} {
		if d := cmp.Diff(tt.want, contactParts(tt.line), cmp.AllowUnexported(part{})); d != "" {
			t.Errorf("%q (-want +got):\n%s", tt.line, d)
		}
	}
}
