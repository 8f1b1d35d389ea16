package main

import (
	"encoding/json"
	"strconv"
	"testing"
	"time"
)

// fob is a user's token in the user's hand: the program `keyfob fob`, and what
// the user remembers of it.
type fob struct {
	lab *lab
	sample
	used   string // the tokencode typed last
	passed int64  // presses of the button, for a token that has one
}

func (l *lab) fob(t *testing.T, user string) *fob {
	t.Helper()
	return &fob{lab: l, sample: l.user(t, user)}
}

// look is what the token shows now.
func (f *fob) look(t *testing.T, args ...string) shown {
	t.Helper()
	args = append([]string{"fob", f.URI, "-o", "json"}, args...)
	if f.PIN != "" {
		args = append(args, "--pin", f.PIN)
	}
	var s shown
	if err := json.Unmarshal(f.lab.run(t, args...), &s); err != nil {
		t.Fatalf("reading what the token shows: %v", err)
	}
	return s
}

// fresh is a tokencode that was never typed. It waits, as the user would, until
// the token shows one that will not change while it is being typed.
func (f *fob) fresh(t *testing.T) shown {
	t.Helper()
	const enough = 4 // seconds
	for {
		s := f.look(t)
		if s.Tokencode != f.used && s.SecondsLeft >= enough {
			f.used = s.Tokencode
			f.lab.typed(f.PIN + s.Tokencode)
			return s
		}
		select {
		case <-time.After(time.Duration(s.SecondsLeft) * time.Second): // seconds_left is rounded up
		case <-t.Context().Done():
			t.Fatal(t.Context().Err())
		}
	}
}

// press is the next tokencode of a token with a button.
func (f *fob) press(t *testing.T) shown {
	t.Helper()
	s := f.look(t, "--next", strconv.FormatInt(f.passed, 10))
	f.passed++
	return s
}

// tokencode is a fresh tokencode.
func (f *fob) tokencode(t *testing.T) string { t.Helper(); return f.fresh(t).Tokencode }

// passcode is the PIN with a fresh tokencode, as this token wants them put
// together.
func (f *fob) passcode(t *testing.T) string { t.Helper(); return f.fresh(t).Passcode }
