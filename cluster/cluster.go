// Package cluster is one node of a cluster: it checks attempts, has the leader
// decide them, commits the result, and only then answers.
//
// # The life of a login
//
// A door passes an engine.Attempt to any node. The node runs engine.Check with
// its own keys on its own copy of the state (login.go). The result is evidence
// that contains no secret, which the node sends to the leader (forward.go). The
// leader collects what arrives while the previous batch is being committed,
// decides each command in order on a scratch copy of the state, and proposes
// the events of all of them as one log entry (batch.go). It answers when the
// entry is applied. Without a commit, nothing is accepted.
//
// # Errors
//
// A reject is an outcome. Anything that prevents a decision (no leader,
// an unknown commit, an untrusted clock) is an error that wraps
// engine.ErrUndecided or engine.ErrBusy. A request gets its id before it is
// first sent and keeps it for every retry and every leader. The state stores
// the answers, so a retry after an unknown outcome receives the answer that was
// decided, and nothing is spent twice.
//
// # One batch at a time
//
// Only one batch is in progress, so the next one is always decided on the
// applied state. There is no overlay of decided but uncommitted events that
// could be wrong. While the fate of a batch is unknown, the next one waits. The
// sequence check in fsm protects against entries of another leader.
//
// # Parts of a node
//
// Node puts the parts together; each knows only what it needs:
//
//   - replica: the state, Raft and its log (replica.go)
//   - batcher: decides and commits, on the leader (batch.go)
//   - forwarder: sends commands to the leader (forward.go)
//   - leadership: what starts and ends with it, and the leader's periodic tasks
//   - membership: who belongs to the cluster, and what is known of each node
//   - heartbeats: exchange clocks, log positions and digests of the state
//   - admission: takes new nodes in (join.go)
//   - backfill: fetches missing journal records from other nodes
//   - refusals: limits, delays and samples refused attempts
//   - recorder: has the leader record what this node noticed
//   - lifecycle: how the node drains and stops
//
// The clock and the handling of refusals are packages of their own
// (cluster/clock, cluster/refusal).
//
// In the data directory (identity.go) everything is encrypted except the key
// file, if that is the seal provider.
package cluster
