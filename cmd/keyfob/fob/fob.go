// Package fob is a software token. It generates tokens, reads them from URIs and
// files, and shows their tokencodes. It needs no server.
package fob

import (
	"errors"
	"fmt"
	"io"
	"net/url"
	"os"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"keyfob/cmd/keyfob/cli"
	"keyfob/engine/tokencode"
	"keyfob/engine/tokenfile"
)

// OffsetParameter, in an otpauth URI, says by how many seconds the clock of the
// token is off. It is specific to keyfob, for demonstrations and tests of drift;
// apps ignore it.
const OffsetParameter = "keyfob_offset"

// Shown is the display of a software token.
type Shown struct {
	Serial      string `json:"serial"`
	Kind        string `json:"kind"`
	Tokencode   string `json:"tokencode"`
	Passcode    string `json:"passcode,omitempty"`
	SecondsLeft int    `json:"seconds_left"` // 0 for tokens with a button
}

// Token is a token with a clock of its own.
type Token struct {
	tokenfile.Token
	Offset time.Duration
}

// Moment is the time of a display.
type Moment struct {
	At   time.Time
	Next int64 // intervals, or presses, after that
}

func Command(e *cli.Environment) *cobra.Command {
	out := &cli.Output{}
	var source Source
	var when, pin string
	var next int64
	c := cli.Command("fob FILE|URI", "Show the tokencode of an otpauth URI, a CTF string or a token file", func(_ *cobra.Command, args []string) error {
		m := Moment{At: e.Now(), Next: next}
		if when != "" {
			var err error
			if m.At, err = time.Parse(time.RFC3339, when); err != nil {
				return cli.Usagef("--at %q is not a time like 2026-11-02T15:04:05Z", when)
			}
		}
		tokens, err := readTokens(e, args[0], source)
		if err != nil {
			return err
		}
		var all []Shown
		for _, t := range tokens {
			s, err := t.Show(m, pin)
			if err != nil {
				return err
			}
			all = append(all, s)
		}
		return out.Show(e.Out, oneOrAll(all), func(tw *cli.Table) {
			tw.Row("SERIAL", "KIND", "TOKENCODE", "PASSCODE", "SECONDS LEFT")
			for _, s := range all {
				tw.Row(s.Serial, s.Kind, s.Tokencode, s.Passcode, s.SecondsLeft)
			}
		})
	})
	source.Flags(c)
	f := c.Flags()
	f.StringVar(&when, "at", "", "show the tokencode at this time, RFC 3339 (default now)")
	f.Int64Var(&next, "next", 0, "show the tokencode this many intervals later; for a token with a button, presses after the counter in the URI")
	f.StringVar(&pin, "pin", "", "also show the passcode with this PIN")
	return out.Flag(c)
}

// oneOrAll returns an object for one token, and a list for several.
func oneOrAll(all []Shown) any {
	if len(all) == 1 {
		return all[0]
	}
	return all
}

// readTokens reads the tokens of a URI, a CTF string or a file. Refused tokens are
// printed; they are an error only if there is no other token.
func readTokens(e *cli.Environment, arg string, source Source) ([]Token, error) {
	text, err := readText(e, arg)
	if err != nil {
		return nil, err
	}
	o, err := source.Options(e)
	if err != nil {
		return nil, err
	}
	result, err := tokenfile.Read(strings.NewReader(text), o)
	switch {
	case errors.Is(err, tokenfile.ErrNeedPassword):
		return nil, fmt.Errorf("reading token: %w: give --password-file", err)
	case err != nil:
		return nil, fmt.Errorf("reading token: %w", err)
	case len(result.Tokens) == 0:
		return nil, fmt.Errorf("reading token: %w", result.Refused[0])
	}
	for _, r := range result.Refused {
		e.Say("%s", r.Error())
	}
	offsets, err := OffsetsIn(text)
	if err != nil {
		return nil, err
	}
	tokens := make([]Token, len(result.Tokens))
	for i, t := range result.Tokens {
		tokens[i] = Token{t, offsets[t.Serial]}
	}
	return tokens, nil
}

const maxFobFile = 64 << 20 // bytes

// readText returns the text of a file, or the argument itself if there is no such
// file and it looks like a token.
func readText(e *cli.Environment, arg string) (string, error) {
	in := e.In
	if arg != "-" {
		f, err := os.Open(arg)
		switch {
		case err != nil && looksLikeToken(arg):
			return arg, nil
		case err != nil:
			return "", fmt.Errorf("reading token: %w", err)
		}
		defer f.Close()
		in = f
	}
	b, err := io.ReadAll(io.LimitReader(in, maxFobFile+1))
	switch {
	case err != nil:
		return "", fmt.Errorf("reading token: %w", err)
	case len(b) > maxFobFile:
		return "", fmt.Errorf("reading token: %s is longer than %d MiB", arg, maxFobFile>>20)
	}
	return string(b), nil
}

// looksLikeToken distinguishes a token from the name of a file: it is a URI, or
// the digits or the base64 of a CTF string.
func looksLikeToken(arg string) bool {
	return strings.Contains(arg, "://") || len(arg) > 40 && strings.ContainsRune("12AB", rune(arg[0])) && !strings.Contains(arg, ".")
}

// OffsetsIn returns the clock offsets in the URIs of a text, by serial.
func OffsetsIn(text string) (map[string]time.Duration, error) {
	offsets := map[string]time.Duration{}
	for line := range strings.Lines(text) {
		line = strings.TrimSpace(line)
		u, err := url.Parse(line)
		if err != nil || !u.Query().Has(OffsetParameter) {
			continue
		}
		seconds, err := time.ParseDuration(u.Query().Get(OffsetParameter) + "s")
		if err != nil {
			return nil, fmt.Errorf("reading token: %s is not a number of seconds", OffsetParameter)
		}
		t, err := tokenfile.ParseURI(line)
		if err != nil {
			return nil, fmt.Errorf("reading token: %w", err)
		}
		offsets[t.Serial] = seconds
	}
	return offsets, nil
}

// Show returns the display of the token at a moment.
func (t Token) Show(m Moment, pin string) (Shown, error) {
	g, err := tokencode.New(t.Params, t.Seed)
	if err != nil {
		return Shown{}, fmt.Errorf("token %s: %w", t.Serial, err)
	}
	s := Shown{Serial: t.Serial, Kind: string(t.Params.Kind)}
	interval := t.Counter + m.Next
	if t.Params.Period > 0 {
		at := m.At.Add(t.Offset)
		interval = tokencode.Interval(t.Params, at) + m.Next
		left := tokencode.Start(t.Params, interval+1).Sub(at)
		s.SecondsLeft = int((left + time.Second - 1) / time.Second)
	}
	s.Tokencode = g.At(interval)
	if pin != "" {
		if s.Passcode, err = t.PINStyle.Passcode(pin, s.Tokencode); err != nil {
			return Shown{}, fmt.Errorf("token %s: %w", t.Serial, err)
		}
	}
	return s, nil
}
