package events

import (
	"crypto/sha256"
	"encoding/hex"
	"strings"
)

const timeFormat = "2006-01-02T15:04:05.000Z"

// Data is what the audit stream shows of an event besides its origin and its
// place in the chain. Empty fields are left out.
type Data struct {
	User       string
	UserDigest string // keyed digest of an unknown name
	Serial     string
	Kind       string
	Drift      *int64
	Outcome    string
	Reason     Reason
	Detail     []Field // fields of this kind of event only, by name
}

// Field is a detail of an event: a string, an int64 or a bool.
type Field struct {
	Name  string
	Value any
}

func (d *Data) detail(name string, value any) {
	switch v := value.(type) {
	case string:
		if v == "" {
			return
		}
	case Time:
		if v.IsZero() {
			return
		}
		value = v.Std().Format(timeFormat)
	case Hash:
		if v == (Hash{}) {
			return
		}
		value = v.String()
	case bool:
		if !v {
			return
		}
	}
	d.Detail = append(d.Detail, Field{name, value})
}

// detailSet adds a detail, even if its value is empty.
func detailSet[T string | bool](d *Data, name string, value *T) {
	if value != nil {
		d.Detail = append(d.Detail, Field{name, *value})
	}
}

// count adds the number of refusals that an event stands for.
func (d *Data) count(n uint32) {
	if n > 1 {
		d.detail("count", int64(n))
	}
}

func (d *Data) use(u Use) {
	d.Serial, d.Kind = u.Serial, u.Kind
	if u.Emergency != 0 {
		d.detail("emergency", true)
		return
	}
	drift := u.Drift
	d.Drift = &drift
}

func (e PasscodeAccepted) describe(d *Data) {
	d.User, d.Outcome = e.User, "accept"
	d.use(e.Use)
}

func (e PasscodeRejected) describe(d *Data) {
	d.User, d.UserDigest, d.Serial, d.Kind = e.User, e.Digest, e.Serial, e.Kind
	d.Outcome, d.Reason = "reject", e.Reason
	d.count(e.Count)
	if e.Offset != nil {
		d.detail("offset", *e.Offset)
	}
	d.detail("others", strings.Join(e.Others, " "))
	d.detail("problem", e.Problem)
}

func (e PasscodeChallenged) describe(d *Data) {
	d.User, d.Serial = e.User, e.Conversation.Serial
	d.Outcome, d.Reason = "challenge", e.Reason
	if e.Use != nil {
		d.use(*e.Use)
	}
	if e.Conversation.Extensions > 0 {
		d.detail("extensions", int64(e.Conversation.Extensions))
	}
	d.detail("step", string(e.Conversation.Step))
}

func (e UserLockedOut) describe(d *Data) {
	d.User, d.Reason = e.User, ReasonTooManyFailures
	d.detail("failures", int64(e.Failures))
	d.detail("trusted", e.Trusted)
	d.detail("unsigned", e.Unsigned)
	d.detail("until", e.Until)
}

func (e AnswerRepeated) describe(d *Data) {
	d.User = e.User
	d.detail("decided", e.Reference)
}

func (e FailureCounted) describe(d *Data) {
	d.User = e.User
	d.detail("failures", int64(e.Failures))
	d.detail("trusted", e.Trusted)
	d.detail("unsigned", e.Unsigned)
}

func (e FailuresReset) describe(d *Data) {
	d.User = e.User
	d.detail("failures", int64(e.Failures))
}

func (e TokenImported) describe(d *Data) {
	d.Serial, d.Kind = e.Serial, e.Kind
	d.detail("expires", e.Expires)
}

func (e TokenAssigned) describe(d *Data)   { d.Serial, d.User = e.Serial, e.User }
func (e TokenUnassigned) describe(d *Data) { d.Serial, d.User = e.Serial, e.User }
func (e TokenEnabled) describe(d *Data)    { d.Serial, d.User = e.Serial, e.User }
func (e TokenDisabled) describe(d *Data)   { d.Serial, d.User = e.Serial, e.User }
func (e TokenDeleted) describe(d *Data)    { d.Serial, d.User = e.Serial, e.User }
func (e PINCleared) describe(d *Data)      { d.Serial, d.User = e.Serial, e.User }

func (e PINSet) describe(d *Data) {
	d.Serial, d.User = e.Serial, e.User
	d.detail("generated", e.Generated)
	d.detail("temporary", e.Temporary)
}

func (e NewPINRequired) describe(d *Data) {
	d.Serial, d.User, d.Reason = e.Serial, e.User, e.Reason
}

func (e NextTokencodeRequired) describe(d *Data) {
	d.Serial, d.User, d.Reason = e.Serial, e.User, e.Reason
}

func (e TokenResynchronized) describe(d *Data) {
	d.User = e.User
	d.use(e.Use)
}

func (e TokenLost) describe(d *Data) {
	d.Serial, d.User = e.Serial, e.User
	d.detail("fixed", e.Fixed)
	d.detail("found", e.Found)
	if e.Given > 0 {
		d.detail("given", int64(e.Given))
	}
	d.detail("until", e.Until)
}

func (e TokencodeNotSent) describe(d *Data) {
	d.Serial, d.User = e.Serial, e.User
	d.detail("result", e.Result)
	d.detail("way", e.Way)
}

func (e TokenFound) describe(d *Data) { d.Serial, d.User = e.Serial, e.User }

func (e TokenReplaced) describe(d *Data) {
	d.Serial, d.User = e.Serial, e.User
	d.detail("replaced", e.Old)
}

func (e ReplacementAssigned) describe(d *Data) {
	d.Serial, d.User = e.Serial, e.User
	d.detail("replaces", e.Old)
}

func (e DriftAdjusted) describe(d *Data) {
	d.Serial, d.User = e.Serial, e.User
	drift := e.Drift
	d.Drift = &drift
	d.detail("drift_before", e.From)
}

func (e UserAdded) describe(d *Data)    { d.User = e.User }
func (e UserDisabled) describe(d *Data) { d.User = e.User }
func (e UserEnabled) describe(d *Data)  { d.User = e.User }
func (e UserUnlocked) describe(d *Data) { d.User = e.User }
func (e UserDeleted) describe(d *Data)  { d.User = e.User }

func (e ClientAdded) describe(d *Data) {
	d.detail("dialect", e.Dialect)
	d.detail("message_authenticator", e.MessageAuthenticator)
	d.detail("name", e.Client)
	d.detail("prefix", e.Prefix)
	d.detail("trusted", e.Trusted)
}

func (e ClientChanged) describe(d *Data) {
	detailSet(d, "dialect", e.Dialect)
	detailSet(d, "message_authenticator", e.MessageAuthenticator)
	d.detail("name", e.Client)
	detailSet(d, "prefix", e.Prefix)
	detailSet(d, "site", e.Site)
	detailSet(d, "trusted", e.Trusted)
}

func (e ClientSecretRotated) describe(d *Data) {
	d.detail("name", e.Client)
	d.detail("old_until", e.OldUntil)
	d.detail("revision", int64(e.Revision))
}

func (e ClientSecretSeen) describe(d *Data) {
	d.detail("address", e.Address)
	d.detail("name", e.Client)
	d.detail("revision", int64(e.Revision))
}

func (e ClientRemoved) describe(d *Data) { d.detail("name", e.Client) }

func (e ClientSigned) describe(d *Data) {
	d.detail("address", e.Address)
	d.detail("all", e.All)
	d.detail("name", e.Client)
}

func (e ClientSignedCleared) describe(d *Data) {
	d.detail("address", e.Address)
	d.detail("name", e.Client)
}

func (e PolicyChanged) describe(d *Data) {
	d.detail("after", e.After)
	d.detail("before", e.Before)
	d.detail("key", e.Key)
}

func (e APITokenIssued) describe(d *Data) {
	d.detail("commands", strings.Join(e.Commands, " "))
	d.detail("expires", e.Expires)
	d.detail("name", e.Name)
	d.detail("networks", strings.Join(e.Networks, " "))
	d.detail("role", e.Role)
	d.detail("sites", strings.Join(e.Sites, " "))
}

func (e APITokenRevoked) describe(d *Data) { d.detail("name", e.Name) }

func (e CommandDenied) describe(d *Data) {
	d.detail("cause", e.Cause)
	d.count(e.Count)
	d.detail("operation", e.Operation)
	d.detail("others", strings.Join(e.Others, ", "))
	d.detail("role", e.Role)
}

func (e APITokenRefused) describe(d *Data) {
	d.detail("cause", e.Cause)
	d.count(e.Count)
	d.detail("name", e.Name)
	d.detail("others", strings.Join(e.Others, ", "))
}

func (e AuditReaderIssued) describe(d *Data) {
	d.detail("expires", e.Expires)
	d.detail("name", e.Name)
	d.detail("public_key", e.Key)
}

func (e AuditReaderRevoked) describe(d *Data) {
	d.detail("name", e.Name)
	d.detail("public_key", e.Key)
}

func (e ClusterFounded) describe(d *Data) {
	d.detail("cluster", e.Cluster)
}

func (e CARotated) describe(d *Data) {
	sum := sha256.Sum256(e.Certificate)
	d.detail("certificate_sha256", hex.EncodeToString(sum[:]))
}

func (e InvitationIssued) describe(d *Data) {
	d.detail("approved", e.Approved)
	d.detail("expires", e.Expires)
	d.detail("member", e.Node)
}

func (e JoinRequested) describe(d *Data) {
	d.detail("address", e.Address)
	d.detail("fingerprint", e.Fingerprint)
	d.detail("key_sha256", e.Key)
	d.detail("member", e.Node)
}

func (e JoinApproved) describe(d *Data) {
	d.detail("fingerprint", e.Fingerprint)
	d.detail("member", e.Node)
}

func (e JoinRefused) describe(d *Data) {
	d.detail("fingerprint", e.Fingerprint)
	d.detail("member", e.Node)
}

func (e InvitationRefused) describe(d *Data) {
	d.count(e.Count)
	d.detail("member", e.Node)
	d.detail("others", strings.Join(e.Others, ", "))
	d.detail("problem", e.Problem)
}

func (e NodeJoined) describe(d *Data) {
	d.detail("address", e.Address)
	d.detail("key_sha256", e.Key)
	d.detail("member", e.Node)
}

func (e NodeRemoved) describe(d *Data)  { d.detail("member", e.Node) }
func (e NodeLost) describe(d *Data)     { d.detail("member", e.Node) }
func (e NodeReturned) describe(d *Data) { d.detail("member", e.Node) }

func (e LeaderTransferRequested) describe(d *Data) { d.detail("member", e.Node) }

func (e LeaderChanged) describe(d *Data) {
	d.detail("leader", e.Node)
	d.detail("leader_before", e.Before)
	d.detail("term", int64(e.Term))
}

func (e ClockSkewed) describe(d *Data) {
	d.Reason = ReasonClockSkew
	d.detail("member", e.Node)
	d.detail("offset_ms", e.Offset)
}

func (e ClusterRestored) describe(d *Data) {
	d.detail("address", e.Address)
	d.detail("backup", int64(e.Backup))
	d.detail("epoch", int64(e.Epoch))
	d.detail("key_sha256", e.Key)
	d.detail("member", e.Node)
	d.detail("recovery_key", e.RecoveryKey)
	d.detail("taken", e.Taken)
}

func (e RecoveryKeySet) describe(d *Data)     { d.recoveryKey(e.Key, e.Shares, e.Threshold) }
func (e RecoveryKeyAdded) describe(d *Data)   { d.recoveryKey(e.Key, e.Shares, e.Threshold) }
func (e RecoveryKeyRemoved) describe(d *Data) { d.recoveryKey(e.Key, 0, 0) }

// recoveryKey shows a key by its digest, which begins with its short name.
func (d *Data) recoveryKey(public []byte, shares, threshold uint8) {
	sum := sha256.Sum256(public)
	d.detail("key_sha256", hex.EncodeToString(sum[:]))
	if shares > 0 {
		d.detail("shares", int64(shares))
		d.detail("threshold", int64(threshold))
	}
}

func (e BackupTaken) describe(d *Data) {
	d.detail("member", e.Node)
	d.detail("recovery_key", e.RecoveryKey)
}

func (e CheckpointSigned) describe(d *Data) {
	d.detail("checkpoint", int64(e.Sequence))
	d.detail("head", e.Head.String())
	d.detail("key", hex.EncodeToString(e.Key))
	d.detail("signature", hex.EncodeToString(e.Signature))
}
