//go:build !linux

package radius

import (
	"errors"
	"net"
	"syscall"
)

// destination is where a packet was sent to.
type destination struct {
	conn    *net.UDPConn
	control [1]byte
	n       int
}

func reportDestination(*net.UDPConn) error { return nil }

func (d *destination) makeSource() { d.n = 0 }

func shareControl(n int) func(string, string, syscall.RawConn) error {
	if n == 0 {
		return nil
	}
	return func(string, string, syscall.RawConn) error { return errors.ErrUnsupported }
}

func share(*net.UDPConn) error { return nil }
