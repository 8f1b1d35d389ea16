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
)

const (
	fillRecords  = maxCommands // asked for at once; no list on the wire is longer
	maxFillBytes = 6 << 20     // of one answer
)

// fill fetches what is missing from this node's journal, until ctx ends. The
// journal believes nothing that does not hash to what the state knows.
func (n *Node) fill(ctx context.Context) {
	tick := time.NewTicker(n.c.Pulse)
	defer tick.Stop()
	told := uint64(0)
	for {
		from, to := n.journal.Missing()
		if to != 0 {
			err := n.fillHole(ctx, from, to)
			if err == nil {
				continue
			}
			if told != to && ctx.Err() == nil {
				told = to
				n.log.WarnContext(ctx, "journal has a hole that cannot be filled yet", "from", from, "to", to, "err", err)
			}
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return
		}
	}
}

// fillHole fetches the end of a hole from whoever has it.
func (n *Node) fillHole(ctx context.Context, from, to uint64) error {
	var errs []error
	for _, m := range n.members() {
		if m.ID == n.id.ID {
			continue
		}
		records, err := n.fetch(ctx, m.ID, from, to)
		if err == nil {
			err = n.journal.Backfill(records)
		}
		if err == nil {
			return nil
		}
		errs = append(errs, fmt.Errorf("from node %s: %w", nameOf(m.ID), err))
	}
	return errors.Join(append(errs, ctx.Err())...)
}

// fetch asks a node for records that end with the one numbered to. If so many
// are too long for one answer, it asks for fewer.
func (n *Node) fetch(ctx context.Context, id string, from, to uint64) ([]events.Record, error) {
	for count := uint64(fillRecords); count > 0; count /= 2 {
		first := from
		if to-from >= count {
			first = to - count + 1
		}
		q := url.Values{"from": {strconv.FormatUint(first, 10)}, "to": {strconv.FormatUint(to, 10)}}
		bound, cancel := context.WithTimeout(ctx, n.c.Patience)
		body, err := n.call(bound, http.MethodGet, id, "/journal?"+q.Encode(), nil, maxReplies)
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

// serveJournal serves records to another node, as many as fit.
func (n *Node) serveJournal(w http.ResponseWriter, r *http.Request) {
	from, err1 := strconv.ParseUint(r.FormValue("from"), 10, 64)
	to, err2 := strconv.ParseUint(r.FormValue("to"), 10, 64)
	if err1 != nil || err2 != nil || from == 0 || to < from || to-from >= fillRecords {
		http.Error(w, "want from and to, and not too far from each other", http.StatusBadRequest)
		return
	}
	body, err := n.readRecords(from, to)
	if err != nil {
		n.log.DebugContext(r.Context(), "records not served", "peer", link.Peer(r.Context()), "err", err)
		http.Error(w, err.Error(), http.StatusNotFound)
		return
	}
	_, _ = w.Write(body)
}

func (n *Node) readRecords(from, to uint64) ([]byte, error) {
	var list [][]byte
	size := 0
	for from <= to && size < maxFillBytes {
		records, err := n.journal.Read(from, int(to-from+1))
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
			if size += len(raw); size > maxFillBytes {
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
