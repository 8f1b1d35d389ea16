package cluster

import (
	"crypto/rand"
	"log/slog"

	"keyfob/events"
)

// self is what every part of a node knows: its configuration, logger, and its
// identity when it started.
type self struct {
	c    Config
	log  *slog.Logger
	id   identity
	file *identityFile
}

// system returns the origin of what the cluster does by itself.
func (s *self) system() events.Origin {
	return events.Origin{Request: newRequest(), Node: s.c.Node, Site: s.c.Site, Door: events.DoorSystem, Actor: "system"}
}

// from completes the origin of a request that this node received.
func (s *self) from(o events.Origin) events.Origin {
	o.Node = s.c.Node
	if o.Site == "" {
		o.Site = s.c.Site
	}
	return o
}

func newRequest() (r events.Request) {
	_, _ = rand.Read(r[:]) // never fails
	return r
}
