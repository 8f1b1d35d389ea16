package webui

import (
	"bytes"
	"crypto/sha256"
	"embed"
	"encoding/hex"
	"errors"
	"fmt"
	"net/http"
	"path"
	"strings"
)

//go:embed static
var staticFiles embed.FS

// asset is a file of the pages. Its path changes with its content, so browsers
// can cache it for ever.
type asset struct {
	path    string
	kind    string
	content []byte
}

// assets maps the names that templates use to the files.
type assets map[string]asset

// logoFile is the asset name of a company's own logo.
const logoFile = "logo"

func loadAssets(logo []byte) (assets, error) {
	kinds := map[string]string{
		"app.js":    "text/javascript; charset=utf-8",
		"style.css": "text/css; charset=utf-8",
		"icon.svg":  "image/svg+xml",
	}
	files := make(assets)
	for name, kind := range kinds {
		content, err := staticFiles.ReadFile("static/" + name)
		if err != nil {
			return nil, fmt.Errorf("reading %s: %w", name, err)
		}
		files[name] = newAsset(name, kind, content)
	}
	if len(logo) > 0 {
		kind, err := imageType(logo)
		if err != nil {
			return nil, err
		}
		files[logoFile] = newAsset(logoFile, kind, logo)
	}
	return files, nil
}

func newAsset(name, kind string, content []byte) asset {
	sum := sha256.Sum256(content)
	ext := path.Ext(name)
	return asset{
		path:    "/static/" + strings.TrimSuffix(name, ext) + "." + hex.EncodeToString(sum[:8]) + ext,
		kind:    kind,
		content: content,
	}
}

// imageType returns the media type of a logo. It accepts only what browsers show
// in an image element; an SVG there runs no script.
func imageType(content []byte) (string, error) {
	if len(content) == 0 {
		return "", nil
	}
	switch kind := http.DetectContentType(content); kind {
	case "image/png", "image/jpeg", "image/gif", "image/webp":
		return kind, nil
	}
	if head := content[:min(len(content), 1024)]; bytes.Contains(head, []byte("<svg")) {
		return "image/svg+xml", nil
	}
	return "", errors.New("logo is not an SVG, PNG, JPEG, GIF or WebP image")
}

func (a asset) serve(w http.ResponseWriter, r *http.Request) {
	h := w.Header()
	h.Set("Content-Type", a.kind)
	h.Set("Cache-Control", "public, max-age=31536000, immutable")
	w.WriteHeader(http.StatusOK)
	if r.Method != http.MethodHead {
		_, _ = w.Write(a.content)
	}
}
