package main

import (
	"errors"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"
)

// The tests of this package run in network, mount and process namespaces of their
// own, which end with them. A test may use any port and address, and may crash:
// nothing is left over, and the real machine is not changed. This needs root and a
// kernel that allows it; otherwise tests that need a network of their own are
// skipped. A user namespace is not sufficient, because ocserv drops privileges.
//
// The test binary starts itself twice: as the first process of the namespaces,
// which reaps orphans, and as the tests.
const (
	machineVar   = "KEYFOB_TEST_MACHINE"
	machineFirst = "first" // the machine's first process
	machineTests = "tests" // the tests on it
	machineFlood = "flood" // a program of TestStrangersConnectionsKeepNobodyOut

	unfurnished = 125 // status of the first process when there can be no machine
)

func TestMain(m *testing.M) {
	// Parallel tests mostly wait for a token to change.
	if err := flag.Set("test.parallel", "8"); err != nil {
		panic(err)
	}
	switch os.Getenv(machineVar) {
	case machineTests:
		os.Exit(m.Run())
	case machineFirst:
		os.Exit(firstProcess())
	case machineFlood:
		flood()
	}
	status, err := onNewMachine()
	if err != nil {
		fmt.Fprintf(os.Stderr, "no machine of their own for these tests: %v\n", err)
		status = m.Run()
	}
	os.Exit(status)
}

// onNewMachine runs this program again in new namespaces, and returns its exit
// status.
func onNewMachine() (int, error) {
	if os.Getuid() != 0 {
		return 0, errors.New("not root")
	}
	// The kernel ends the namespaces with the thread that made them.
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	c := myself(machineFirst)
	c.SysProcAttr = &syscall.SysProcAttr{
		Cloneflags: unix.CLONE_NEWNET | unix.CLONE_NEWNS | unix.CLONE_NEWPID,
		Pdeathsig:  syscall.SIGKILL,
	}
	status, err := statusOf(c.Run())
	if status == unfurnished {
		return 0, errors.New("see above")
	}
	return status, err
}

// firstProcess sets up the namespaces and runs the tests.
func firstProcess() int {
	if err := furnish(); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return unfurnished
	}
	c := myself(machineTests)
	if err := c.Start(); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	for {
		var status syscall.WaitStatus
		pid, err := syscall.Wait4(-1, &status, 0, nil)
		switch {
		case errors.Is(err, syscall.EINTR):
		case err != nil:
			fmt.Fprintln(os.Stderr, "waiting for the tests:", err)
			return 1
		case pid == c.Process.Pid && status.Signaled():
			return 128 + int(status.Signal())
		case pid == c.Process.Pid:
			return status.ExitStatus()
		}
	}
}

// furnish mounts /proc and temporary directories, and configures loopback.
func furnish() error {
	mounts := []struct {
		source, target, kind string
		flags                uintptr
	}{
		{"none", "/", "", unix.MS_REC | unix.MS_PRIVATE},
		{"proc", "/proc", "proc", 0},
		{"tmpfs", "/run", "tmpfs", 0}, // where ip(8) names namespaces, and vpnc-script keeps what it changed
	}
	for _, m := range mounts {
		if err := unix.Mount(m.source, m.target, m.kind, m.flags, ""); err != nil {
			return fmt.Errorf("mounting %s: %w", m.target, err)
		}
	}
	if resolv, err := filepath.EvalSymlinks("/etc/resolv.conf"); err == nil {
		if err := os.WriteFile("/run/resolv.conf", nil, 0o644); err != nil {
			return err
		}
		if err := unix.Mount("/run/resolv.conf", resolv, "", unix.MS_BIND, ""); err != nil {
			return fmt.Errorf("mounting %s: %w", resolv, err)
		}
	}
	if out, err := exec.Command("ip", "link", "set", "lo", "up").CombinedOutput(); err != nil {
		return fmt.Errorf("%w: %s", err, out)
	}
	return nil
}

// myself returns this program with the same arguments, in another role.
func myself(role string) *exec.Cmd {
	c := exec.Command("/proc/self/exe", os.Args[1:]...)
	c.Args[0] = os.Args[0]
	c.Env = append(os.Environ(), machineVar+"="+role)
	c.Stdin, c.Stdout, c.Stderr = os.Stdin, os.Stdout, os.Stderr
	return c
}

// statusOf distinguishes a program that failed from one that did not start.
func statusOf(err error) (int, error) {
	var exit *exec.ExitError
	switch {
	case err == nil:
		return 0, nil
	case !errors.As(err, &exit):
		return 0, err
	case exit.ExitCode() < 0:
		return 1, nil
	default:
		return exit.ExitCode(), nil
	}
}

// needMachine skips the test if it would change the network of the real machine, or
// if programs are missing.
func needMachine(t *testing.T, programs ...string) {
	t.Helper()
	needPrograms(t, programs...)
	if os.Getenv(machineVar) != machineTests {
		t.Skip("needs root, for a network of its own")
	}
}

// needPrograms skips the test if programs are missing, and names them.
func needPrograms(t *testing.T, programs ...string) {
	t.Helper()
	var missing []string
	for _, program := range programs {
		if _, err := exec.LookPath(program); err != nil {
			missing = append(missing, program)
		}
	}
	if len(missing) > 0 {
		t.Skip("not installed: " + strings.Join(missing, ", "))
	}
}
