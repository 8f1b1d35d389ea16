package node

// heapFloor is the heap size at which the garbage collector starts to run. The
// state of a small company is a few megabytes. Relative to that, the collector
// would run fifty times a second under load and cost a tenth of the throughput.
// Half of the floor is never touched and uses no physical memory. With a large
// state it makes no difference.
const heapFloor = 128 << 20

// SpareHeap returns memory that sets the floor while it is referenced: the
// collector runs when the heap has doubled, and this counts as heap.
func SpareHeap() []byte { return make([]byte, heapFloor/2) }
