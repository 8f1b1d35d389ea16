package main

import (
	"encoding/json"
	"strconv"
	"testing"
	"time"

	"keyfob/cmd/keyfob/demo"
	"keyfob/cmd/keyfob/fob"
)

// fob is a user's token in the user's hand: the program `keyfob fob`, and what
// the user remembers of it.
type device struct {
	lab *lab
	demo.Sample
	used   string // the tokencode typed last
	passed int64  // presses of the button, for a token that has one
}

func (l *lab) fob(t *testing.T, user string) *device {
	t.Helper()
	return &device{lab: l, Sample: l.user(t, user)}
}

// look is what the token shows now.
func (f *device) look(t *testing.T, args ...string) fob.Shown {
	t.Helper()
	args = append([]string{"fob", f.URI, "-o", "json"}, args...)
	if f.PIN != "" {
		args = append(args, "--pin", f.PIN)
	}
	var s fob.Shown
	if err := json.Unmarshal(f.lab.run(t, args...), &s); err != nil {
		t.Fatalf("reading what the token shows: %v", err)
	}
	return s
}

// fresh is a tokencode that was never typed. It waits, as the user would, until
// the token shows one that will not change while it is being typed.
func (f *device) fresh(t *testing.T) fob.Shown {
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
func (f *device) press(t *testing.T) fob.Shown {
	t.Helper()
	s := f.look(t, "--next", strconv.FormatInt(f.passed, 10))
	f.passed++
	return s
}

// tokencode is a fresh tokencode.
func (f *device) tokencode(t *testing.T) string { t.Helper(); return f.fresh(t).Tokencode }

// passcode is the PIN with a fresh tokencode, as this token wants them put
// together.
func (f *device) passcode(t *testing.T) string { t.Helper(); return f.fresh(t).Passcode }
