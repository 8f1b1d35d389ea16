package node

import (
	"net"
)

// notify tells systemd how the service is (sd_notify(3)). Where there is no
// systemd, nobody is told.
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
		return // systemd will say that it was not told
	}
	_, _ = conn.Write([]byte(state))
	_ = conn.Close()
}
