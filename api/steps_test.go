package api

import (
	"fmt"
	"os"
	"reflect"
	"regexp"
	"strings"
	"testing"

	"keyfob/engine/diagnosis"
	"keyfob/events"
)

// TestEveryStepHasANameAndWords: no step names a command line, which is for the
// command line to add.
func TestEveryStepHasANameAndWords(t *testing.T) {
	all := diagnosis.Advice{
		User: []diagnosis.UserStep{
			diagnosis.TryAgain{},
			diagnosis.CheckUserName{},
			diagnosis.EnterPasscode{Kind: diagnosis.PINAlone},
			diagnosis.CheckToken{Serials: []string{"b1"}},
			diagnosis.WaitForTokencode{},
			diagnosis.WaitUntil{Time: events.At(noon)},
			diagnosis.WaitForSource{},
			diagnosis.EnterNextTokencode{},
			diagnosis.SetPIN{},
			diagnosis.FollowPINRules{},
			diagnosis.RequestTokencode{},
			diagnosis.UseLastTokencode{},
			diagnosis.ResyncOnPage{},
		},
		Admin: []diagnosis.AdminStep{
			diagnosis.AddUser{},
			diagnosis.EnableUser{},
			diagnosis.UnlockUser{},
			diagnosis.IssueToken{},
			diagnosis.AssignToken{},
			diagnosis.EnableToken{},
			diagnosis.ReplaceToken{},
			diagnosis.ClearPIN{},
			diagnosis.SetTemporaryPIN{},
			diagnosis.RequireNextTokencode{},
			diagnosis.ResyncToken{},
			diagnosis.LoseToken{},
			diagnosis.FindToken{},
			diagnosis.AllowResync{},
			diagnosis.ConfigureDelivery{},
			diagnosis.CheckDelivery{},
			diagnosis.CheckClocks{},
		},
	}
	source, err := os.ReadFile("../engine/diagnosis/step.go")
	if err != nil {
		t.Fatal(err)
	}
	if n := len(regexp.MustCompile(`\) (user|admin)Step\(\) `).FindAll(source, -1)); n != len(all.User)+len(all.Admin) {
		t.Errorf("%d steps tested of %d", len(all.User)+len(all.Admin), n)
	}
	field, _ := reflect.TypeFor[Step]().FieldByName("Step")
	names := strings.Split(field.Tag.Get("enum"), ",")
	unused := map[string]bool{}
	for _, name := range names {
		unused[name] = true
	}
	for _, s := range viewAdvice(all) {
		if !unused[s.Step] || s.Words == "" || s.By == "" || strings.Contains(s.Words, "keyfob ") {
			t.Errorf("%+v", s)
		}
		delete(unused, s.Step)
	}
	if len(unused) > 0 {
		t.Errorf("no step is called %v", unused)
	}
}

func TestStepsNameTheUserAndTheToken(t *testing.T) {
	steps := viewAdvice(diagnosis.Advice{
		User:  []diagnosis.UserStep{diagnosis.EnterPasscode{Serial: "b1", Kind: diagnosis.PINThenTokencode}, diagnosis.CheckToken{Serials: []string{"b1", "b2"}}},
		Admin: []diagnosis.AdminStep{diagnosis.UnlockUser{User: "bob"}, diagnosis.ClearPIN{Serial: "b1"}},
	})
	var got []string
	for _, s := range steps {
		got = append(got, strings.Join(strings.Fields(fmt.Sprint(s.By, " ", s.Step, " ", s.User, " ", s.Serial, " ", s.Serials, " ", s.Passcode)), " "))
	}
	want := "user enter_passcode b1 [] pin_tokencode\nuser check_token [b1 b2]\nadministrator unlock_user bob []\nadministrator clear_pin b1 []"
	if strings.Join(got, "\n") != want {
		t.Errorf("%q, want %q", got, want)
	}
	if words := stepsInWords(steps[:2]); words != "the user enters the PIN, then the tokencode; or the user checks which token it is: b1, b2" {
		t.Errorf("%q", words)
	}
}

// TestEveryPasscodeKindHasWords notices a new kind.
func TestEveryPasscodeKindHasWords(t *testing.T) {
	source, err := os.ReadFile("../engine/diagnosis/step.go")
	if err != nil {
		t.Fatal(err)
	}
	field, _ := reflect.TypeFor[Step]().FieldByName("Passcode")
	for _, m := range regexp.MustCompile(`PasscodeKind = "(\w+)"`).FindAllStringSubmatch(string(source), -1) {
		if passcodeWords[diagnosis.PasscodeKind(m[1])] == "" || !strings.Contains(","+field.Tag.Get("enum")+",", ","+m[1]+",") {
			t.Errorf("%s has no words, or no place in the description", m[1])
		}
	}
}
