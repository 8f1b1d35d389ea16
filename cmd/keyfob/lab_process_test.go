package main

import (
	"bytes"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strings"
	"sync"
	"testing"
)

// process is a program that runs in parallel with the test.
type process struct {
	cmd   *exec.Cmd
	stdin io.WriteCloser
	done  chan struct{} // closed when it has ended

	mu   sync.Mutex // guards said
	said bytes.Buffer
}

// launch starts a program, which ends with the test at the latest.
func launch(t *testing.T, name string, args ...string) *process {
	t.Helper()
	p := &process{cmd: exec.Command(name, args...), done: make(chan struct{})}
	p.cmd.Stdout, p.cmd.Stderr = p, p
	p.cmd.WaitDelay = soon // for what it leaves behind
	var err error
	if p.stdin, err = p.cmd.StdinPipe(); err != nil {
		t.Fatal(err)
	}
	if err := p.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	go func() {
		_ = p.cmd.Wait() // what it said tells more
		close(p.done)
	}()
	t.Cleanup(func() {
		p.stop()
		if t.Failed() {
			t.Logf("%s said:\n%s", name, p.output())
		}
	})
	return p
}

// Write collects the output of the program.
func (p *process) Write(b []byte) (int, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.said.Write(b)
}

func (p *process) output() string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.said.String()
}

// say enters a line.
func (p *process) say(t *testing.T, line string) {
	t.Helper()
	if _, err := io.WriteString(p.stdin, line+"\n"); err != nil {
		t.Fatalf("typing: %v\n%s", err, p.output())
	}
}

// asks waits for a prompt of the program.
func (p *process) asks(t *testing.T, question string) {
	t.Helper()
	eventually(t, "the question "+question, func() error {
		if p.ended() {
			t.Fatalf("it ended without asking %q:\n%s", question, p.output())
		}
		if !strings.Contains(p.output(), question) {
			return fmt.Errorf("it said:\n%s", p.output())
		}
		return nil
	})
}

func (p *process) ended() bool {
	select {
	case <-p.done:
		return true
	default:
		return false
	}
}

// stop ends the program, with SIGTERM first, and waits until it has ended.
func (p *process) stop() {
	_ = p.cmd.Process.Signal(os.Interrupt)
	for range 200 {
		if p.ended() {
			return
		}
		pause(glance)
	}
	_ = p.cmd.Process.Kill()
	<-p.done
}
