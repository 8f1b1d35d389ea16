package admin

import (
	"cmp"
	"strings"

	"keyfob/api"
)

// commandLines maps steps to commands. USER and SERIAL are replaced with the user
// and the token of the step.
var commandLines = map[string]string{
	"add_user":               "keyfob user add USER",
	"allow_resync":           "keyfob policy set resync.by_user=yes",
	"assign_token":           "keyfob token assign SERIAL USER",
	"check_clocks":           "keyfob cluster status",
	"check_delivery":         "keyfob audit show REFERENCE",
	"clear_pin":              "keyfob token clear-pin SERIAL",
	"enable_token":           "keyfob token enable SERIAL",
	"enable_user":            "keyfob user enable USER",
	"find_token":             "keyfob token found SERIAL",
	"issue_token":            "keyfob token issue USER",
	"lose_token":             "keyfob token lost SERIAL",
	"replace_token":          "keyfob token replace SERIAL NEW",
	"require_next_tokencode": "keyfob token next-tokencode SERIAL",
	"resync_token":           "keyfob token resync SERIAL TOKENCODE NEXT",
	"set_temporary_pin":      "keyfob token set-temporary-pin SERIAL",
	"unlock_user":            "keyfob user unlock USER",
}

// whatToDo joins steps into a sentence, with their commands.
func whatToDo(steps []api.Step) string {
	words := make([]string, 0, len(steps))
	for _, s := range steps {
		one := s.Words
		if line, ok := commandLines[s.Step]; ok {
			one += ": " + strings.NewReplacer("USER", cmp.Or(s.User, "USER"), "SERIAL", cmp.Or(s.Serial, "SERIAL")).Replace(line)
		}
		words = append(words, one)
	}
	return strings.Join(words, "; or ")
}
