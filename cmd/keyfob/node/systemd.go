package node

import (
	"net"
)

// notify reports the state of the service to systemd (sd_notify(3)), if systemd
// started it.
func (e *program) notify(state string) {
	address := e.Getenv("NOTIFY_SOCKET")
	if address == "" {
		return
	}
	if address[0] == '@' { // of the abstract namespace
		address = "\x00" + address[1:]
	}
	conn, err := net.DialUnix("unixgram", nil, &net.UnixAddr{Name: address, Net: "unixgram"})
	if err != nil {
		return // systemd reports a missing notification
	}
	_, _ = conn.Write([]byte(state))
	_ = conn.Close()
}
