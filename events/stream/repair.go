package stream

import (
	"context"
	"errors"
	"fmt"
	"time"
)

// rebuildPause is the time between two rebuilds: a difference that comes back at
// once has a cause that a rebuild does not remove.
const rebuildPause = time.Minute

// Repair starts the NATS server anew after publishing failed with err, if its disk
// accepts writes. A stream that differs from the journal (ErrDiffers) is set aside
// first: it is a copy, and the publisher writes it again. The connections of readers
// are closed; their durable consumers continue where they were.
func (s *Server) Repair(ctx context.Context, err error) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed || ctx.Err() != nil {
		return ctx.Err()
	}
	if err := s.c.writable(); err != nil {
		return fmt.Errorf("the disk of the NATS server accepts no writes: %w", err)
	}
	differs := errors.Is(err, ErrDiffers)
	if differs && !s.rebuilt.IsZero() && time.Since(s.rebuilt) < rebuildPause {
		return fmt.Errorf("the stream was rebuilt less than %v ago", rebuildPause)
	}
	if differs && s.embedded != nil {
		s.lost = s.embedded.proxy.durables()
	}
	if err := s.stop(); err != nil {
		return err
	}
	if differs {
		s.rebuilt = time.Now()
		if err := s.c.setAside(); err != nil {
			return fmt.Errorf("setting the stream aside: %w", err)
		}
	}
	if err := s.start(); err != nil {
		return fmt.Errorf("starting the NATS server anew: %w", err)
	}
	s.c.Log.InfoContext(ctx, "NATS server started anew", "stream_set_aside", differs)
	return nil
}
