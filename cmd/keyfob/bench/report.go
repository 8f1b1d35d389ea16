package bench

import (
	"fmt"
	"runtime"
	"time"

	"keyfob/cmd/keyfob/cli"
)

// benchReport is the result of keyfob bench.
type benchReport struct {
	Build       cli.Build        `json:"build"`
	Cores       int              `json:"cores"`
	Users       int              `json:"users"`
	Concurrency int              `json:"concurrency"`
	Seconds     float64          `json:"seconds"`
	Clusters    []clusterFigures `json:"clusters"`
}

// clusterFigures are the figures of one cluster size.
type clusterFigures struct {
	Nodes     int     `json:"nodes"`
	RADIUS    figures `json:"radius"`     // over RADIUS, all nodes, each a process
	Direct    figures `json:"direct"`     // Node.Authenticate on the leader, all nodes in one process
	RawRADIUS figures `json:"raw_radius"` // Raft alone, with the batch size of RADIUS
	RawDirect figures `json:"raw_direct"` // and with that of Direct

	RADIUSOfRaw float64 `json:"radius_of_raw"`
	DirectOfRaw float64 `json:"direct_of_raw"`
}

// figures are the figures of one load.
type figures struct {
	PerSecond float64 `json:"per_second"`
	P50       float64 `json:"p50_ms"`
	P99       float64 `json:"p99_ms"`
	Accepts   uint64  `json:"accepts"`
	Rejects   uint64  `json:"rejects"`
	Failures  uint64  `json:"failures"`
	Why       string  `json:"why,omitempty"` // first login that was not accepted

	Batch      float64 `json:"events_per_batch"`
	EntryBytes float64 `json:"bytes_per_event,omitempty"`    // in the log
	Fsyncs     float64 `json:"fsyncs_per_verification"`      // of the logs of all nodes
	CPU        float64 `json:"cpu_us_per_verification"`      // of all nodes
	LoadCPU    float64 `json:"load_cpu_us_per_verification"` // of the load generator, if it is another process
	Ceiling    float64 `json:"cores_allow_per_second"`       // limit of the cores alone, without waits for the disk
}

func (t *tally) figures() figures {
	f := figures{
		PerSecond: float64(t.logins()) / t.took.Seconds(),
		P50:       milliseconds(t.waits.quantile(0.5)),
		P99:       milliseconds(t.waits.quantile(0.99)),
		Accepts:   t.verdicts[accepted],
		Rejects:   t.verdicts[rejected],
		Failures:  t.verdicts[failed],
	}
	if t.first != nil {
		f.Why = cli.OneLine(t.first)
	}
	return f
}

// cost is what a load costs, by the counters of the nodes.
type cost struct {
	batches, events float64       // committed
	transactions    float64       // of the log, each two fsyncs
	cpu             time.Duration // of the nodes
	load            time.Duration // of the load generator
}

func (c cost) since(before cost) cost {
	return cost{
		c.batches - before.batches, c.events - before.events, c.transactions - before.transactions,
		c.cpu - before.cpu, c.load - before.load,
	}
}

// spent adds the cost of a load.
func (f *figures) spent(c cost) {
	const fsyncs = 2 // bbolt syncs the pages, then the page that points to them
	logins := float64(f.Accepts + f.Rejects + f.Failures)
	f.Batch = share(c.events, c.batches)
	f.Fsyncs = share(fsyncs*c.transactions, logins)
	f.CPU = share(float64(c.cpu.Microseconds()), logins)
	f.LoadCPU = share(float64(c.load.Microseconds()), logins)
	f.Ceiling = share(float64(runtime.GOMAXPROCS(0))*1e6, f.CPU+f.LoadCPU)
}

func milliseconds(d time.Duration) float64 { return float64(d.Microseconds()) / 1000 }

// failure returns why the figures are invalid, or nothing.
func (r benchReport) failure() string {
	for _, c := range r.Clusters {
		for _, f := range []figures{c.RADIUS, c.Direct} {
			if n := f.Rejects + f.Failures; n > 0 {
				return fmt.Sprintf("%s, %d rejected, %d without an answer, the first: %s", nodesOf(c.Nodes), f.Rejects, f.Failures, f.Why)
			}
		}
	}
	return ""
}

func (r benchReport) table(tw *cli.Table) {
	tw.Row(fmt.Sprintf("%s on %d cores, %d users, %d logins at once, %gs each", r.Build.Version, r.Cores, r.Users, r.Concurrency, r.Seconds))
	tw.Row()
	tw.Row("NODES", "LOAD", "PER SECOND", "P50", "P99", "ACCEPTED", "REJECTED", "FAILED", "EVENTS/BATCH", "FSYNCS EACH", "CPU EACH", "CORES ALLOW", "OF RAFT ALONE")
	for _, c := range r.Clusters {
		c.RADIUS.row(tw, c.Nodes, "RADIUS, at all nodes", percent(c.RADIUSOfRaw))
		c.RawRADIUS.row(tw, c.Nodes, "Raft alone, the same batches", "")
		c.Direct.row(tw, c.Nodes, "Authenticate, on the leader", percent(c.DirectOfRaw))
		c.RawDirect.row(tw, c.Nodes, "Raft alone, the same batches", "")
	}
}

func (f figures) row(tw *cli.Table, nodes int, load, ofRaw string) {
	cpu := fmt.Sprintf("%.0f µs", f.CPU)
	if f.LoadCPU > 0 {
		cpu += fmt.Sprintf(" + %.0f asking", f.LoadCPU)
	}
	allow := ""
	if f.Ceiling > 0 {
		allow = fmt.Sprintf("%.0f", f.Ceiling)
	}
	logins := []any{f.Accepts, f.Rejects, f.Failures}
	if f.Accepts == 0 && ofRaw == "" { // Raft alone has no logins
		logins = []any{"", "", ""}
	}
	cells := append([]any{nodes, load, fmt.Sprintf("%.0f", f.PerSecond), fmt.Sprintf("%.2f ms", f.P50), fmt.Sprintf("%.2f ms", f.P99)}, logins...)
	tw.Row(append(cells, fmt.Sprintf("%.0f", f.Batch), fmt.Sprintf("%.3f", f.Fsyncs), cpu, allow, ofRaw)...)
}

func percent(share float64) string { return fmt.Sprintf("%.0f %%", 100*share) }
