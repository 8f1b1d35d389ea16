package api

import (
	"fmt"
	"strings"
	"time"

	"keyfob/engine/diagnosis"
)

// Step is something that helps. Programs read step, by and the names; people
// read words.
type Step struct {
	Step     string     `json:"step" enum:"add_user,allow_resync,assign_token,check_clocks,check_delivery,check_token,check_user_name,clear_pin,configure_delivery,enable_token,enable_user,enter_next_tokencode,enter_passcode,find_token,follow_pin_rules,issue_token,lose_token,replace_token,request_tokencode,require_next_tokencode,resync_on_page,resync_token,set_pin,set_temporary_pin,try_again,unlock_user,use_last_tokencode,wait_for_source,wait_for_tokencode,wait_until"`
	By       string     `json:"by" enum:"user,administrator" doc:"Who takes the step."`
	User     string     `json:"user,omitempty"`
	Serial   string     `json:"serial,omitempty"`
	Serials  []string   `json:"serials,omitempty" doc:"check_token: the user's tokens."`
	Until    *time.Time `json:"until,omitempty" doc:"wait_until."`
	Passcode string     `json:"passcode,omitempty" enum:"pin_tokencode,pin_added,pin,tokencode,activation_code_tokencode,pin_emergency_tokencode" doc:"enter_passcode: what the user enters."`
	Words    string     `json:"words"`
}

// viewAdvice lists the steps of an advice. They are alternatives.
func viewAdvice(a diagnosis.Advice) []Step {
	steps := make([]Step, 0, len(a.User)+len(a.Admin))
	for _, one := range a.User {
		s := userStep(one)
		s.By = "user"
		steps = append(steps, s)
	}
	for _, one := range a.Admin {
		s := adminStep(one)
		s.By = "administrator"
		steps = append(steps, s)
	}
	return steps
}

// stepsInWords is a list of steps as one sentence.
func stepsInWords(steps []Step) string {
	words := make([]string, 0, len(steps))
	for _, s := range steps {
		words = append(words, s.Words)
	}
	return strings.Join(words, "; or ")
}

func userStep(s diagnosis.UserStep) Step {
	switch s := s.(type) {
	case diagnosis.TryAgain:
		if s.Resolved {
			return Step{Step: "try_again", Words: "this no longer applies: the user tries again"}
		}
		return Step{Step: "try_again", Words: "the user tries again"}
	case diagnosis.CheckUserName:
		return Step{Step: "check_user_name", Words: "the user checks the spelling of the name"}
	case diagnosis.EnterPasscode:
		return Step{Step: "enter_passcode", Serial: s.Serial, Passcode: string(s.Kind), Words: "the user enters " + passcodeWords[s.Kind]}
	case diagnosis.CheckToken:
		which := "checks that the token is "
		if len(s.Serials) > 1 {
			which = "checks which token it is: "
		}
		return Step{Step: "check_token", Serials: s.Serials, Words: "the user " + which + strings.Join(s.Serials, ", ")}
	case diagnosis.WaitForTokencode:
		return Step{Step: "wait_for_tokencode", Words: "the user waits until the token shows the next tokencode"}
	case diagnosis.WaitUntil:
		return Step{Step: "wait_until", Until: instant(s.Time), Words: "the user waits until " + stamp(s.Time)}
	case diagnosis.WaitForSource:
		return Step{Step: "wait_for_source", Words: fmt.Sprintf(
			"the user waits: one attempt is checked per address every %v (source.every) and per client every %v (client.every)", s.PerAddress, s.PerClient)}
	case diagnosis.EnterNextTokencode:
		return Step{Step: "enter_next_tokencode", Words: "the user logs in again, waits for the tokencode to change and enters the new one too" + orOnPage}
	case diagnosis.SetPIN:
		if s.First {
			return Step{Step: "set_pin", Serial: s.Serial, Words: "the user logs in with the tokencode alone and sets a PIN" + orOnPage}
		}
		return Step{Step: "set_pin", Serial: s.Serial, Words: "the user logs in with the present PIN and sets a new one" + orOnPage}
	case diagnosis.FollowPINRules:
		return Step{Step: "follow_pin_rules", Words: "the user logs in again and chooses a PIN that follows the rules on the page"}
	case diagnosis.RequestTokencode:
		return Step{Step: "request_tokencode", Words: "the user enters the PIN to request another tokencode"}
	case diagnosis.UseLastTokencode:
		return Step{Step: "use_last_tokencode", Words: "the user enters the tokencode that was sent last"}
	case diagnosis.ResyncOnPage:
		return Step{Step: "resync_on_page", Serial: s.Serial, Words: "the user resynchronizes the token on the page"}
	}
	return Step{}
}

// orOnPage says that the page offers the step if the VPN does not.
const orOnPage = " (on the page, if the VPN cannot ask)"

var passcodeWords = map[diagnosis.PasscodeKind]string{
	diagnosis.PINThenTokencode:            "the PIN, then the tokencode",
	diagnosis.PINAddedToTokencode:         "the tokencode with the PIN added to it",
	diagnosis.PINAlone:                    "the PIN alone, then the tokencode that is sent",
	diagnosis.TokencodeAlone:              "the tokencode alone",
	diagnosis.ActivationCodeThenTokencode: "the activation code, then the tokencode",
	diagnosis.PINThenEmergencyTokencode:   "the PIN, then an emergency tokencode",
}

func adminStep(s diagnosis.AdminStep) Step {
	switch s := s.(type) {
	case diagnosis.AddUser:
		return Step{Step: "add_user", Words: "add the user"}
	case diagnosis.EnableUser:
		return Step{Step: "enable_user", User: s.User, Words: "enable the user, if the administrator who disabled it agrees"}
	case diagnosis.UnlockUser:
		return Step{Step: "unlock_user", User: s.User, Words: "find out who caused the failures, then unlock the user"}
	case diagnosis.IssueToken:
		return Step{Step: "issue_token", User: s.User, Words: "issue a software token"}
	case diagnosis.AssignToken:
		return Step{Step: "assign_token", User: s.User, Words: "assign a token"}
	case diagnosis.EnableToken:
		return Step{Step: "enable_token", Serial: s.Serial, Words: "enable the token, if the administrator who disabled it agrees"}
	case diagnosis.ReplaceToken:
		return Step{Step: "replace_token", Serial: s.Serial, Words: "replace the token"}
	case diagnosis.ClearPIN:
		return Step{Step: "clear_pin", Serial: s.Serial, Words: "clear the PIN, if it is forgotten"}
	case diagnosis.SetTemporaryPIN:
		return Step{Step: "set_temporary_pin", Serial: s.Serial, Words: "set a temporary PIN that the user logs in with"}
	case diagnosis.RequireNextTokencode:
		return Step{Step: "require_next_tokencode", Serial: s.Serial, Words: "require the next tokencode, which the user enters at the next login"}
	case diagnosis.ResyncToken:
		return Step{Step: "resync_token", Serial: s.Serial, Words: "resynchronize the token with two consecutive tokencodes from the user"}
	case diagnosis.LoseToken:
		return Step{Step: "lose_token", Serial: s.Serial, Words: "report the token lost to get emergency tokencodes"}
	case diagnosis.FindToken:
		return Step{Step: "find_token", Serial: s.Serial, Words: "report the token found, if the user has it again"}
	case diagnosis.AllowResync:
		return Step{Step: "allow_resync", Words: "allow users to resynchronize (resync.by_user)"}
	case diagnosis.ConfigureDelivery:
		return Step{Step: "configure_delivery", Words: "configure delivery on every node: ondemand.smtp.host for mail, ondemand.sms.url for SMS"}
	case diagnosis.CheckDelivery:
		return Step{Step: "check_delivery", Words: "if it happens again, look up the reference of the attempt, and read the log of the node that it names"}
	case diagnosis.CheckClocks:
		return Step{Step: "check_clocks", Words: "check the clock of this node"}
	}
	return Step{}
}
