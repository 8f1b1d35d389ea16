package api

import (
	"slices"
	"strings"

	"keyfob/engine"
)

// Roles of administrators and API tokens.
const (
	RoleAdmin     = engine.RoleAdmin
	RoleHelpdesk  = "helpdesk"
	RoleEnrolment = "enrolment"
	RoleAuditor   = "auditor"
	RoleLogin     = "login"

	// roleAnyone permits an operation without an API token or a session.
	roleAnyone = "anyone"
)

// Role is a role and what it permits.
type Role struct{ Name, Permits string }

// roleList is every role, in the order in which they are shown.
var roleList = []Role{
	{RoleAdmin, "all operations"},
	{RoleHelpdesk, "view users, tokens and the events of a user; unlock, enable and disable users and tokens; delete users; clear, set and require PINs; resynchronize; report tokens lost and found; replace tokens"},
	{RoleEnrolment, "view users, tokens and the events of a user; add users; import, issue, assign, unassign, replace and delete tokens; set temporary PINs"},
	{RoleAuditor, "view everything, including the audit trail; change nothing"},
	{RoleLogin, "decide logins, for applications that do not use RADIUS; nothing else"},
}

// RoleList lists the roles with what they permit.
func RoleList() []Role { return slices.Clone(roleList) }

// PersonRoles lists the roles that an administrator can have. Programs alone have
// the role login.
func PersonRoles() []string {
	return slices.DeleteFunc(Roles(), func(role string) bool { return role == RoleLogin })
}

// Roles lists the names of the roles.
func Roles() []string {
	names := make([]string, 0, len(roleList))
	for _, r := range roleList {
		names = append(names, r.Name)
	}
	return names
}

// roles are those who may call an operation.
type roles []string

func (r roles) String() string { return strings.Join(r, ", ") }

func (r roles) has(role string) bool { return slices.Contains(r, role) }

var (
	administrators = roles{RoleAdmin}
	helpers        = roles{RoleAdmin, RoleHelpdesk}
	enrollers      = roles{RoleAdmin, RoleEnrolment}
	staff          = roles{RoleAdmin, RoleHelpdesk, RoleEnrolment}
	readers        = roles{RoleAdmin, RoleHelpdesk, RoleEnrolment, RoleAuditor}
	auditors       = roles{RoleAdmin, RoleAuditor}
	applications   = roles{RoleAdmin, RoleLogin}
	anyone         = roles{roleAnyone}
)
