package webui

import (
	"regexp"
	"testing"
)

// unsafeMarkup matches what templ does not escape or does not escape enough, and
// what the content policy would block.
var unsafeMarkup = map[string]*regexp.Regexp{
	"unescaped HTML":                     regexp.MustCompile(`templ\.Raw|templ\.JSUnsafe|templ\.SafeURL|templ\.JSExpression|templ\.SafeScript`),
	"srcdoc, which runs scripts":         regexp.MustCompile(`(?i)\bsrcdoc\b`),
	"formaction, which is not sanitised": regexp.MustCompile(`(?i)\bformaction\s*=`),
	"inline style":                       regexp.MustCompile(`(?i)\sstyle\s*=|<style`),
	"inline handler":                     regexp.MustCompile(`(?i)\son[a-z]+\s*=`),
	"inline script":                      regexp.MustCompile(`(?i)<script[^>]*>\s*[^<\s]`),
	"src other than our own files":       regexp.MustCompile(`\bsrc\s*=\s*("|{\s*([^p\s]|p[^.]|p\.[^a]))`),
	"spread attributes":                  regexp.MustCompile(`<[^>]*{\s*[\w.()]+\.\.\.\s*}`),
	"dynamic attribute name":             regexp.MustCompile(`\s{\s*\w+\s*}\s*=`),
}

func TestTemplatesKeepToWhatTemplEscapes(t *testing.T) {
	files := sources(t, "*.templ")
	if len(files) == 0 {
		t.Fatal("no templates found")
	}
	for name, content := range files {
		for what, pattern := range unsafeMarkup {
			if at := pattern.FindString(content); at != "" {
				t.Errorf("%s: %s: %s", name, what, at)
			}
		}
	}
}

func TestMarkupPatternsFindUnsafeMarkup(t *testing.T) {
	for _, bad := range []string{
		`@templ.Raw(x)`, `<iframe srcdoc={ x }>`, `<button formaction={ x }>`, `<p style={ x }>`, `<a onclick={ f }>`,
		`<img src={ x }>`, `<img src="//evil">`, `<p { attrs... }>`, `<script>alert(1)</script>`, `<p { name }={ x }>`,
	} {
		found := false
		for _, pattern := range unsafeMarkup {
			found = found || pattern.MatchString(bad)
		}
		if !found {
			t.Errorf("%s is not found", bad)
		}
	}
}
