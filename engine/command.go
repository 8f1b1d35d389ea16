package engine

import "keyfob/events"

// Command is something that Decide decides. The set is closed.
//
//sumtype:decl
type Command interface{ command() }

// Authenticate asks for the outcome of an attempt, given its evidence.
type Authenticate struct {
	User        string   `cbor:"1,keyasint"` // canonical
	Evidence    Evidence `cbor:"2,keyasint"`
	Choice      Choice   `cbor:"3,keyasint,omitempty"`
	NoChallenge bool     `cbor:"4,keyasint,omitempty"`
	// The turn of a conversation that this answers; a zero ID begins anew.
	Conversation events.Request `cbor:"5,keyasint,omitzero"`
	Turn         uint8          `cbor:"6,keyasint,omitempty"`
	Purpose      Purpose        `cbor:"7,keyasint,omitempty"`
	Repeatable   bool           `cbor:"8,keyasint,omitempty"` // the request id was made of what the login says
	Untimed      bool           `cbor:"9,keyasint,omitempty"` // the evidence was made, or is decided on, without a clock that is trusted
}

// AddUser makes a user known.
type AddUser struct {
	User string `cbor:"1,keyasint"`
}

// DisableUser, EnableUser, UnlockUser and DeleteUser do what they say.
type (
	DisableUser struct {
		User string `cbor:"1,keyasint"`
	}
	EnableUser struct {
		User string `cbor:"1,keyasint"`
	}
	UnlockUser struct {
		User string `cbor:"1,keyasint"`
	}
	DeleteUser struct {
		User string `cbor:"1,keyasint"`
	}
)

// ImportToken makes a token known, its seed already sealed to the serial by
// the node that took it in. With a User it is assigned in the same breath.
type ImportToken struct {
	Token events.TokenImported `cbor:"1,keyasint"`
	User  string               `cbor:"2,keyasint,omitempty"`
	PIN   []byte               `cbor:"3,keyasint,omitempty"` // sealed at revision 1, for a token that comes with its PIN
	// Activation is for a token that is assigned without a PIN: see ToActivate.
	Activation *ActivationCode `cbor:"4,keyasint,omitempty"`
}

// AssignToken gives a token to a user.
type AssignToken struct {
	Serial     string          `cbor:"1,keyasint"`
	User       string          `cbor:"2,keyasint"`
	Activation *ActivationCode `cbor:"3,keyasint,omitempty"` // see ToActivate
}

// The remedies for one token.
type (
	UnassignToken struct {
		Serial string `cbor:"1,keyasint"`
	}
	EnableToken struct {
		Serial string `cbor:"1,keyasint"`
	}
	DisableToken struct {
		Serial string `cbor:"1,keyasint"`
	}
	DeleteToken struct {
		Serial string `cbor:"1,keyasint"`
	}
	ClearPIN struct {
		Serial     string          `cbor:"1,keyasint"`
		Activation *ActivationCode `cbor:"2,keyasint,omitempty"` // see ToActivate
	}
	// RequireNewPIN puts a token into New PIN mode; the old PIN still proves
	// its owner.
	RequireNewPIN struct {
		Serial string `cbor:"1,keyasint"`
	}
	// ZeroDrift forgets what is believed of a token's clock.
	ZeroDrift struct {
		Serial string `cbor:"1,keyasint"`
	}
	// RequireNextTokencode puts a token into Next Tokencode mode.
	RequireNextTokencode struct {
		Serial string `cbor:"1,keyasint"`
	}
)

// SetTemporaryPIN gives a token a PIN that must be changed at its first use:
// an activation code, or what the help desk tells a user over the telephone.
type SetTemporaryPIN struct {
	Serial   string `cbor:"1,keyasint"`
	Revision uint64 `cbor:"2,keyasint"` // that Sealed is sealed to: the token's next
	Sealed   []byte `cbor:"3,keyasint"`
}

// ResynchronizeToken puts a token right by two tokencodes in a row, which its
// owner read out to an administrator.
type ResynchronizeToken struct {
	Evidence TokenEvidence `cbor:"1,keyasint"`
}

// LoseToken says that a token is not with its owner and gives out emergency
// tokencodes; FindToken ends that.
type (
	LoseToken struct {
		Lost events.TokenLost `cbor:"1,keyasint"`
	}
	FindToken struct {
		Serial string `cbor:"1,keyasint"`
	}
)

// ReplaceToken gives a user a token that takes the place of another at its
// first success. With a PIN, the one of the other moved, it is kept.
type ReplaceToken struct {
	Old        string          `cbor:"1,keyasint"`
	Serial     string          `cbor:"2,keyasint"`
	Revision   uint64          `cbor:"3,keyasint,omitempty"` // that PIN is sealed to
	PIN        []byte          `cbor:"4,keyasint,omitempty"`
	Activation *ActivationCode `cbor:"5,keyasint,omitempty"` // see ToActivate
}

// AddClient makes a RADIUS client known or, with Replace, changes it.
type AddClient struct {
	Client  events.ClientAdded `cbor:"1,keyasint"`
	Replace bool               `cbor:"2,keyasint,omitempty"`
}

// RemoveClient forgets a RADIUS client.
type RemoveClient struct {
	Client string `cbor:"1,keyasint"`
}

// LatchClient records that an address has sent a Message-Authenticator.
type LatchClient struct {
	Client  string `cbor:"1,keyasint"`
	Address string `cbor:"2,keyasint"`
}

// SetPolicy changes numbers of the rules, all or none. Force takes a change
// that lets guesses in more often than MaxGuess.
type SetPolicy struct {
	Settings map[string]string `cbor:"1,keyasint"`
	Force    bool              `cbor:"2,keyasint,omitempty"`
}

// IssueAPIToken lets the bearer of a secret command; RevokeAPIToken ends it.
type (
	IssueAPIToken struct {
		Token events.APITokenIssued `cbor:"1,keyasint"`
	}
	RevokeAPIToken struct {
		Name string `cbor:"1,keyasint"`
	}
)

// SetRecoveryKey says for whom backups are sealed, and TakeBackup that one is
// about to be written.
type (
	SetRecoveryKey struct {
		Key []byte `cbor:"1,keyasint"` // the public half
	}
	TakeBackup struct {
		Node        string `cbor:"1,keyasint"`
		RecoveryKey string `cbor:"2,keyasint"` // short name of the key that it is sealed for
	}
)

// Note records what the cluster observed about itself.
type Note struct {
	Event events.Event
}

// The commands of the cluster itself.
type (
	// Invite lets whoever knows the secret behind Digest join once.
	Invite struct {
		Digest  events.Hash `cbor:"1,keyasint"`
		Expires events.Time `cbor:"2,keyasint"`
	}
	// AdmitNode spends an invitation.
	AdmitNode struct {
		Node       string      `cbor:"1,keyasint"`
		Address    string      `cbor:"2,keyasint"`
		Invitation events.Hash `cbor:"3,keyasint"`
	}
	// RemoveNode takes a member away.
	RemoveNode struct {
		Node string `cbor:"1,keyasint"`
	}
)

func (Authenticate) command()         {}
func (AddUser) command()              {}
func (DisableUser) command()          {}
func (EnableUser) command()           {}
func (UnlockUser) command()           {}
func (DeleteUser) command()           {}
func (ImportToken) command()          {}
func (AssignToken) command()          {}
func (UnassignToken) command()        {}
func (EnableToken) command()          {}
func (DisableToken) command()         {}
func (DeleteToken) command()          {}
func (ClearPIN) command()             {}
func (RequireNewPIN) command()        {}
func (RequireNextTokencode) command() {}
func (ZeroDrift) command()            {}
func (SetTemporaryPIN) command()      {}
func (ResynchronizeToken) command()   {}
func (LoseToken) command()            {}
func (FindToken) command()            {}
func (ReplaceToken) command()         {}
func (AddClient) command()            {}
func (RemoveClient) command()         {}
func (LatchClient) command()          {}
func (SetPolicy) command()            {}
func (IssueAPIToken) command()        {}
func (RevokeAPIToken) command()       {}
func (SetRecoveryKey) command()       {}
func (TakeBackup) command()           {}
func (Note) command()                 {}
func (Invite) command()               {}
func (AdmitNode) command()            {}
func (RemoveNode) command()           {}
