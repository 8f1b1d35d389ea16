package node

import (
	"context"
	"log/slog"

	"golang.org/x/sys/unix"
)

// heapFloor is the heap size at which the garbage collector starts to run. The
// state of a small company is a few megabytes. Relative to that, the collector
// would run fifty times a second under load and cost a tenth of the throughput.
// Half of the floor is never touched and uses no physical memory. With a large
// state it makes no difference.
const heapFloor = 128 << 20

// SpareHeap returns memory that sets the floor while it is referenced: the
// collector runs when the heap has doubled, and this counts as heap.
func SpareHeap() []byte { return make([]byte, heapFloor/2) }

// protectMemory keeps the keys in this process off the disk where the system allows
// it: no core dump, no tracing by other processes of the user, and no swap. Memory is
// locked as it is touched, so spare memory costs nothing.
//
// Under a limit the runtime would fail to get memory once the limit is reached, so
// without LimitMEMLOCK=infinity nothing is locked.
func protectMemory(ctx context.Context, log *slog.Logger) {
	if err := unix.Prctl(unix.PR_SET_DUMPABLE, 0, 0, 0, 0); err != nil {
		log.WarnContext(ctx, "process can be dumped", "err", err)
	}
	var core unix.Rlimit
	if err := unix.Getrlimit(unix.RLIMIT_CORE, &core); err == nil && core.Cur != 0 {
		err = unix.Setrlimit(unix.RLIMIT_CORE, &unix.Rlimit{})
		if err != nil {
			log.WarnContext(ctx, "core dumps not switched off", "err", err)
		}
	}
	var limit unix.Rlimit
	if err := unix.Getrlimit(unix.RLIMIT_MEMLOCK, &limit); err != nil || limit.Cur != unix.RLIM_INFINITY {
		log.InfoContext(ctx, "memory not locked: keys may reach the swap; set LimitMEMLOCK=infinity", "limit", limit.Cur)
		return
	}
	if err := unix.Mlockall(unix.MCL_CURRENT | unix.MCL_FUTURE | unix.MCL_ONFAULT); err != nil {
		log.WarnContext(ctx, "memory not locked: keys may reach the swap", "err", err)
	}
}
