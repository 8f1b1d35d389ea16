package stream

import (
	"context"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"time"
)

// logger forwards the NATS server's messages. Notices are logged at debug level.
// Of the messages about client connections, such as refused logins, only a limited
// number is logged: strangers cause them and must not be able to fill the log.
type logger struct {
	log     *slog.Logger
	clients *clientLines
	fatal   chan string // the first message after which the server has given up
}

func newLogger(log *slog.Logger) logger {
	return logger{log, new(clientLines), make(chan string, 1)}
}

const (
	clientLinesPeriod = 10 * time.Second
	maxClientLines    = 10 // in each period
)

// clientLines counts the lines about client connections.
type clientLines struct {
	mu    sync.Mutex // guards the fields below
	since time.Time
	count int
}

func (c *clientLines) mayLog(now time.Time) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if now.Sub(c.since) >= clientLinesPeriod {
		c.since, c.count = now, 0
	}
	c.count++
	return c.count <= maxClientLines
}

func (l logger) Noticef(format string, v ...any) { l.say(slog.LevelDebug, format, v) }
func (l logger) Warnf(format string, v ...any)   { l.say(slog.LevelWarn, format, v) }
func (l logger) Errorf(format string, v ...any)  { l.say(slog.LevelError, format, v) }
func (l logger) Debugf(string, ...any)           {}
func (l logger) Tracef(string, ...any)           {}

// Fatalf is called before the server gives up. It does not end the process.
func (l logger) Fatalf(format string, v ...any) {
	l.say(slog.LevelError, format, v)
	select {
	case l.fatal <- fmt.Sprintf(format, v...):
	default:
	}
}

func (l logger) say(level slog.Level, format string, v []any) {
	text := fmt.Sprintf(format, v...)
	if strings.Contains(text, " - cid:") && !l.clients.mayLog(time.Now()) { // address - cid:number - message
		return
	}
	l.log.Log(context.Background(), level, "nats server", "text", text)
}
