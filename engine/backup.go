package engine

import (
	"bytes"
	"slices"

	"keyfob/events"
)

// maxRecoveryKeys bounds the first line of a backup.
const maxRecoveryKeys = 8

// Commands on backups. Restoring is not a command: the node that was made from
// a backup notes it before anything else.
type (
	// SetRecoveryKey replaces all keys that backups are sealed for by one.
	SetRecoveryKey struct {
		Key       []byte `cbor:"1,keyasint"` // the public half
		Shares    uint8  `cbor:"2,keyasint,omitempty"`
		Threshold uint8  `cbor:"3,keyasint,omitempty"`
	}
	// AddRecoveryKey seals backups for one more key.
	AddRecoveryKey struct {
		Key       []byte `cbor:"1,keyasint"` // the public half
		Shares    uint8  `cbor:"2,keyasint,omitempty"`
		Threshold uint8  `cbor:"3,keyasint,omitempty"`
	}
	// RemoveRecoveryKey no longer seals backups for a key. The last one stays.
	RemoveRecoveryKey struct {
		Key []byte `cbor:"1,keyasint"` // the public half
	}
	// TakeBackup records that a backup is about to be written.
	TakeBackup struct {
		Node        string `cbor:"1,keyasint"`
		RecoveryKey string `cbor:"2,keyasint"` // short names of the keys that it is sealed for
	}
)

func (c SetRecoveryKey) decide(*State, events.Time) ([]events.Event, error) {
	if err := checkRecoveryKey(c.Key, c.Shares, c.Threshold); err != nil {
		return nil, err
	}
	return one(events.RecoveryKeySet(c))
}

func (c AddRecoveryKey) decide(s *State, _ events.Time) ([]events.Event, error) {
	if err := checkRecoveryKey(c.Key, c.Shares, c.Threshold); err != nil {
		return nil, err
	}
	switch {
	case s.Cluster.hasRecoveryKey(c.Key):
		return nil, refuse(Exists, "backups are sealed for this recovery key already")
	case len(s.Cluster.RecoveryKeys) >= maxRecoveryKeys:
		return nil, refuse(Conflict, "there are %d recovery keys, which is the most; remove one first", maxRecoveryKeys)
	}
	return one(events.RecoveryKeyAdded(c))
}

func (c RemoveRecoveryKey) decide(s *State, _ events.Time) ([]events.Event, error) {
	switch {
	case !s.Cluster.hasRecoveryKey(c.Key):
		return nil, refuse(NotFound, "backups are not sealed for this recovery key")
	case len(s.Cluster.RecoveryKeys) == 1:
		return nil, refuse(Conflict, "this is the only recovery key, without which there is no backup; add another one first")
	}
	return one(events.RecoveryKeyRemoved(c))
}

func (c TakeBackup) decide(s *State, _ events.Time) ([]events.Event, error) {
	if len(s.Cluster.RecoveryKeys) == 0 {
		return nil, refuseHelp(Conflict, HelpBackUp, "no recovery key is set to seal the backup for")
	}
	return one(events.BackupTaken(c))
}

func checkRecoveryKey(key []byte, shares, threshold uint8) error {
	switch {
	case len(key) == 0:
		return refuse(Invalid, "the recovery key is empty")
	case threshold > shares || (shares > 0) != (threshold > 1):
		return refuse(Invalid, "a recovery key of %d shares with threshold %d cannot be", shares, threshold)
	}
	return nil
}

func (c *Cluster) hasRecoveryKey(key []byte) bool {
	return slices.ContainsFunc(c.RecoveryKeys, func(k RecoveryKey) bool { return bytes.Equal(k.Key, key) })
}
