package node

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"time"

	"keyfob/cluster"
	"keyfob/events/stream"
)

// outlet is where the audit trail is published beside the journal: this node's
// own NATS server, fed by every node from its own journal, or one of the
// site's, to which the leader publishes.
type outlet struct {
	server    *stream.Server    // nil where there is none here
	publisher *stream.Publisher // nil where nothing is published
	leads     func() bool       // nil: it does not matter who leads
	log       *slog.Logger
}

// readerKeys are the keys that credentials of readers are made with.
func readerKeys(n *cluster.Node) stream.Keys {
	return stream.Keys{Operator: n.DeriveNATS("operator"), System: n.DeriveNATS("system"), Account: n.DeriveNATS("account")}
}

func (h *house) openOutlet() (*outlet, error) {
	o := &outlet{log: h.log}
	c := stream.PublisherConfig{Journal: h.node.Journal(), Log: h.log}
	switch listen := h.cfg.NATS.Embedded.Listen; {
	case h.cfg.NATS.URL != "":
		o.leads, c.Connect = h.node.Leads, stream.External(h.cfg.NATS.URL, h.cfg.NATS.Creds)
	case listen == Off:
		return o, nil
	default:
		s := stream.ServerConfig{Name: h.cfg.Node, Dir: h.cfg.Data, Listen: listen, Keys: readerKeys(h.node), Log: h.log}
		if !onlyHere(listen) { // what leaves the machine is encrypted, where there is a certificate for it
			s.TLSCert, s.TLSKey = h.cfg.Web.TLS.Cert, h.cfg.Web.TLS.Key
		}
		var err error
		if o.server, err = stream.Start(s); err != nil {
			return nil, fmt.Errorf("nats.embedded.listen %s: %w", listen, err)
		}
		c.Connect = o.server.Connect
	}
	var err error
	if o.publisher, err = stream.NewPublisher(c); err != nil {
		return nil, errors.Join(err, o.close())
	}
	return o, nil
}

// onlyHere reports whether an address can be reached from this machine alone.
func onlyHere(listen string) bool {
	host, _, err := net.SplitHostPort(listen)
	return err == nil && net.ParseIP(host).IsLoopback()
}

// run publishes until ctx ends, then closes the server. A stream that cannot
// be published to does not stop logins: the journal is the record.
func (o *outlet) run(ctx context.Context) error {
	defer func() { _ = o.close() }()
	for o.publisher != nil && ctx.Err() == nil {
		if !o.wait(ctx, true) {
			break
		}
		reign, over := context.WithCancel(ctx)
		go func() { // ends with reign, which the next lines end
			o.wait(reign, false)
			over()
		}()
		err := o.publisher.Run(reign)
		over()
		if err != nil {
			o.log.ErrorContext(ctx, "nothing is published any more until this node is started anew", "err", err)
			break
		}
	}
	<-ctx.Done()
	return nil
}

// wait returns when this node leads, or does no more, as asked; it is false
// when ctx ended first. Where it does not matter who leads, this node always
// does.
func (o *outlet) wait(ctx context.Context, wanted bool) bool {
	tick := time.NewTicker(200 * time.Millisecond)
	defer tick.Stop()
	for {
		if leads := o.leads == nil || o.leads(); leads == wanted {
			return true
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return false
		}
	}
}

func (o *outlet) close() error {
	if o.server != nil {
		o.server.Close()
	}
	return nil
}

// published is the number of the last event that NATS is known to have.
func (o *outlet) published() (sequence uint64, ok bool) {
	if o.publisher == nil || o.leads != nil && !o.leads() {
		return 0, false
	}
	return o.publisher.Published(), true
}
