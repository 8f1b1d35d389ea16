package engine

import (
	"reflect"
	"sync"
	"testing"

	"keyfob/events"
)

// full is a state with something in every field.
func full(t *testing.T) *State {
	t.Helper()
	s := NewState()
	s.Time, s.Cluster, s.Policy.LockAfter = 7, Cluster{ID: "c"}, 4
	s.users.Set("ada", &User{Name: "ada"})
	s.tokens.Set("a1", &Token{Serial: "a1"})
	s.clients.Set("vpn", &Client{Name: "vpn"})
	s.apiTokens.Set("admin", &APIToken{Name: "admin"})
	s.auditReaders.Set("siem", &AuditReader{Name: "siem"})
	s.sessions.Set("0123", &Session{Name: "0123"})
	s.nodes.Set("n1", &NodeRecord{Name: "n1"})
	s.invitations.Set("00", &Invitation{})
	s.deleted.Set("a0", 1)
	s.approvals.Set("00000000", &Approval{ID: "0000-0000"})
	s.done = []events.Request{{1}}
	v := reflect.ValueOf(s).Elem()
	for i := range v.NumField() {
		if f := v.Type().Field(i); f.Name != "copying" && v.Field(i).IsZero() {
			t.Fatalf("field %s is empty", f.Name)
		}
	}
	return s
}

func TestCopyHasEveryField(t *testing.T) {
	s := full(t)
	c, v := reflect.ValueOf(s.Copy()).Elem(), reflect.ValueOf(s).Elem()
	for i := range v.NumField() {
		if f := v.Type().Field(i); f.Name != "copying" && c.Field(i).IsZero() {
			t.Errorf("field %s is not copied", f.Name)
		}
	}
}

func TestCopiesTakenAtTheSameTimeAreApart(t *testing.T) {
	s := full(t)
	var all sync.WaitGroup
	for range 8 {
		all.Go(func() {
			c := s.Copy()
			for range 100 {
				c.Apply(8, events.Draft{Event: events.UserAdded{User: "zoe"}})
				c.Apply(8, events.Draft{Event: events.UserDeleted{User: "ada"}})
			}
		})
	}
	all.Wait()
	if s.User("zoe") != nil || s.User("ada") == nil {
		t.Error("a copy changed its source")
	}
}
