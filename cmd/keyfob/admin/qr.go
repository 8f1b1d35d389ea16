package admin

import (
	"fmt"
	"io"

	"rsc.io/qr"
)

// writeQR draws a QR code in half blocks, dark on light on any terminal, with the
// quiet zone that scanners need.
func writeQR(w io.Writer, text string) error {
	code, err := qr.Encode(text, qr.M)
	if err != nil {
		return fmt.Errorf("drawing: %w", err)
	}
	const quiet = 2
	light := func(x, y int) bool { return !code.Black(x, y) }
	for y := -quiet; y < code.Size+quiet; y += 2 {
		line := ""
		for x := -quiet; x < code.Size+quiet; x++ {
			switch upper, lower := light(x, y), light(x, y+1); {
			case upper && lower:
				line += "█"
			case upper:
				line += "▀"
			case lower:
				line += "▄"
			default:
				line += " "
			}
		}
		fmt.Fprintln(w, line)
	}
	return nil
}
