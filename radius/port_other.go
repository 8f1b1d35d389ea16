//go:build !linux

package radius

import (
	"errors"
	"net"
	"syscall"
)

// local is where a packet was sent to.
type local struct {
	conn    *net.UDPConn
	control [1]byte
	n       int
}

func tellLocal(*net.UDPConn) error { return nil }

func (l *local) answerable() { l.n = 0 }

func shareControl(number int) func(string, string, syscall.RawConn) error {
	if number == 0 {
		return nil
	}
	return func(string, string, syscall.RawConn) error { return errors.ErrUnsupported }
}

func share(*net.UDPConn) error { return nil }
