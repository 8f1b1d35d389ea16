package radius

import (
	"fmt"
	"net"
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"
)

// local is where a packet was sent to: the socket, and the control message
// that names the address (IP_PKTINFO, RFC 3542).
type local struct {
	conn    *net.UDPConn
	control [64]byte
	n       int
}

// tellLocal has a socket say to which address of this machine a packet came.
func tellLocal(conn *net.UDPConn) error {
	return control(conn, func(fd int) error {
		family, err := unix.GetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_DOMAIN)
		if err != nil {
			return err
		}
		if family == unix.AF_INET {
			return unix.SetsockoptInt(fd, unix.IPPROTO_IP, unix.IP_PKTINFO, 1)
		}
		return unix.SetsockoptInt(fd, unix.IPPROTO_IPV6, unix.IPV6_RECVPKTINFO, 1)
	})
}

// answerable turns the control message that came with a packet into one that
// sends from the same address. The interface is left to routing: the way back
// may be another.
func (l *local) answerable() {
	const header = unix.SizeofCmsghdr
	if l.n < header {
		l.n = 0
		return
	}
	h := (*unix.Cmsghdr)(unsafe.Pointer(&l.control[0])) //nolint:gosec // the kernel's own layout
	switch {
	case h.Level == unix.IPPROTO_IP && h.Type == unix.IP_PKTINFO && l.n >= header+unix.SizeofInet4Pktinfo:
		info := (*unix.Inet4Pktinfo)(unsafe.Pointer(&l.control[header])) //nolint:gosec // as above
		info.Ifindex = 0
		l.n = unix.CmsgSpace(unix.SizeofInet4Pktinfo)
	case h.Level == unix.IPPROTO_IPV6 && h.Type == unix.IPV6_PKTINFO && l.n >= header+unix.SizeofInet6Pktinfo:
		info := (*unix.Inet6Pktinfo)(unsafe.Pointer(&l.control[header])) //nolint:gosec // as above
		if info.Addr[0] != 0xfe || info.Addr[1]&0xc0 != 0x80 {
			info.Ifindex = 0 // a link-local address says nothing without it
		}
		l.n = unix.CmsgSpace(unix.SizeofInet6Pktinfo)
	default:
		l.n = 0
	}
}

// shareControl lets a socket but the first share the address.
func shareControl(number int) func(network, address string, c syscall.RawConn) error {
	if number == 0 {
		return nil
	}
	return func(_, _ string, c syscall.RawConn) error { return shareRaw(c) }
}

// share lets sockets that come later share the address with this one.
func share(conn *net.UDPConn) error {
	raw, err := conn.SyscallConn()
	if err != nil {
		return err
	}
	return shareRaw(raw)
}

func shareRaw(c syscall.RawConn) error {
	return controlRaw(c, func(fd int) error {
		return unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_REUSEPORT, 1)
	})
}

func control(conn *net.UDPConn, f func(fd int) error) error {
	raw, err := conn.SyscallConn()
	if err != nil {
		return err
	}
	return controlRaw(raw, f)
}

func controlRaw(c syscall.RawConn, f func(fd int) error) error {
	var failed error
	if err := c.Control(func(fd uintptr) { failed = f(int(fd)) }); err != nil { //nolint:gosec // a descriptor
		return err
	}
	if failed != nil {
		return fmt.Errorf("setting a socket option: %w", failed)
	}
	return nil
}
