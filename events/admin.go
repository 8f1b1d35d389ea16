package events

// UserAdded says that a user became known.
type UserAdded struct {
	User string `cbor:"1,keyasint"`
}

// UserDisabled says that a user is refused until enabled.
type UserDisabled struct {
	User string `cbor:"1,keyasint"`
}

// UserEnabled says that a user may log in again.
type UserEnabled struct {
	User string `cbor:"1,keyasint"`
}

// UserUnlocked says that an administrator ended a lock and set the failures
// to 0.
type UserUnlocked struct {
	User string `cbor:"1,keyasint"`
}

// UserDeleted says that a user is forgotten; the tokens belong to nobody.
type UserDeleted struct {
	User string `cbor:"1,keyasint"`
}

// ClientAdded says that a RADIUS client became known, or was changed.
type ClientAdded struct {
	Client               string `cbor:"1,keyasint"`
	Prefix               string `cbor:"2,keyasint"` // CIDR
	Sealed               []byte `cbor:"3,keyasint"` // the shared secret
	Site                 string `cbor:"4,keyasint,omitempty"`
	Dialect              string `cbor:"5,keyasint"`
	MessageAuthenticator string `cbor:"6,keyasint"` // require, auto, allow
	Trusted              bool   `cbor:"7,keyasint,omitempty"`
}

// ClientChanged means that settings of a RADIUS client changed. A nil field was
// left as it was.
type ClientChanged struct {
	Client               string  `cbor:"1,keyasint"`
	Prefix               *string `cbor:"2,keyasint,omitempty"` // CIDR
	Site                 *string `cbor:"3,keyasint,omitempty"`
	Dialect              *string `cbor:"4,keyasint,omitempty"`
	MessageAuthenticator *string `cbor:"5,keyasint,omitempty"`
	Trusted              *bool   `cbor:"6,keyasint,omitempty"`
}

// ClientSecretRotated means that a RADIUS client has a new shared secret. The
// old one stays valid until OldUntil or until the new one is first seen.
type ClientSecretRotated struct {
	Client   string `cbor:"1,keyasint"`
	Sealed   []byte `cbor:"2,keyasint"`           // the new secret
	Revision uint64 `cbor:"3,keyasint"`           // of the new secret
	OldUntil Time   `cbor:"4,keyasint,omitempty"` // zero: the old secret ends at once
	// KeepsOld means that the secret replaced was never seen, so that the old
	// secret is still the one before it.
	KeepsOld bool `cbor:"5,keyasint,omitempty"`
}

// ClientSecretSeen means that a RADIUS client has used its new shared secret,
// which ends the old one.
type ClientSecretSeen struct {
	Client   string `cbor:"1,keyasint"`
	Revision uint64 `cbor:"2,keyasint"` // of the secret
	Address  string `cbor:"3,keyasint"` // where it was used
}

// ClientRemoved says that a RADIUS client is answered no more.
type ClientRemoved struct {
	Client string `cbor:"1,keyasint"`
}

// ClientSigned says that an address of a client has sent a
// Message-Authenticator; from it none is accepted without, ever after.
type ClientSigned struct {
	Client  string `cbor:"1,keyasint"`
	Address string `cbor:"2,keyasint"`
}

// PolicyChanged says that a number of the rules changed.
type PolicyChanged struct {
	Key    string `cbor:"1,keyasint"`
	Before string `cbor:"2,keyasint"`
	After  string `cbor:"3,keyasint"`
}

// APITokenIssued says that a bearer of the secret behind Digest may command.
type APITokenIssued struct {
	Name    string `cbor:"1,keyasint"`
	Digest  Hash   `cbor:"2,keyasint"` // SHA-256 of the secret, which is random
	Role    string `cbor:"3,keyasint"`
	Expires Time   `cbor:"4,keyasint,omitzero"`
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

// APITokenRevoked says that a bearer may command no more.
type APITokenRevoked struct {
	Name string `cbor:"1,keyasint"`
}

// CommandDenied is recorded when an API token asks for an operation that its
// role does not permit.
type CommandDenied struct {
	Operation string   `cbor:"1,keyasint"` // of the API, such as delete-user
	Role      string   `cbor:"2,keyasint"`
	Count     uint32   `cbor:"3,keyasint,omitempty"` // denials that this one stands for, when sampled
	Others    []string `cbor:"4,keyasint,omitempty"` // other actors that were denied meanwhile
}

// APITokenRefused is recorded when a request carries an API token that is
// unknown, revoked or expired.
type APITokenRefused struct {
	Name   string   `cbor:"1,keyasint,omitempty"` // of a token that has expired
	Count  uint32   `cbor:"2,keyasint,omitempty"` // refusals that this one stands for, when sampled
	Others []string `cbor:"3,keyasint,omitempty"` // other networks that they came from
}
