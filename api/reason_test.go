package api

import (
	"encoding/json"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"keyfob/engine"
	"keyfob/events"
)

// unrecorded are the operations that need no reason, because they change nothing.
var unrecorded = map[string]bool{"authenticate": true, "open-session": true, "preview-policy": true, "simulate-policy": true}

// fieldValues are valid values for the required fields of request bodies.
var fieldValues = map[string]any{
	"reason": "ticket 4711", "name": "x1", "role": "auditor", "user": "bob", "serial": "0002", "kind": "totp",
	"seed": "NBSWY3DPNBSWY3DPNBSWY3DPNBSWY3DP", "prefix": "192.0.2.0/24", "secret": "0123456789abcdef", "public": "cHVibGlj",
	"word": "7K3 MQX", "node": "n4", "fingerprint": "K7QM-2XHD-PP4A-3TCE", "since": "2026-11-01T12:00:00Z", "first": "123456", "second": "654321", "replacement": "0003",
	"settings": map[string]string{"lock.after": "7"}, "tokens": []map[string]string{{"serial": "0002", "kind": "totp", "seed": "NBSWY3DPNBSWY3DPNBSWY3DPNBSWY3DP"}},
}

// body is a request body with the required fields of an operation.
func body(t *testing.T, a *API, op *huma.Operation) string {
	t.Helper()
	if op.RequestBody == nil {
		return ""
	}
	schema := a.huma.OpenAPI().Components.Schemas.SchemaFromRef(op.RequestBody.Content["application/json"].Schema.Ref)
	fields := map[string]any{}
	if op.OperationID == "add-ondemand-token" {
		fields["mail"] = "ada@example.org" // it needs an address of either kind
	}
	for _, name := range schema.Required {
		value, ok := fieldValues[name]
		if !ok {
			t.Errorf("%s requires %q: add a value to fieldValues", op.OperationID, name)
		}
		fields[name] = value
	}
	text, err := json.Marshal(fields)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// TestReasonOfEveryCommandIsPassedOn calls every operation that takes a reason. The
// node must get the reason and the actor.
func TestReasonOfEveryCommandIsPassedOn(t *testing.T) {
	for _, op := range operations(newFake(t).api(t)) {
		if op.Method == get || unrecorded[op.OperationID] || op.OperationID == "end-own-session" { // not with an API token
			continue
		}
		t.Run(op.OperationID, func(t *testing.T) {
			f := newFake(t)
			f.sends = "ada@"
			f.put(t, engine.TableTokens, engine.Token{Serial: "0003", Kind: "totp", Digits: 6, Period: 30, Seed: []byte("sealed")})
			f.put(t, engine.TableApprovals, engine.Approval{ID: "7K3M-QX4P", Expires: events.At(noon.AddDate(1, 0, 0))})
			a := f.api(t)
			path := strings.NewReplacer("{user}", "ada", "{serial}", "0001", "{name}", "n9", "{session}", "0123456789ab", "{id}", "7K3M-QX4P").Replace(strings.TrimPrefix(op.Path, Prefix))
			if op.Method == http.MethodDelete {
				path += "?reason=ticket+4711"
			}
			status, answer := call(t, a, RoleAdmin, op.Method, path, body(t, a, op))
			if len(f.origins) == 0 {
				t.Fatalf("the node was given no command: status %d, %s", status, answer)
			}
			for _, o := range f.origins {
				if !strings.Contains(o.Note, "ticket 4711") || o.Actor != "token:"+RoleAdmin {
					t.Errorf("recorded with reason %q and actor %q", o.Note, o.Actor)
				}
			}
		})
	}
}

func TestAuditReaderIsIssuedListedAndRevoked(t *testing.T) {
	f := newFake(t)
	a := f.api(t)
	status, answer := call(t, a, RoleAdmin, post, "/audit/readers", `{"name":"siem","reason":"new SIEM"}`)
	if status != http.StatusCreated {
		t.Fatalf("status %d: %s", status, answer)
	}
	issued := decode[IssuedAuditReader](t, answer)
	if f.synced != 1 {
		t.Error("the credentials are not accepted when they are shown")
	}
	if issued.Credentials != "credentials of siem" || !issued.Expires.Equal(noon.Add(engine.DefaultAuditReaderTTL)) {
		t.Errorf("issued %+v", issued)
	}
	c, ok := f.Commands()[0].(engine.IssueAuditReader)
	if !ok || c.Reader.Name != "siem" || c.Reader.Key != "KEY" || !c.Reader.Expires.Std().Equal(*issued.Expires) {
		t.Errorf("command %+v", f.Commands()[0])
	}
	status, answer = call(t, a, RoleAdmin, post, "/audit/readers", `{"name":"siem","reason":"x","ttl_seconds":157680001}`)
	if status != http.StatusUnprocessableEntity {
		t.Errorf("a lifetime of more than five years: status %d: %s", status, answer)
	}

	f.put(t, engine.TableAuditReaders, engine.AuditReader{Name: "siem", Key: "KEY", Issued: 1, Expires: 2, IssuedBy: "eve"})
	_, answer = call(t, a, RoleAuditor, get, "/audit/readers", "")
	list := decode[List[AuditReader]](t, answer)
	if len(list.Items) != 1 || list.Items[0].IssuedBy != "eve" || !list.Items[0].Expires.Equal(time.UnixMilli(2)) {
		t.Errorf("list %s", answer)
	}
	if status, answer = call(t, a, RoleAdmin, remove, "/audit/readers/siem?reason=gone", ""); status != http.StatusOK && status != http.StatusNoContent {
		t.Fatalf("status %d: %s", status, answer)
	}
	if f.synced != 3 {
		t.Errorf("the NATS server was updated %d times for issue, list and revocation", f.synced)
	}
	commands := f.Commands()
	if last := commands[len(commands)-1]; last != (engine.RevokeAuditReader{Name: "siem"}) {
		t.Errorf("command %+v", last)
	}
}
