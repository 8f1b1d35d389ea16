package webui

import (
	"slices"
	"strings"

	"keyfob/engine"
)

// style is how a user enters a passcode. The pages word each style differently.
type style string

// The styles.
const (
	stylePINFirst  style = "fob"       // the PIN, then the tokencode
	stylePINpad    style = "pinpad"    // the PIN goes into the token, which shows the passcode
	styleNoPIN     style = "no_pin"    // the tokencode alone
	styleOnDemand  style = "sent"      // the PIN alone; a tokencode is then sent
	styleEmergency style = "emergency" // the PIN, then an emergency tokencode
)

var styles = []style{stylePINFirst, stylePINpad, styleNoPIN, styleOnDemand, styleEmergency}

// entry is how the passcode of one token is entered.
type entry struct {
	style style
	event bool // the token shows a new tokencode when its button is pressed
}

const eventSuffix = "_event"

func entryOf(p engine.Prompt) entry {
	e := entry{style: stylePINFirst, event: p.Event}
	switch {
	case p.Emergency:
		e = entry{style: styleEmergency}
	case p.Sent:
		e.style = styleOnDemand
	case p.NoPIN:
		e.style = styleNoPIN
	case p.Rules.PINpad:
		e.style = stylePINpad
	}
	return e
}

// parseEntry reads what String wrote. Anything else is the usual style.
func parseEntry(text string) entry {
	name, event := strings.CutSuffix(text, eventSuffix)
	if s := style(name); slices.Contains(styles, s) {
		return entry{style: s, event: event}
	}
	return entry{style: stylePINFirst}
}

func (e entry) String() string { return e.byButton(string(e.style)) }

// words returns the id of a sentence in the version for this style.
func (e entry) words(id string) string {
	if e.style == stylePINFirst {
		return id
	}
	return id + "_" + string(e.style)
}

// byButton returns the id of a sentence in the version for tokens with a
// button, or for tokens with a clock.
func (e entry) byButton(id string) string {
	if e.event {
		return id + eventSuffix
	}
	return id
}
