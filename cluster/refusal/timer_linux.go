package refusal

import (
	"os"
	"time"

	"golang.org/x/sys/unix"
)

// timer is a kernel timer. It wakes its reader as a packet does, a few
// microseconds after its time, whether or not the process was idle before.
type timer struct {
	file *os.File
	buf  [8]byte
}

func newTimer() (*timer, error) {
	fd, err := unix.TimerfdCreate(unix.CLOCK_MONOTONIC, unix.TFD_NONBLOCK|unix.TFD_CLOEXEC)
	if err != nil {
		return nil, os.NewSyscallError("timerfd_create", err)
	}
	return &timer{file: os.NewFile(uintptr(fd), "timer")}, nil //nolint:gosec // a descriptor is not negative
}

// set makes the timer fire once, replacing an earlier setting.
func (t *timer) set(after time.Duration) {
	raw, err := t.file.SyscallConn()
	if err != nil {
		return // closed
	}
	_ = raw.Control(func(fd uintptr) {
		_ = unix.TimerfdSettime(int(fd), 0, &unix.ItimerSpec{Value: unix.NsecToTimespec(int64(after))}, nil) //nolint:gosec // a descriptor
	})
}

// wait returns when the timer has fired, or an error when it is closed.
func (t *timer) wait() error {
	_, err := t.file.Read(t.buf[:])
	return err
}

func (t *timer) close() error { return t.file.Close() }
