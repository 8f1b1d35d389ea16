package webui

import (
	"context"
	"embed"
	"fmt"
	"net/http"
	"slices"
	"strings"

	"github.com/BurntSushi/toml"
	"github.com/nicksnyder/go-i18n/v2/i18n"
	"golang.org/x/text/language"
)

//go:embed words
var wordFiles embed.FS

// languages lists the languages that have a file, the default first.
var languages = []string{"en", "de"}

// words holds every sentence of the pages in every language.
type words struct {
	matcher    language.Matcher
	localizers map[string]*i18n.Localizer
}

func loadWords() (*words, error) {
	bundle := i18n.NewBundle(language.Make(languages[0]))
	bundle.RegisterUnmarshalFunc("toml", toml.Unmarshal)
	w := &words{localizers: make(map[string]*i18n.Localizer)}
	var tags []language.Tag
	for _, lang := range languages {
		if _, err := bundle.LoadMessageFileFS(wordFiles, "words/"+lang+".toml"); err != nil {
			return nil, fmt.Errorf("reading words of %s: %w", lang, err)
		}
		tags = append(tags, language.Make(lang))
		w.localizers[lang] = i18n.NewLocalizer(bundle, lang)
	}
	w.matcher = language.NewMatcher(tags)
	return w, nil
}

// requestedLanguage returns the language in ?lang=, if there is a file for it.
func requestedLanguage(r *http.Request) (string, bool) {
	lang := r.URL.Query().Get("lang")
	return lang, slices.Contains(languages, lang)
}

// choose returns the language for a request: from the URL, from the cookie of an
// earlier choice, from the browser's preferences, or the default.
func (w *words) choose(r *http.Request) string {
	if lang, ok := requestedLanguage(r); ok {
		return lang
	}
	if c, err := r.Cookie(languageCookie); err == nil && slices.Contains(languages, c.Value) {
		return c.Value
	}
	// A malformed header counts as no preference.
	wanted, _, _ := language.ParseAcceptLanguage(r.Header.Get("Accept-Language"))
	_, at, confidence := w.matcher.Match(wanted...)
	if confidence == language.No {
		return languages[0]
	}
	return languages[at]
}

type localizerKey struct{}

// withLanguage returns a context in which say uses a language.
func (w *words) withLanguage(ctx context.Context, lang string) context.Context {
	return context.WithValue(ctx, localizerKey{}, w.localizers[lang])
}

// say returns a sentence in the language of ctx. pairs are the names and values
// of its placeholders. A missing sentence is shown as its id in ⟦brackets⟧.
func say(ctx context.Context, id string, pairs ...any) string {
	data := make(map[string]any, len(pairs)/2)
	for i := 0; i+1 < len(pairs); i += 2 {
		data[pairs[i].(string)] = pairs[i+1]
	}
	localizer, ok := ctx.Value(localizerKey{}).(*i18n.Localizer)
	if !ok {
		return "⟦" + id + "⟧"
	}
	text, err := localizer.Localize(&i18n.LocalizeConfig{MessageID: id, TemplateData: data})
	if err != nil {
		return "⟦" + id + "⟧"
	}
	return strings.TrimSpace(text)
}
