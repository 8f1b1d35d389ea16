package cluster

import (
	"testing"
	"time"

	"keyfob/cluster/nodetest"
)

// Front ends are tested with other nodes than this one. All pass the same suite.
func TestNodeConforms(t *testing.T) {
	nodetest.Run(t, func(t *testing.T) nodetest.Subject {
		r := newCluster(t, 1)
		r.freeze()
		n := r.nodes[0]
		return nodetest.SubjectOf(t, n, func() time.Time { return r.clock("") },
			func(d time.Duration) { r.advance("", d) },
			func() { n.stop(); <-n.done; n.done = nil })
	})
}
