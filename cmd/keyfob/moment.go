package main

import (
	"strconv"
	"strings"
	"time"
)

// moments are the forms in which people have a time at hand, those that tables
// print among them. Where no zone is said it is this machine's.
var moments = []string{time.RFC3339, time.DateTime, "2006-01-02 15:04", time.DateOnly}

// moment reads a time, or how long ago it was.
func (e *environment) moment(text string) (t time.Time, ok bool) {
	if d, ok := parseDuration(text); ok && d >= 0 {
		return e.Now().Add(-d).UTC(), true
	}
	for _, form := range moments {
		if t, err := time.ParseInLocation(form, text, time.Local); err == nil {
			return t.UTC(), true
		}
	}
	return time.Time{}, false
}

// since reads the value of a flag that says from when on.
func (e *environment) since(text string) (time.Time, error) {
	t, ok := e.moment(text)
	switch {
	case !ok:
		return t, usagef("--since %q is neither a duration like 1h or 90d nor a time like 2026-11-02 15:04", text)
	case t.After(e.Now()):
		return t, usagef("--since %q is yet to come", text)
	}
	return t, nil
}

// parseDuration reads a duration as Go writes it, or a number of days such as
// 90d.
func parseDuration(text string) (time.Duration, bool) {
	if days, ok := strings.CutSuffix(text, "d"); ok {
		n, err := strconv.ParseUint(days, 10, 16)
		return time.Duration(n) * 24 * time.Hour, err == nil
	}
	d, err := time.ParseDuration(text)
	return d, err == nil
}
