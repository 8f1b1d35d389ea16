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

// languages are those that there is a file for, the default first.
var languages = []string{"en", "de"}

// words is every sentence of the pages, in every language.
type words struct {
	matcher language.Matcher
	voices  map[string]*i18n.Localizer
}

func loadWords() (*words, error) {
	bundle := i18n.NewBundle(language.Make(languages[0]))
	bundle.RegisterUnmarshalFunc("toml", toml.Unmarshal)
	w := &words{voices: make(map[string]*i18n.Localizer)}
	var tags []language.Tag
	for _, lang := range languages {
		if _, err := bundle.LoadMessageFileFS(wordFiles, "words/"+lang+".toml"); err != nil {
			return nil, fmt.Errorf("reading words of %s: %w", lang, err)
		}
		tags = append(tags, language.Make(lang))
		w.voices[lang] = i18n.NewLocalizer(bundle, lang)
	}
	w.matcher = language.NewMatcher(tags)
	return w, nil
}

// asked is the language in ?lang=, when it is one of ours.
func asked(r *http.Request) (string, bool) {
	lang := r.URL.Query().Get("lang")
	return lang, slices.Contains(languages, lang)
}

// choose is the language for a request: what the URL asks for, what was asked
// for earlier, what the browser prefers, the default.
func (w *words) choose(r *http.Request) string {
	if lang, ok := asked(r); ok {
		return lang
	}
	if c, err := r.Cookie(languageCookie); err == nil && slices.Contains(languages, c.Value) {
		return c.Value
	}
	// A header that cannot be read prefers nothing.
	wanted, _, _ := language.ParseAcceptLanguage(r.Header.Get("Accept-Language"))
	_, at, confidence := w.matcher.Match(wanted...)
	if confidence == language.No {
		return languages[0]
	}
	return languages[at]
}

type voice struct{}

// speak makes say use a language below ctx.
func (w *words) speak(ctx context.Context, lang string) context.Context {
	return context.WithValue(ctx, voice{}, w.voices[lang])
}

// say is a sentence in the language of ctx. pairs are the names and values
// that it mentions; "Count" chooses between singular and plural. A sentence
// that is missing shows as its name in ⟦brackets⟧.
func say(ctx context.Context, id string, pairs ...any) string {
	data := make(map[string]any, len(pairs)/2)
	for i := 0; i+1 < len(pairs); i += 2 {
		data[pairs[i].(string)] = pairs[i+1]
	}
	speaker, ok := ctx.Value(voice{}).(*i18n.Localizer)
	if !ok {
		return "⟦" + id + "⟧"
	}
	text, err := speaker.Localize(&i18n.LocalizeConfig{MessageID: id, TemplateData: data, PluralCount: data["Count"]})
	if err != nil {
		return "⟦" + id + "⟧"
	}
	return strings.TrimSpace(text)
}
