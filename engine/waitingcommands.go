package engine

import (
	"fmt"
	"reflect"

	"keyfob/events/strictcbor"
)

// waitingForm is the stored form of one kind of command.
type waitingForm struct {
	name   string
	typ    reflect.Type
	decode func([]byte) (Command, error)
}

func waits[T Command](name string) waitingForm {
	return waitingForm{name, reflect.TypeFor[T](), func(body []byte) (Command, error) {
		var c T
		err := waitingDecoding.Unmarshal(body, &c)
		return c, err
	}}
}

// waitingForms are the commands that can wait for an approval. A name is never
// given to another command.
var waitingForms = []waitingForm{
	waits[SetRecoveryKey]("set_recovery_key"),
	waits[AddRecoveryKey]("add_recovery_key"),
	waits[RemoveRecoveryKey]("remove_recovery_key"),
	waits[TakeBackup]("take_backup"),
	waits[AddClient]("add_client"),
	waits[SetClient]("set_client"),
	waits[RotateClientSecret]("rotate_client_secret"),
	waits[SetPolicy]("set_policy"),
	waits[IssueAPIToken]("issue_api_token"),
	waits[Invite]("invite"),
	waits[RemoveNode]("remove_node"),
	waits[GrantRole]("grant_role"),
	waits[ImportToken]("import_token"),
	waits[AssignToken]("assign_token"),
	waits[ReplaceToken]("replace_token"),
	waits[EnableToken]("enable_token"),
	waits[EnableUser]("enable_user"),
	waits[FindToken]("find_token"),
	waits[LoseToken]("lose_token"),
	waits[SetTemporaryPIN]("set_temporary_pin"),
	waits[ClearPIN]("clear_pin"),
	waits[UnlockUser]("unlock_user"),
	waits[DeleteUser]("delete_user"),
	waits[RequireNewPIN]("require_new_pin"),
	waits[ZeroDrift]("zero_drift"),
	waits[ResynchronizeToken]("resynchronize_token"),
}

var (
	waitingEncoding = strictcbor.Encoding()
	waitingDecoding = strictcbor.Decoding(strictcbor.Limits{Nesting: 12, Elements: 1024, Pairs: 512})
)

func marshalCommand(c Command) (name string, body []byte, err error) {
	for _, f := range waitingForms {
		if f.typ == reflect.TypeOf(c) {
			body, err = waitingEncoding.Marshal(c)
			return f.name, body, err
		}
	}
	return "", nil, fmt.Errorf("%T has no stored form", c)
}

func unmarshalCommand(name string, body []byte) (Command, error) {
	for _, f := range waitingForms {
		if f.name == name {
			return f.decode(body)
		}
	}
	return nil, fmt.Errorf("command %.40q is unknown", name)
}
