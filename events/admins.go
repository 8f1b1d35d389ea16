package events

import "strings"

// RoleGranted is recorded when a user becomes an administrator, or gets another
// role. It ends the user's sessions.
type RoleGranted struct {
	User   string `cbor:"1,keyasint"`
	Role   string `cbor:"2,keyasint"`
	Before string `cbor:"3,keyasint,omitempty"` // the previous role
}

// RoleRevoked is recorded when a user is no longer an administrator. It ends the
// user's sessions.
type RoleRevoked struct {
	User string `cbor:"1,keyasint"`
	Role string `cbor:"2,keyasint"`
}

// SessionOpened is recorded when an administrator has logged in.
type SessionOpened struct {
	Session string  `cbor:"1,keyasint"` // public name, the beginning of Digest
	Digest  Hash    `cbor:"2,keyasint"` // SHA-256 of the secret, which is random
	User    string  `cbor:"3,keyasint"`
	Role    string  `cbor:"4,keyasint"`
	Serial  string  `cbor:"5,keyasint"` // of the token that was used
	Network string  `cbor:"6,keyasint"` // CIDR that it was opened from
	Expires Time    `cbor:"7,keyasint"`
	Login   Request `cbor:"8,keyasint"` // the accepted login
}

// SessionEnded is recorded when an administrator logs out, or when another one
// ends the session. A session also ends, without a record of its own, with its
// time and with RoleGranted, RoleRevoked, UserDisabled, ClusterRestored and
// whatever takes a token or a PIN from its user.
type SessionEnded struct {
	Session string `cbor:"1,keyasint"`
	User    string `cbor:"2,keyasint"`
}

// SessionRefused is recorded when a request carries a session that is not valid.
type SessionRefused struct {
	Session string   `cbor:"1,keyasint,omitempty"` // empty if unknown
	User    string   `cbor:"2,keyasint,omitempty"`
	Cause   string   `cbor:"3,keyasint"`           // unknown, expired, idle, address, user
	Count   uint32   `cbor:"4,keyasint,omitempty"` // refusals that this one stands for, when sampled
	Others  []string `cbor:"5,keyasint,omitempty"` // other networks that they came from
}

// CredentialUsed is recorded from time to time while a session or an API token
// is used.
type CredentialUsed struct {
	Session  string `cbor:"1,keyasint,omitempty"`
	APIToken string `cbor:"2,keyasint,omitempty"`
}

// APITokenLinked is recorded when an API token is linked to a person. It is then
// valid only while the person is an administrator.
type APITokenLinked struct {
	Name string `cbor:"1,keyasint"`
	User string `cbor:"2,keyasint"`
}

// StandFor implements Sampled.
func (e SessionRefused) StandFor(count uint32, others []string) Event {
	e.Count, e.Others = count, others
	return e
}

func (e RoleGranted) describe(d *Data) {
	d.User = e.User
	d.detail("role", e.Role)
	d.detail("role_before", e.Before)
}

func (e RoleRevoked) describe(d *Data) {
	d.User = e.User
	d.detail("role", e.Role)
}

func (e SessionOpened) describe(d *Data) {
	d.User, d.Serial = e.User, e.Serial
	d.detail("expires", e.Expires)
	d.detail("network", e.Network)
	d.detail("opened", e.Session)
	d.detail("role", e.Role)
}

func (e SessionEnded) describe(d *Data) {
	d.User = e.User
	d.detail("ended", e.Session)
}

func (e SessionRefused) describe(d *Data) {
	d.User = e.User
	d.detail("cause", e.Cause)
	d.count(e.Count)
	d.detail("others", strings.Join(e.Others, ", "))
	d.detail("refused", e.Session)
}

func (e CredentialUsed) describe(d *Data) {
	d.detail("name", e.APIToken)
	d.detail("used", e.Session)
}

func (e APITokenLinked) describe(d *Data) {
	d.User = e.User
	d.detail("name", e.Name)
}
