package node

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"syscall"
)

// lockName is the file in a data directory that a running node keeps locked.
const lockName = "lock"

// lockData locks a data directory for this process. The kernel releases the
// lock when the process ends, for any reason. No other code may open the
// file: closing it anywhere in this process releases the lock.
func lockData(dir string) (*os.File, error) {
	root, err := os.OpenRoot(dir)
	if err != nil {
		return nil, fmt.Errorf("locking the data directory: %w", err)
	}
	defer func() { _ = root.Close() }()
	f, err := root.OpenFile(lockName, os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, fmt.Errorf("locking the data directory: %w", err)
	}
	whole := syscall.Flock_t{Type: syscall.F_WRLCK, Whence: io.SeekStart}
	err = syscall.FcntlFlock(f.Fd(), syscall.F_SETLK, &whole)
	if err == nil {
		return f, nil
	}
	_ = f.Close()
	if pid, running := RunningIn(dir); running {
		return nil, fmt.Errorf("a node with the data directory %s is already running as process %d; stop it first", dir, pid)
	}
	return nil, fmt.Errorf("locking the data directory: %w", err)
}

// RunningIn returns the process of the node that runs on a data directory.
func RunningIn(dir string) (pid int, running bool) {
	f, err := os.OpenInRoot(dir, lockName)
	if err != nil {
		return 0, false // no node has run here, or it cannot be ours
	}
	defer f.Close()
	whole := syscall.Flock_t{Type: syscall.F_WRLCK, Whence: io.SeekStart}
	if err := syscall.FcntlFlock(f.Fd(), syscall.F_GETLK, &whole); err != nil {
		return 0, false
	}
	return int(whole.Pid), whole.Type != syscall.F_UNLCK
}

// Ended reports whether a process has ended, including all of its threads: its
// sockets and locks are then free. A zombie has ended; a process whose first
// thread is a zombie has not, while another thread is still exiting.
func Ended(pid int) bool {
	threads, err := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/stat", pid))
	if err != nil {
		return true
	}
	for _, name := range threads {
		stat, err := os.ReadFile(name)
		if errors.Is(err, os.ErrNotExist) || errors.Is(err, syscall.ESRCH) {
			continue
		}
		if err != nil || !zombie(string(stat)) {
			return false
		}
	}
	return true
}

// zombie reports whether the text of /proc/PID/stat is of a thread that has
// exited. The state follows the name, which is in parentheses and may contain
// any character (proc_pid_stat(5)).
func zombie(stat string) bool {
	state := strings.TrimSpace(stat[strings.LastIndexByte(stat, ')')+1:])
	return strings.HasPrefix(state, "Z") || strings.HasPrefix(state, "X")
}
