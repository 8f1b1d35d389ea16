package events

import (
	"fmt"
	"reflect"
)

// kind is the number of an event in the log and in the journal. Numbers are
// never reused.
type kind uint16

// class describes the events of one kind.
type class struct {
	kind   kind
	typ    reflect.Type
	domain string // first word of the name on the stream
	name   string // second word
	code   string // stable short code, for help desks and rules of a SIEM
	// wireType is the CloudEvents type.
	wireType string
	decode   func([]byte) (Event, error)
}

func member[T Event](k kind, domain, name, code string) class {
	return class{
		kind: k, typ: reflect.TypeFor[T](), domain: domain, name: name, code: code,
		wireType: "keyfob." + domain + "." + name + ".v1",
		decode:   decodeBody[T],
	}
}

// kinds is the closed set. A code ends in I for information and in W if it
// needs attention.
var kinds = []class{
	member[PasscodeAccepted](1, "auth", "accepted", "KF1001I"),
	member[PasscodeRejected](2, "auth", "rejected", "KF1002W"),
	member[PasscodeChallenged](3, "auth", "challenged", "KF1003I"),
	member[UserLockedOut](4, "auth", "locked", "KF1004W"),

	member[TokenImported](20, "token", "imported", "KF2001I"),
	member[TokenAssigned](21, "token", "assigned", "KF2002I"),
	member[TokenUnassigned](22, "token", "unassigned", "KF2003I"),
	member[TokenEnabled](23, "token", "enabled", "KF2004I"),
	member[TokenDisabled](24, "token", "disabled", "KF2005I"),
	member[TokenDeleted](25, "token", "deleted", "KF2006I"),
	member[PINSet](26, "token", "pin_set", "KF2010I"),
	member[PINCleared](27, "token", "pin_cleared", "KF2011I"),
	member[NewPINRequired](28, "token", "new_pin_required", "KF2012I"),
	member[NextTokencodeRequired](29, "token", "next_tokencode_required", "KF2013W"),
	member[DriftAdjusted](30, "token", "drift_adjusted", "KF2014I"),
	member[TokenResynchronized](31, "token", "resynchronized", "KF2015I"),
	member[TokenLost](32, "token", "lost", "KF2016W"),
	member[TokenFound](33, "token", "found", "KF2017I"),
	member[TokenReplaced](34, "token", "replaced", "KF2018I"),
	member[ReplacementAssigned](35, "token", "replacement_assigned", "KF2019I"),
	member[TokencodeNotSent](36, "token", "tokencode_not_sent", "KF2020W"),

	member[UserAdded](50, "user", "added", "KF3001I"),
	member[UserDisabled](51, "user", "disabled", "KF3002I"),
	member[UserEnabled](52, "user", "enabled", "KF3003I"),
	member[UserUnlocked](53, "user", "unlocked", "KF3004I"),
	member[UserDeleted](54, "user", "deleted", "KF3005I"),
	member[FailureCounted](55, "user", "failure_counted", "KF3010W"),
	member[FailuresReset](56, "user", "failures_reset", "KF3011I"),

	member[CallerProofShown](57, "user", "caller_proof_shown", "KF3020I"),
	member[CallerProofRefused](58, "user", "caller_proof_refused", "KF3021W"),
	member[CallerChecked](59, "user", "caller_checked", "KF3022W"),

	member[ClientAdded](70, "client", "added", "KF4001I"),
	member[ClientRemoved](71, "client", "removed", "KF4002I"),
	member[ClientSigned](72, "client", "signed", "KF4003I"),
	member[ClientChanged](73, "client", "changed", "KF4004I"),
	member[ClientSecretRotated](74, "client", "secret_rotated", "KF4005I"),
	member[ClientSecretSeen](75, "client", "secret_seen", "KF4006I"),
	member[AnswerRepeated](76, "client", "answer_repeated", "KF4007I"),
	member[ClientSignedCleared](77, "client", "signed_cleared", "KF4008W"),

	member[PolicyChanged](80, "policy", "changed", "KF5001W"),
	member[APITokenIssued](81, "admin", "api_token_issued", "KF5002W"),
	member[APITokenRevoked](82, "admin", "api_token_revoked", "KF5003I"),
	member[AuditReaderIssued](83, "admin", "audit_reader_issued", "KF5004W"),
	member[AuditReaderRevoked](84, "admin", "audit_reader_revoked", "KF5005I"),
	member[CommandDenied](85, "admin", "command_denied", "KF5006W"),
	member[APITokenRefused](86, "admin", "api_token_refused", "KF5007W"),

	member[RoleGranted](150, "admin", "role_granted", "KF5010W"),
	member[RoleRevoked](151, "admin", "role_revoked", "KF5011W"),
	member[SessionOpened](152, "admin", "session_opened", "KF5012I"),
	member[SessionEnded](153, "admin", "session_ended", "KF5013I"),
	member[SessionRefused](154, "admin", "session_refused", "KF5014W"),
	member[CredentialUsed](155, "admin", "credential_used", "KF5015I"),
	member[APITokenLinked](156, "admin", "api_token_linked", "KF5016W"),

	member[ClusterFounded](90, "cluster", "founded", "KF6001I"),
	member[InvitationIssued](91, "cluster", "invitation_issued", "KF6002W"),
	member[NodeJoined](92, "cluster", "node_joined", "KF6003W"),
	member[NodeRemoved](93, "cluster", "node_removed", "KF6004W"),
	member[NodeLost](94, "cluster", "node_lost", "KF6005W"),
	member[NodeReturned](95, "cluster", "node_returned", "KF6006I"),
	member[LeaderChanged](96, "cluster", "leader_changed", "KF6007W"),
	member[ClockSkewed](97, "cluster", "clock_skewed", "KF6008W"),
	member[ClusterRestored](98, "cluster", "restored", "KF6009W"),
	member[RecoveryKeySet](99, "cluster", "recovery_key_set", "KF6010W"),
	member[BackupTaken](100, "cluster", "backup_taken", "KF6011W"),
	member[LeaderTransferRequested](101, "cluster", "leader_transfer_requested", "KF6012W"),
	member[RecoveryKeyAdded](138, "cluster", "recovery_key_added", "KF6040W"),
	member[RecoveryKeyRemoved](139, "cluster", "recovery_key_removed", "KF6041W"),

	member[KeyRotationRequested](120, "cluster", "key_rotation_requested", "KF6020W"),
	member[RootKeyRotated](121, "cluster", "root_key_rotated", "KF6021W"),
	member[RecordsResealed](122, "cluster", "records_resealed", "KF6022I"),
	member[NodeKeysCurrent](123, "cluster", "node_keys_current", "KF6023I"),
	member[RootKeyDropped](124, "cluster", "root_key_dropped", "KF6024W"),

	member[CARotated](130, "cluster", "ca_rotated", "KF6030W"),
	member[JoinRequested](131, "cluster", "join_requested", "KF6031W"),
	member[JoinApproved](132, "cluster", "join_approved", "KF6032W"),
	member[JoinRefused](133, "cluster", "join_refused", "KF6033W"),
	member[InvitationRefused](134, "cluster", "invitation_refused", "KF6034W"),

	member[StreamDiffered](135, "integrity", "stream_differed", "KF6035W"),
	member[PublishingFailed](136, "cluster", "publishing_failed", "KF6036W"),
	member[PublishingResumed](137, "cluster", "publishing_resumed", "KF6037I"),

	member[CheckpointSigned](110, "integrity", "checkpoint", "KF7001I"),

	member[ApprovalRequested](160, "admin", "approval_requested", "KF5020W"),
	member[ApprovalGiven](161, "admin", "approval_given", "KF5021W"),
	member[ApprovalRefused](162, "admin", "approval_refused", "KF5022W"),
	member[ApprovalExpired](163, "admin", "approval_expired", "KF5023I"),
	member[ApprovalUsed](164, "admin", "approval_used", "KF5024I"),
	member[CommandRefused](165, "admin", "command_refused", "KF5025W"),
	member[RecordsRead](166, "admin", "records_read", "KF5026I"),
}

var (
	byKind = func() map[kind]*class {
		m := make(map[kind]*class, len(kinds))
		for i := range kinds {
			m[kinds[i].kind] = &kinds[i]
		}
		return m
	}()
	byType = func() map[reflect.Type]*class {
		m := make(map[reflect.Type]*class, len(kinds))
		for i := range kinds {
			m[kinds[i].typ] = &kinds[i]
		}
		return m
	}()
)

// classOf returns the class of an event. It panics for an event outside the
// set, which could not be stored and would be lost.
func classOf(e Event) *class {
	c, ok := byType[reflect.TypeOf(e)]
	if !ok {
		panic(fmt.Sprintf("events: %T is not in the registry", e))
	}
	return c
}

// Kinds returns an empty event of each kind.
func Kinds() []Event {
	all := make([]Event, len(kinds))
	for i, c := range kinds {
		all[i] = reflect.Zero(c.typ).Interface().(Event)
	}
	return all
}

// Name returns the name of an event in subjects and types on the stream, such
// as auth.rejected.
func Name(e Event) string {
	c := classOf(e)
	return c.domain + "." + c.name
}

// Describe returns what the audit stream shows of an event.
func Describe(e Event) Data {
	var d Data
	e.describe(&d)
	return d
}
