package cluster

import (
	"os"
	"time"

	"golang.org/x/sys/unix"
)

// bell is a timer of the kernel. It wakes its reader as a packet does, some
// microseconds after its time whatever the process did before.
type bell struct {
	file *os.File
	told [8]byte
}

func newBell() (*bell, error) {
	fd, err := unix.TimerfdCreate(unix.CLOCK_MONOTONIC, unix.TFD_NONBLOCK|unix.TFD_CLOEXEC)
	if err != nil {
		return nil, os.NewSyscallError("timerfd_create", err)
	}
	return &bell{file: os.NewFile(uintptr(fd), "timer")}, nil //nolint:gosec // a descriptor is not negative
}

// ring has the bell ring once after a while, and at no other time.
func (b *bell) ring(after time.Duration) {
	raw, err := b.file.SyscallConn()
	if err != nil {
		return // closed
	}
	_ = raw.Control(func(fd uintptr) {
		_ = unix.TimerfdSettime(int(fd), 0, &unix.ItimerSpec{Value: unix.NsecToTimespec(int64(after))}, nil) //nolint:gosec // a descriptor
	})
}

// wait returns when the bell has rung; the error says that it is closed.
func (b *bell) wait() error {
	_, err := b.file.Read(b.told[:])
	return err
}

func (b *bell) close() error { return b.file.Close() }
