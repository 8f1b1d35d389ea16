package node

import (
	"context"
	"crypto/rand"
	"crypto/x509"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"os"
	"os/signal"
	"runtime"
	"syscall"
	"time"

	"github.com/spf13/cobra"
	"golang.org/x/sync/errgroup"

	"keyfob/api"
	"keyfob/cluster"
	"keyfob/cluster/delivery"
	"keyfob/cmd/keyfob/cli"
	"keyfob/cmd/keyfob/node/connlimit"
	"keyfob/engine"
	auditstream "keyfob/events/stream"
	"keyfob/radius"
	"keyfob/webui"
)

// drainFor limits the requests in progress when the server stops.
const drainFor = 10 * time.Second

func (e *program) serverCommand() *cobra.Command {
	var file string
	return configFlag(cli.Command("server", "Run a node in the foreground; SIGTERM drains and stops it, SIGHUP reloads", func(c *cobra.Command, _ []string) error {
		cfg, err := e.loadConfig(file)
		if err != nil {
			return e.configProblems(err)
		}
		return e.serve(c.Context(), cfg)
	}), &file)
}

// serve runs a node until ctx ends. It starts the parts in the order in which they
// need each other.
func (e *program) serve(ctx context.Context, cfg Config) error {
	defer runtime.KeepAlive(SpareHeap())
	level := new(slog.LevelVar)
	log := e.logger(cfg.Log, level)
	protectMemory(ctx, log)
	counts := newMetrics()

	// Claim the resources of this machine first. A port in use or a missing file
	// is an error before anything is changed.
	node, err := e.nodeConfig(cfg, log, counts)
	if err != nil {
		return err
	}
	if err := node.exists(); err != nil {
		return err
	}
	lock, err := lockData(cfg.Data)
	if err != nil {
		return err
	}
	defer lock.Close()
	sender, err := e.newSender(cfg, log, counts)
	if err != nil {
		return err
	}
	if sender != nil {
		node.Deliver, node.Sends = sender.Deliver, sender.Sends
	}
	token, err := e.metricsToken(cfg)
	if err != nil {
		return err
	}
	ports, limits, err := openLimitedPorts(cfg)
	if err != nil {
		return err
	}
	defer ports.close()
	cert, selfSigned, err := openCertificate(cfg, e.Now())
	if err != nil {
		return err
	}
	if selfSigned {
		log.WarnContext(ctx, "self-signed certificate in use: browsers will warn; set web.tls.cert and web.tls.key", "certificate", cert.cert)
	}

	for _, w := range append(cfg.warnings(), limits.warnings()...) {
		log.WarnContext(ctx, "configuration warning", "warning", w)
	}

	// The node, then its front ends.
	n, err := e.openNode(ctx, node.Config, ports.metrics, askSealEvery, log)
	if errors.Is(err, context.Canceled) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("opening node %s: %w", cfg.Node, err)
	}
	node.warn(ctx, log)
	in := &instance{cfg: cfg, log: log, node: n, sender: sender, asked: counted{n, counts}, counts: counts, token: token, limits: limits, env: e}
	doors, err := in.frontEnds(ports, cert)
	if err != nil {
		return errors.Join(err, n.Close())
	}

	// SIGHUP reloads the certificate and the log level.
	hup := make(chan os.Signal, 1)
	signal.Notify(hup, syscall.SIGHUP)
	defer signal.Stop(hup)
	reload := func() { e.reload(ctx, cfg, cert, level, log) }
	return in.run(ctx, doors, hup, reload)
}

// instance is an open node and what its front ends need.
type instance struct {
	env    *program
	cfg    Config
	log    *slog.Logger
	node   *cluster.Node
	sender *delivery.Sender // nil if no tokencodes are sent
	asked  counted          // the node, for the front ends
	counts *metrics
	token  engine.Secret // for the metrics
	limits limits
}

// frontEnds are created, and not yet open.
type frontEnds struct {
	radius *radius.Server
	stream *auditStream
	http   []*httpServer
}

func (in *instance) frontEnds(ports *ports, cert *certificate) (_ *frontEnds, err error) {
	d := &frontEnds{}
	if d.stream, err = in.openAuditStream(); err != nil {
		return nil, err
	}
	defer func() {
		if err != nil {
			d.stream.close()
		}
	}()
	in.counts.registry.MustRegister(&gauges{node: in.node, audit: d.stream.health, now: in.env.Now}, ports.limited)

	pages, err := in.pages()
	if err != nil {
		return nil, err
	}
	commands, err := in.api(d.stream)
	if err != nil {
		return nil, err
	}
	known, err := in.cfg.hosts(cert)
	if err != nil {
		return nil, err
	}
	d.http = []*httpServer{
		newHTTPServer("web", ports.web, cert, known.only(received(connlimit.Answering(pages), maxForm)), in.log),
		newHTTPServer("admin", ports.admin, cert, known.only(connlimit.Answering(admin(commands))), in.log),
		newSocketServer(ports.socket, withProfiles(commands), in.log),
	}
	if ports.metrics != nil {
		d.http = append(d.http, newHTTPServer("metrics", ports.metrics, nil, connlimit.Answering(in.counts.handler(in.node.Ready, known, in.token)), in.log))
	}
	packets, err := in.radiusConfig(cert)
	if err != nil {
		return nil, err
	}
	// Last, because its sockets receive packets at once.
	if d.radius, err = radius.New(packets, in.asked, in.log); err != nil {
		return nil, fmt.Errorf("%w; free the port, or set radius.listen, radius.acct and radius.radsec", err)
	}
	return d, nil
}

// run serves until ctx ends or a part fails. It stops in the reverse order: the
// front ends accept no new requests and complete those in progress; the node hands
// over leadership and stops; then the audit stream and the sender stop, because
// they receive the node's last events and tokencodes.
func (in *instance) run(ctx context.Context, d *frontEnds, hup <-chan os.Signal, reload func()) error {
	inside, stop := context.WithCancel(context.WithoutCancel(ctx))
	defer stop()
	nodeDone, streamDone := make(chan error, 1), make(chan error, 1)
	nodeCtx, stopNode := context.WithCancel(inside)
	defer stopNode()
	streamCtx, stopStream := context.WithCancel(inside)
	defer stopStream()
	nodeGone := make(chan struct{})
	go func() { defer close(nodeGone); nodeDone <- in.node.Run(nodeCtx) }()
	go func() { streamDone <- d.stream.run(streamCtx) }()
	senderDone := make(chan error, 1)
	go func() { senderDone <- in.send(streamCtx) }()

	group, open := errgroup.WithContext(ctx)
	group.Go(func() error { return named("radius", d.radius.Run(open)) })
	for _, door := range d.http {
		group.Go(func() error { return named(door.name, door.run(open)) })
	}
	group.Go(func() error { // stop if the node fails
		select {
		case <-nodeGone:
			return errors.New("the node stopped")
		case <-open.Done():
			return nil
		}
	})
	group.Go(func() error {
		for {
			select {
			case <-hup:
				reload()
			case <-open.Done():
				return nil
			}
		}
	})
	group.Go(func() error { in.announce(open); return nil })

	<-open.Done()
	in.env.notify("STOPPING=1")
	in.log.InfoContext(ctx, "draining", "node", in.cfg.Node)
	err := group.Wait()
	stopNode()
	if nodeErr := <-nodeDone; nodeErr != nil {
		err = fmt.Errorf("node %s: %w", in.cfg.Node, nodeErr)
	}
	stopStream()
	err = errors.Join(err, named("audit stream", <-streamDone), named("delivery", <-senderDone))
	in.log.InfoContext(ctx, "stopped", "node", in.cfg.Node)
	return err
}

// announce logs when the node is ready for the first time.
func (in *instance) announce(ctx context.Context) {
	in.env.notify("READY=1") // a node without a leader also serves: it answers that it is not ready
	tick := time.NewTicker(100 * time.Millisecond)
	defer tick.Stop()
	for in.node.Ready() != nil {
		select {
		case <-tick.C:
		case <-ctx.Done():
			return
		}
	}
	in.log.InfoContext(ctx, "ready", "node", in.cfg.Node, "web", in.cfg.Web.Listen, "admin", in.cfg.Admin.Listen, "radius", in.cfg.RADIUS.Listen)
}

func named(what string, err error) error {
	if err == nil || errors.Is(err, context.Canceled) {
		return nil
	}
	return fmt.Errorf("%s: %w", what, err)
}

func (in *instance) pages() (http.Handler, error) {
	branding, err := in.cfg.Branding.load()
	if err != nil {
		return nil, err
	}
	proxies, err := in.cfg.proxies()
	if err != nil {
		return nil, fmt.Errorf("web.trusted_proxies: %w", err)
	}
	pages, err := webui.New(webui.Config{
		Node: in.asked, NodeName: in.cfg.Node, Site: in.cfg.Site, Branding: branding,
		PublicURL: in.cfg.Web.PublicURL, TrustedProxies: proxies,
		Now: in.env.Now, Random: rand.Reader, Log: in.log,
	})
	if err != nil {
		return nil, fmt.Errorf("making the pages: %w", err)
	}
	return pages, nil
}

func (in *instance) api(stream *auditStream) (http.Handler, error) {
	return api.New(api.Config{
		Node: in.asked, Seal: in.node, Remedies: remedies{in.node}, Cluster: members{in.node}, Journal: in.node.Journal(),
		NewReader: auditstream.NewReader, SyncReaders: stream.syncReaders,
		Refused: in.node.CountRefusal, Observer: in.counts,
		Name: in.cfg.Node, Site: in.cfg.Site, Now: in.env.Now, Random: rand.Reader, Log: in.log,
		Sound: func() bool { return in.node.Stats().ClockSound }, CaughtUp: in.node.CaughtUp,
	})
}

func (in *instance) radiusConfig(cert *certificate) (radius.Config, error) {
	c := radius.DefaultConfig()
	c.Node, c.Site, c.Observer = in.cfg.Node, in.cfg.Site, in.counts
	c.Listen, c.Accounting = []string{in.cfg.RADIUS.Listen}, nil
	if in.cfg.RADIUS.Acct != Off {
		c.Accounting = []string{in.cfg.RADIUS.Acct}
	}
	c.PageURL, c.Connections = in.cfg.Web.PublicURL, in.limits.radsec
	if in.cfg.RADIUS.RadSec == Off || in.cfg.RADIUS.ClientCA == "" {
		return c, nil
	}
	pem, err := os.ReadFile(in.cfg.RADIUS.ClientCA)
	if err != nil {
		return c, fmt.Errorf("radius.client_ca: %w", err)
	}
	c.RadSec, c.TLS = []string{in.cfg.RADIUS.RadSec}, cert.config()
	c.TLS.NextProtos, c.TLS.ClientCAs = nil, x509.NewCertPool()
	if !c.TLS.ClientCAs.AppendCertsFromPEM(pem) {
		return c, fmt.Errorf("radius.client_ca: %s contains no PEM certificate", in.cfg.RADIUS.ClientCA)
	}
	return c, nil
}

// reload applies the certificate and the log level of the configuration.
func (e *program) reload(ctx context.Context, old Config, cert *certificate, level *slog.LevelVar, log *slog.Logger) {
	e.notify("RELOADING=1")
	defer e.notify("READY=1")
	cfg, err := e.loadConfig(old.file)
	if err != nil {
		log.ErrorContext(ctx, "configuration reload failed; keeping the previous configuration", "err", err)
		return
	}
	level.Set(cfg.Log.level())
	if err := cert.reload(); err != nil {
		log.ErrorContext(ctx, "certificate reload failed; keeping the previous certificate", "err", err)
		return
	}
	if keys := changed(&old, &cfg); len(keys) > 0 {
		log.WarnContext(ctx, "changed settings need a restart", "keys", keys)
	}
	log.InfoContext(ctx, "configuration reloaded", "certificate", cert.cert, "level", level.Level())
}
