package tokenfile

import "time"

// A record states the last day on which its token is valid, in UTC. Expires is the
// first instant after that day. The exact behavior of RSA's own server is not
// documented. Any grace period is policy.

func afterDay(day time.Time) time.Time { return day.AddDate(0, 0, 1) }

func lastDay(expires time.Time) time.Time {
	return expires.Add(-time.Nanosecond).UTC().Truncate(24 * time.Hour)
}

// parseDay reads YYYY/MM/DD and YYYY-MM-DD.
func parseDay(s string) (time.Time, error) {
	for _, layout := range []string{"2006/01/02", "2006-01-02"} {
		if t, err := time.Parse(layout, s); err == nil {
			return t, nil
		}
	}
	return time.Time{}, ErrFormat.because("the date %s is not YYYY/MM/DD", shown(s))
}
