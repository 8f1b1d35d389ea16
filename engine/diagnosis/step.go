package diagnosis

import (
	"time"

	"keyfob/events"
)

// Advice is what helps. The steps of each list are alternatives, the most
// likely one first.
type Advice struct {
	User  []UserStep
	Admin []AdminStep
}

// UserStep is something that the user does. The set is closed.
//
//sumtype:decl
type UserStep interface{ userStep() }

// The steps of a user.
type (
	// TryAgain is a new login.
	TryAgain struct {
		Resolved bool // what the user was refused for no longer applies
	}

	CheckUserName struct{}

	// EnterPasscode is what to type. The serial is empty if the token is not known.
	EnterPasscode struct {
		Serial string
		Kind   PasscodeKind
	}

	// CheckToken is a check that the user holds one of these tokens.
	CheckToken struct{ Serials []string }

	WaitForTokencode struct{} // until the token shows the next one

	WaitUntil struct{ Time events.Time }

	// WaitForSource is the time until an attempt of the address, or of the client, is
	// checked again.
	WaitForSource struct{ PerAddress, PerClient time.Duration }

	EnterNextTokencode struct{} // after a new login

	// SetPIN is a login that sets a new PIN.
	SetPIN struct {
		Serial string
		First  bool // the token has no PIN: the tokencode alone proves the user
	}

	FollowPINRules   struct{} // after a new login
	RequestTokencode struct{} // that is sent
	UseLastTokencode struct{} // that was sent
	ResyncOnPage     struct{ Serial string }
)

func (TryAgain) userStep()           {}
func (CheckUserName) userStep()      {}
func (EnterPasscode) userStep()      {}
func (CheckToken) userStep()         {}
func (WaitForTokencode) userStep()   {}
func (WaitUntil) userStep()          {}
func (WaitForSource) userStep()      {}
func (EnterNextTokencode) userStep() {}
func (SetPIN) userStep()             {}
func (FollowPINRules) userStep()     {}
func (RequestTokencode) userStep()   {}
func (UseLastTokencode) userStep()   {}
func (ResyncOnPage) userStep()       {}

// AdminStep is something that an administrator does. The set is closed.
//
//sumtype:decl
type AdminStep interface{ adminStep() }

// The steps of an administrator. Unless stated otherwise each is the command of
// the same name.
type (
	AddUser              struct{}
	EnableUser           struct{ User string }
	UnlockUser           struct{ User string }
	IssueToken           struct{ User string } // a new software token
	AssignToken          struct{ User string }
	EnableToken          struct{ Serial string }
	ReplaceToken         struct{ Serial string }
	ClearPIN             struct{ Serial string }
	SetTemporaryPIN      struct{ Serial string }
	RequireNextTokencode struct{ Serial string }
	ResyncToken          struct{ Serial string } // by two tokencodes that the user reads out
	LoseToken            struct{ Serial string } // to give out emergency tokencodes
	FindToken            struct{ Serial string }
	AllowResync          struct{} // by the policy
	ConfigureDelivery    struct{} // of tokencodes, on every node
	CheckDelivery        struct{} // in the log of the node that was asked
	CheckClocks          struct{} // of the nodes
)

func (AddUser) adminStep()              {}
func (EnableUser) adminStep()           {}
func (UnlockUser) adminStep()           {}
func (IssueToken) adminStep()           {}
func (AssignToken) adminStep()          {}
func (EnableToken) adminStep()          {}
func (ReplaceToken) adminStep()         {}
func (ClearPIN) adminStep()             {}
func (SetTemporaryPIN) adminStep()      {}
func (RequireNextTokencode) adminStep() {}
func (ResyncToken) adminStep()          {}
func (LoseToken) adminStep()            {}
func (FindToken) adminStep()            {}
func (AllowResync) adminStep()          {}
func (ConfigureDelivery) adminStep()    {}
func (CheckDelivery) adminStep()        {}
func (CheckClocks) adminStep()          {}

// PasscodeKind is what a user types to log in.
type PasscodeKind string

// The kinds of passcodes.
const (
	PINThenTokencode            PasscodeKind = "pin_tokencode"
	PINAddedToTokencode         PasscodeKind = "pin_added"
	PINAlone                    PasscodeKind = "pin" // to have a tokencode sent
	TokencodeAlone              PasscodeKind = "tokencode"
	ActivationCodeThenTokencode PasscodeKind = "activation_code_tokencode"
	PINThenEmergencyTokencode   PasscodeKind = "pin_emergency_tokencode"
)
