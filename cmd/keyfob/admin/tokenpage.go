package admin

import (
	"bytes"
	_ "embed"
	"fmt"
	"html/template"
	"strings"

	"rsc.io/qr"
)

//go:embed tokenpage.html
var tokenPageText string

// tokenPage returns a page to print or to send to the user securely, with the
// token as a QR code and as a link. It loads nothing else.
func tokenPage(t issued) ([]byte, error) {
	code, err := qr.Encode(t.URI, qr.M)
	if err != nil {
		return nil, fmt.Errorf("drawing QR code: %w", err)
	}
	page, err := template.New("page").Parse(tokenPageText)
	if err != nil {
		return nil, fmt.Errorf("reading the page's template: %w", err)
	}
	var b bytes.Buffer
	err = page.Execute(&b, struct {
		issued
		Link template.URL // made here; the user name in it is escaped
		Size int
		Path string
	}{t, template.URL(t.URI), code.Size + 2*quietZone, qrPath(code)}) //nolint:gosec // see Link
	return b.Bytes(), err
}

// quietZone is the white around a QR code, in modules (ISO/IEC 18004, 6.3.8).
const quietZone = 4

// qrPath draws the dark modules as one path of horizontal runs.
func qrPath(code *qr.Code) string {
	var path strings.Builder
	for y := range code.Size {
		for x := 0; x < code.Size; {
			if !code.Black(x, y) {
				x++
				continue
			}
			begin := x
			for x < code.Size && code.Black(x, y) {
				x++
			}
			fmt.Fprintf(&path, "M%d %dh%dv1h-%dz", begin+quietZone, y+quietZone, x-begin, x-begin)
		}
	}
	return path.String()
}
