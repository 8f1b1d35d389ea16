package api

import (
	"fmt"
	"net/http"
	"net/netip"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/danielgtaylor/huma/v2"
	"github.com/google/go-cmp/cmp"

	"keyfob/engine"
	"keyfob/events"
)

// counts is an Observer that remembers.
type counts struct{ commands, refused []string }

func (c *counts) Command(operation, result string) {
	c.commands = append(c.commands, operation+" "+result)
}
func (c *counts) Refused(reason string) { c.refused = append(c.refused, reason) }

// called is what one request to an operation left behind.
type called struct {
	status int
	traces []string // names of events; engine stands for those that a command decides
	counts counts
}

// callOperation sends a valid request, or an empty one, to an operation of a
// node that answers commands with an error.
func callOperation(t *testing.T, op *huma.Operation, bearer string, empty bool, refuse error) called {
	t.Helper()
	f := newFake(t)
	f.recovery, f.sends, f.refuse = []RecoveryKey{{Name: "n9"}}, "ada@", refuse
	f.put(t, engine.TableTokens, engine.Token{Serial: "0003", Kind: "totp", Digits: 6, Period: 30, Seed: []byte("sealed")})
	f.put(t, engine.TableApprovals, engine.Approval{ID: "7K3M-QX4P", Command: "set_policy", Expires: events.At(noon.AddDate(1, 0, 0))})
	for _, name := range []string{"n9", "x1"} {
		f.put(t, engine.TableClients, engine.Client{Name: name, Prefix: netip.MustParsePrefix("198.51.100.0/24")})
	}
	f.put(t, engine.TableAPITokens, engine.APIToken{Name: "n9", Role: RoleAuditor})
	if op.OperationID == "add-administrator" {
		f.put(t, engine.TableUsers, engine.User{Name: "bob", Role: RoleAuditor})
	}
	f.attempt("7K3M-QX4P", events.UserUnlocked{User: "ada"})
	if strings.HasPrefix(op.OperationID, "add-") {
		f.Execute = func(c engine.Command) error { f.add(t, c); return refuse }
	}
	var c called
	a := f.api(t)
	a.observer = &c.counts
	path := strings.NewReplacer("{user}", "ada", "{serial}", "0001", "{name}", "n9", "{session}", "0123456789ab", "{id}", "7K3M-QX4P", "{reference}", "7K3M-QX4P").Replace(strings.TrimPrefix(op.Path, Prefix))
	sent := ""
	switch {
	case op.RequestBody != nil && empty:
		sent = "{}"
	case op.RequestBody != nil:
		sent = body(t, a, op)
	case op.Method == http.MethodDelete && !empty:
		path += "?reason=ticket+4711"
	case op.Method == http.MethodGet && empty:
		path += "?unknown=1"
	}
	c.status, _ = call(t, a, bearer, op.Method, path, sent)
	if len(f.origins) > 0 || len(f.Attempts()) > 0 {
		c.traces = append(c.traces, "engine")
	}
	for _, r := range f.refused {
		c.traces = append(c.traces, events.Name(r.Event))
	}
	return c
}

// add adds what a command adds, which the operation then shows.
func (f *fake) add(t *testing.T, c engine.Command) {
	switch c := c.(type) {
	case engine.AddUser:
		f.put(t, engine.TableUsers, engine.User{Name: c.User})
	case engine.ImportToken:
		f.put(t, engine.TableTokens, engine.Token{Serial: c.Token.Serial, Kind: c.Token.Kind})
	}
}

func (c called) text() string {
	traces := c.traces
	if len(traces) == 2 && traces[0] == "engine" {
		traces = traces[1:] // the node was asked, and refused
	}
	if len(traces) == 0 {
		return "-"
	}
	return strings.Join(traces, "+")
}

// The test calls every operation successfully and in each way that fails. What
// is recorded is in testdata/trail.txt, which is reviewed: a new operation
// changes it. A command that leaves no trace fails.
func TestEveryOperationLeavesATrace(t *testing.T) {
	var got strings.Builder
	line := "%-22s %-19s %-23s %-20s %-21s %s\n"
	fmt.Fprintf(&got, line, "operation", "success", "unknown API token", "another role", "malformed", "refused by the rules")
	for _, op := range operations(newFake(t).api(t)) {
		allowed := allowedTo(op)
		open := allowed.has(roleAnyone)
		if open {
			allowed = roles{RoleAuditor}
		}
		other := append(slices.DeleteFunc(Roles(), allowed.has), "")[0]
		success := callOperation(t, op, allowed[0], false, nil)
		stranger := callOperation(t, op, "nobody", false, nil)
		denied := callOperation(t, op, other, false, nil)
		malformed := callOperation(t, op, allowed[0], true, nil)
		no := error(&engine.Refusal{Code: engine.Conflict, Text: "no"})
		if harmlessPosts[op.OperationID] {
			no = engine.ErrUndecided // the rules answer a login; they do not refuse it
		}
		refused := callOperation(t, op, allowed[0], false, no)
		fmt.Fprintf(&got, line, op.OperationID, success.text(), stranger.text(), denied.text(), malformed.text(), refused.text())

		for what, c := range map[string]called{"an unknown token": stranger, "another role": denied} {
			if !open && (len(c.traces) != 1 || len(c.counts.refused) != 1 || len(c.counts.commands) != 0) {
				t.Errorf("%s: %s: %+v", op.OperationID, what, c)
			}
		}
		if !isCommand(op) {
			continue
		}
		for what, c := range map[string]called{"success": success, "malformed": malformed, "refused": refused} {
			if len(c.traces) == 0 || len(c.counts.commands) != 1 {
				t.Errorf("%s: %s leaves no trace: %+v", op.OperationID, what, c)
			}
		}
		if op.OperationID == "end-own-session" {
			continue // an API token has none; TestSession… ends one
		}
		if want := []string{op.OperationID + " ok"}; !slices.Equal(success.counts.commands, want) || success.status >= 300 {
			t.Errorf("%s: counted as %q, status %d", op.OperationID, success.counts.commands, success.status)
		}
	}
	const file = "testdata/trail.txt"
	if *update {
		if err := os.WriteFile(file, []byte(got.String()), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), got.String()); diff != "" {
		t.Errorf("what is recorded has changed (-want +got); if this is intended, go test ./api -update:\n%s", diff)
	}
}

func TestFailedCommandIsRecordedWithItsCallerAndTheProblem(t *testing.T) {
	for code, refuse := range map[string]error{
		"conflict": &engine.Refusal{Code: engine.Conflict}, "not_found": &engine.Refusal{Code: engine.NotFound, Help: engine.HelpListUsers},
		"forbidden": &engine.Refusal{Code: engine.Forbidden}, "undecided": engine.ErrUndecided, "busy": engine.ErrBusy,
	} {
		f := newFake(t)
		f.refuse = refuse
		a := f.api(t)
		c := &counts{}
		a.observer = c
		call(t, a, RoleHelpdesk, post, "/users/ada/unlock", `{"reason":"x"}`)
		actor := engine.TokenActor(RoleHelpdesk)
		want := []refused{{
			Label:  actor + " unlock-user " + code,
			Origin: events.Origin{Node: "n1", Site: "hq", Door: events.DoorAPI, SourceIP: "192.0.2.7", Actor: actor},
			Event:  events.CommandRefused{Operation: "unlock-user", Problem: code},
		}}
		if diff := cmp.Diff(want, f.refused); diff != "" {
			t.Errorf("%s (-want +got):\n%s", code, diff)
		}
		if !slices.Equal(c.commands, []string{"unlock-user " + code}) {
			t.Errorf("%s is counted as %v", code, c.commands)
		}
	}
}

func TestReadingAboutPeopleIsRecorded(t *testing.T) {
	f := newFake(t)
	call(t, f.api(t), RoleHelpdesk, get, "/users/ada/state", "")
	actor := engine.TokenActor(RoleHelpdesk)
	want := []refused{{
		Label:  actor + " show-state ada",
		Origin: events.Origin{Node: "n1", Site: "hq", Door: events.DoorAPI, SourceIP: "192.0.2.7", Actor: actor},
		Event:  events.RecordsRead{Operation: "show-state", Subject: "ada"},
	}}
	if diff := cmp.Diff(want, f.refused); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
}

// A command that waits has changed nothing, and shows its secret to who asked.
func TestCommandThatWaitsIsAnsweredWithItsApproval(t *testing.T) {
	f := newFake(t)
	f.refuse = &engine.Waiting{ID: "7K3M-QX4P"}
	f.put(t, engine.TableApprovals, engine.Approval{ID: "7K3M-QX4P", Expires: events.At(noon.AddDate(0, 0, 1))})
	a := f.api(t)
	c := &counts{}
	a.observer = c
	status, answer := call(t, a, RoleAdmin, post, "/api-tokens", `{"name":"x","role":"admin","reason":"x"}`)
	p := decode[PendingCommand](t, answer)
	if status != http.StatusAccepted || p.ID != "7K3M-QX4P" || !strings.HasPrefix(p.Token, TokenPrefix) || p.Expires == nil {
		t.Errorf("status %d, %s", status, answer)
	}
	status, answer = call(t, a, RoleAdmin, remove, "/cluster/nodes/n2?reason=x", "")
	if p := decode[PendingCommand](t, answer); status != http.StatusAccepted || p.ID == "" || p.Token != "" {
		t.Errorf("status %d, %s", status, answer)
	}
	if len(f.refused) != 0 || !slices.Equal(c.commands, []string{"issue-api-token waiting", "remove-node waiting"}) {
		t.Errorf("recorded %v, counted %v", f.refused, c.commands)
	}
}

func TestApprovalsAreListedShownAndDecidedOn(t *testing.T) {
	f := newFake(t)
	f.put(t, engine.TableApprovals, engine.Approval{
		ID: "7K3M-QX4P", Command: "set_policy", Groups: []string{"policy"}, Summary: []string{"change pin.min from 6 to 4"}, Body: []byte("sealed"),
		Origin:    events.Origin{Actor: engine.UserActor("ada"), Note: "short PINs", Node: "n1", SourceIP: "192.0.2.9"},
		Requested: events.At(noon), Expires: events.At(noon.AddDate(0, 0, 1)),
	})
	f.put(t, engine.TableApprovals, engine.Approval{ID: "0000-0000", Expires: events.At(noon)})
	a := f.api(t)
	_, answer := call(t, a, RoleAuditor, get, "/approvals", "")
	list := decode[List[Approval]](t, answer).Items
	if len(list) != 1 || list[0].State != "waiting" || list[0].Requester != "user:ada" || list[0].Reason != "short PINs" || list[0].Summary[0] != "change pin.min from 6 to 4" {
		t.Errorf("list: %s", answer)
	}
	if status, answer := call(t, a, RoleAuditor, get, "/approvals/7k3mqx4p", ""); status != http.StatusOK || !strings.Contains(answer, `"approval":"7K3M-QX4P"`) {
		t.Errorf("show: %d, %s", status, answer)
	}
	if status, _ := call(t, a, RoleAuditor, get, "/approvals/0000-0000", ""); status != http.StatusNotFound {
		t.Errorf("an expired one: status %d", status)
	}
	if status, answer := call(t, a, RoleAdmin, post, "/approvals/7k3mqx4p/approve", `{"reason":"agreed"}`); status != http.StatusOK || !strings.Contains(answer, `"state":"approved"`) {
		t.Errorf("approve: %d, %s", status, answer)
	}
	if status, answer := call(t, a, RoleAdmin, post, "/approvals/7k3mqx4p/refuse", `{"reason":"too short"}`); status >= 300 {
		t.Errorf("refuse: %d, %s", status, answer)
	}
	want := []engine.Command{engine.Approve{ID: "7k3mqx4p"}, engine.RefuseApproval{ID: "7k3mqx4p"}}
	if diff := cmp.Diff(want, f.Commands()); diff != "" {
		t.Errorf("commands (-want +got):\n%s", diff)
	}
}
