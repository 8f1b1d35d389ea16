package cli

import (
	"time"

	"github.com/spf13/pflag"

	"keyfob/engine"
)

// moments are the accepted forms of a time, including that of tables. Without a
// zone, the time is local.
var moments = []string{time.RFC3339, time.DateTime, "2006-01-02 15:04", time.DateOnly}

// Moment parses a time, or a duration before now.
func (e *Environment) Moment(text string) (t time.Time, ok bool) {
	if d, err := engine.ParseDuration(text); err == nil && d >= 0 {
		return e.Now().Add(-d).UTC(), true
	}
	for _, form := range moments {
		if t, err := time.ParseInLocation(form, text, time.Local); err == nil {
			return t.UTC(), true
		}
	}
	return time.Time{}, false
}

// Since parses the value of --since.
func (e *Environment) Since(text string) (time.Time, error) {
	return e.Past("--since", text)
}

// Past parses the value of a flag that is a time in the past.
func (e *Environment) Past(flag, text string) (time.Time, error) {
	t, ok := e.Moment(text)
	switch {
	case !ok:
		return t, Usagef("%s %q is neither a duration like 1h or 90d nor a time like 2026-11-02 15:04", flag, text)
	case t.After(e.Now()):
		return t, Usagef("%s %q is in the future", flag, text)
	}
	return t, nil
}

// DurationVar adds a flag for a duration, which may be in days.
func DurationVar(f *pflag.FlagSet, d *time.Duration, name string, usual time.Duration, usage string) {
	*d = usual
	f.Var((*duration)(d), name, usage)
}

type duration time.Duration

// String implements pflag.Value.
func (d *duration) String() string { return engine.SpellDuration(time.Duration(*d)) }

func (d *duration) Set(text string) error {
	read, err := engine.ParseDuration(text)
	if err == nil {
		*d = duration(read)
	}
	return err
}

func (d *duration) Type() string { return "DURATION" }
