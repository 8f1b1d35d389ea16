package engine

import (
	"fmt"
	"maps"
	"math"
	"slices"
	"time"
)

// Budget is the chance that an attacker who guesses tokencodes blindly is
// accepted, under a policy, as one user with one token.
type Budget struct {
	Form       string  `json:"form"` // of the token, or GuessOnDemand or GuessEmergency
	Digits     int     `json:"digits"`
	Tries      int     `json:"tries_a_day"` // that are checked, over all budgets of failures
	Day        float64 `json:"day"`         // the chance in a day, if the PIN is known
	Year       float64 `json:"year"`        // of 365 such days
	DayNoPIN   float64 `json:"day_without_pin"`
	Arithmetic string  `json:"arithmetic"`
}

// Targets of guessing besides the forms of tokens.
const (
	GuessOnDemand  = "ondemand"  // a tokencode that was sent
	GuessEmergency = "emergency" // the fixed tokencode of a lost token
)

// Digits that the arithmetic assumes. Tokens may have more.
const (
	usualDigits    = 6
	onDemandDigits = 8
)

// MaxGuess is the chance in a day, if the PIN is known, above which a change of
// the policy must be forced.
const MaxGuess = 2e-4

// GuessAssumptions returns the assumptions of GuessBudgets.
func GuessAssumptions(p Policy) []string {
	return []string{
		"The attacker tries all day, at the page, at a trusted gateway that signs and at one that does not. Each has its own budget of failures.",
		"The gateways cannot ask for the next tokencode, so each permits next_tokencode.after direct guesses more.",
		"The user logs in once a day, which resets the count. Each further login that day adds the direct guesses, the first term, once more.",
		fmt.Sprintf("The user has one token, with the windows of the policy. For a user with %d tokens, the maximum of tokens.per_user, the chance is %[1]d times as high. A token's own record may set other windows.", p.TokensPerUser),
		"Tokens display 6 digits, tokencodes that are sent have 8, emergency tokencodes 10. Each additional digit divides the chance by ten.",
		"Without the PIN, a PIN of pin.min digits is guessed too. With the PIN styles pinpad and none it adds nothing: there the chance is the one with the PIN.",
		"The emergency tokencode is fixed. For a set of one-time tokencodes, multiply the chance by their number.",
	}
}

// GuessBudgets returns the chance of a blind guess under a policy, for each
// form of token, for tokencodes that are sent, and for emergency tokencodes.
func GuessBudgets(p Policy) []Budget {
	var all []Budget
	for _, form := range slices.Sorted(maps.Keys(p.Windows)) {
		all = append(all, p.budget(form, usualDigits))
	}
	return append(all, p.onDemandBudget(), p.emergencyBudget())
}

// budget is the arithmetic for one form. Before Next Tokencode mode, a guess
// succeeds if it is a tokencode of the small window. In the mode, two in a row
// must be right: one of the large window and one of those that may follow it.
// Tokencodes between small and medium also need a second one; they are counted
// with the large window.
func (p Policy) budget(form string, digits int) Budget {
	w, codes := p.Windows[form], math.Pow10(digits)
	small, large := float64(2*w.Small+1), float64(2*w.Large+1)
	if form == FormEvent {
		small, large = float64(w.Small+1), float64(w.Large+1)
	}
	each := p.triesADay()
	// Guesses at the page do not affect a trusted gateway that cannot ask for the
	// next tokencode, nor the other way round.
	budgets := len(FailureBudgets())
	direct := budgets * min(each, p.NextTokencodeAfter)
	tries := budgets * each
	twice, next := tries-direct, float64(p.NextTokencodeWithin)
	day := float64(direct)*small/codes + float64(twice)*large/codes*next/codes
	b := Budget{
		Form: form, Digits: digits, Tries: tries,
		Arithmetic: fmt.Sprintf("%d x %.0f/10^%d + %d x %.0f/10^%[3]d x %.0[6]f/10^%[3]d", direct, small, digits, twice, large, next),
	}
	withoutPIN := day / math.Pow10(p.PINMin)
	if form == FormPINpad { // the passcode has the length of the tokencode
		withoutPIN = day
	}
	return b.come(day, withoutPIN)
}

// onDemandBudget is the arithmetic for tokencodes that are sent. There is one
// guess at each, because a wrong one ends the conversation. Whether one is sent
// reveals whether the PIN is right, so PIN and tokencode are guessed one after
// the other.
func (p Policy) onDemandBudget() Budget {
	const hours = 24
	codes, pins := math.Pow10(onDemandDigits), math.Pow10(p.PINMin)
	failures := len(FailureBudgets()) * p.triesADay()
	tries := min(failures, hours*p.OnDemandPerHour)
	day := float64(tries) / codes
	b := Budget{
		Form: GuessOnDemand, Digits: onDemandDigits, Tries: tries,
		Arithmetic: fmt.Sprintf("%d messages x 1/10^%d", tries, onDemandDigits),
	}
	return b.come(day, min(1, float64(failures)/pins)*day)
}

// emergencyBudget is the arithmetic for a fixed emergency tokencode, which does
// not change and needs no second one.
func (p Policy) emergencyBudget() Budget {
	codes, tries := math.Pow10(emergencyDigits), len(FailureBudgets())*p.triesADay()
	day := float64(tries) / codes
	b := Budget{
		Form: GuessEmergency, Digits: emergencyDigits, Tries: tries,
		Arithmetic: fmt.Sprintf("%d x 1/10^%d", tries, emergencyDigits),
	}
	return b.come(day, day/math.Pow10(p.PINMin))
}

// come completes the budget with the results.
func (b Budget) come(day, withoutPIN float64) Budget {
	b.Day, b.DayNoPIN = day, withoutPIN
	b.Year = 1 - math.Pow(1-day, 365)
	b.Arithmetic += fmt.Sprintf(" = %.2g", day)
	return b
}

// triesADay returns how many guesses are checked on the worst day of one
// budget. Locks grow, and the hard stop ends guessing. An attacker who waits
// until failures expire can make one guess fewer than a lock takes, again and
// again, in the time between locks.
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
