package events

// UserAdded is recorded when a user is added.
type UserAdded struct {
	User string `cbor:"1,keyasint"`
}

// UserDisabled is recorded when a user is disabled. All attempts are refused
// until the user is enabled.
type UserDisabled struct {
	User string `cbor:"1,keyasint"`
}

// UserEnabled is recorded when a disabled user may log in again.
type UserEnabled struct {
	User string `cbor:"1,keyasint"`
}

// UserUnlocked is recorded when an administrator ends the locks of a user and
// resets the failures.
type UserUnlocked struct {
	User string `cbor:"1,keyasint"`
}

// UserDeleted is recorded when a user is deleted.
type UserDeleted struct {
	User string `cbor:"1,keyasint"`
}

// ClientAdded is recorded when a RADIUS client is added. Older versions also
// recorded changes with it.
type ClientAdded struct {
	Client               string `cbor:"1,keyasint"`
	Prefix               string `cbor:"2,keyasint"` // CIDR
	Sealed               []byte `cbor:"3,keyasint"` // the shared secret
	Site                 string `cbor:"4,keyasint,omitempty"`
	Dialect              string `cbor:"5,keyasint"`
	MessageAuthenticator string `cbor:"6,keyasint"` // require, auto, allow
	Trusted              bool   `cbor:"7,keyasint,omitempty"`
}

// ClientChanged is recorded when settings of a RADIUS client change. A nil
// field has not changed.
type ClientChanged struct {
	Client               string  `cbor:"1,keyasint"`
	Prefix               *string `cbor:"2,keyasint,omitempty"` // CIDR
	Site                 *string `cbor:"3,keyasint,omitempty"`
	Dialect              *string `cbor:"4,keyasint,omitempty"`
	MessageAuthenticator *string `cbor:"5,keyasint,omitempty"`
	Trusted              *bool   `cbor:"6,keyasint,omitempty"`
}

// ClientSecretRotated is recorded when a RADIUS client gets a new shared
// secret. The old one stays valid until OldUntil or until the new one is first
// seen.
type ClientSecretRotated struct {
	Client   string `cbor:"1,keyasint"`
	Sealed   []byte `cbor:"2,keyasint"`           // the new secret
	Revision uint64 `cbor:"3,keyasint"`           // of the new secret
	OldUntil Time   `cbor:"4,keyasint,omitempty"` // zero: the old secret ends at once
	// KeepsOld is set if the replaced secret was never seen, so that the old
	// secret is still the one before it.
	KeepsOld bool `cbor:"5,keyasint,omitempty"`
}

// ClientSecretSeen is recorded when a RADIUS client first uses its new shared
// secret, which ends the old one.
type ClientSecretSeen struct {
	Client   string `cbor:"1,keyasint"`
	Revision uint64 `cbor:"2,keyasint"` // of the secret
	Address  string `cbor:"3,keyasint"` // where it was used
}

// ClientRemoved is recorded when a RADIUS client is removed.
type ClientRemoved struct {
	Client string `cbor:"1,keyasint"`
}

// ClientSigned is recorded when an address of a client first sends a
// Message-Authenticator. Requests from it without one are refused from then on.
type ClientSigned struct {
	Client  string `cbor:"1,keyasint"`
	Address string `cbor:"2,keyasint"`
	// All is set if the client has as many such addresses as are kept. From then on
	// requests of all its addresses are refused without one.
	All bool `cbor:"3,keyasint,omitempty"`
}

// ClientSignedCleared is recorded when an administrator lets an address of a
// client, or all of them, send requests without a Message-Authenticator again.
type ClientSignedCleared struct {
	Client  string `cbor:"1,keyasint"`
	Address string `cbor:"2,keyasint,omitempty"` // empty: all
}

// PolicyChanged is recorded when a setting of the policy changes.
type PolicyChanged struct {
	Key    string `cbor:"1,keyasint"`
	Before string `cbor:"2,keyasint"`
	After  string `cbor:"3,keyasint"`
}

// APITokenIssued is recorded when an API token is issued.
type APITokenIssued struct {
	Name    string `cbor:"1,keyasint"`
	Digest  Hash   `cbor:"2,keyasint"` // SHA-256 of the secret, which is random
	Role    string `cbor:"3,keyasint"`
	Expires Time   `cbor:"4,keyasint,omitzero"`
	// What it is limited to; nil: everything that the role permits, everywhere.
	Commands []string `cbor:"5,keyasint,omitempty"` // patterns of operations
	Sites    []string `cbor:"6,keyasint,omitempty"` // of the nodes that are asked
	Networks []string `cbor:"7,keyasint,omitempty"` // CIDR that it is used from
}

// AuditReaderIssued is recorded when credentials to read the audit stream are
// issued. The cluster accepts them until Expires.
type AuditReaderIssued struct {
	Name    string `cbor:"1,keyasint"`
	Key     string `cbor:"2,keyasint"` // public key that the credentials are signed with
	Expires Time   `cbor:"3,keyasint"`
}

// AuditReaderRevoked is recorded when the credentials of a reader are revoked.
type AuditReaderRevoked struct {
	Name string `cbor:"1,keyasint"`
	Key  string `cbor:"2,keyasint"`
}

// APITokenRevoked is recorded when an API token is revoked.
type APITokenRevoked struct {
	Name string `cbor:"1,keyasint"`
}

// CommandDenied is recorded when an administrator or an API token asks for an
// operation that is not permitted to them.
type CommandDenied struct {
	Operation string   `cbor:"1,keyasint"` // of the API, such as delete-user
	Role      string   `cbor:"2,keyasint"`
	Count     uint32   `cbor:"3,keyasint,omitempty"` // denials that this one stands for, when sampled
	Others    []string `cbor:"4,keyasint,omitempty"` // other actors that were denied meanwhile
	Cause     string   `cbor:"5,keyasint,omitempty"` // role, commands, site, network; empty in older records: role
}

// APITokenRefused is recorded when a request carries an API token that is not
// valid.
type APITokenRefused struct {
	Name   string   `cbor:"1,keyasint,omitempty"` // of a token that has expired
	Count  uint32   `cbor:"2,keyasint,omitempty"` // refusals that this one stands for, when sampled
	Others []string `cbor:"3,keyasint,omitempty"` // other networks that they came from
	Cause  string   `cbor:"4,keyasint,omitempty"` // unknown, expired, owner
}
