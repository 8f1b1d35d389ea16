package webui

import (
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/BurntSushi/toml"
	"github.com/google/go-cmp/cmp"
)

func readWords(t *testing.T, lang string) map[string]string {
	t.Helper()
	content, err := wordFiles.ReadFile("words/" + lang + ".toml")
	if err != nil {
		t.Fatal(err)
	}
	words := make(map[string]string)
	if err := toml.Unmarshal(content, &words); err != nil {
		t.Fatal(err)
	}
	return words
}

var placeholder = regexp.MustCompile(`{{\.\w+}}`)

func mentioned(words map[string]string) map[string][]string {
	all := make(map[string][]string)
	for id, text := range words {
		all[id] = placeholder.FindAllString(text, -1)
		slices.Sort(all[id])
	}
	return all
}

func TestLanguagesHaveTheSameSentences(t *testing.T) {
	files, err := filepath.Glob("words/*.toml")
	if err != nil || len(files) != len(languages) {
		t.Errorf("%d files for %d languages", len(files), len(languages))
	}
	want := mentioned(readWords(t, languages[0]))
	for _, lang := range languages[1:] {
		if d := cmp.Diff(want, mentioned(readWords(t, lang))); d != "" {
			t.Errorf("%s differs from %s (-%[2]s +%[1]s):\n%s", lang, languages[0], d)
		}
	}
}

// sentence finds the ids of sentences. They are strings in the sources: in say,
// or in Go as the text of a problem.
var sentence = regexp.MustCompile(`"([a-z][a-z_]*)"`)

func TestSentencesExistAndAreUsed(t *testing.T) {
	words := readWords(t, languages[0])
	used := make(map[string]bool)
	asked := regexp.MustCompile(`\bsay\(ctx, "([a-z_]+)"`)
	for _, file := range sources(t, "*.templ", "*.go") {
		for _, m := range asked.FindAllStringSubmatch(file, -1) {
			if words[m[1]] == "" {
				t.Errorf("sentence %q does not exist", m[1])
			}
		}
		for _, m := range sentence.FindAllStringSubmatch(file, -1) {
			for _, id := range []string{m[1], "problem_" + m[1], m[1] + "_title", m[1] + "_text", m[1] + "_exactly", m[1] + "s"} {
				used[id], used[id+eventSuffix] = true, true
				for _, s := range styles {
					styled := id + "_" + string(s)
					used[styled], used[styled+eventSuffix] = true, true
				}
			}
		}
	}
	for _, problem := range []string{"pins_differ", "pin_length", "pin_characters", "pin_trivial", "pin_common", "pin_personal", "pin_used_before", "pin_leading_zero", "tokencode_reused", "tokencode_reused_event", "choice"} {
		if words["problem_"+problem] == "" {
			t.Errorf("problem %q has no words", problem)
		}
		used["problem_"+problem] = true
	}
	for id := range words {
		if !used[id] {
			t.Errorf("sentence %q is not used", id)
		}
	}
}

// sources returns the package's files that match, without tests and generated
// files.
func sources(t *testing.T, patterns ...string) map[string]string {
	t.Helper()
	files := make(map[string]string)
	for _, pattern := range patterns {
		names, err := filepath.Glob(pattern)
		if err != nil {
			t.Fatal(err)
		}
		for _, name := range names {
			if strings.HasSuffix(name, "_test.go") || strings.HasSuffix(name, "_templ.go") {
				continue
			}
			content, err := os.ReadFile(name)
			if err != nil {
				t.Fatal(err)
			}
			files[name] = string(content)
		}
	}
	return files
}

func TestLanguageIsChosenByURLThenCookieThenBrowser(t *testing.T) {
	w, err := loadWords()
	if err != nil {
		t.Fatal(err)
	}
	for _, tc := range []struct{ query, cookie, accept, want string }{
		{"", "", "", "en"},
		{"", "", "de-CH, fr;q=0.9", "de"},
		{"", "", "fr, ja", "en"},
		{"", "", "fr, de;q=0.5, en;q=0.1", "de"},
		{"", "", "garbage;;;q=x", "en"},
		{"", "de", "en", "de"},
		{"", "xx", "de", "de"},
		{"?lang=en", "de", "de", "en"},
		{"?lang=xx", "de", "en", "de"},
	} {
		r := get("/"+tc.query, &http.Cookie{Name: languageCookie, Value: tc.cookie})
		r.Header.Set("Accept-Language", tc.accept)
		if got := w.choose(r); got != tc.want {
			t.Errorf("%+v: %s", tc, got)
		}
	}
}

func TestMissingSentenceIsVisible(t *testing.T) {
	w, err := loadWords()
	if err != nil {
		t.Fatal(err)
	}
	if got := say(w.withLanguage(t.Context(), "de"), "no_such_sentence"); got != "⟦no_such_sentence⟧" {
		t.Errorf("missing sentence shows as %q", got)
	}
	if got := say(t.Context(), "continue"); got != "⟦continue⟧" {
		t.Errorf("sentence without a language shows as %q", got)
	}
}
