// Package refusal limits what refused attempts reveal and what they cost.
//
//   - Gate bounds how many attempts from one source or client may fail before
//     further attempts are refused without being checked.
//   - Delay holds each refusal until a fixed time after its attempt arrived, so
//     that timing does not reveal why it was refused.
//   - Sampler combines refusals that would otherwise write one record each, so
//     that guessing does not fill the log.
//
// All three work in memory, on one node, and are bounded. None of them decides
// an attempt: that is the engine's task.
package refusal
