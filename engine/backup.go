package engine

import "keyfob/events"

// Commands on backups. Restoring is not a command: the node that was made from
// a backup notes it before anything else.
type (
	// SetRecoveryKey sets the key that backups are sealed for.
	SetRecoveryKey struct {
		Key []byte `cbor:"1,keyasint"` // the public half
	}
	// TakeBackup records that a backup is about to be written.
	TakeBackup struct {
		Node        string `cbor:"1,keyasint"`
		RecoveryKey string `cbor:"2,keyasint"` // short name of the key that it is sealed for
	}
)

func (c SetRecoveryKey) decide(*State, events.Time) ([]events.Event, error) {
	if len(c.Key) == 0 {
		return nil, refuse(Invalid, "the recovery key is empty")
	}
	return one(events.RecoveryKeySet(c))
}

func (c TakeBackup) decide(s *State, _ events.Time) ([]events.Event, error) {
	if len(s.Cluster.RecoveryKey) == 0 {
		return nil, refuseHelp(Conflict, HelpBackUp, "no recovery key is set to seal the backup for")
	}
	return one(events.BackupTaken(c))
}
