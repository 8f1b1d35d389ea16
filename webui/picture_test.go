package webui

import (
	"bytes"
	"cmp"
	"flag"
	"image"
	"image/color"
	"image/draw"
	"image/png"
	"maps"
	"os"
	"slices"
	"testing"

	"keyfob/webui/browsertest"
)

var picture = flag.String("picture", "", "write the picture of the wizard to this `FILE`")

// The picture in the README: a page's size in CSS pixels, device pixels per CSS
// pixel, and the largest file in bytes.
const (
	pictureWidth  = 400
	pictureHeight = 1110
	pictureScale  = 1.5
	pictureMost   = 150 << 10
)

// TestPictureShowsTheWizard takes the picture for the README: three steps side
// by side. "make picture" renews docs/pictures/wizard.png.
func TestPictureShowsTheWizard(t *testing.T) {
	browser := browsertest.Start(t)
	url, _ := startSite(t)
	p := browser.Open(t, browsertest.Options{Width: pictureWidth, Height: pictureHeight, Scale: pictureScale, NoScript: true})

	var steps [][]byte
	take := func() {
		browsertest.Evaluate[bool](p, `document.activeElement.blur(), true`)
		steps = append(steps, p.Picture())
	}
	p.Visit(url + "/")
	p.Fill("#user", "ada")
	p.Fill("#passcode", "159753")
	take()
	signIn(p, url, "to-new", "111111")
	p.Fill("#pin", "4821")
	p.Fill("#pin_again", "4821")
	take()
	p.Follow("button[type=submit]")
	p.Fill("#passcode", "4821222222")
	p.Follow("button[type=submit]")
	at(t, p, "/done", "Your token is now configured for use with your company VPN connection.")
	take()

	got := sideBySide(t, steps)
	if len(got) > pictureMost {
		t.Errorf("the picture has %d bytes, want at most %d", len(got), pictureMost)
	}
	if *picture != "" {
		if err := os.WriteFile(*picture, got, 0o644); err != nil {
			t.Fatal(err)
		}
	}
}

// sideBySide joins PNG pictures of one size.
func sideBySide(t *testing.T, pictures [][]byte) []byte {
	t.Helper()
	var all *image.RGBA
	for i, p := range pictures {
		part, err := png.Decode(bytes.NewReader(p))
		if err != nil {
			t.Fatal(err)
		}
		size := part.Bounds().Size()
		if size != image.Pt(pictureWidth*pictureScale, pictureHeight*pictureScale) {
			t.Fatalf("picture %d is %v pixels large", i, size)
		}
		if all == nil {
			all = image.NewRGBA(image.Rect(0, 0, size.X*len(pictures), size.Y))
		}
		draw.Draw(all, image.Rect(i*size.X, 0, (i+1)*size.X, size.Y), part, image.Point{}, draw.Src)
	}
	var out bytes.Buffer
	encoder := png.Encoder{CompressionLevel: png.BestCompression}
	if err := encoder.Encode(&out, fewColors(all)); err != nil {
		t.Fatal(err)
	}
	return out.Bytes()
}

// fewColors reduces a picture to its 256 most frequent colors, which makes the
// file a third as large.
func fewColors(full *image.RGBA) *image.Paletted {
	counts := make(map[color.RGBA]int)
	for y := range full.Rect.Dy() {
		for x := range full.Rect.Dx() {
			counts[full.RGBAAt(x, y)]++
		}
	}
	colors := slices.SortedFunc(maps.Keys(counts), func(a, b color.RGBA) int {
		return cmp.Or(counts[b]-counts[a], int(a.R)-int(b.R), int(a.G)-int(b.G), int(a.B)-int(b.B))
	})
	var palette color.Palette
	for _, c := range colors[:min(len(colors), 256)] {
		palette = append(palette, c)
	}
	nearest := make(map[color.RGBA]uint8)
	for _, c := range colors {
		nearest[c] = uint8(palette.Index(c))
	}
	few := image.NewPaletted(full.Rect, palette)
	for y := range full.Rect.Dy() {
		for x := range full.Rect.Dx() {
			few.SetColorIndex(x, y, nearest[full.RGBAAt(x, y)])
		}
	}
	return few
}
