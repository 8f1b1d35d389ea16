package stream

import (
	"bytes"
	"context"
	"errors"
	"fmt"
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
	state := st.CachedInfo().State
	if state.LastSeq == 0 || state.Msgs == 0 {
		return state.LastSeq, nil
	}
	m, err := st.GetMsg(ctx, state.LastSeq)
	if errors.Is(err, jetstream.ErrMsgNotFound) {
		p.c.Log.WarnContext(ctx, "last message of the audit stream is missing; comparison with the journal skipped", "sequence", state.LastSeq)
		return state.LastSeq, nil
	}
	if err != nil {
		return 0, fmt.Errorf("reading message %d: %w", state.LastSeq, err)
	}
	return state.LastSeq, p.compare(ctx, m)
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

// compare checks a message of the stream against the record of the same number.
// If the journal does not reach that far yet, as after a crash, it waits.
func (p *Publisher) compare(ctx context.Context, m *jetstream.RawStreamMsg) error {
	held := func() bool { last, _ := p.c.Journal.Last(); return last >= m.Sequence }
	if err := p.until(ctx, held); err != nil {
		last, _ := p.c.Journal.Last()
		return fmt.Errorf("the stream holds message %d but the journal ends at %d: %w", m.Sequence, last, err)
	}
	records, err := p.c.Journal.Read(m.Sequence, 1)
	if err != nil {
		return err
	}
	if len(records) != 1 || !bytes.Equal(events.CloudEvent(p.c.Journal.Cluster(), records[0]), m.Data) {
		return fmt.Errorf("message %d: %w", m.Sequence, ErrFork)
	}
	return nil
}
