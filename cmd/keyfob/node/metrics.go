package node

import (
	"context"
	"errors"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"

	"keyfob/cluster"
	"keyfob/cmd/keyfob/cli"
	"keyfob/engine"
	"keyfob/events"
	"keyfob/events/stream"
	"keyfob/radius"
)

// metrics are the Prometheus metrics. No label contains a user or a serial.
type metrics struct {
	registry *prometheus.Registry
	named    *prometheus.Registry // requests by client
	nameless *prometheus.Registry // requests of all clients, for strangers
	auth     *prometheus.CounterVec
	duration prometheus.Histogram
	requests *prometheus.CounterVec
	together *prometheus.CounterVec // requests of all clients
	dropped  *prometheus.CounterVec
	batch    prometheus.Histogram
	commit   prometheus.Histogram
	commands *prometheus.CounterVec
	refused  *prometheus.CounterVec
}

func newMetrics() *metrics {
	m := &metrics{
		registry: prometheus.NewRegistry(), named: prometheus.NewRegistry(), nameless: prometheus.NewRegistry(),
		auth: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "keyfob_auth_total", Help: "Login attempts, by result. Undecided attempts granted no access and used no tokencode.",
		}, []string{"result", "reason", "door"}),
		duration: prometheus.NewHistogram(prometheus.HistogramOpts{
			Name: "keyfob_auth_duration_seconds", Help: "Time from the arrival of an attempt to its accept or challenge. Refusals are sent after a fixed time.",
			Buckets: prometheus.ExponentialBuckets(0.001, 2, 13),
		}),
		requests: newRequests(),
		together: newRequests(),
		dropped: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "keyfob_radius_dropped_total", Help: "RADIUS packets that got no answer, by cause.",
		}, []string{"cause"}),
		batch: prometheus.NewHistogram(prometheus.HistogramOpts{
			Name: "keyfob_batch_events", Help: "Events in a committed batch.", Buckets: prometheus.ExponentialBuckets(1, 2, 12),
		}),
		commands: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "keyfob_admin_commands_total", Help: "Administrative commands, by operation of the API and result: ok, waiting for a second administrator, or the code of the problem.",
		}, []string{"command", "result"}),
		refused: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "keyfob_admin_refused_total", Help: "Requests to the API from callers who were refused, by reason.",
		}, []string{"reason"}),
		commit: prometheus.NewHistogram(prometheus.HistogramOpts{
			Name: "keyfob_commit_seconds", Help: "Duration of a commit.", Buckets: prometheus.ExponentialBuckets(0.0005, 2, 14),
		}),
	}
	b := cli.ThisBuild()
	info := prometheus.NewGauge(prometheus.GaugeOpts{
		Name: "keyfob_build_info", Help: "Version of this binary.",
		ConstLabels: prometheus.Labels{"version": b.Version, "revision": b.Revision, "go": b.Go},
	})
	info.Set(1)
	m.named.MustRegister(m.requests)
	m.nameless.MustRegister(m.together)
	m.registry.MustRegister(m.auth, m.duration, m.dropped, m.batch, m.commit, m.commands, m.refused, info,
		collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	return m
}

func newRequests() *prometheus.CounterVec {
	return prometheus.NewCounterVec(prometheus.CounterOpts{
		Name: "keyfob_radius_requests_total", Help: "Requests and responses of known RADIUS clients, by code.",
	}, []string{"client", "code"})
}

// committed observes a batch.
func (m *metrics) committed(events int, took time.Duration) {
	m.batch.Observe(float64(events))
	m.commit.Observe(took.Seconds())
}

// Command implements api.Observer.
func (m *metrics) Command(operation, result string) {
	m.commands.WithLabelValues(operation, result).Inc()
}

// Refused implements api.Observer.
func (m *metrics) Refused(reason string) { m.refused.WithLabelValues(reason).Inc() }

// Received implements radius.Observer.
func (m *metrics) Received(client string, code radius.Code) { m.count(client, code) }

// Answered implements radius.Observer.
func (m *metrics) Answered(client string, code radius.Code, _ time.Duration) { m.count(client, code) }

// allClients is the client in the metrics that strangers see.
const allClients = "*"

func (m *metrics) count(client string, code radius.Code) {
	m.requests.WithLabelValues(client, code.String()).Inc()
	m.together.WithLabelValues(allClients, code.String()).Inc()
}

// Dropped implements radius.Observer. The client is not a label, because strangers
// can send packets that are dropped.
func (m *metrics) Dropped(_ string, cause radius.Cause) {
	m.dropped.WithLabelValues(string(cause)).Inc()
}

// counted counts the logins at a node, for all front ends.
type counted struct {
	*cluster.Node
	metrics *metrics
}

func (c counted) Authenticate(ctx context.Context, a engine.Attempt) (engine.Outcome, error) {
	out, err := c.Node.Authenticate(ctx, a)
	result, reason := out.Verdict.String(), string(out.Reason)
	if err != nil {
		result, reason = "undecided", whyUndecided(err)
	} else if out.Verdict != engine.Reject && !a.Arrived.IsZero() {
		c.metrics.duration.Observe(time.Since(a.Arrived).Seconds())
	}
	c.metrics.auth.WithLabelValues(result, reason, string(a.Origin.Door)).Inc()
	return out, err
}

// whyUndecided returns the reason of an undecided attempt, if it has a name.
func whyUndecided(err error) string {
	if errors.Is(err, engine.ErrUntimed) {
		return string(events.ReasonClockSkew)
	}
	return ""
}

// gauges collects the figures of a node.
type gauges struct {
	node  *cluster.Node
	audit func(time.Time) (stream.Health, bool)
	now   func() time.Time

	mu      sync.Mutex // guards below
	looked  time.Time
	figures tokenFigures
}

// tokenFigures are computed over all tokens, at most every figuresFor.
type tokenFigures struct {
	count map[[2]string]float64 // by kind and mode
	drift prometheus.Metric
}

const figuresFor = 15 * time.Second

var (
	descLeader    = prometheus.NewDesc("keyfob_cluster_leader", "1 on the leader.", nil, nil)
	descSequence  = prometheus.NewDesc("keyfob_cluster_sequence", "Sequence number of the last event applied on this node.", nil, nil)
	descLog       = prometheus.NewDesc("keyfob_log_transactions_total", "Transactions of the Raft log on this node's disk, with two fsyncs each.", nil, nil)
	descOffset    = prometheus.NewDesc("keyfob_clock_offset_seconds", "Difference between this node's clock and the median of the nodes.", nil, nil)
	descReady     = prometheus.NewDesc("keyfob_ready", "1 if this node answers logins.", nil, nil)
	descPublished = prometheus.NewDesc("keyfob_audit_published_sequence", "Sequence number of the last event published on NATS.", nil, nil)
	descBacklog   = prometheus.NewDesc("keyfob_audit_backlog_events", "Events not yet published on NATS.", nil, nil)
	descPublisher = prometheus.NewDesc("keyfob_audit_publisher_up", "0 if publishing on NATS fails.", nil, nil)
	descFailures  = prometheus.NewDesc("keyfob_audit_publish_failures_total", "Failed attempts to publish on NATS.", nil, nil)
	descDiffered  = prometheus.NewDesc("keyfob_audit_stream_differed_total", "Times that the audit stream was not a copy of the journal.", nil, nil)
	descApprovals = prometheus.NewDesc("keyfob_approvals_waiting", "Commands that wait for a second administrator.", nil, nil)
	descTokens    = prometheus.NewDesc("keyfob_tokens", "Tokens, by kind and mode.", []string{"kind", "mode"}, nil)
	descVersion   = prometheus.NewDesc("keyfob_key_rotation_version", "Version of the root key that seals.", nil, nil)
	descRotating  = prometheus.NewDesc("keyfob_key_rotation_active", "1 while an older version of the root key is still in use.", nil, nil)
	descResealed  = prometheus.NewDesc("keyfob_key_rotation_values", "Sealed values in the state, by whether they are under the present version.", []string{"current"}, nil)
	descMembers   = prometheus.NewDesc("keyfob_key_rotation_waiting_for", "Members whose disks are not under the present version yet.", nil, nil)
	descDue       = prometheus.NewDesc("keyfob_key_rotation_due", "1 if the root key is older than the policy keys.rotate_every.", nil, nil)
	descSince     = prometheus.NewDesc("keyfob_key_rotation_timestamp_seconds", "When the present version of the root key was made.", nil, nil)
	descDrift     = prometheus.NewDesc("keyfob_token_drift_intervals", "Drift of the tokens, in intervals.", nil, nil)
)

// Describe implements prometheus.Collector.
func (g *gauges) Describe(ch chan<- *prometheus.Desc) {
	for _, d := range []*prometheus.Desc{
		descLeader, descSequence, descLog, descOffset, descReady, descPublished, descBacklog, descPublisher, descFailures, descDiffered,
		descApprovals, descTokens, descDrift, descVersion, descRotating, descResealed, descMembers, descDue, descSince,
	} {
		ch <- d
	}
}

// Collect implements prometheus.Collector.
func (g *gauges) Collect(ch chan<- prometheus.Metric) {
	gauge := func(d *prometheus.Desc, v float64, labels ...string) {
		ch <- prometheus.MustNewConstMetric(d, prometheus.GaugeValue, v, labels...)
	}
	stats := g.node.Stats()
	gauge(descLeader, truth(stats.Leader))
	gauge(descSequence, float64(stats.Sequence))
	ch <- prometheus.MustNewConstMetric(descLog, prometheus.CounterValue, float64(stats.LogCommits))
	gauge(descOffset, stats.ClockOffset.Seconds())
	gauge(descReady, truth(g.node.Ready() == nil))
	if h, ok := g.audit(g.now()); ok && h.State != stream.Idle {
		gauge(descPublished, float64(h.Published))
		gauge(descBacklog, max(0, float64(stats.Sequence)-float64(h.Published)))
		gauge(descPublisher, truth(h.State != stream.Failing))
		ch <- prometheus.MustNewConstMetric(descFailures, prometheus.CounterValue, float64(h.Failures))
		ch <- prometheus.MustNewConstMetric(descDiffered, prometheus.CounterValue, float64(h.Differed))
	}
	g.rotation(gauge)
	gauge(descApprovals, float64(len(g.node.State().ApprovalList(events.At(g.now())))))
	figures := g.tokens()
	for at, n := range figures.count {
		gauge(descTokens, n, at[0], at[1])
	}
	ch <- figures.drift
}

// rotation collects how far a rotation of the root key is.
func (g *gauges) rotation(gauge func(*prometheus.Desc, float64, ...string)) {
	r := g.node.Rotation()
	gauge(descVersion, float64(r.Version))
	gauge(descRotating, truth(r.Step != cluster.RotationDone))
	gauge(descResealed, float64(r.Done), "yes")
	gauge(descResealed, float64(r.Total-r.Done), "no")
	gauge(descMembers, float64(len(r.WaitingFor)))
	gauge(descDue, truth(r.Due))
	gauge(descSince, float64(r.Since.UnixMilli())/1000)
}

func truth(b bool) float64 {
	if b {
		return 1
	}
	return 0
}

func (g *gauges) tokens() tokenFigures {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.figures.drift != nil && g.now().Sub(g.looked) < figuresFor {
		return g.figures
	}
	bounds := []float64{-70, -10, -3, -2, -1, 0, 1, 2, 3, 10, 70}
	buckets := map[float64]uint64{}
	var seen uint64
	var sum float64
	count := map[[2]string]float64{}
	state, now := g.node.State(), events.At(g.now())
	state.Tokens(func(t *engine.Token) bool {
		count[[2]string{t.Kind, string(state.Mode(t, now))}]++
		if t.Proven && t.Period > 0 {
			drift := float64(t.Drift)
			seen, sum = seen+1, sum+drift
			for _, bound := range bounds {
				if drift <= bound {
					buckets[bound]++
				}
			}
		}
		return true
	})
	for _, bound := range bounds {
		buckets[bound] += 0 // include empty buckets
	}
	g.looked = g.now()
	g.figures = tokenFigures{count: count, drift: prometheus.MustNewConstHistogram(descDrift, seen, sum, buckets)}
	return g.figures
}
