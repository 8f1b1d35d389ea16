package api

import (
	"encoding/json"
	"fmt"
	"go/token"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/danielgtaylor/huma/v2"

	"keyfob/engine"
	"keyfob/engine/tokencode"
)

// shown lists the fields of answers that are secrets, or look like one, with the
// reason. No other field may.
var shown = map[string]string{
	"IssuedAPIToken.token":                   "the only time that an API token is shown",
	"IssuedSession.secret":                   "the only time that a session is shown",
	"OpenSessionAnswer.conversation":         "sealed; the caller must bring it back",
	"Administrator.api_tokens":               "names",
	"TemporaryPIN.temporary_pin":             "for the help desk to tell its owner, who must change it",
	"Emergency.emergency_tokencodes":         "for the owner of a lost token",
	"IssuedAuditReader.credentials":          "for the consumer that they are made for",
	"Invitation.invitation":                  "good for one machine, once",
	"Prompt.generated_pin":                   "for its owner, at the end of New PIN mode",
	"LoginAnswer.conversation":               "sealed; the caller must bring it back",
	"UserState.conversation":                 "names the step; the sealed text is nowhere in the state",
	"Client.secret_in_use":                   "which one, by a word",
	"Client.secret_rotated":                  "a time",
	"Client.secret_first_seen":               "a time",
	"Client.old_secret_until":                "a time",
	"UserState.tokens":                       "devices, not secrets",
	"UserSheet.tokens":                       "serials",
	"User.tokens":                            "serials",
	"Setting.key":                            "the name of a setting",
	"SettingChange.key":                      "the name of a setting",
	"GuessBudget.day_without_pin":            "a chance",
	"PolicyPreview.new_pin_required":         "a number of users",
	"SimulatedEffect.new_pin_required":       "a number of times",
	"SimulatedEffect.next_tokencode":         "a number of times",
	"Token.has_pin":                          "whether there is one",
	"Token.pin_set_at":                       "when it was set",
	"Token.pin_temporary":                    "whether it is one",
	"Token.pin_made_by":                      "who makes a new one",
	"Token.pin_due":                          "why a new one is asked for",
	"Token.pin_doubted":                      "whether it was set under looser rules",
	"Token.pin_expires":                      "when it is too old",
	"Token.pin_source":                       "who makes a new one",
	"Token.pin_style":                        "how it is typed",
	"GivenToken.activation_code":             "for its owner, who must change it",
	"ImportedToken.activation_code":          "for its owner, who must change it",
	"PolicyPreview.activation_code_required": "a number of tokens",
	"Emergency.without_pin":                  "whether it works without one",
	"GivenToken.has_pin":                     "as of Token",
	"GivenToken.pin_set_at":                  "as of Token",
	"GivenToken.pin_temporary":               "as of Token",
	"GivenToken.pin_made_by":                 "as of Token",
	"GivenToken.pin_due":                     "as of Token",
	"GivenToken.pin_doubted":                 "as of Token",
	"GivenToken.pin_expires":                 "as of Token",
	"GivenToken.pin_source":                  "as of Token",
	"GivenToken.pin_style":                   "as of Token",
	"Prompt.pin_min":                         "a rule",
	"Prompt.pin_max":                         "a rule",
	"Prompt.pin_letters":                     "a rule",
	"Prompt.pin_history":                     "a rule",
	"Prompt.pin_added":                       "a rule",
	"Step.passcode":                          "what to enter, not a passcode",
	"Client.signed":                          "addresses",
	"AuditReader.public_key":                 "public",
	"IssuedAuditReader.public_key":           "public",
}

var suspicious = regexp.MustCompile(`(?i)(secret|seed|^pin|_pin|passcode|tokencode|token$|tokens$|digest|sealed|key|conversation|invitation|password|hash|credential|activation)`)

func TestNoAnswerHoldsASecret(t *testing.T) {
	a := newFake(t).api(t)
	walk := &answers{t: t, registry: a.huma.OpenAPI().Components.Schemas, seen: map[string]bool{}, found: map[string]bool{}}
	for _, op := range operations(a) {
		for _, response := range op.Responses {
			for _, media := range response.Content {
				walk.schema(media.Schema)
			}
		}
	}
	if len(walk.seen) < 10 {
		t.Fatalf("only %d types found: the test does not reach the answers", len(walk.seen))
	}
	for name := range shown {
		if suspicious.MatchString(name[1+slices.Index([]byte(name), '.'):]) && !walk.found[name] {
			t.Errorf("%s is listed in shown, but the field no longer exists", name)
		}
	}
}

// TestEveryRequestBodyHasAnExportedType lets a typed client send every request.
func TestEveryRequestBodyHasAnExportedType(t *testing.T) {
	a := newFake(t).api(t)
	registry := a.huma.OpenAPI().Components.Schemas
	bodies := 0
	for _, op := range operations(a) {
		if op.RequestBody == nil {
			continue
		}
		for _, media := range op.RequestBody.Content {
			bodies++
			if typ := registry.TypeFromRef(media.Schema.Ref); !token.IsExported(typ.Name()) {
				t.Errorf("%s takes a %v", op.OperationID, typ)
			}
		}
	}
	if bodies < 20 {
		t.Errorf("only %d request bodies found", bodies)
	}
}

// TestSecretOfARequestIsSentAndNotPrinted: JSON carries it, formatting hides it.
func TestSecretOfARequestIsSentAndNotPrinted(t *testing.T) {
	in := AddTokenRequest{TokenRecord: TokenRecord{Serial: "0002", Seed: "NBSWY3DP"}, PIN: "2468"}
	sent, err := json.Marshal(in)
	if err != nil || !strings.Contains(string(sent), `"seed":"NBSWY3DP"`) || !strings.Contains(string(sent), `"pin":"2468"`) {
		t.Errorf("sent %s, %v", sent, err)
	}
	for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%x"} {
		if printed := fmt.Sprintf(verb, in); strings.Contains(printed, "NBSWY3DP") || strings.Contains(printed, "2468") {
			t.Errorf("%s prints %s", verb, printed)
		}
	}
	if got := in.Seed.LogValue().String(); got != "***" {
		t.Errorf("logged as %q", got)
	}
}

// answers walks the types of all answers.
type answers struct {
	t           *testing.T
	registry    huma.Registry
	seen, found map[string]bool
}

func (w *answers) schema(s *huma.Schema) {
	if s == nil {
		return
	}
	if s.Ref != "" {
		if w.seen[s.Ref] {
			return
		}
		w.seen[s.Ref] = true
		typ := w.registry.TypeFromRef(s.Ref)
		w.fields(typ)
		w.properties(typ.Name(), w.registry.SchemaFromRef(s.Ref))
		return
	}
	w.properties("", s)
	w.schema(s.Items)
}

func (w *answers) properties(owner string, s *huma.Schema) {
	for name, property := range s.Properties {
		full := owner + "." + name
		w.found[full] = true
		if suspicious.MatchString(name) && shown[full] == "" {
			w.t.Errorf("%s looks like a secret; if it is not, add it to shown", full)
		}
		w.schema(property)
	}
}

func (w *answers) fields(typ reflect.Type) {
	if typ.Kind() != reflect.Struct {
		return
	}
	for _, f := range reflect.VisibleFields(typ) {
		if f.Type == reflect.TypeFor[engine.Secret]() || f.Type == reflect.TypeFor[Secret]() || f.Type == reflect.TypeFor[[]byte]() {
			w.t.Errorf("%v.%s is a %v, which an answer must not contain", typ, f.Name, f.Type)
		}
	}
}

// The engine has the bounds and the defaults; the tags of the API repeat them.
func TestSchemaStatesTheEnginesBounds(t *testing.T) {
	field := func(of any, name string) reflect.StructTag {
		f, ok := reflect.TypeOf(of).FieldByName(name)
		if !ok {
			t.Fatalf("%T has no field %s", of, name)
		}
		return f.Tag
	}
	totp := tokencode.Params{Kind: tokencode.TOTP}.WithDefaults()
	securid := tokencode.Params{Kind: tokencode.SecurID}.WithDefaults()
	var periods []string
	for _, p := range tokencode.Periods() {
		periods = append(periods, fmt.Sprint(p.Seconds()))
	}
	for _, tt := range []struct {
		tag       reflect.StructTag
		key, want string
	}{
		{field(TokenRecord{}, "Digits"), "minimum", fmt.Sprint(tokencode.MinDigits)},
		{field(TokenRecord{}, "Digits"), "maximum", fmt.Sprint(tokencode.MaxDigits)},
		{field(TokenRecord{}, "Digits"), "doc", fmt.Sprintf("Default %d; SecurID: %d.", totp.Digits, securid.Digits)},
		{field(TokenRecord{}, "PeriodSeconds"), "enum", strings.Join(periods, ",")},
		{field(TokenRecord{}, "PeriodSeconds"), "doc", fmt.Sprintf("Default %.0f; SecurID: %.0f.", totp.Period.Seconds(), securid.Period.Seconds())},
		{field(TokenRecord{}, "Algorithm"), "doc", fmt.Sprintf("TOTP and HOTP; default %s.", totp.Algorithm)},
		{field(AddOnDemandTokenRequest{}, "Digits"), "minimum", fmt.Sprint(engine.MinSentDigits)},
		{field(AddOnDemandTokenRequest{}, "Digits"), "maximum", fmt.Sprint(engine.MaxSentDigits)},
		{field(AddOnDemandTokenRequest{}, "Digits"), "default", fmt.Sprint(engine.DefaultSentDigits)},
	} {
		if got := tt.tag.Get(tt.key); got != tt.want {
			t.Errorf("%s %q, want %q", tt.key, got, tt.want)
		}
	}
}
