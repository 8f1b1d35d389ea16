package engine

import (
	"errors"
	"strconv"
	"strings"
	"time"
)

var errDuration = errors.New("want a duration such as 90s, 30m, 12h or 7d")

// maxDays bounds a duration in days: 100 years.
const maxDays = 36_500

// ParseDuration parses a duration in the form of Go or in whole days, such as
// 90d.
func ParseDuration(text string) (time.Duration, error) {
	if days, ok := strings.CutSuffix(text, "d"); ok {
		n, err := strconv.ParseUint(days, 10, 32)
		if err != nil || n > maxDays {
			return 0, errDuration
		}
		return time.Duration(n) * day, nil
	}
	d, err := time.ParseDuration(text)
	if err != nil {
		return 0, errDuration
	}
	return d, nil
}

// SpellDuration formats a duration as ParseDuration reads it, as short as
// possible: 30m, 12h, 7d.
func SpellDuration(d time.Duration) string {
	if d >= 2*day && d%day == 0 {
		return strconv.FormatInt(int64(d/day), 10) + "d"
	}
	text := d.String()
	if strings.HasSuffix(text, "m0s") {
		text = strings.TrimSuffix(text, "0s")
	}
	if strings.HasSuffix(text, "h0m") {
		text = strings.TrimSuffix(text, "0m")
	}
	return text
}
