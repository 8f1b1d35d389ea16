package admin

import (
	"reflect"
	"strings"
	"testing"

	"keyfob/api"
)

func TestStepsAreWordedAsCommandLines(t *testing.T) {
	got := whatToDo([]api.Step{
		{Step: "wait_until", By: "user", Words: "the user waits until noon"},
		{Step: "unlock_user", By: "administrator", User: "ada", Words: "unlock the user"},
		{Step: "assign_token", By: "administrator", User: "ada", Words: "assign a token"},
	})
	want := "the user waits until noon; or unlock the user: keyfob user unlock ada; or assign a token: keyfob token assign SERIAL ada"
	if got != want {
		t.Errorf("%q, want %q", got, want)
	}
}

// TestStepsWithACommandAreOfTheAPI notices a step that was renamed or removed.
func TestStepsWithACommandAreOfTheAPI(t *testing.T) {
	field, _ := reflect.TypeFor[api.Step]().FieldByName("Step")
	names := "," + field.Tag.Get("enum") + ","
	for step := range commandLines {
		if !strings.Contains(names, ","+step+",") {
			t.Errorf("the API has no step %s", step)
		}
	}
}
