package engine

import "keyfob/events"

// Commands on API tokens, the credentials of administrators and programs.
type (
	IssueAPIToken struct {
		Token events.APITokenIssued `cbor:"1,keyasint"`
	}
	RevokeAPIToken struct {
		Name string `cbor:"1,keyasint"`
	}
)

func (c IssueAPIToken) decide(s *State, _ events.Time) ([]events.Event, error) {
	switch {
	case !nameForm.MatchString(c.Token.Name):
		return nil, refuse(Invalid, "%.80q is not a valid name: use 1 to 64 letters, digits, dots, dashes or underscores", c.Token.Name)
	case s.APIToken(c.Token.Name) != nil:
		return nil, refuse(Exists, "API token %q already exists", c.Token.Name)
	}
	return one(c.Token)
}

func (c RevokeAPIToken) decide(s *State, _ events.Time) ([]events.Event, error) {
	if s.APIToken(c.Name) == nil {
		return nil, refuse(NotFound, "API token %.64q not found", c.Name)
	}
	return one(events.APITokenRevoked{Name: c.Name})
}

// applyAdmin folds the events on API tokens and on the policy.
func (s *State) applyAdmin(at events.Time, actor string, e events.AdminEvent) {
	switch e := e.(type) {
	case events.PolicyChanged:
		s.Policy = s.Policy.with(e.Key, e.After)
	case events.APITokenIssued:
		s.apiTokens.Set(e.Name, &APIToken{Name: e.Name, Digest: e.Digest, Role: e.Role, Expires: e.Expires, Issued: at})
	case events.APITokenRevoked:
		s.apiTokens.Delete(e.Name)
	case events.AuditReaderIssued:
		s.issueAuditReader(at, actor, e)
	case events.AuditReaderRevoked:
		s.auditReaders.Delete(e.Name)
	case events.CommandDenied, events.APITokenRefused: // change nothing
	}
}
