package webui

import (
	"regexp"
	"strings"
)

// part is a piece of the help line: plain text, or a link.
type part struct{ text, href string }

// The parts of a help line that become links, in the order in which they are
// tried at each place.
var (
	webAddress  = regexp.MustCompile(`https?://[^\s<>"]*[^\s<>".,;:!?)]`)
	mailAddress = regexp.MustCompile(`[\w.%+-]+@[\w-]+(\.[\w-]+)+`)
	// A telephone number has at least four digits. Opening hours do not match:
	// "8-18", "08-18", "8.00-18.00".
	telephone  = regexp.MustCompile(`\+?\(?\d[\d()/\-. ]*\d`)
	clockTimes = regexp.MustCompile(`^\d{1,2}([.:]\d\d)?( ?- ?\d{1,2}([.:]\d\d)?)?$`)
	trunkZero  = regexp.MustCompile(`\(0\)`)
	noDigit    = regexp.MustCompile(`\D`)
)

// contactParts splits a help line into text and links.
func contactParts(line string) []part {
	var parts []part
	for line != "" {
		from, to, href := firstLink(line)
		if href == "" {
			return append(parts, part{text: line})
		}
		if from > 0 {
			parts = append(parts, part{text: line[:from]})
		}
		parts = append(parts, part{text: line[from:to], href: href})
		line = line[to:]
	}
	return parts
}

// firstLink finds the first thing in a text that can be a link. href is empty
// when there is none.
func firstLink(text string) (from, to int, href string) {
	from = len(text)
	consider := func(pattern *regexp.Regexp, link func(string) string) {
		for _, at := range pattern.FindAllStringIndex(text, -1) {
			if h := link(text[at[0]:at[1]]); h != "" {
				if at[0] < from {
					from, to, href = at[0], at[1], h
				}
				return
			}
		}
	}
	consider(webAddress, func(s string) string { return s })
	consider(mailAddress, func(s string) string { return "mailto:" + s })
	consider(telephone, telephoneLink)
	return from, to, href
}

// telephoneLink is the tel: URL of a telephone number (RFC 3966), or "".
func telephoneLink(number string) string {
	plus := ""
	if strings.HasPrefix(number, "+") {
		plus, number = "+", trunkZero.ReplaceAllString(number, "")
	}
	digits := noDigit.ReplaceAllString(number, "")
	if len(digits) < 4 || clockTimes.MatchString(number) {
		return ""
	}
	return "tel:" + plus + digits
}
