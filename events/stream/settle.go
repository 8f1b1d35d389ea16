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

// settle makes the stream if there is none, compares its end with the journal,
// and says where it ends.
func (p *Publisher) settle(ctx context.Context, js jetstream.JetStream) (uint64, error) {
	ctx, cancel := context.WithTimeout(ctx, ackWait)
	defer cancel()
	st, err := js.Stream(ctx, Name)
	if errors.Is(err, jetstream.ErrStreamNotFound) {
		p.c.Log.InfoContext(ctx, "making audit stream", "stream", Name, "first_sequence", p.c.First)
		st, err = js.CreateStream(ctx, p.streamConfig())
	}
	if err != nil {
		return 0, fmt.Errorf("looking at stream %s: %w", Name, err)
	}
	state := st.CachedInfo().State
	if state.LastSeq == 0 || state.Msgs == 0 {
		return state.LastSeq, nil
	}
	m, err := st.GetMsg(ctx, state.LastSeq)
	if errors.Is(err, jetstream.ErrMsgNotFound) {
		p.c.Log.WarnContext(ctx, "the last message of the audit stream is gone and cannot be compared", "sequence", state.LastSeq)
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
		Description: "what happened at keyfob, in order; the sequence is the number of the record",
		Subjects:    []string{Subjects},
		Storage:     jetstream.FileStorage,
		Compression: jetstream.S2Compression,
		Replicas:    p.c.Replicas,
		FirstSeq:    p.c.First,
		DenyDelete:  true,
		DenyPurge:   true,
		// The ids of the messages are for consumers; what keeps repeats out is
		// the expected sequence. Remembering ids costs 133 bytes each.
		Duplicates: time.Second,
	}
}

// compare holds a message of the stream against the record of its number. A
// journal that is not so far yet, after a crash perhaps, is waited for.
func (p *Publisher) compare(ctx context.Context, m *jetstream.RawStreamMsg) error {
	held := func() bool { last, _ := p.c.Journal.Last(); return last >= m.Sequence }
	if err := p.until(ctx, held); err != nil {
		last, _ := p.c.Journal.Last()
		return fmt.Errorf("the stream holds message %d, the journal ends at %d: %w", m.Sequence, last, err)
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
