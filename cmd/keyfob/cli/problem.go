package cli

import (
	"regexp"
	"strings"

	"keyfob/api/client"
	"keyfob/engine"
)

// helpLines are the commands that help against a problem.
var helpLines = map[string]string{
	string(engine.HelpListUsers):           "keyfob user list",
	string(engine.HelpListTokens):          "keyfob token list",
	string(engine.HelpListClients):         "keyfob client list",
	string(engine.HelpListNodes):           "keyfob cluster status",
	string(engine.HelpShowPolicy):          "keyfob policy show",
	string(engine.HelpSetTemporaryPIN):     "keyfob token set-temporary-pin",
	string(engine.HelpSetClient):           "keyfob client set",
	string(engine.HelpInvite):              "keyfob cluster invite",
	string(engine.HelpListAdministrators):  "keyfob admin list",
	string(engine.HelpRemoveAdministrator): "keyfob admin remove",
	string(engine.HelpListApprovals):       "keyfob approval list",
	string(engine.HelpGrantRole):           "keyfob admin add",
	string(engine.HelpListSessions):        "keyfob admin session list",
	string(engine.HelpBackUp):              "keyfob cluster backup on a node, as root",
}

// misuse is what the API's schema does not allow, in the words of the command
// line.
func misuse(p *client.Problem) error {
	var all []string
	for _, one := range p.Errors {
		_, field, _ := strings.Cut(one.Location, ".")
		demand := inWords(one.Message)
		if strings.HasSuffix(field, "_seconds") {
			demand += " seconds"
		}
		if word, ok := fieldWords[field]; ok {
			field = word
		}
		all = append(all, strings.TrimPrefix(field+": "+demand, ": "))
	}
	return Usagef("%s", strings.Join(all, "; "))
}

// fieldWords are the flags and arguments that fill fields of the API with
// other names.
var fieldWords = map[string]string{
	"for_seconds": "--for", "ttl_seconds": "--ttl", "period_seconds": "--period", "found": "--found", "tokencodes": "--tokencodes",
	"first": "TOKENCODE", "second": "NEXT", "dialect": "--dialect", "message_authenticator": "--message-authenticator",
	"role": "--role", "reason": "--reason", "user": "USER", "name": "NAME", "serial": "SERIAL", "replacement": "NEW",
	"digits": "--digits", "algorithm": "--algorithm", "pin_style": "--pin-style", "pin_source": "--pin-source", "kind": "--kind",
	"counter": "--counter", "mode": "--mode", "outcome": "--outcome", "form": "--form", "site": "--site",
}

var schemaLength = regexp.MustCompile(`expected length ([<>])= (\d+)`)

// inWords is what a schema demands, to be read.
func inWords(demand string) string {
	if m := schemaLength.FindStringSubmatch(demand); m != nil {
		return "want at " + map[string]string{">": "least ", "<": "most "}[m[1]] + m[2] + " characters"
	}
	return schemaWords.Replace(demand)
}

var schemaWords = strings.NewReplacer(
	"expected number >= ", "want at least ", "expected number <= ", "want at most ",
	`expected value to be one of "`, "want one of ", `"`, "", "expected ", "want ",
)
