package cluster

import (
	"errors"
	"fmt"
	"reflect"
	"strings"

	"github.com/fxamacker/cbor/v2"

	"keyfob/engine"
	"keyfob/events"
	"keyfob/events/strictcbor"
)

// Messages between nodes are CBOR: arrays of commands and answers, which are maps
// with small numbers as keys. The receiver refuses a field or command that it does
// not know. Ignoring it would mean deciding something else than was asked.

// errWire means that a message of another node cannot be decoded.
var errWire = errors.New("the message has a form that this version cannot read")

const (
	// Commands in one request, and in one batch on the leader.
	maxCommands = 1024

	// Bytes of commands in one request, unless the first alone is longer.
	maxCommandBytes = 1 << 20
)

var (
	wireEncoding = strictcbor.Encoding()
	wireDecoding = strictcbor.Decoding(strictcbor.Limits{Nesting: 12, Elements: maxCommands, Pairs: 256})
)

// form is the encoding of one kind of command.
type form struct {
	number uint8
	typ    reflect.Type
	decode func([]byte) (request, error)
}

func plain[T engine.Command](number uint8) form {
	return form{number, reflect.TypeFor[T](), func(body []byte) (request, error) {
		var c T
		err := wireDecoding.Unmarshal(body, &c)
		return commandRequest{c}, err
	}}
}

// forms is the closed set of commands, and the login. A number is never reused.
var forms = []form{
	{1, reflect.TypeFor[engine.Authenticate](), decodeLogin},
	plain[engine.AddUser](2),
	plain[engine.DisableUser](3),
	plain[engine.EnableUser](4),
	plain[engine.UnlockUser](5),
	plain[engine.DeleteUser](6),
	plain[engine.ImportToken](7),
	plain[engine.AssignToken](8),
	plain[engine.UnassignToken](9),
	plain[engine.EnableToken](10),
	plain[engine.DisableToken](11),
	plain[engine.DeleteToken](12),
	plain[engine.ClearPIN](13),
	plain[engine.RequireNewPIN](14),
	plain[engine.RequireNextTokencode](15),
	plain[engine.AddClient](16),
	plain[engine.RemoveClient](17),
	plain[engine.RecordSigned](18),
	plain[engine.SetPolicy](19),
	plain[engine.IssueAPIToken](20),
	plain[engine.RevokeAPIToken](21),
	plain[engine.Invite](22),
	plain[engine.AdmitNode](23),
	plain[engine.ApproveJoin](47),
	plain[engine.RefuseJoin](48),
	plain[engine.RemoveNode](24),
	{25, reflect.TypeFor[engine.Note](), decodeNote},
	plain[engine.ZeroDrift](26),
	plain[engine.SetTemporaryPIN](27),
	plain[engine.ResynchronizeToken](28),
	plain[engine.LoseToken](29),
	plain[engine.FindToken](30),
	plain[engine.ReplaceToken](31),
	plain[engine.SetRecoveryKey](32),
	plain[engine.TakeBackup](33),
	plain[engine.SetClient](34),
	plain[engine.RotateClientSecret](35),
	plain[engine.RecordSecretSeen](36),
	plain[engine.IssueAuditReader](37),
	plain[engine.RevokeAuditReader](38),
	plain[engine.TransferLeadership](39),
	plain[engine.ClearSigned](76),
	plain[engine.RotateKeys](40),
	plain[engine.GrantRole](61),
	plain[engine.RevokeRole](62),
	plain[engine.LinkAPIToken](63),
	plain[engine.OpenSession](64),
	plain[engine.EndSession](65),
	plain[engine.RecordUse](66),
	plain[engine.CheckCaller](85),
	plain[engine.AddRecoveryKey](56),
	plain[engine.RemoveRecoveryKey](57),
	plain[engine.Approve](69),
	plain[engine.RefuseApproval](70),
}

func decodeLogin(body []byte) (request, error) {
	var l loginRequest
	err := wireDecoding.Unmarshal(body, &l)
	return l, err
}

// decodeNote decodes a note. Its event carries its own type.
func decodeNote(body []byte) (request, error) {
	var raw []byte
	if err := wireDecoding.Unmarshal(body, &raw); err != nil {
		return nil, err
	}
	e, err := events.UnmarshalEvent(raw)
	return commandRequest{engine.Note{Event: e}}, err
}

type wireCommand struct {
	_      struct{} `cbor:",toarray"`
	Number uint8
	Origin events.Origin
	Body   cbor.RawMessage
}

// encodeCommand encodes one command of a request.
func encodeCommand(o events.Origin, asked request) ([]byte, error) {
	body := asked.body()
	typ := reflect.TypeOf(body)
	if note, ok := body.(engine.Note); ok {
		raw, err := events.MarshalEvent(note.Event)
		if err != nil {
			return nil, err
		}
		body = raw
	}
	for _, f := range forms {
		if f.typ == typ {
			raw, err := wireEncoding.Marshal(body)
			if err != nil {
				return nil, fmt.Errorf("encoding %v: %w", typ, err)
			}
			return wireEncoding.Marshal(wireCommand{Number: f.number, Origin: o, Body: raw})
		}
	}
	return nil, fmt.Errorf("encoding %v: it is not a command that can be sent", typ)
}

func decodeCommand(raw []byte) (events.Origin, request, error) {
	var w wireCommand
	if err := wireDecoding.Unmarshal(raw, &w); err != nil {
		return events.Origin{}, nil, fmt.Errorf("%w: %w", errWire, err)
	}
	for _, f := range forms {
		if f.number == w.Number {
			asked, err := f.decode(w.Body)
			if err != nil {
				return events.Origin{}, nil, fmt.Errorf("%w: command %d: %w", errWire, w.Number, err)
			}
			return w.Origin, asked, nil
		}
	}
	return events.Origin{}, nil, fmt.Errorf("%w: command %d is unknown", errWire, w.Number)
}

// fate is what became of a command on the leader.
type fate uint8

const (
	decided   fate = iota
	refused        // an administrator's command was refused, with the reason
	stale          // the evidence is based on older secrets
	notLeader      // nothing happened; ask the leader
	busyNow        // nothing happened; the leader's queue is full
	unsound        // nothing happened; it needs the time, and the clock is not trusted
	unknown        // it may have been committed: ask again under the same id
	malformed      // nothing happened; the leader does not understand it
)

// reply is the leader's answer to one command.
type reply struct {
	_        struct{} `cbor:",toarray"`
	Fate     fate
	Sequence uint64 // of the last record that the answer is based on
	Decision engine.Decision
	Code     string // of a refusal
	Text     string
}

// refusalReply is the reply to a command that is refused. The help travels with
// the code: another version reads a reply only if it has as many elements.
func refusalReply(r *engine.Refusal) reply {
	code := r.Code
	if r.Help != "" {
		code += "/" + string(r.Help)
	}
	return reply{Fate: refused, Code: code, Text: r.Text}
}

// again reports whether the command should be sent again, with the same id.
func (r reply) again() bool {
	return r.Fate == notLeader || r.Fate == unsound || r.Fate == unknown
}

// err is the reply as an error, nil for a decision.
func (r reply) err() error {
	switch r.Fate {
	case decided:
		return nil
	case refused:
		code, help, _ := strings.Cut(r.Code, "/")
		return &engine.Refusal{Code: code, Text: r.Text, Help: engine.Help(help)}
	case stale:
		return engine.ErrStale
	case busyNow:
		return fmt.Errorf("the leader's queue is full: %w", engine.ErrBusy)
	case notLeader:
		return fmt.Errorf("no leader answered in time: %w", engine.ErrUndecided)
	case unsound:
		return fmt.Errorf("asking the leader: %w", engine.ErrUntimed)
	case malformed:
		return fmt.Errorf("the leader cannot read the command, it may run another version: %w", engine.ErrUndecided)
	default:
		return fmt.Errorf("the outcome of the commit is unknown: %w", engine.ErrUndecided)
	}
}

func encodeRequest(commands [][]byte) ([]byte, error) {
	list := make([]cbor.RawMessage, len(commands))
	for i, c := range commands {
		list[i] = c
	}
	return wireEncoding.Marshal(list)
}

func decodeRequest(body []byte) ([]cbor.RawMessage, error) {
	var list []cbor.RawMessage
	if err := wireDecoding.Unmarshal(body, &list); err != nil {
		return nil, fmt.Errorf("%w: %w", errWire, err)
	}
	return list, nil
}

func encodeReplies(replies []reply) ([]byte, error) { return wireEncoding.Marshal(replies) }

func decodeReplies(body []byte, want int) ([]reply, error) {
	var replies []reply
	if err := wireDecoding.Unmarshal(body, &replies); err != nil {
		return nil, fmt.Errorf("%w: %w", errWire, err)
	}
	if len(replies) != want {
		return nil, fmt.Errorf("%w: %d replies to %d commands", errWire, len(replies), want)
	}
	for _, r := range replies {
		if r.Fate > malformed {
			return nil, fmt.Errorf("%w: fate %d is unknown", errWire, r.Fate)
		}
	}
	return replies, nil
}
