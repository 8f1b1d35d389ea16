package stream

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"keyfob/events"
)

// resume creates the stream if it is missing, compares its last message with the
// journal, and returns the number of that message.
func (p *Publisher) resume(ctx context.Context, js jetstream.JetStream) (uint64, error) {
	ctx, cancel := context.WithTimeout(ctx, ackWait)
	defer cancel()
	st, err := js.Stream(ctx, Name)
	if errors.Is(err, jetstream.ErrStreamNotFound) {
		p.c.Log.InfoContext(ctx, "creating audit stream", "stream", Name, "first_sequence", p.c.First)
		st, err = js.CreateStream(ctx, p.streamConfig())
	}
	if err != nil {
		return 0, fmt.Errorf("reading stream %s: %w", Name, err)
	}
	info := st.CachedInfo()
	if err := p.verify(info); err != nil {
		return 0, err
	}
	last := info.State.LastSeq
	if info.State.Msgs == 0 {
		return last, nil
	}
	m, err := st.GetMsg(ctx, last)
	if errors.Is(err, jetstream.ErrMsgNotFound) {
		return 0, fmt.Errorf("%w: message %d, the last one, is missing", ErrDiffers, last)
	}
	if err != nil {
		return 0, fmt.Errorf("reading message %d: %w", last, err)
	}
	return last, p.compare(ctx, m)
}

// verify returns how the stream differs from what a publisher leaves behind. The
// site of an external server may limit what its stream keeps, and configure it in
// other ways.
func (p *Publisher) verify(info *jetstream.StreamInfo) error {
	s, c := info.State, info.Config
	limited := c.MaxAge > 0 || c.MaxBytes > 0 || c.MaxMsgs > 0 || c.MaxMsgsPerSubject > 0
	own := p.c.Repair != nil
	switch {
	case own && !p.asCreated(c):
		return fmt.Errorf("%w: its configuration was changed", ErrDiffers)
	case !own && limited:
		return nil
	case s.Msgs == 0 && s.LastSeq >= p.c.First:
		return fmt.Errorf("%w: messages %d to %d are missing", ErrDiffers, p.c.First, s.LastSeq)
	case s.Msgs > 0 && own && s.FirstSeq > p.c.First:
		return fmt.Errorf("%w: messages %d to %d are missing", ErrDiffers, p.c.First, s.FirstSeq-1)
	case s.Msgs > 0 && s.Msgs != s.LastSeq-s.FirstSeq+1:
		return fmt.Errorf("%w: %d messages are missing", ErrDiffers, s.LastSeq-s.FirstSeq+1-s.Msgs)
	}
	return nil
}

// asCreated reports whether a stream has the configuration that it was created with.
func (p *Publisher) asCreated(c jetstream.StreamConfig) bool {
	want := p.streamConfig()
	return slices.Equal(c.Subjects, want.Subjects) && c.Storage == want.Storage && c.Retention == want.Retention &&
		c.MaxMsgs <= 0 && c.MaxBytes <= 0 && c.MaxAge == 0 && c.MaxMsgsPerSubject <= 0 && c.MaxConsumers <= 0 &&
		c.DenyDelete && c.DenyPurge && !c.AllowRollup && !c.AllowDirect && !c.AllowMsgTTL && !c.Sealed && !c.NoAck &&
		c.Mirror == nil && len(c.Sources) == 0 && c.RePublish == nil && c.SubjectTransform == nil
}

func (p *Publisher) streamConfig() jetstream.StreamConfig {
	return jetstream.StreamConfig{
		Name:        Name,
		Description: "keyfob audit trail; the stream sequence is the record number",
		Subjects:    []string{Subjects},
		Storage:     jetstream.FileStorage,
		Compression: jetstream.S2Compression,
		Replicas:    p.c.Replicas,
		FirstSeq:    p.c.First,
		DenyDelete:  true,
		DenyPurge:   true,
		// The expected sequence keeps duplicates out; message IDs are for consumers.
		// JetStream needs 133 bytes for each ID it remembers.
		Duplicates: time.Second,
	}
}

// errAhead is returned while the journal has not reached the end of the stream.
var errAhead = errors.New("the stream is ahead of the journal")

// check looks at the stream while nothing happens: it may have been deleted,
// emptied, or written to by others.
func (f *feed) check(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, ackWait)
	defer cancel()
	st, err := f.js.Stream(ctx, Name)
	if errors.Is(err, jetstream.ErrStreamNotFound) {
		return errMoved
	}
	if err != nil {
		return fmt.Errorf("reading stream %s: %w", Name, err)
	}
	if last := st.CachedInfo().State.LastSeq; last < f.published.Load() || last > f.last {
		return errMoved
	}
	return f.verify(st.CachedInfo())
}

// compare checks a message of the stream against the record of the same number.
// If the journal does not reach that far yet, as after a crash, it waits.
func (p *Publisher) compare(ctx context.Context, m *jetstream.RawStreamMsg) error {
	held := func() bool { last, _ := p.c.Journal.Last(); return last >= m.Sequence }
	if err := p.until(ctx, held); err != nil {
		last, _ := p.c.Journal.Last()
		return fmt.Errorf("%w: the stream holds message %d, the journal ends at %d: %w", errAhead, m.Sequence, last, err)
	}
	records, err := p.c.Journal.Read(m.Sequence, 1)
	if err != nil {
		return fmt.Errorf("%w: %w", errJournal, err)
	}
	if len(records) != 1 || !bytes.Equal(events.CloudEvent(p.c.Journal.Cluster(), records[0]), m.Data) {
		return fmt.Errorf("%w: message %d is not record %d", ErrDiffers, m.Sequence, m.Sequence)
	}
	return nil
}
