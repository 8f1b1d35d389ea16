package radius

import (
	"fmt"
	"net"
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"
)

// destination is where a packet was sent to: the socket, and the control
// message that names the address (IP_PKTINFO, RFC 3542).
type destination struct {
	conn    *net.UDPConn
	control [64]byte
	n       int
}

// reportDestination makes a socket report which address of this machine each
// packet was sent to.
func reportDestination(conn *net.UDPConn) error {
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

// makeSource turns the control message that came with a packet into one that
// sends from the same address. The interface is left to routing, because the
// way back may differ.
func (d *destination) makeSource() {
	const header = unix.SizeofCmsghdr
	if d.n < header {
		d.n = 0
		return
	}
	h := (*unix.Cmsghdr)(unsafe.Pointer(&d.control[0])) //nolint:gosec // the kernel's own layout
	switch {
	case h.Level == unix.IPPROTO_IP && h.Type == unix.IP_PKTINFO && d.n >= header+unix.SizeofInet4Pktinfo:
		info := (*unix.Inet4Pktinfo)(unsafe.Pointer(&d.control[header])) //nolint:gosec // as above
		info.Ifindex = 0
		d.n = unix.CmsgSpace(unix.SizeofInet4Pktinfo)
	case h.Level == unix.IPPROTO_IPV6 && h.Type == unix.IPV6_PKTINFO && d.n >= header+unix.SizeofInet6Pktinfo:
		info := (*unix.Inet6Pktinfo)(unsafe.Pointer(&d.control[header])) //nolint:gosec // as above
		if info.Addr[0] != 0xfe || info.Addr[1]&0xc0 != 0x80 {
			info.Ifindex = 0 // a link-local address needs it
		}
		d.n = unix.CmsgSpace(unix.SizeofInet6Pktinfo)
	default:
		d.n = 0
	}
}

// shareControl lets every socket but the first share the address.
func shareControl(n int) func(network, address string, c syscall.RawConn) error {
	if n == 0 {
		return nil
	}
	return func(_, _ string, c syscall.RawConn) error { return shareRaw(c) }
}

// share lets later sockets share the address of this one.
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
