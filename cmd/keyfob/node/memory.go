package node

// heapFloor is how much a node may use before the garbage collector has to run
// at all. The state of a small company is a few megabytes; measured against
// that alone the collector would run fifty times a second under load, and cost
// a tenth of all logins. Half of it is room that nobody touches, and so no
// memory of the machine. On a large state it makes no difference.
const heapFloor = 128 << 20

// SpareHeap is to be held as long as the floor is to stand: the collector runs
// when the heap has doubled, and this counts as heap.
func SpareHeap() []byte { return make([]byte, heapFloor/2) }
