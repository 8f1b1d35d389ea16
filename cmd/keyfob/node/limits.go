package node

import (
	"fmt"
	"net"
	"net/netip"
	"slices"
	"syscall"

	"github.com/prometheus/client_golang/prometheus"

	"keyfob/cmd/keyfob/node/connlimit"
)

// limits are the numbers of connections that this node keeps open for others. They
// are shares of the files that the process may open, so that strangers cannot take
// the files that the journal, the Raft log and the other nodes need.
type limits struct {
	files                             int // that the process may open
	web, admin, metrics, nats, radsec int
}

// The most that a listener needs, whatever the process may open. A connection to
// the pages takes about 40 KiB.
const (
	mostWeb     = 4096
	mostAdmin   = 1024
	mostNATS    = 1000
	mostRadSec  = 1024
	mostMetrics = 64

	leastFiles = 4096 // below this, the node warns
)

// limitsOf divides the files that a process may open. Half of them, at least, stay
// free.
func limitsOf(files int) limits {
	share := func(most, part int) int { return max(4, min(most, files/part)) }
	return limits{
		files: files,
		web:   share(mostWeb, 4), admin: share(mostAdmin, 16), nats: share(mostNATS, 16), radsec: share(mostRadSec, 16),
		metrics: share(mostMetrics, 64),
	}
}

// openFiles returns how many files this process may open. The Go runtime has raised
// the limit as far as it may.
func openFiles() (int, error) {
	var limit syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &limit); err != nil {
		return 0, fmt.Errorf("reading the limit of open files: %w", err)
	}
	return int(min(limit.Cur, 1<<20)), nil //nolint:gosec // bounded
}

// openLimitedPorts opens the ports, and limits their connections by what this process
// may open.
func openLimitedPorts(c Config) (*ports, limits, error) {
	files, err := openFiles()
	if err != nil {
		return nil, limits{}, err
	}
	proxies, err := c.proxies()
	if err != nil {
		return nil, limits{}, err
	}
	p, err := openPorts(c)
	if err != nil {
		return nil, limits{}, err
	}
	l := limitsOf(files)
	p.limit(l, proxies)
	return p, l, nil
}

// warnings lists limits that are lower than a node needs.
func (l limits) warnings() []string {
	if l.files >= leastFiles {
		return nil
	}
	return []string{fmt.Sprintf("this process may open %d files, so the pages take %d connections only; raise LimitNOFILE to at least %d", l.files, l.web, leastFiles)}
}

// perNetwork is the share of one network in the connections of a listener: an
// eighth.
func perNetwork(total int) int { return max(2, total/8) }

// limit limits the listeners that strangers may reach.
func (p *ports) limit(l limits, proxies []netip.Prefix) {
	exempt := func(a netip.Addr) bool {
		return slices.ContainsFunc(proxies, func(p netip.Prefix) bool { return p.Contains(a) })
	}
	p.limited = map[string]*connlimit.Listener{}
	for _, of := range []struct {
		name  string
		at    *net.Listener
		total int
	}{
		{"web", &p.web, l.web},
		{"admin", &p.admin, l.admin},
		{"metrics", &p.metrics, l.metrics},
	} {
		if *of.at == nil {
			continue
		}
		limited := connlimit.New(*of.at, connlimit.Limits{Total: of.total, PerNetwork: perNetwork(of.total), Exempt: exempt})
		*of.at, p.limited[of.name] = limited, limited
	}
}

// connections collects the figures of the listeners.
type connections map[string]*connlimit.Listener

var (
	descOpen     = prometheus.NewDesc("keyfob_connections", "Open connections, by listener.", []string{"listener"}, nil)
	descReplaced = prometheus.NewDesc("keyfob_connections_closed_total",
		"Connections closed because a listener was at its limit: waiting ones for a new one, or the new one.", []string{"listener", "which"}, nil)
)

// Describe implements prometheus.Collector.
func (c connections) Describe(ch chan<- *prometheus.Desc) { ch <- descOpen; ch <- descReplaced }

// Collect implements prometheus.Collector.
func (c connections) Collect(ch chan<- prometheus.Metric) {
	for name, l := range c {
		counts := l.Counts()
		ch <- prometheus.MustNewConstMetric(descOpen, prometheus.GaugeValue, float64(counts.Open), name)
		ch <- prometheus.MustNewConstMetric(descReplaced, prometheus.CounterValue, float64(counts.Replaced), name, "waiting")
		ch <- prometheus.MustNewConstMetric(descReplaced, prometheus.CounterValue, float64(counts.Refused), name, "new")
	}
}
