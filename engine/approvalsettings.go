package engine

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"time"
)

const approvalKey = "approval.required"

// approvalSettings are the settings of approvals.
func approvalSettings() []Setting {
	return []Setting{
		groups(approvalKey, "commands that a second administrator must approve, by group",
			func(p *Policy) *string { return &p.ApprovalRequired }),
		span("approval.expires_after", 10*time.Minute, 7*24*time.Hour, "how long a command waits for an approval",
			func(p *Policy) *time.Duration { return &p.ApprovalFor }),
	}
}

// groups is a setting whose value is a list of ApprovalGroups.
func groups(key, doc string, at func(*Policy) *string) Setting {
	list := strings.Join(ApprovalGroups(), ",")
	return Setting{
		Key: key, Unit: "list", Bounds: "none, all, or of " + list, Doc: doc,
		read: func(p *Policy) string { return cmp.Or(*at(p), "none") },
		write: func(p *Policy, v string) error {
			chosen := groupsIn(v)
			for _, g := range chosen {
				if !slices.Contains(ApprovalGroups(), g) {
					return fmt.Errorf("want none, all, or a list of %s", list)
				}
			}
			*at(p) = strings.Join(slices.DeleteFunc(ApprovalGroups(), func(g string) bool { return !slices.Contains(chosen, g) }), ",")
			return nil
		},
	}
}

// groupsIn returns the groups that a value of the setting names.
func groupsIn(value string) []string {
	switch value {
	case "none":
		return nil
	case "all":
		return ApprovalGroups()
	default:
		return strings.Split(value, ",")
	}
}

// approvals returns the groups of commands that need an approval.
func (p *Policy) approvals() []string { return groupsIn(cmp.Or(p.ApprovalRequired, "none")) }
