package cluster

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strconv"
	"time"

	"keyfob/cluster/link"
	"keyfob/events"
	"keyfob/events/journal"
)

const (
	backfillRecords  = maxCommands // requested at once; no list on the wire is longer
	maxBackfillBytes = 6 << 20     // of one answer
)

// backfill fetches records that this node's journal is missing, because its
// state came from a snapshot, and serves records to other nodes.
type backfill struct {
	*self
	replica *replica
	journal *journal.Journal
	client  peerClient
}

// run fetches missing records until ctx ends. The journal verifies them against
// the hash of its oldest record.
func (b *backfill) run(ctx context.Context) {
	tick := time.NewTicker(b.c.HeartbeatInterval)
	defer tick.Stop()
	logged := uint64(0)
	for {
		from, to := b.journal.Missing()
		if to != 0 {
			err := b.fetchEnd(ctx, from, to)
			if err == nil {
				continue
			}
			if logged != to && ctx.Err() == nil {
				logged = to
				b.log.WarnContext(ctx, "journal records are missing and no node can supply them yet", "from", from, "to", to, "err", err)
			}
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return
		}
	}
}

// fetchEnd fetches the newest missing records from the first node that has them.
func (b *backfill) fetchEnd(ctx context.Context, from, to uint64) error {
	var errs []error
	for _, m := range b.replica.members() {
		if m.ID == b.id.ID {
			continue
		}
		records, err := b.fetch(ctx, m.ID, from, to)
		if err == nil {
			err = b.journal.Backfill(records)
		}
		if err == nil {
			return nil
		}
		errs = append(errs, fmt.Errorf("from node %s: %w", nameOf(m.ID), err))
	}
	return errors.Join(append(errs, ctx.Err())...)
}

// fetch asks a node for records that end with number to. If they do not fit into
// one answer, it asks for fewer.
func (b *backfill) fetch(ctx context.Context, id string, from, to uint64) ([]events.Record, error) {
	for count := uint64(backfillRecords); count > 0; count /= 2 {
		first := from
		if to-from >= count {
			first = to - count + 1
		}
		q := url.Values{"from": {strconv.FormatUint(first, 10)}, "to": {strconv.FormatUint(to, 10)}}
		bound, cancel := context.WithTimeout(ctx, b.c.RequestTimeout)
		body, err := b.client.call(bound, http.MethodGet, id, "/journal?"+q.Encode(), nil, maxReplies)
		cancel()
		if err != nil {
			return nil, err
		}
		records, err := decodeRecords(body)
		if err != nil {
			return nil, err
		}
		if len(records) > 0 && records[len(records)-1].Sequence == to {
			return records, nil
		}
	}
	return nil, fmt.Errorf("record %d is too long to be sent", to)
}

// serve sends another node the records that it asks for, as many as fit.
func (b *backfill) serve(w http.ResponseWriter, r *http.Request) {
	from, err1 := strconv.ParseUint(r.FormValue("from"), 10, 64)
	to, err2 := strconv.ParseUint(r.FormValue("to"), 10, 64)
	if err1 != nil || err2 != nil || from == 0 || to < from || to-from >= backfillRecords {
		http.Error(w, fmt.Sprintf("want from and to, at most %d records apart", backfillRecords), http.StatusBadRequest)
		return
	}
	body, err := b.read(from, to)
	if err != nil {
		b.log.DebugContext(r.Context(), "journal records not served", "peer", link.Peer(r.Context()), "err", err)
		http.Error(w, err.Error(), http.StatusNotFound)
		return
	}
	_, _ = w.Write(body)
}

func (b *backfill) read(from, to uint64) ([]byte, error) {
	var list [][]byte
	size := 0
	for from <= to && size < maxBackfillBytes {
		records, err := b.journal.Read(from, int(to-from+1))
		if err != nil {
			return nil, err
		}
		if len(records) == 0 {
			break
		}
		for _, r := range records {
			raw, err := events.EncodeRecord(r)
			if err != nil {
				return nil, err
			}
			if size += len(raw); size > maxBackfillBytes {
				break
			}
			list = append(list, raw)
		}
		from += uint64(len(records))
	}
	return wireEncoding.Marshal(list)
}

func decodeRecords(body []byte) ([]events.Record, error) {
	var list [][]byte
	if err := wireDecoding.Unmarshal(body, &list); err != nil {
		return nil, fmt.Errorf("%w: %w", errWire, err)
	}
	records := make([]events.Record, len(list))
	for i, raw := range list {
		var err error
		if records[i], err = events.DecodeRecord(raw); err != nil {
			return nil, err
		}
	}
	return records, nil
}
