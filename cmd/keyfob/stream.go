package main

import "context"

// stream is where the audit trail is published beside the journal.
type stream struct{}

func (h *house) openStream() (*stream, error) { return &stream{}, nil }

func (s *stream) run(ctx context.Context) error {
	<-ctx.Done()
	return nil
}

func (s *stream) close() error { return nil }

// published is the number of the last event that NATS has.
func (s *stream) published() (uint64, bool) { return 0, false }

func (d *devCluster) natsCreds() (string, error) { return "", nil }
