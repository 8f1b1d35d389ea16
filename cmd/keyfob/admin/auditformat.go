package admin

import (
	"encoding/json"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"keyfob/cmd/keyfob/cli"
)

// auditEvent is the part of an event that the formats use.
type auditEvent struct {
	ID   string    `json:"id"`
	Time time.Time `json:"time"`
	Type string    `json:"type"` // keyfob.auth.rejected.v1
	Data struct {
		Sequence   uint64 `json:"sequence"`
		Code       string `json:"code"`
		Hash       string `json:"hash"`
		Prev       string `json:"prev"`
		Site       string `json:"site"`
		Node       string `json:"node"`
		Door       string `json:"door"`
		Client     string `json:"client"`
		SourceIP   string `json:"source_ip"`
		User       string `json:"user"`
		UserDigest string `json:"user_digest"`
		Outcome    string `json:"outcome"`
		Reason     string `json:"reason"`
		Reference  string `json:"reference"`
		Actor      string `json:"actor"`
		Note       string `json:"note"`
		Token      struct {
			Serial string `json:"serial"`
			Kind   string `json:"kind"`
		} `json:"token"`
		Details map[string]any `json:"details"`
	} `json:"data"`
}

// name returns the domain and the name of the event, such as auth and rejected.
func (e *auditEvent) name() (domain, word string) {
	parts := strings.Split(e.Type, ".")
	if len(parts) < 3 {
		return "", e.Type
	}
	return parts[1], parts[2]
}

// warning reports whether an operator should look at the event. The last letter
// of its code says so.
func (e *auditEvent) warning() bool { return strings.HasSuffix(e.Data.Code, "W") }

// auditFormat returns the function that converts a line of the audit stream.
func (e *commands) auditFormat(name string) (func(line []byte) ([]byte, error), error) {
	formats := map[string]func(*auditEvent) []byte{
		"cef": (*auditEvent).cef, "ocsf": (*auditEvent).ocsf,
		"text": func(event *auditEvent) []byte { return event.text(e.Color()) },
	}
	if name == "json" {
		return func(line []byte) ([]byte, error) { return line, nil }, nil
	}
	format, ok := formats[name]
	if !ok {
		return nil, cli.Usagef("--format %q: want text, json, ocsf or cef", name)
	}
	return func(line []byte) ([]byte, error) {
		var e auditEvent
		if err := json.Unmarshal(line, &e); err != nil {
			return nil, fmt.Errorf("reading event: %w", err)
		}
		return append(format(&e), '\n'), nil
	}, nil
}

var (
	cefHeader = strings.NewReplacer(`\`, `\\`, `|`, `\|`, "\n", " ", "\r", " ")
	cefValue  = strings.NewReplacer(`\`, `\\`, `=`, `\=`, "\n", `\n`, "\r", `\r`)
)

// cef returns a line in ArcSight's Common Event Format, version 0.
func (e *auditEvent) cef() []byte {
	severity := "3"
	if e.warning() {
		severity = "6"
	}
	domain, word := e.name()
	header := []string{"CEF:0", "keyfob", "keyfob", cli.ThisBuild().Version, e.Data.Code, domain + " " + strings.ReplaceAll(word, "_", " "), severity}
	for i, h := range header {
		header[i] = cefHeader.Replace(h)
	}
	var ext []string
	add := func(key, value string) {
		if value != "" {
			ext = append(ext, key+"="+cefValue.Replace(value))
		}
	}
	d := &e.Data
	add("rt", strconv.FormatInt(e.Time.UnixMilli(), 10))
	add("externalId", e.ID)
	add("dvchost", d.Node)
	add("duser", d.User)
	add("suser", d.Actor)
	add("src", d.SourceIP)
	add("outcome", d.Outcome)
	add("reason", d.Reason)
	add("msg", d.Note)
	custom := 0
	for _, c := range [][2]string{
		{"site", d.Site}, {"client", d.Client}, {"tokenSerial", d.Token.Serial}, {"reference", d.Reference}, {"door", d.Door}, {"chainHash", d.Hash},
	} {
		custom++ // a field has the same number in every event
		if c[1] != "" {
			add(fmt.Sprintf("cs%dLabel", custom), c[0])
			add(fmt.Sprintf("cs%d", custom), c[1])
		}
	}
	return []byte(strings.Join(header, "|") + "|" + strings.Join(ext, " "))
}

// Classes of the Open Cybersecurity Schema Framework, version 1.8, category
// Identity & Access Management.
const (
	ocsfVersion        = "1.8.0"
	ocsfAccountChange  = 3001
	ocsfAuthentication = 3002
	ocsfEntity         = 3004
)

// ocsfClass is the class and the activity of an event.
type ocsfClass struct {
	class, activity int
	name            string
}

func (e *auditEvent) ocsfClass() ocsfClass {
	domain, word := e.name()
	switch domain + "." + word {
	case "auth.accepted", "auth.rejected":
		return ocsfClass{ocsfAuthentication, 1, "Logon"}
	case "auth.challenged":
		return ocsfClass{ocsfAuthentication, 6, "Preauth"}
	case "user.added":
		return ocsfClass{ocsfAccountChange, 1, "Create"}
	case "user.enabled":
		return ocsfClass{ocsfAccountChange, 2, "Enable"}
	case "user.disabled":
		return ocsfClass{ocsfAccountChange, 5, "Disable"}
	case "user.deleted":
		return ocsfClass{ocsfAccountChange, 6, "Delete"}
	case "auth.locked":
		return ocsfClass{ocsfAccountChange, 9, "Lock"}
	case "user.unlocked":
		return ocsfClass{ocsfAccountChange, 12, "Unlock"}
	}
	switch {
	case slices.Contains([]string{"imported", "added", "api_token_issued", "audit_reader_issued", "node_joined", "founded", "invitation_issued"}, word):
		return ocsfClass{ocsfEntity, 1, "Create"}
	case slices.Contains([]string{"deleted", "removed", "api_token_revoked", "audit_reader_revoked", "node_removed"}, word):
		return ocsfClass{ocsfEntity, 4, "Delete"}
	case slices.Contains([]string{"command_denied", "api_token_refused"}, word):
		return ocsfClass{ocsfEntity, 99, "Other"}
	}
	return ocsfClass{ocsfEntity, 3, "Update"}
}

// ocsf returns the event in OCSF. Fields without an equivalent are unmapped.
func (e *auditEvent) ocsf() []byte {
	d, class := &e.Data, e.ocsfClass()
	domain, word := e.name()
	v := map[string]any{
		"category_uid": 3, "category_name": "Identity & Access Management",
		"class_uid": class.class, "activity_id": class.activity, "activity_name": class.name,
		"type_uid": class.class*100 + class.activity,
		"time":     e.Time.UnixMilli(),
		"message":  domain + " " + strings.ReplaceAll(word, "_", " "),
		"metadata": map[string]any{
			"version": ocsfVersion, "uid": e.ID, "sequence": d.Sequence, "event_code": d.Code,
			"product": map[string]any{"name": "keyfob", "vendor_name": "keyfob", "version": cli.ThisBuild().Version},
		},
		"severity_id": 1, "status_id": 1,
		"unmapped": map[string]any{"site": d.Site, "node": d.Node, "door": d.Door, "reference": d.Reference, "hash": d.Hash, "prev": d.Prev, "details": d.Details},
	}
	if e.warning() {
		v["severity_id"] = 3
	}
	if d.Outcome == "reject" {
		v["status_id"] = 2
	}
	if d.Reason != "" {
		v["status_code"] = d.Reason
	}
	if d.SourceIP != "" {
		v["src_endpoint"] = map[string]any{"ip": d.SourceIP}
	}
	if d.Actor != "" {
		v["actor"] = map[string]any{"user": map[string]any{"name": d.Actor}}
	}
	e.ocsfSubject(class, v)
	b, err := json.Marshal(v)
	if err != nil {
		panic("keyfob: " + err.Error()) // strings, numbers and maps of them can be encoded
	}
	return b
}

// ocsfSubject adds the user or the object of the event.
func (e *auditEvent) ocsfSubject(class ocsfClass, v map[string]any) {
	d := &e.Data
	user := map[string]any{"name": d.User}
	if d.User == "" && d.UserDigest != "" {
		user = map[string]any{"name": "unknown", "uid": d.UserDigest}
	}
	switch class.class {
	case ocsfAuthentication:
		v["user"], v["is_mfa"] = user, true
		v["service"] = map[string]any{"name": d.Client}
		const hardware, oneTimePassword = 6, 7
		factor := oneTimePassword
		if d.Token.Kind == "securid" {
			factor = hardware
		}
		v["auth_factors"] = []any{map[string]any{"factor_type_id": factor, "device": map[string]any{"uid": d.Token.Serial}}}
		if d.Door == "radius" {
			v["auth_protocol_id"], v["auth_protocol"] = 10, "RADIUS"
		}
	case ocsfAccountChange:
		v["user"] = user
	default:
		domain, _ := e.name()
		entity := map[string]any{"type": domain, "name": d.Token.Serial}
		if d.Token.Serial == "" {
			entity["name"] = fmt.Sprint(firstOf(d.Details, "name", "key", "member", "leader", "cluster"))
		}
		v["entity"] = entity
		if d.User != "" {
			v["user"] = user
		}
	}
}

// firstOf returns the first detail that is present.
func firstOf(details map[string]any, names ...string) any {
	for _, name := range names {
		if v, ok := details[name]; ok {
			return v
		}
	}
	return ""
}
