package engine

import (
	"fmt"
	"maps"
	"math"
	"slices"
	"time"
)

// Budget is the chance that somebody who guesses tokencodes blindly is let in,
// under a policy, as one user with one token.
type Budget struct {
	Form       string  `json:"form"` // of the token, or one of those below
	Digits     int     `json:"digits"`
	Tries      int     `json:"tries_a_day"` // that are looked at, of strangers and through trusted clients
	Day        float64 `json:"day"`         // the chance in a day, by somebody who knows the PIN
	Year       float64 `json:"year"`        // of 365 such days
	DayNoPIN   float64 `json:"day_without_pin"`
	Arithmetic string  `json:"arithmetic"`
}

// What is guessed at besides the tokencodes of a form.
const (
	GuessOnDemand  = "ondemand"  // a tokencode that was sent
	GuessEmergency = "emergency" // the fixed tokencode of a lost token
)

// Digits of what is guessed at. Tokens may have more.
const (
	usualDigits    = 6
	onDemandDigits = 8
)

// MaxGuess is the chance in a day, by somebody who knows the PIN, above which
// a change of the policy has to be forced.
const MaxGuess = 2e-4

// GuessAssumptions is what the arithmetic of GuessBudgets takes for granted.
func GuessAssumptions(p Policy) []string {
	return []string{
		"The guesser tries all day, at the page and at a gateway that is trusted: each has a budget of failures of its own.",
		"The gateway cannot ask for the next tokencode, so that it has next_tokencode.after direct guesses of its own.",
		"The user logs in once a day, which sets the count back. Each further login that day gives the guesser the direct guesses once more: the first term again.",
		fmt.Sprintf("The user has one token, with the windows of the policy. At a user with %d, as many as tokens.per_user allows, the chance is %[1]d times as great; a token's own record may ask for other windows.", p.TokensPerUser),
		"Tokens show 6 digits, 8 are sent, emergency tokencodes have 10. With each digit more the chance is a tenth.",
		"Without the PIN, it is guessed too; it is of pin.min digits. Into a passcode of the style pinpad, whatever the form, it is mixed and adds nothing, and a token of the style none has no PIN: there the chance is that with the PIN.",
		"The emergency tokencode is a fixed one. At a set of one-time tokencodes the chance is so many times as great.",
	}
}

// GuessBudgets says how likely a blind guess is under a policy, for each form
// of tokens, and for what is typed instead of a token's codes.
func GuessBudgets(p Policy) []Budget {
	var all []Budget
	for _, form := range slices.Sorted(maps.Keys(p.Windows)) {
		all = append(all, p.budget(form, usualDigits))
	}
	return append(all, p.onDemandBudget(), p.emergencyBudget())
}

// budget is the arithmetic for one form. Until Next Tokencode mode a guess is
// right if it is one of the codes of the small window; from there on two in a
// row must be, the first of the large window and the second one of those that
// may follow. A code between small and medium asks for a second one too: that
// is counted with the large window.
func (p Policy) budget(form string, digits int) Budget {
	w, codes := p.Windows[form], math.Pow10(digits)
	small, large := float64(2*w.Small+1), float64(2*w.Large+1)
	if form == FormEvent {
		small, large = float64(w.Small+1), float64(w.Large+1)
	}
	each := p.triesADay()
	// Guesses at the page do not put the users of a trusted gateway that cannot
	// ask into Next Tokencode mode there, nor the other way round.
	direct := 2 * min(each, p.NextTokencodeAfter)
	tries := 2 * each
	twice, next := tries-direct, float64(p.NextTokencodeWithin)
	day := float64(direct)*small/codes + float64(twice)*large/codes*next/codes
	b := Budget{
		Form: form, Digits: digits, Tries: tries,
		Arithmetic: fmt.Sprintf("%d x %.0f/10^%d + %d x %.0f/10^%[3]d x %.0[6]f/10^%[3]d", direct, small, digits, twice, large, next),
	}
	withoutPIN := day / math.Pow10(p.PINMin)
	if form == FormPINpad { // what is typed is as long as the tokencode, whatever was mixed in
		withoutPIN = day
	}
	return b.come(day, withoutPIN)
}

// onDemandBudget is the arithmetic for tokencodes that are sent: one guess at
// each, since a wrong one ends the conversation. Asking for one tells whether
// the PIN is right, so whoever does not know it guesses the PIN first and then
// the tokencode, and not both at once.
func (p Policy) onDemandBudget() Budget {
	const hours = 24
	codes, pins := math.Pow10(onDemandDigits), math.Pow10(p.PINMin)
	failures := 2 * p.triesADay()
	tries := min(failures, hours*p.OnDemandPerHour)
	day := float64(tries) / codes
	b := Budget{
		Form: GuessOnDemand, Digits: onDemandDigits, Tries: tries,
		Arithmetic: fmt.Sprintf("%d messages x 1/10^%d", tries, onDemandDigits),
	}
	return b.come(day, min(1, float64(failures)/pins)*day)
}

// emergencyBudget is the arithmetic for a fixed emergency tokencode, which
// neither changes nor needs another one.
func (p Policy) emergencyBudget() Budget {
	codes, tries := math.Pow10(emergencyDigits), 2*p.triesADay()
	day := float64(tries) / codes
	b := Budget{
		Form: GuessEmergency, Digits: emergencyDigits, Tries: tries,
		Arithmetic: fmt.Sprintf("%d x 1/10^%d", tries, emergencyDigits),
	}
	return b.come(day, day/math.Pow10(p.PINMin))
}

// come is the budget with what the arithmetic comes to.
func (b Budget) come(day, withoutPIN float64) Budget {
	b.Day, b.DayNoPIN = day, withoutPIN
	b.Year = 1 - math.Pow(1-day, 365)
	b.Arithmetic += fmt.Sprintf(" = %.2g", day)
	return b
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
