package events

import "strings"

// ApprovalRequested is recorded when a command waits for a second
// administrator. Its actor is who asked for the command, its note the reason.
type ApprovalRequested struct {
	ID      string   `cbor:"1,keyasint"`
	Command string   `cbor:"2,keyasint"` // name of the command
	Groups  []string `cbor:"3,keyasint"` // of the policy setting approval.required
	Summary []string `cbor:"4,keyasint"` // what the command would do, without secrets
	Body    []byte   `cbor:"5,keyasint"` // the command; secrets in it are sealed
	Expires Time     `cbor:"6,keyasint"`
}

// ApprovalGiven is recorded when a second administrator approves a command. The
// events of the command follow in the same entry of the log. A backup is taken
// later, by its requester, until Until.
type ApprovalGiven struct {
	ID        string   `cbor:"1,keyasint"`
	Command   string   `cbor:"2,keyasint"`
	Requester string   `cbor:"3,keyasint"`
	Summary   []string `cbor:"4,keyasint"`
	Until     Time     `cbor:"5,keyasint,omitzero"`
}

// ApprovalRefused is recorded when an administrator refuses a command that
// waits, or its requester withdraws it.
type ApprovalRefused struct {
	ID        string   `cbor:"1,keyasint"`
	Command   string   `cbor:"2,keyasint"`
	Requester string   `cbor:"3,keyasint"`
	Summary   []string `cbor:"4,keyasint"`
}

// ApprovalExpired is recorded when nobody decided on a command in time, or an
// approved backup was not taken in time.
type ApprovalExpired struct {
	ID        string `cbor:"1,keyasint"`
	Command   string `cbor:"2,keyasint"`
	Requester string `cbor:"3,keyasint"`
}

// ApprovalUsed is recorded when an approved backup is taken.
type ApprovalUsed struct {
	ID string `cbor:"1,keyasint"`
}

// CommandRefused is recorded when a command of an administrator or a program
// fails: the rules refuse it, it is malformed, or it was not decided.
type CommandRefused struct {
	Operation string   `cbor:"1,keyasint"`           // of the API, such as delete-user
	Problem   string   `cbor:"2,keyasint"`           // code of the answer, such as conflict
	Count     uint32   `cbor:"3,keyasint,omitempty"` // refusals that this one stands for, when sampled
	Others    []string `cbor:"4,keyasint,omitempty"` // other actors, operations and codes meanwhile
}

// RecordsRead is recorded when an administrator or a program reads the audit
// trail or what is known of a user.
type RecordsRead struct {
	Operation string   `cbor:"1,keyasint"`           // of the API, such as read-audit
	Subject   string   `cbor:"2,keyasint,omitempty"` // the user or the reference
	Count     uint32   `cbor:"3,keyasint,omitempty"` // reads that this one stands for, when sampled
	Others    []string `cbor:"4,keyasint,omitempty"` // other actors, operations and subjects meanwhile
}

// StandFor implements Sampled.
func (e CommandRefused) StandFor(count uint32, others []string) Event {
	e.Count, e.Others = count, others
	return e
}

// StandFor implements Sampled.
func (e RecordsRead) StandFor(count uint32, others []string) Event {
	e.Count, e.Others = count, others
	return e
}

func (ApprovalRequested) ofAdmin() {}
func (ApprovalGiven) ofAdmin()     {}
func (ApprovalRefused) ofAdmin()   {}
func (ApprovalExpired) ofAdmin()   {}
func (ApprovalUsed) ofAdmin()      {}
func (CommandRefused) ofAdmin()    {}
func (RecordsRead) ofAdmin()       {}

func (e ApprovalRequested) describe(d *Data) {
	d.detail("approval", e.ID)
	d.detail("command", e.Command)
	d.detail("expires", e.Expires)
	d.detail("groups", strings.Join(e.Groups, " "))
	d.detail("summary", strings.Join(e.Summary, "; "))
}

func (e ApprovalGiven) describe(d *Data) {
	d.detail("approval", e.ID)
	d.detail("command", e.Command)
	d.detail("requester", e.Requester)
	d.detail("summary", strings.Join(e.Summary, "; "))
	d.detail("until", e.Until)
}

func (e ApprovalRefused) describe(d *Data) {
	d.detail("approval", e.ID)
	d.detail("command", e.Command)
	d.detail("requester", e.Requester)
	d.detail("summary", strings.Join(e.Summary, "; "))
}

func (e ApprovalExpired) describe(d *Data) {
	d.detail("approval", e.ID)
	d.detail("command", e.Command)
	d.detail("requester", e.Requester)
}

func (e ApprovalUsed) describe(d *Data) { d.detail("approval", e.ID) }

func (e CommandRefused) describe(d *Data) {
	d.count(e.Count)
	d.detail("operation", e.Operation)
	d.detail("others", strings.Join(e.Others, ", "))
	d.detail("problem", e.Problem)
}

func (e RecordsRead) describe(d *Data) {
	d.count(e.Count)
	d.detail("operation", e.Operation)
	d.detail("others", strings.Join(e.Others, ", "))
	d.detail("subject", e.Subject)
}
