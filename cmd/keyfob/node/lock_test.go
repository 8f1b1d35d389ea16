package node

import (
	"bufio"
	"fmt"
	"io"
	"os"
	"os/exec"
	"runtime"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
)

// helperDir makes a test binary a helper process: it locks that directory.
const helperDir = "KEYFOB_TEST_LOCK"

// helper is evaluated on the first thread of the process.
var _ = func() bool {
	if os.Getenv(helperDir) != "" {
		runtime.LockOSThread() // see TestMain
	}
	return true
}()

// TestMain runs the tests or, in a helper process, locks a directory. For each
// line on its standard input the helper does a step, until it is killed.
func TestMain(m *testing.M) {
	dir := os.Getenv(helperDir)
	if dir == "" {
		os.Exit(m.Run())
	}
	if _, err := lockData(dir); err != nil {
		fmt.Fprintln(os.Stdout, err)
		os.Exit(1)
	}
	fmt.Fprintln(os.Stdout, "locked")
	_, _ = bufio.NewReader(os.Stdin).ReadString('\n')
	// End the first thread alone, as a killed process does for a moment.
	go func() { _, _ = io.Copy(io.Discard, os.Stdin); os.Exit(0) }()
	_, _, _ = syscall.RawSyscall(syscall.SYS_EXIT, 0, 0, 0)
}

// startHelper starts a process that has locked dir.
func startHelper(t *testing.T, dir string) (c *exec.Cmd, stdin io.WriteCloser) {
	t.Helper()
	c = exec.CommandContext(t.Context(), os.Args[0])
	c.Env = append(os.Environ(), helperDir+"="+dir)
	stdin, err := c.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	stdout, err := c.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := c.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = c.Process.Kill()
		_ = c.Wait()
	})
	if line, err := bufio.NewReader(stdout).ReadString('\n'); line != "locked\n" {
		t.Fatalf("helper said %q, %v", line, err)
	}
	return c, stdin
}

func TestLockIsHeldUntilTheProcessHasEnded(t *testing.T) {
	dir := t.TempDir()
	if pid, running := RunningIn(dir); running {
		t.Fatalf("process %d runs in an empty directory", pid)
	}
	c, _ := startHelper(t, dir)
	if pid, running := RunningIn(dir); !running || pid != c.Process.Pid {
		t.Errorf("running %v as process %d, want %d", running, pid, c.Process.Pid)
	}
	_, err := lockData(dir)
	if err == nil || !strings.Contains(err.Error(), "already running as process "+strconv.Itoa(c.Process.Pid)) {
		t.Fatalf("locked twice: %v", err)
	}
	_ = c.Process.Kill()
	_ = c.Wait()
	if pid, running := RunningIn(dir); running {
		t.Errorf("process %d runs after its end", pid)
	}
	lock, err := lockData(dir)
	if err != nil {
		t.Fatal(err)
	}
	_ = lock.Close()
}

// A process whose first thread is a zombie still has its sockets and locks,
// until the last thread has exited.
func TestProcessHasEndedWithItsLastThread(t *testing.T) {
	dir := t.TempDir()
	c, stdin := startHelper(t, dir)
	pid := c.Process.Pid
	if Ended(pid) {
		t.Fatal("ended while it runs")
	}
	if _, err := io.WriteString(stdin, "\n"); err != nil {
		t.Fatal(err)
	}
	until(t, "the first thread to exit", func() bool {
		stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
		return err == nil && zombie(string(stat))
	})
	if _, running := RunningIn(dir); Ended(pid) || !running {
		t.Errorf("ended %v, running %v while a thread is left", Ended(pid), running)
	}
	_ = stdin.Close()
	until(t, "the end of the process", func() bool { return Ended(pid) }) // a zombie: nobody has waited for it
	if _, running := RunningIn(dir); running {
		t.Error("an ended process holds the lock")
	}
	_ = c.Wait()
	if !Ended(pid) {
		t.Error("not ended after the wait for it")
	}
}

func until(t *testing.T, what string, ok func() bool) {
	t.Helper()
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	deadline := time.NewTimer(30 * time.Second)
	defer deadline.Stop()
	for !ok() {
		select {
		case <-tick.C:
		case <-deadline.C:
			t.Fatalf("waiting for %s took more than 30 s", what)
		}
	}
}
