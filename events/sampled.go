package events

// Sampled is an event that can stand for several refusals of its kind, so that
// strangers cannot fill the log.
type Sampled interface {
	Event
	// StandFor returns the event for count refusals. others are references or
	// sources of further ones.
	StandFor(count uint32, others []string) Event
}

// StandFor implements Sampled.
func (e PasscodeRejected) StandFor(count uint32, others []string) Event {
	e.Count, e.Others = count, others
	return e
}

// StandFor implements Sampled.
func (e CommandDenied) StandFor(count uint32, others []string) Event {
	e.Count, e.Others = count, others
	return e
}

// StandFor implements Sampled.
func (e APITokenRefused) StandFor(count uint32, others []string) Event {
	e.Count, e.Others = count, others
	return e
}
