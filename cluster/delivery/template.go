package delivery

import (
	"encoding/json"
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"
)

// The placeholders that a template may contain, in braces.
const (
	wordTokencode = "tokencode"
	wordMinutes   = "minutes"
	wordAsked     = "asked"
	wordService   = "service"
	wordTo        = "to"
	wordNumber    = "number"
	wordText      = "text"
)

var (
	wordsOfText    = []string{wordTokencode, wordMinutes, wordAsked, wordService}
	wordsOfRequest = []string{wordTo, wordNumber, wordText}
)

// askedForm is how the time of the request is shown to the user: in the time zone of
// this machine, which is that of the site.
const askedForm = "15:04:05 MST"

// template is a text with placeholders in braces. Braces around anything except
// lowercase letters are text, because a body may be JSON.
type template []part

// part is a placeholder or literal text.
type part struct {
	text string
	word bool
}

var inBraces = regexp.MustCompile(`\{[a-z]+\}`)

// parseTemplate parses a template that may contain the given placeholders.
func parseTemplate(text string, words []string) (template, error) {
	var t template
	rest := 0
	for _, at := range inBraces.FindAllStringIndex(text, -1) {
		word := text[at[0]+1 : at[1]-1]
		if !slices.Contains(words, word) {
			return nil, fmt.Errorf("{%s} is unknown here; use {%s}", word, strings.Join(words, "}, {"))
		}
		t = append(t, part{text: text[rest:at[0]]}, part{text: word, word: true})
		rest = at[1]
	}
	return append(t, part{text: text[rest:]}), nil
}

func (t template) has(word string) bool {
	return slices.Contains(t, part{text: word, word: true})
}

// fill replaces the placeholders by escaped values. A value is never parsed as a
// template.
func (t template) fill(values map[string]string, escape func(string) string) string {
	var b strings.Builder
	for _, p := range t {
		if p.word {
			b.WriteString(escape(values[p.text]))
		} else {
			b.WriteString(p.text)
		}
	}
	return b.String()
}

func filledText(m message, service string) map[string]string {
	return map[string]string{wordTokencode: m.code, wordMinutes: strconv.Itoa(m.minutes), wordAsked: m.asked.Local().Format(askedForm), wordService: service}
}

func filledRequest(to, text string) map[string]string {
	return map[string]string{wordTo: to, wordNumber: strings.TrimPrefix(to, "+"), wordText: text}
}

func asItIs(s string) string { return s }

// escapeJSON escapes s for a JSON string, without the quotes.
func escapeJSON(s string) string {
	quoted, err := json.Marshal(s)
	if err != nil {
		return "" // cannot happen for a string
	}
	return string(quoted[1 : len(quoted)-1])
}
