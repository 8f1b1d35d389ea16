package delivery

import (
	"encoding/json"
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"
)

// The words that a template may hold in braces.
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

// askedForm is how a user reads when a tokencode was asked for: by the clock of
// the machine, as everybody at the site has it.
const askedForm = "15:04:05 MST"

// template is a text with words in braces. Braces around anything but small
// letters are text: a body may be JSON.
type template []part

// part is a word to be filled in, or text as it is.
type part struct {
	text string
	word bool
}

var inBraces = regexp.MustCompile(`\{[a-z]+\}`)

// parseTemplate reads a template that may hold the given words and no others.
func parseTemplate(text string, words []string) (template, error) {
	var t template
	rest := 0
	for _, at := range inBraces.FindAllStringIndex(text, -1) {
		word := text[at[0]+1 : at[1]-1]
		if !slices.Contains(words, word) {
			return nil, fmt.Errorf("{%s} stands for nothing here; there is {%s}", word, strings.Join(words, "}, {"))
		}
		t = append(t, part{text: text[rest:at[0]]}, part{text: word, word: true})
		rest = at[1]
	}
	return append(t, part{text: text[rest:]}), nil
}

func (t template) has(word string) bool {
	return slices.Contains(t, part{text: word, word: true})
}

// fill puts values in place of the words. Each is escaped, and not looked at
// again: a value is never a template.
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

// escapeJSON is s as it stands between the quotes of a JSON string.
func escapeJSON(s string) string {
	quoted, err := json.Marshal(s)
	if err != nil {
		return "" // a string can always be marshalled
	}
	return string(quoted[1 : len(quoted)-1])
}
