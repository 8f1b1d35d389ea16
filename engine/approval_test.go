package engine_test

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"keyfob/engine"
	"keyfob/events"
)

// office is a cluster of three nodes whose policy requires approvals for
// everything that can.
type office struct {
	t        *testing.T
	state    *engine.State
	now      events.Time
	requests byte
	news     []events.Event // of the last command
}

var approvedFrom = time.Date(2026, 11, 2, 12, 0, 0, 0, time.UTC)

func newOffice(t *testing.T) *office {
	t.Helper()
	o := &office{t: t, state: engine.NewState(), now: events.At(approvedFrom)}
	facts := []events.Event{events.ClusterFounded{Cluster: "c1"}, events.RecoveryKeySet{Key: []byte("recovery")}, events.RecoveryKeyAdded{Key: []byte("second")}}
	for _, node := range []string{"n1", "n2", "n3"} {
		facts = append(facts, events.NodeJoined{Node: node})
	}
	for _, token := range []string{"thief", "robot"} {
		facts = append(facts, events.APITokenIssued{Name: token, Role: "admin"})
	}
	facts = append(facts,
		events.ClientAdded{Client: "vpn", Prefix: "192.0.2.0/24", Sealed: []byte("sealed"), Dialect: "rsa", MessageAuthenticator: "require"},
		events.PolicyChanged{Key: "approval.required", Before: "none", After: "all"})
	for _, e := range facts {
		o.state.Apply(o.now, events.Draft{Event: e})
	}
	return o
}

func token(name string) events.Origin {
	return events.Origin{Node: "n1", Door: events.DoorAPI, Actor: engine.TokenActor(name), Note: "because"}
}

func root(node string) events.Origin {
	return events.Origin{Node: node, Door: events.DoorAPI, Actor: engine.SocketActor(0), Note: "because"}
}

// do gives a command and applies what is decided. It returns the ID of the
// approval that the command waits for.
func (o *office) do(by events.Origin, c engine.Command) (string, error) {
	o.t.Helper()
	o.requests++
	by.Request = events.Request{o.requests, 0xaa, o.requests}
	by.Reference = by.Request.Reference()
	d, err := engine.Decide(o.state, by, c, o.now)
	o.news = nil
	for _, draft := range d.Drafts {
		o.state.Apply(o.now, draft)
		o.news = append(o.news, draft.Event)
	}
	return d.Waits, err
}

// waits gives a command that must wait, and returns the ID of its approval.
func (o *office) waits(by events.Origin, c engine.Command) string {
	o.t.Helper()
	id, err := o.do(by, c)
	if err != nil || id == "" || len(o.news) != 1 {
		o.t.Fatalf("%T: approval %q, %v, events %v", c, id, err, o.news)
	}
	return id
}

func (o *office) refused(code string, by events.Origin, c engine.Command) string {
	o.t.Helper()
	_, err := o.do(by, c)
	var r *engine.Refusal
	if !errors.As(err, &r) || r.Code != code {
		o.t.Fatalf("%T: %v, want %s", c, err, code)
	}
	return r.Text
}

func issueToken(name, role string) engine.Command {
	return engine.IssueAPIToken{Token: events.APITokenIssued{Name: name, Role: role, Expires: events.At(approvedFrom.AddDate(0, 0, 2))}}
}

func set(settings ...string) engine.Command {
	c := engine.SetPolicy{Settings: map[string]string{}, Force: true}
	for _, s := range settings {
		key, value, _ := strings.Cut(s, "=")
		c.Settings[key] = value
	}
	return c
}

// guardedCommands has one of every command that can need an approval, by
// group.
var guardedCommands = map[string][]engine.Command{
	engine.GroupRecoveryKey: {engine.SetRecoveryKey{Key: []byte("another")}, engine.AddRecoveryKey{Key: []byte("another")}, engine.RemoveRecoveryKey{Key: []byte("second")}},
	engine.GroupBackup:      {engine.TakeBackup{Node: "n1", RecoveryKey: "abcd"}},
	engine.GroupClient: {
		engine.AddClient{Client: events.ClientAdded{Client: "rogue", Prefix: "198.51.100.7/32", Sealed: []byte("s"), Dialect: "rsa", MessageAuthenticator: "auto"}},
		engine.RotateClientSecret{Client: "vpn", Sealed: []byte("s"), Overlap: time.Hour},
		engine.SetClient{Change: events.ClientChanged{Client: "vpn", MessageAuthenticator: ptr("allow")}},
		engine.SetClient{Change: events.ClientChanged{Client: "vpn", Prefix: ptr("192.0.0.0/16")}},
		engine.SetClient{Change: events.ClientChanged{Client: "vpn", Trusted: ptr(true)}},
	},
	engine.GroupPolicy: {
		set("lock.after=50"), set("pin.min=4"), set("pin.lifetime=90d", "lock.for=1m"), set("source.failures=0"), set("profile=default"),
		set("pin.source=generated"), set("window.fob.small=2"), set("approval.expires_after=10m"),
		set("approval.required=backup"), set("approval.required=none"),
	},
	engine.GroupAPIToken: {issueToken("eve", "admin")},
	engine.GroupCluster:  {engine.Invite{Node: "n4", Expires: 1}, engine.RemoveNode{Node: "n3"}},
}

func TestGuardedCommandWaitsForASecondAdministrator(t *testing.T) {
	for group, commands := range guardedCommands {
		for _, c := range commands {
			t.Run(fmt.Sprintf("%s %T %v", group, c, c), func(t *testing.T) {
				o := newOffice(t)
				id := o.waits(token("thief"), c)
				a := o.state.Approval(id)
				if a == nil || !slices.Contains(a.Groups, group) || a.Origin.Actor != engine.TokenActor("thief") || a.Origin.Note != "because" || len(a.Summary) == 0 {
					t.Fatalf("waiting: %+v", a)
				}
				if _, err := o.do(root("n1"), engine.Approve{ID: strings.ToLower(id)}); err != nil {
					t.Fatalf("approval: %v", err)
				}
				if _, ok := o.news[0].(events.ApprovalGiven); !ok || group != engine.GroupBackup && len(o.news) < 2 {
					t.Errorf("after the approval: %v", o.news)
				}
			})
		}
	}
}

func TestCommandOutsideTheRequiredGroupsDoesNotWait(t *testing.T) {
	for group, commands := range guardedCommands {
		o := newOffice(t)
		others := slices.DeleteFunc(engine.ApprovalGroups(), func(g string) bool { return g == group })
		o.state.Apply(o.now, events.Draft{Event: events.PolicyChanged{Key: "approval.required", After: strings.Join(others, ",")}})
		if id, err := o.do(token("thief"), commands[0]); err != nil || id != "" || len(o.news) == 0 {
			t.Errorf("%s: %T waits: %q, %v, %v", group, commands[0], id, err, o.news)
		}
	}
}

// Taking trust away must not wait: it stops a thief.
func TestTakingTrustAwayDoesNotWait(t *testing.T) {
	o := newOffice(t)
	for _, c := range []engine.Command{
		engine.RevokeAPIToken{Name: "thief"},
		engine.RemoveClient{Client: "vpn"},
		set("lock.after=3", "pin.min=8", "lock.for=0s", "pin.first=activation_code", "resync.by_user=no"),
		issueToken("desk", "helpdesk"),
	} {
		if id, err := o.do(token("robot"), c); err != nil || id != "" || len(o.news) == 0 {
			t.Errorf("%T waits: %q, %v", c, id, err)
		}
	}
}

// TestThiefOfOneCredentialApprovesNothing tries the ways around a second
// administrator that one stolen API token of the role admin opens.
func TestThiefOfOneCredentialApprovesNothing(t *testing.T) {
	thief := token("thief")
	for name, try := range map[string]func(*office){
		"approve it with the same token": func(o *office) {
			id := o.waits(thief, issueToken("eve", "admin"))
			o.refused(engine.Forbidden, thief, engine.Approve{ID: id})
		},
		"approve it with another token": func(o *office) {
			id := o.waits(thief, issueToken("eve", "admin"))
			o.refused(engine.Forbidden, token("robot"), engine.Approve{ID: id})
		},
		"use the token that waits": func(o *office) {
			o.waits(thief, issueToken("eve", "admin"))
			if o.state.APIToken("eve") != nil {
				o.t.Error("the token is valid")
			}
		},
		"call it a token of another role": func(o *office) {
			if _, err := o.do(thief, issueToken("eve", "helpdesk")); err != nil {
				o.t.Fatal(err)
			}
			id := o.waits(thief, set("lock.after=50"))
			o.refused(engine.Forbidden, token("eve"), engine.Approve{ID: id})
		},
		"give itself the name of a socket": func(o *office) {
			o.refused(engine.Invalid, thief, issueToken("uid 0 at the socket", "admin"))
		},
		"remove a client and add it again": func(o *office) {
			if _, err := o.do(thief, engine.RemoveClient{Client: "vpn"}); err != nil {
				o.t.Fatal(err)
			}
			o.waits(thief, guardedCommands[engine.GroupClient][0])
			if o.state.Client("rogue") != nil {
				o.t.Error("the client exists")
			}
		},
		"turn approvals off": func(o *office) {
			o.waits(thief, set("approval.required=none"))
		},
		"turn approvals off in a profile": func(o *office) {
			o.waits(thief, set("profile=rsa"))
		},
		"turn approvals off where the policy needs none": func(o *office) {
			o.state.Apply(o.now, events.Draft{Event: events.PolicyChanged{Key: "approval.required", After: "api_token"}})
			o.waits(thief, set("approval.required=none"))
			o.waits(thief, set("approval.required=backup"))
		},
		"remove nodes until one is alone": func(o *office) {
			o.waits(thief, engine.RemoveNode{Node: "n2"})
			o.waits(thief, engine.RemoveNode{Node: "n3"})
		},
		"send it twice": func(o *office) {
			id := o.waits(thief, issueToken("eve", "admin"))
			if again, err := o.do(thief, issueToken("eve", "admin")); err != nil || again != id || len(o.news) != 0 {
				o.t.Errorf("again: %q, %v, %v", again, err, o.news)
			}
		},
		"refuse what others asked for": func(o *office) {
			id := o.waits(token("robot"), set("lock.after=50"))
			o.refused(engine.Forbidden, thief, engine.RefuseApproval{ID: id})
		},
	} {
		t.Run(name, func(t *testing.T) { try(newOffice(t)) })
	}
}

// A command that waits ends with the credential that asked for it.
func TestCommandOfARevokedTokenIsNotApproved(t *testing.T) {
	o := newOffice(t)
	id := o.waits(token("thief"), issueToken("eve", "admin"))
	if _, err := o.do(root("n1"), engine.RevokeAPIToken{Name: "thief"}); err != nil {
		t.Fatal(err)
	}
	o.refused(engine.Conflict, root("n1"), engine.Approve{ID: id})
	if _, err := o.do(root("n1"), engine.RefuseApproval{ID: id}); err != nil || o.state.Approval(id) != nil {
		t.Errorf("refusing it: %v", err)
	}
}

func TestRootOnANodeIsOneParty(t *testing.T) {
	o := newOffice(t)
	id := o.waits(root("n1"), issueToken("eve", "admin"))
	other := root("n1")
	other.Actor = engine.SocketActor(998)
	o.refused(engine.Forbidden, root("n1"), engine.Approve{ID: id})
	o.refused(engine.Forbidden, other, engine.Approve{ID: id})
	if _, err := o.do(root("n2"), engine.Approve{ID: id}); err != nil || o.state.APIToken("eve") == nil {
		t.Errorf("root on another node: %v", err)
	}
}

func TestRootOnTheOnlyNodeNeedsNobody(t *testing.T) {
	o := newOffice(t)
	for _, node := range []string{"n2", "n3"} {
		o.state.Apply(o.now, events.Draft{Event: events.NodeRemoved{Node: node}})
	}
	if id, err := o.do(root("n1"), set("approval.required=none")); err != nil || id != "" {
		t.Errorf("%q, %v", id, err)
	}
	o.state.Apply(o.now, events.Draft{Event: events.PolicyChanged{Key: "approval.required", After: "all"}})
	o.waits(token("thief"), set("approval.required=none"))
}

func TestApprovalsNeedTwoWhoCanApprove(t *testing.T) {
	o := newOffice(t)
	o.state.Apply(o.now, events.Draft{Event: events.PolicyChanged{Key: "approval.required", After: "none"}})
	for _, c := range []engine.Command{set("approval.required=backup"), set("approval.required=all"), set("profile=strict")} {
		if id, err := o.do(root("n1"), c); err != nil || id != "" {
			t.Errorf("with three nodes, %v: %q, %v", c, id, err)
		}
		o.state.Apply(o.now, events.Draft{Event: events.PolicyChanged{Key: "approval.required", After: "none"}})
	}
	for _, node := range []string{"n2", "n3"} {
		o.state.Apply(o.now, events.Draft{Event: events.NodeRemoved{Node: node}})
	}
	o.refused(engine.Conflict, root("n1"), set("approval.required=backup"))
	o.refused(engine.Conflict, root("n1"), set("profile=strict"))
	if _, err := o.do(root("n1"), set("profile=strict", "approval.required=none")); err != nil {
		t.Error(err)
	}
}

// The command is decided when it is approved, and its events carry who asked
// for it.
func TestApprovedCommandIsDecidedAtThatMoment(t *testing.T) {
	o := newOffice(t)
	id := o.waits(token("thief"), issueToken("eve", "admin"))
	o.state.Apply(o.now, events.Draft{Event: events.APITokenIssued{Name: "eve", Role: "login"}})
	o.refused(engine.Exists, root("n1"), engine.Approve{ID: id})

	id = o.waits(token("thief"), set("lock.after=50"))
	o.state.Apply(o.now, events.Draft{Event: events.PolicyChanged{Key: "lock.after", After: "7"}})
	if text := o.refused(engine.Conflict, root("n1"), engine.Approve{ID: id}); !strings.Contains(text, "changed since") {
		t.Error(text)
	}

	rotate := engine.RotateClientSecret{Client: "vpn", Sealed: []byte("new"), Overlap: time.Hour}
	id = o.waits(token("thief"), rotate)
	o.now = o.now.Add(time.Hour)
	by := root("n2")
	by.Request = events.Request{77}
	d, err := engine.Decide(o.state, by, engine.Approve{ID: id}, o.now)
	if err != nil || len(d.Drafts) != 2 {
		t.Fatalf("%+v, %v", d, err)
	}
	given, rotated := d.Drafts[0], d.Drafts[1]
	if given.Origin.Actor != engine.SocketActor(0) || rotated.Origin.Actor != engine.TokenActor("thief") || rotated.Origin.Note != "because" || rotated.Origin.Request != by.Request {
		t.Errorf("origins: %+v, %+v", given.Origin, rotated.Origin)
	}
	if e, ok := rotated.Event.(events.ClientSecretRotated); !ok || e.OldUntil != o.now.Add(time.Hour) {
		t.Errorf("rotated: %+v", rotated.Event)
	}
	for _, draft := range d.Drafts {
		o.state.Apply(o.now, draft)
	}
	if d, err := engine.Decide(o.state, by, engine.Approve{ID: id}, o.now); err != nil || len(d.Drafts) != 0 {
		t.Errorf("the same request again: %+v, %v", d, err)
	}
	o.refused(engine.NotFound, root("n3"), engine.Approve{ID: id})
}

func TestApprovalEndsByItself(t *testing.T) {
	o := newOffice(t)
	id := o.waits(token("thief"), issueToken("eve", "admin"))
	expired := events.ApprovalExpired{ID: id, Command: "issue_api_token", Requester: engine.TokenActor("thief")}
	if _, err := o.do(events.Origin{}, engine.Note{Event: expired}); err != nil || len(o.news) != 0 {
		t.Errorf("before its time: %v, %v", err, o.news)
	}
	o.now = o.now.Add(24 * time.Hour)
	o.refused(engine.NotFound, root("n1"), engine.Approve{ID: id})
	if all := o.state.ExpiredApprovals(o.now); len(all) != 1 || all[0] != expired {
		t.Fatalf("expired: %v", all)
	}
	if _, err := o.do(events.Origin{}, engine.Note{Event: expired}); err != nil || o.state.Approval(id) != nil {
		t.Errorf("%v, %+v", err, o.state.Approval(id))
	}
}

func TestApprovalIsForOneBackupOfItsRequesterWithinAnHour(t *testing.T) {
	backup := func(node string) engine.Command {
		return engine.TakeBackup{Node: node, RecoveryKey: "abcd"}
	}
	o := newOffice(t)
	id := o.waits(token("robot"), backup("n1"))
	if _, err := o.do(root("n1"), engine.Approve{ID: id}); err != nil || len(o.news) != 1 {
		t.Fatalf("%v, %v", err, o.news)
	}
	o.refused(engine.Conflict, root("n2"), engine.Approve{ID: id})
	o.waits(token("thief"), backup("n1"))
	o.waits(token("robot"), engine.TakeBackup{Node: "n1", RecoveryKey: "another"})
	taken, err := o.do(token("robot"), backup("n2"))
	if err != nil || taken != "" || len(o.news) != 2 {
		t.Fatalf("the approved one: %q, %v, %v", taken, err, o.news)
	}
	id = o.waits(token("robot"), backup("n2"))
	if _, err := o.do(root("n1"), engine.Approve{ID: id}); err != nil {
		t.Fatal(err)
	}
	o.now = o.now.Add(time.Hour)
	o.waits(token("robot"), backup("n2"))
}

func TestWaitingCommandsAreBounded(t *testing.T) {
	o := newOffice(t)
	for i := range 16 {
		o.waits(token("thief"), issueToken(fmt.Sprint("eve", i), "admin"))
	}
	o.refused(engine.Conflict, token("thief"), issueToken("eve", "admin"))
	o.waits(token("robot"), issueToken("bot", "admin"))
	if text := o.refused(engine.Conflict, token("thief"), set("lock.after=50")); !strings.Contains(text, "thief") {
		t.Error(text)
	}
}

func TestRetryOfAWaitingCommandIsToldThatItWaits(t *testing.T) {
	o := newOffice(t)
	by := token("thief")
	by.Request = events.Request{9, 9, 9}
	first, err := engine.Decide(o.state, by, issueToken("eve", "admin"), o.now)
	if err != nil || first.Waits == "" {
		t.Fatalf("%+v, %v", first, err)
	}
	o.state.Apply(o.now, first.Drafts[0])
	again, err := engine.Decide(o.state, by, issueToken("eve", "admin"), o.now)
	if err != nil || again.Waits != first.Waits || len(again.Drafts) != 0 {
		t.Errorf("again: %+v, %v", again, err)
	}
	if _, err := engine.DecideUntimed(o.state, root("n1"), engine.Approve{ID: first.Waits}, o.now); !errors.Is(err, engine.ErrUntimed) {
		t.Errorf("without a clock: %v", err)
	}
}

func TestSummaryShowsNoSecret(t *testing.T) {
	for _, commands := range guardedCommands {
		for _, c := range commands {
			o := newOffice(t)
			a := o.state.Approval(o.waits(token("thief"), c))
			if text := strings.Join(a.Summary, "; "); strings.Contains(text, "secret s") || text == "" {
				t.Errorf("%T: %s", c, text)
			}
		}
	}
	o := newOffice(t)
	a := o.state.Approval(o.waits(token("thief"), guardedCommands[engine.GroupClient][0]))
	want := "client added dialect=rsa message_authenticator=auto name=rogue prefix=198.51.100.7/32"
	if !slices.Equal(a.Summary, []string{want}) {
		t.Errorf("%q", a.Summary)
	}
}
