package engine

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"keyfob/events"
)

// Groups of commands that can need a second administrator, by what they do.
const (
	GroupRecoveryKey = "recovery_key"
	GroupBackup      = "backup"
	GroupClient      = "client"
	GroupPolicy      = "policy"
	GroupRole        = "role"
	GroupAPIToken    = "api_token"
	GroupCluster     = "cluster"
)

// ApprovalGroups returns the groups of commands that can need a second
// administrator.
func ApprovalGroups() []string {
	return []string{GroupRecoveryKey, GroupBackup, GroupClient, GroupPolicy, GroupRole, GroupAPIToken, GroupCluster}
}

// needsApproval returns the groups of the policy that the events of a command
// are in. What takes trust away, such as revoking a token, is in none.
func (s *State) needsApproval(o events.Origin, facts []events.Event) []string {
	required := s.Policy.approvals()
	if len(required) == 0 || s.alone(o) {
		return nil
	}
	var groups []string
	for _, e := range facts {
		group := s.groupOf(e)
		always := group == GroupPolicy && lessApproval(e) // not even without the group policy
		if group != "" && (always || slices.Contains(required, group)) && !slices.Contains(groups, group) {
			groups = append(groups, group)
		}
	}
	return groups
}

// groupOf returns the group of what an event does, or nothing.
func (s *State) groupOf(e events.Event) string {
	switch e := e.(type) {
	case events.RecoveryKeySet, events.RecoveryKeyAdded, events.RecoveryKeyRemoved:
		return GroupRecoveryKey
	case events.BackupTaken:
		return GroupBackup
	case events.ClientAdded, events.ClientSecretRotated, events.ClientSignedCleared:
		return GroupClient
	case events.ClientChanged:
		if e.Prefix != nil || e.MessageAuthenticator != nil || e.Trusted != nil {
			return GroupClient
		}
	case events.PolicyChanged:
		if !tightens(e) {
			return GroupPolicy
		}
	case events.APITokenIssued:
		if e.Role == RoleAdmin {
			return GroupAPIToken
		}
	case events.RoleGranted:
		return GroupRole
	case events.InvitationIssued, events.NodeRemoved:
		return GroupCluster
	default:
	}
	if s.armsAdministrator(e) {
		return GroupRole
	}
	return ""
}

// armsAdministrator reports whether an event gives something to log in with to
// a user who is an administrator. An attacker who chooses it could log in as that user.
func (s *State) armsAdministrator(e events.Event) bool {
	switch e := e.(type) {
	case events.TokenLost:
		if len(e.Sealed) == 0 {
			return false // no emergency tokencodes
		}
	case events.TokenAssigned, events.ReplacementAssigned, events.PINSet, events.TokenEnabled, events.TokenFound, events.UserEnabled:
	default:
		return false
	}
	u := s.User(events.Describe(e).User)
	return u != nil && u.Role != ""
}

// lessApproval reports whether an event takes a group out of
// approval.required.
func lessApproval(e events.Event) bool {
	change, ok := e.(events.PolicyChanged)
	return ok && change.Key == approvalKey && !tightens(change)
}

// direction says in which direction a setting becomes stricter, and what 0
// means if that is not the smallest number.
type direction struct {
	up       bool
	unending bool // 0 is more than any other value
}

// stricter lists the settings with a strict direction. A change of any other
// setting counts as weaker.
var stricter = map[string]direction{
	"next_tokencode.after": {}, "next_tokencode.within": {}, "lock.after": {}, "lock.stop_after": {},
	"lock.for": {up: true, unending: true}, "lock.growth": {up: true}, "lock.within": {up: true, unending: true},
	"wait.step": {up: true}, "wait.most": {up: true},
	"pin.min": {up: true}, "pin.history": {up: true}, "pin.lifetime": {unending: true}, "pin.rounds": {},
	"ondemand.for": {}, "ondemand.per_hour": {}, "resync.within": {}, "resync.ahead": {}, "conversation.for": {},
	"tokens.per_user": {}, "emergency.for": {}, "emergency.most": {}, "emergency.codes": {},
	"retry.request_for": {}, "retry.login_for": {},
	"source.failures": {unending: true}, "source.every": {up: true}, "client.failures": {unending: true}, "client.every": {up: true},
	"refusal.delay": {up: true}, "seed.min": {up: true}, "admin.session_for": {}, "admin.session_idle": {},
}

// tightens reports whether a change of the policy makes it stricter for sure.
func tightens(e events.PolicyChanged) bool {
	switch {
	case e.Key == approvalKey:
		after := groupsIn(e.After)
		return !slices.ContainsFunc(groupsIn(e.Before), func(g string) bool { return !slices.Contains(after, g) })
	case e.Key == "pin.first":
		return e.After == string(FirstPINByActivationCode)
	case e.Key == "resync.by_user":
		return e.After == "no"
	case e.Key == "admin.session_bound":
		return e.After == "yes"
	}
	way, ok := stricter[e.Key]
	if strings.HasPrefix(e.Key, "window.") {
		way, ok = direction{}, true
	}
	before, beforeOK := amount(e.Before)
	after, afterOK := amount(e.After)
	if !ok || !beforeOK || !afterOK {
		return false
	}
	if way.unending && before == 0 {
		return !way.up
	}
	if way.unending && after == 0 {
		return way.up
	}
	return after > before == way.up
}

// amount returns a value of a setting as a number.
func amount(value string) (int64, bool) {
	if n, err := strconv.ParseInt(value, 10, 64); err == nil {
		return n, true
	}
	d, err := ParseDuration(value)
	return int64(d), err == nil
}

// summary returns what events do, for the administrator who approves them. It
// holds no secret and no time that depends on when the command is decided.
func (s *State) summary(facts []events.Event) []string {
	lines := make([]string, 0, len(facts))
	for _, e := range facts {
		lines = append(lines, s.line(e))
	}
	return lines
}

func (s *State) line(e events.Event) string {
	switch e := e.(type) {
	case events.RecoveryKeySet:
		return "seal backups for recovery key " + recoveryKeyName(e.Key) + " only"
	case events.RecoveryKeyAdded:
		return "seal backups for recovery key " + recoveryKeyName(e.Key) + " too"
	case events.RecoveryKeyRemoved:
		return "no longer seal backups for recovery key " + recoveryKeyName(e.Key)
	case events.BackupTaken:
		return "take one backup, sealed for recovery key " + e.RecoveryKey
	case events.ClientSecretRotated:
		return fmt.Sprintf("rotate the secret of client %s to revision %d", e.Client, e.Revision)
	case events.PolicyChanged:
		return fmt.Sprintf("change %s from %s to %s", e.Key, e.Before, e.After)
	case events.NodeRemoved:
		return "remove node " + e.Node
	case events.InvitationIssued:
		if e.Approved {
			return "invite node " + e.Node + ", which needs no approval of its keys"
		}
		return "invite node " + e.Node
	default:
		return described(e)
	}
}

// recoveryKeyName returns the short name of a recovery key, as its file has it.
func recoveryKeyName(public []byte) string {
	sum := sha256.Sum256(public)
	return hex.EncodeToString(sum[:4])
}

// described returns the name of an event with what the audit stream shows of
// it.
func described(e events.Event) string {
	var text strings.Builder
	text.WriteString(strings.NewReplacer(".", " ", "_", " ").Replace(events.Name(e)))
	d := events.Describe(e)
	for _, f := range append([]events.Field{{Name: "user", Value: d.User}, {Name: "token", Value: d.Serial}}, d.Detail...) {
		if f.Value != "" {
			fmt.Fprintf(&text, " %s=%v", f.Name, f.Value)
		}
	}
	return text.String()
}
