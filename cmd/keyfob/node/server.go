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
	"keyfob/radius"
	"keyfob/webui"
)

// drainFor is how long requests under way may take when the server stops.
const drainFor = 10 * time.Second

func (e *program) serverCommand() *cobra.Command {
	var file string
	return configFlag(cli.Command("server", "Run one node in the foreground; SIGTERM drains and stops it, SIGHUP reloads", func(c *cobra.Command, _ []string) error {
		cfg, err := e.loadConfig(file)
		if err != nil {
			return e.configProblems(err)
		}
		return e.serve(c.Context(), cfg)
	}), &file)
}

// serve runs a node until ctx ends: the whole house, in the order in which its
// parts need each other.
func (e *program) serve(ctx context.Context, cfg Config) error {
	defer runtime.KeepAlive(SpareHeap())
	level := new(slog.LevelVar)
	log := e.logger(cfg.Log, level)
	counts := newMetrics()

	// What is asked of this machine: a taken port or a missing file ends it
	// here, before anything is changed.
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
	ports, err := openPorts(cfg)
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

	for _, w := range cfg.warnings() {
		log.WarnContext(ctx, "configuration warning", "warning", w)
	}

	// The node, and the doors before it.
	n, err := cluster.Open(node.Config)
	if err != nil {
		return fmt.Errorf("opening node %s: %w", cfg.Node, err)
	}
	node.warn(ctx, log)
	h := &house{cfg: cfg, log: log, node: n, sender: sender, asked: counted{n, counts}, counts: counts, env: e}
	doors, err := h.doors(ports, cert)
	if err != nil {
		return errors.Join(err, n.Close())
	}

	// SIGHUP reads again what can be read again.
	hup := make(chan os.Signal, 1)
	signal.Notify(hup, syscall.SIGHUP)
	defer signal.Stop(hup)
	reload := func() { e.reload(ctx, cfg, cert, level, log) }
	return h.run(ctx, doors, hup, reload)
}

// house is a node that is open, and what its doors are made from.
type house struct {
	env    *program
	cfg    Config
	log    *slog.Logger
	node   *cluster.Node
	sender *delivery.Sender // nil where no tokencodes are sent
	asked  counted          // the node as the doors ask it
	counts *metrics
}

// doors are the ways in, made and not yet open.
type doors struct {
	radius *radius.Server
	outlet *outlet
	http   []*httpDoor
}

func (h *house) doors(ports *ports, cert *certificate) (*doors, error) {
	d := &doors{}
	var err error
	if d.outlet, err = h.openOutlet(); err != nil {
		return nil, err
	}
	h.counts.registry.MustRegister(&gauges{node: h.node, published: d.outlet.published, now: h.env.Now})

	pages, err := h.pages()
	if err != nil {
		return nil, errors.Join(err, d.outlet.close())
	}
	commands, err := h.api(d.outlet)
	if err != nil {
		return nil, errors.Join(err, d.outlet.close())
	}
	d.http = []*httpDoor{
		newDoor("web", ports.web, cert, limited(pages, maxForm), h.log),
		newDoor("admin", ports.admin, cert, admin(commands), h.log),
		newSocketDoor(ports.socket, inspected(commands), h.log),
	}
	if ports.metrics != nil {
		d.http = append(d.http, newDoor("metrics", ports.metrics, nil, h.counts.handler(h.node.Ready), h.log))
	}
	packets, err := h.radiusConfig(cert)
	if err != nil {
		return nil, errors.Join(err, d.outlet.close())
	}
	// Last, because its sockets receive as soon as they are open.
	if d.radius, err = radius.New(packets, h.asked, h.log); err != nil {
		return nil, errors.Join(fmt.Errorf("%w; free the port, or set radius.listen, radius.acct and radius.radsec", err), d.outlet.close())
	}
	return d, nil
}

// run opens the doors and keeps them open until ctx ends or a part fails. The
// way out is the way in, backwards: the doors take nothing new and answer what
// they took; then the node, which they asked, hands over leadership and stops;
// then the outlet and the sender, which took the node's last events and
// tokencodes.
func (h *house) run(ctx context.Context, d *doors, hup <-chan os.Signal, reload func()) error {
	inside, stop := context.WithCancel(context.WithoutCancel(ctx))
	defer stop()
	nodeDone, outletDone := make(chan error, 1), make(chan error, 1)
	nodeCtx, stopNode := context.WithCancel(inside)
	defer stopNode()
	outletCtx, stopOutlet := context.WithCancel(inside)
	defer stopOutlet()
	nodeGone := make(chan struct{})
	go func() { defer close(nodeGone); nodeDone <- h.node.Run(nodeCtx) }()
	go func() { outletDone <- d.outlet.run(outletCtx) }()
	senderDone := make(chan error, 1)
	go func() { senderDone <- h.send(outletCtx) }()

	group, open := errgroup.WithContext(ctx)
	group.Go(func() error { return named("radius", d.radius.Run(open)) })
	for _, door := range d.http {
		group.Go(func() error { return named(door.name, door.run(open)) })
	}
	group.Go(func() error { // a node that cannot go on takes its doors with it
		select {
		case <-nodeGone:
			return errors.New("the node has stopped")
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
	group.Go(func() error { h.announce(open); return nil })

	<-open.Done()
	h.env.notify("STOPPING=1")
	h.log.InfoContext(ctx, "draining", "node", h.cfg.Node)
	err := group.Wait()
	stopNode()
	if nodeErr := <-nodeDone; nodeErr != nil {
		err = fmt.Errorf("node %s: %w", h.cfg.Node, nodeErr)
	}
	stopOutlet()
	err = errors.Join(err, named("audit stream", <-outletDone), named("delivery", <-senderDone))
	h.log.InfoContext(ctx, "stopped", "node", h.cfg.Node)
	return err
}

// announce says when the node can be asked for the first time.
func (h *house) announce(ctx context.Context) {
	h.env.notify("READY=1") // a node without a leader yet serves all the same: it says that it is not ready
	tick := time.NewTicker(100 * time.Millisecond)
	defer tick.Stop()
	for h.node.Ready() != nil {
		select {
		case <-tick.C:
		case <-ctx.Done():
			return
		}
	}
	h.log.InfoContext(ctx, "ready", "node", h.cfg.Node, "web", h.cfg.Web.Listen, "admin", h.cfg.Admin.Listen, "radius", h.cfg.RADIUS.Listen)
}

func named(what string, err error) error {
	if err == nil || errors.Is(err, context.Canceled) {
		return nil
	}
	return fmt.Errorf("%s: %w", what, err)
}

func (h *house) pages() (http.Handler, error) {
	branding, err := h.cfg.Branding.load()
	if err != nil {
		return nil, err
	}
	proxies, err := h.cfg.proxies()
	if err != nil {
		return nil, fmt.Errorf("web.trusted_proxies: %w", err)
	}
	pages, err := webui.New(webui.Config{
		Node: h.asked, NodeName: h.cfg.Node, Site: h.cfg.Site, Branding: branding,
		PublicURL: h.cfg.Web.PublicURL, TrustedProxies: proxies,
		Now: h.env.Now, Random: rand.Reader, Log: h.log,
	})
	if err != nil {
		return nil, fmt.Errorf("making the pages: %w", err)
	}
	return pages, nil
}

func (h *house) api(o *outlet) (http.Handler, error) {
	return api.New(api.Config{
		Node: h.asked, Seal: h.node, Remedies: remedies{h.node}, Cluster: members{h.node}, Journal: h.node.Journal(),
		NewReader: natsKeys(h.node).NewReader, SyncReaders: o.syncReaders,
		Refused: h.node.CountRefusal,
		Name:    h.cfg.Node, Site: h.cfg.Site, Now: h.env.Now, Random: rand.Reader, Log: h.log,
		Sound: func() bool { return h.node.Stats().ClockSound }, CaughtUp: h.node.CaughtUp,
	})
}

func (h *house) radiusConfig(cert *certificate) (radius.Config, error) {
	c := radius.DefaultConfig()
	c.Node, c.Site, c.Observer = h.cfg.Node, h.cfg.Site, h.counts
	c.Listen, c.Accounting = []string{h.cfg.RADIUS.Listen}, nil
	if h.cfg.RADIUS.Acct != Off {
		c.Accounting = []string{h.cfg.RADIUS.Acct}
	}
	c.PageURL = h.cfg.Web.PublicURL
	if h.cfg.RADIUS.RadSec == Off || h.cfg.RADIUS.ClientCA == "" {
		return c, nil
	}
	pem, err := os.ReadFile(h.cfg.RADIUS.ClientCA)
	if err != nil {
		return c, fmt.Errorf("radius.client_ca: %w", err)
	}
	c.RadSec, c.TLS = []string{h.cfg.RADIUS.RadSec}, cert.config()
	c.TLS.NextProtos, c.TLS.ClientCAs = nil, x509.NewCertPool()
	if !c.TLS.ClientCAs.AppendCertsFromPEM(pem) {
		return c, fmt.Errorf("radius.client_ca: %s holds no certificate in PEM", h.cfg.RADIUS.ClientCA)
	}
	return c, nil
}

// reload takes up what the configuration now says of certificates and the log.
func (e *program) reload(ctx context.Context, old Config, cert *certificate, level *slog.LevelVar, log *slog.Logger) {
	e.notify("RELOADING=1")
	defer e.notify("READY=1")
	cfg, err := e.loadConfig(old.file)
	if err != nil {
		log.ErrorContext(ctx, "configuration is not good, so the old one stays", "err", err)
		return
	}
	level.Set(cfg.Log.level())
	if err := cert.reload(); err != nil {
		log.ErrorContext(ctx, "certificate is not good, so the old one stays", "err", err)
		return
	}
	if keys := changed(&old, &cfg); len(keys) > 0 {
		log.WarnContext(ctx, "some changes need a restart", "keys", keys)
	}
	log.InfoContext(ctx, "reloaded", "certificate", cert.cert, "level", level.Level())
}
