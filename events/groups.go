package events

// The groups of events, by what they change in the state. Every event is in one
// group. The linter gochecksumtype checks that a switch over Event covers all
// groups and that one over a group covers all its events.

// AttemptEvent is an event about the result of an attempt to log in or to
// resynchronize.
//
//sumtype:decl
type AttemptEvent interface {
	Event
	ofAttempt()
}

// UserEvent is an event about users, their failures and locks.
//
//sumtype:decl
type UserEvent interface {
	Event
	ofUser()
}

// TokenEvent is an event about tokens and their PINs.
//
//sumtype:decl
type TokenEvent interface {
	Event
	ofToken()
}

// ClientEvent is an event about RADIUS clients.
//
//sumtype:decl
type ClientEvent interface {
	Event
	ofClient()
}

// AdminEvent is an event about the policy, administrators, their sessions, API
// tokens and audit readers.
//
//sumtype:decl
type AdminEvent interface {
	Event
	ofAdmin()
}

// ClusterEvent is an event about the cluster, its members and its records.
//
//sumtype:decl
type ClusterEvent interface {
	Event
	ofCluster()
}

func (PasscodeAccepted) ofAttempt()    {}
func (PasscodeRejected) ofAttempt()    {}
func (PasscodeChallenged) ofAttempt()  {}
func (TokenResynchronized) ofAttempt() {}

func (UserLockedOut) ofUser()  {}
func (AnswerRepeated) ofUser() {}
func (FailureCounted) ofUser() {}
func (FailuresReset) ofUser()  {}
func (UserAdded) ofUser()      {}
func (UserDisabled) ofUser()   {}
func (UserEnabled) ofUser()    {}
func (UserUnlocked) ofUser()   {}
func (UserDeleted) ofUser()    {}

func (TokenImported) ofToken()         {}
func (TokenAssigned) ofToken()         {}
func (TokenUnassigned) ofToken()       {}
func (TokenEnabled) ofToken()          {}
func (TokenDisabled) ofToken()         {}
func (TokenDeleted) ofToken()          {}
func (PINSet) ofToken()                {}
func (PINCleared) ofToken()            {}
func (NewPINRequired) ofToken()        {}
func (NextTokencodeRequired) ofToken() {}
func (DriftAdjusted) ofToken()         {}
func (TokenLost) ofToken()             {}
func (TokenFound) ofToken()            {}
func (TokenReplaced) ofToken()         {}
func (ReplacementAssigned) ofToken()   {}
func (TokencodeNotSent) ofToken()      {}

func (ClientAdded) ofClient()         {}
func (ClientChanged) ofClient()       {}
func (ClientRemoved) ofClient()       {}
func (ClientSigned) ofClient()        {}
func (ClientSignedCleared) ofClient() {}
func (ClientSecretRotated) ofClient() {}
func (ClientSecretSeen) ofClient()    {}

func (PolicyChanged) ofAdmin()      {}
func (APITokenIssued) ofAdmin()     {}
func (APITokenRevoked) ofAdmin()    {}
func (AuditReaderIssued) ofAdmin()  {}
func (AuditReaderRevoked) ofAdmin() {}
func (CommandDenied) ofAdmin()      {}
func (APITokenRefused) ofAdmin()    {}
func (RoleGranted) ofAdmin()        {}
func (RoleRevoked) ofAdmin()        {}
func (SessionOpened) ofAdmin()      {}
func (SessionEnded) ofAdmin()       {}
func (SessionRefused) ofAdmin()     {}
func (CredentialUsed) ofAdmin()     {}
func (APITokenLinked) ofAdmin()     {}

func (ClusterFounded) ofCluster()          {}
func (InvitationIssued) ofCluster()        {}
func (InvitationRefused) ofCluster()       {}
func (JoinRequested) ofCluster()           {}
func (JoinApproved) ofCluster()            {}
func (JoinRefused) ofCluster()             {}
func (CARotated) ofCluster()               {}
func (NodeJoined) ofCluster()              {}
func (NodeRemoved) ofCluster()             {}
func (NodeLost) ofCluster()                {}
func (NodeReturned) ofCluster()            {}
func (LeaderChanged) ofCluster()           {}
func (LeaderTransferRequested) ofCluster() {}
func (ClockSkewed) ofCluster()             {}
func (ClusterRestored) ofCluster()         {}
func (RecoveryKeySet) ofCluster()          {}
func (RecoveryKeyAdded) ofCluster()        {}
func (RecoveryKeyRemoved) ofCluster()      {}
func (BackupTaken) ofCluster()             {}
func (CheckpointSigned) ofCluster()        {}
