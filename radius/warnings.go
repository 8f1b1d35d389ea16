package radius

import (
	"context"
	"log/slog"
	"net/netip"
	"sync"
	"time"
)

// warnEvery is how often the same warning about the same client is logged.
// Strangers can cause warnings and must not be able to fill the log.
const warnEvery = 10 * time.Second

// warnings writes a limited number of warnings to the log.
type warnings struct {
	logger *slog.Logger

	mu   sync.Mutex // guards last
	last map[warningKey]*warning
}

type warningKey struct {
	cause  Cause
	client string
}

type warning struct {
	next       time.Time
	suppressed int // since the last one that was logged
}

func newWarnings(logger *slog.Logger) *warnings {
	return &warnings{logger: logger, last: make(map[warningKey]*warning)}
}

// log logs the message of a cause, unless it was logged about the same client
// a moment ago.
func (w *warnings) log(cause Cause, client string, from netip.Addr, now time.Time, err error) {
	message, ok := messages[cause]
	if !ok {
		return
	}
	suppressed, ok := w.due(warningKey{cause, client}, now)
	if !ok {
		return
	}
	attributes := []slog.Attr{slog.String("cause", string(cause))}
	if client != "" {
		attributes = append(attributes, slog.String("client", client))
	}
	if from.IsValid() {
		attributes = append(attributes, slog.String("source", from.String()))
	}
	if suppressed > 0 {
		attributes = append(attributes, slog.Int("suppressed", suppressed))
	}
	if err != nil {
		attributes = append(attributes, slog.Any("err", err))
	}
	w.logger.LogAttrs(context.Background(), slog.LevelWarn, message, attributes...) //nolint:sloglint // from messages
}

func (w *warnings) due(key warningKey, now time.Time) (suppressed int, ok bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	last := w.last[key]
	if last == nil {
		last = &warning{}
		w.last[key] = last // bounded by clients and causes
	}
	if now.Before(last.next) {
		last.suppressed++
		return 0, false
	}
	suppressed, last.suppressed = last.suppressed, 0
	last.next = now.Add(warnEvery)
	return suppressed, true
}
