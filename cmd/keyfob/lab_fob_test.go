package main

import (
	"encoding/json"
	"strconv"
	"testing"
	"time"

	"keyfob/cmd/keyfob/demo"
	"keyfob/cmd/keyfob/fob"
)

// device is the token of a user: the program `keyfob fob`, and the tokencodes that
// were used.
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

// look returns what the token shows now.
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

// fresh returns an unused tokencode. It waits until the token shows one that stays
// valid while it is entered.
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

// press returns the next tokencode of a token with a button.
func (f *device) press(t *testing.T) fob.Shown {
	t.Helper()
	s := f.look(t, "--next", strconv.FormatInt(f.passed, 10))
	f.passed++
	return s
}

// tokencode returns a fresh tokencode.
func (f *device) tokencode(t *testing.T) string { t.Helper(); return f.fresh(t).Tokencode }

// passcode returns the PIN and a fresh tokencode, combined as the token requires.
func (f *device) passcode(t *testing.T) string { t.Helper(); return f.fresh(t).Passcode }
