// Package hsm is the conversation between a node and keyfob-pkcs11, the program that
// speaks PKCS #11 for it. PKCS #11 modules are C libraries, and the node is a static
// binary without C: a crash or a leak in a vendor's library is not in its process.
//
// A program is started for each request. It reads one request from standard input,
// writes one answer to standard output, and ends. Both are JSON and at most 64 KiB.
// The PIN of the token is read from a file by the program and never passes the node.
package hsm

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os/exec"
	"time"
)

// The operations.
const (
	Wrap   = "wrap"
	Unwrap = "unwrap"
)

// MaxMessage is the longest request or answer in bytes.
const MaxMessage = 64 << 10

// Key names a key in a token.
type Key struct {
	Module  string `json:"module"`   // path of the PKCS #11 library
	Token   string `json:"token"`    // label of the token
	Label   string `json:"label"`    // of the AES key
	PINFile string `json:"pin_file"` // file with the PIN of the token's user
}

// Request asks for one operation.
type Request struct {
	Operation string `json:"operation"`
	Key       Key    `json:"key"`
	Data      []byte `json:"data"` // to wrap, or wrapped
	AAD       []byte `json:"aad"`
}

// Answer is the result of an operation.
type Answer struct {
	Data  []byte `json:"data,omitempty"`
	Error string `json:"error,omitempty"` // why it failed, without secrets
	// Absent says that the module or the token is not there now; trying again later
	// may help.
	Absent bool `json:"absent,omitempty"`
}

// ErrAbsent is returned by Ask if the module or the token is not there now.
var ErrAbsent = errors.New("the HSM is not there")

// timeout limits one run of the program.
const timeout = 20 * time.Second

// Ask runs the program for one request.
func Ask(ctx context.Context, program string, r Request) ([]byte, error) {
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	in, err := json.Marshal(r)
	if err != nil {
		return nil, err
	}
	defer clear(in)
	out := &limited{left: MaxMessage}
	cmd := exec.CommandContext(ctx, program)
	cmd.Stdin, cmd.Stdout = bytes.NewReader(in), out // modules find their configuration in the environment
	cmd.WaitDelay = time.Second
	if err := cmd.Run(); err != nil {
		return nil, fmt.Errorf("running %s: %w", program, err)
	}
	var a Answer
	defer clear(out.buffer.Bytes())
	if err := json.Unmarshal(out.buffer.Bytes(), &a); err != nil {
		return nil, fmt.Errorf("%s did not answer in its form", program) // the cause may quote the answer
	}
	switch {
	case a.Absent:
		return nil, fmt.Errorf("%w: %.300s", ErrAbsent, a.Error)
	case a.Error != "":
		return nil, fmt.Errorf("%s: %.300s", program, a.Error)
	}
	return a.Data, nil
}

// limited is a buffer with a limit.
type limited struct {
	buffer bytes.Buffer
	left   int
}

// Write implements io.Writer.
func (l *limited) Write(p []byte) (int, error) {
	if len(p) > l.left {
		return 0, errors.New("the answer is too long")
	}
	l.left -= len(p)
	return l.buffer.Write(p)
}

// Serve answers one request. It is the other side of Ask.
func Serve(in io.Reader, out io.Writer, do func(Request) Answer) error {
	raw, err := io.ReadAll(io.LimitReader(in, MaxMessage+1))
	if err != nil {
		return err
	}
	defer clear(raw)
	var r Request
	dec := json.NewDecoder(bytes.NewReader(raw))
	dec.DisallowUnknownFields()
	if err := dec.Decode(&r); err != nil || len(raw) > MaxMessage {
		return json.NewEncoder(out).Encode(Answer{Error: "this is not a request"})
	}
	defer clear(r.Data)
	return json.NewEncoder(out).Encode(do(r))
}
