package engine

import (
	"fmt"
	"maps"
	"math"
	"slices"
	"time"
)

// Budget is the chance that somebody who guesses tokencodes blindly is let in,
// under a policy, as one user with one token of a form.
type Budget struct {
	Form       string  `json:"form"`
	Digits     int     `json:"digits"`
	Tries      int     `json:"tries_a_day"`     // that are looked at, of strangers and through trusted clients
	Day        float64 `json:"day"`             // the chance in a day, by somebody who knows the PIN
	Year       float64 `json:"year"`            // the same, if the user logs in every day and so sets the count back
	DayNoPIN   float64 `json:"day_without_pin"` // at as many tokens as a user may have, each with a PIN of its own
	Arithmetic string  `json:"arithmetic"`
}

// MaxGuess is the chance in a day, by somebody who knows the PIN, above which
// a change of the policy has to be forced.
const MaxGuess = 1e-4

// GuessBudgets says how likely a blind guess is under a policy, for tokens of
// six digits of each form.
func GuessBudgets(p Policy) []Budget {
	var all []Budget
	for _, form := range slices.Sorted(maps.Keys(p.Windows)) {
		all = append(all, p.budget(form, 6))
	}
	return all
}

// budget is the arithmetic for one form. Until Next Tokencode mode a guess is
// right if it is one of the codes of the small window; from there on two in a
// row must be, the first of the large window and the second one of those that
// may follow. A code
// between small and medium asks for a second one too: that is counted with the
// large window.
func (p Policy) budget(form string, digits int) Budget {
	w, codes := p.Windows[form], math.Pow10(digits)
	small, large := float64(2*w.Small+1), float64(2*w.Large+1)
	if form == FormEvent {
		small, large = float64(w.Small+1), float64(w.Large+1)
	}
	each := p.triesADay()
	direct := min(each, p.NextTokencodeAfter)
	// Strangers and trusted clients each have a budget, but the failures before
	// Next Tokencode mode are counted over both.
	tries := 2 * each
	twice, next := tries-direct, float64(p.NextTokencodeWithin)
	day := float64(direct)*small/codes + float64(twice)*large/codes*next/codes
	return Budget{
		Form: form, Digits: digits, Tries: tries, Day: day,
		Year:     1 - math.Pow(1-day, 365),
		DayNoPIN: day / math.Pow10(p.PINMin) * float64(p.TokensPerUser),
		Arithmetic: fmt.Sprintf("%d x %.0f/%.0g + %d x %.0f/%.0g x %.0f/%.0g = %.2g; a year of 365 such days",
			direct, small, codes, twice, large, codes, next, codes, day),
	}
}

// triesADay is how many guesses are looked at in the worst day of one budget.
// Locks grow, and the hard stop ends it. Whoever waits until failures are too
// old to count has one less than a lock takes, again and again: in whatever time
// the locks leave him.
func (p Policy) triesADay() int {
	const day = 24 * time.Hour
	most := 0
	for locks, spent := 0, time.Duration(0); spent < day && most < p.StopAfter; locks++ {
		tries := (locks + 1) * p.LockAfter
		if p.LockWithin > 0 {
			tries += (p.LockAfter - 1) * int((day-spent-1)/p.LockWithin)
		}
		most = max(most, min(tries, p.StopAfter))
		lasts := p.lockLasts(uint32(locks))
		if lasts == 0 {
			break
		}
		spent += lasts
	}
	return most
}
