package node

import (
	"context"
	"fmt"
	"log/slog"
	"net"
	"sync"
	"time"

	"keyfob/cluster"
	"keyfob/engine"
	"keyfob/events/stream"
)

const (
	// The NATS server gets the list of audit readers readersDelay after a change of
	// the journal, and at least every readersInterval.
	readersDelay    = 50 * time.Millisecond
	readersInterval = 250 * time.Millisecond

	leaderInterval = 200 * time.Millisecond
	reportInterval = time.Second
)

// auditStream publishes the audit trail on NATS. By default each node publishes its
// own journal to its embedded server. If the site has its own NATS, the leader
// publishes there.
type auditStream struct {
	node      *cluster.Node
	server    *stream.Server    // nil without an embedded server
	publisher *stream.Publisher // nil if nothing is published
	leads     func() bool       // nil if every node publishes
	log       *slog.Logger

	syncing sync.Mutex // held from reading the readers to updating the server; guards failed
	failed  error      // the last update of the readers
}

func (in *instance) openAuditStream() (*auditStream, error) {
	a := &auditStream{node: in.node, log: in.log}
	c := stream.PublisherConfig{Journal: in.node.Journal(), Log: in.log}
	switch listen := in.cfg.NATS.Embedded.Listen; {
	case in.cfg.NATS.URL != "":
		a.leads, c.Connect = in.node.Leads, stream.External(in.cfg.NATS.URL, in.cfg.NATS.Creds)
	case listen == Off:
		return a, nil
	default:
		s := stream.ServerConfig{Name: in.cfg.Node, Dir: in.cfg.Data, Listen: listen, Cluster: in.node.Cluster(), Connections: in.limits.nats, Log: in.log}
		if !onlyHere(listen) { // use TLS beyond this machine, if there is a certificate
			s.TLSCert, s.TLSKey = in.cfg.Web.TLS.Cert, in.cfg.Web.TLS.Key
		}
		var err error
		if a.server, err = stream.Start(s); err != nil {
			return nil, fmt.Errorf("nats.embedded.listen %s: %w", listen, err)
		}
		c.Connect, c.Repair = a.server.Connect, a.server.Repair
	}
	var err error
	if a.publisher, err = stream.NewPublisher(c); err != nil {
		a.close()
		return nil, err
	}
	return a, nil
}

// onlyHere reports whether an address is reachable from this machine only.
func onlyHere(listen string) bool {
	host, _, err := net.SplitHostPort(listen)
	return err == nil && net.ParseIP(host).IsLoopback()
}

// run publishes until ctx ends, then closes the server. A publishing failure
// does not stop logins: the journal is the record.
func (a *auditStream) run(ctx context.Context) error {
	var others sync.WaitGroup
	others.Go(func() { a.admitReaders(ctx) })
	others.Go(func() { a.report(ctx) })
	defer func() { others.Wait(); a.close() }()
	for a.publisher != nil && ctx.Err() == nil {
		if !a.wait(ctx, true) {
			break
		}
		leading, stop := context.WithCancel(ctx)
		go func() { // ends with leading
			a.wait(leading, false)
			stop()
		}()
		err := a.publisher.Run(leading)
		stop()
		if err != nil {
			return err
		}
	}
	<-ctx.Done()
	return nil
}

// admitReaders keeps the embedded server's list of readers up to date until ctx
// ends.
func (a *auditStream) admitReaders(ctx context.Context) {
	if a.server == nil {
		return
	}
	tick := time.NewTicker(readersInterval)
	defer tick.Stop()
	for {
		select {
		case <-a.node.Journal().Changed():
		case <-tick.C:
		case <-ctx.Done():
			return
		}
		select {
		case <-time.After(readersDelay): // one update for many changes
		case <-ctx.Done():
			return
		}
		a.syncReaders(ctx)
	}
}

// syncReaders makes the embedded server accept the readers of the state. After a
// start it does not listen until this node has caught up: its state may be older
// than a revocation.
func (a *auditStream) syncReaders(ctx context.Context) {
	if a.server == nil || a.node.CaughtUp() != nil {
		return
	}
	a.syncing.Lock()
	defer a.syncing.Unlock()
	err := a.server.SetReaders(readerKeys(a.node.State()))
	if err != nil && (a.failed == nil || err.Error() != a.failed.Error()) { // it is called all the time
		a.log.ErrorContext(ctx, "audit readers not updated", "err", err)
	}
	a.failed = err
}

// readerKeys returns the keys of the audit readers, without those that had expired
// at the last record. NATS compares the expiry with the clock of this machine,
// which may have been put back.
func readerKeys(s *engine.State) []string {
	var keys []string
	s.AuditReaders(func(r *engine.AuditReader) bool {
		if r.Expires > s.Time {
			keys = append(keys, r.Key)
		}
		return true
	})
	return keys
}

// wait returns true when this node leads, or no longer leads, as wanted, and
// false if ctx ends first. A node that always publishes counts as leading.
func (a *auditStream) wait(ctx context.Context, wanted bool) bool {
	tick := time.NewTicker(leaderInterval)
	defer tick.Stop()
	for {
		if leads := a.leads == nil || a.leads(); leads == wanted {
			return true
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return false
		}
	}
}

func (a *auditStream) close() {
	if a.server != nil {
		a.server.Close()
	}
}

// report tells the node what has become of publishing until ctx ends.
func (a *auditStream) report(ctx context.Context) {
	tick := time.NewTicker(reportInterval)
	defer tick.Stop()
	for {
		a.node.ReportAudit(auditReport(a.health(time.Now())))
		select {
		case <-tick.C:
		case <-ctx.Done():
			return
		}
	}
}

// health returns what has become of publishing. It is not ok if this node
// publishes nothing.
func (a *auditStream) health(now time.Time) (h stream.Health, ok bool) {
	if a.publisher == nil {
		return h, false
	}
	return a.publisher.Health(now), true
}

// auditReport words the health of the publisher for the node.
func auditReport(h stream.Health, ok bool) cluster.AuditReport {
	if !ok {
		return cluster.AuditReport{State: "off"}
	}
	r := cluster.AuditReport{
		State: string(h.State), Published: h.Published, Differed: h.Differed, Difference: h.What, Rebuilt: h.Rebuilt,
	}
	if h.Err != nil {
		r.Error = h.Err.Error()
	}
	return r
}
