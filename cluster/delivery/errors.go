package delivery

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
)

// errFinal means that another attempt would fail too.
var errFinal = errors.New("another attempt would fail too")

// answered is the error for an SMTP or HTTP status. It omits the text of the answer,
// which may quote the address or the message.
func answered(who string, number int, again bool) error {
	if again {
		return fmt.Errorf("%s answered %d", who, number)
	}
	return fmt.Errorf("%s answered %d: %w", who, number, errFinal)
}

// shown removes from an error what may contain parts of the message. It keeps errors
// of time, network and certificates, which this machine makes. Of all others it keeps
// only what was being done.
func shown(ctx context.Context, doing string, err error) error {
	if ctx.Err() != nil { // regardless of the error of the closed connection
		return fmt.Errorf("%s: %w", doing, ctx.Err())
	}
	var (
		network     *net.OpError
		name        *net.DNSError
		certificate *tls.CertificateVerificationError
		record      tls.RecordHeaderError
	)
	switch {
	case errors.As(err, &certificate):
		return fmt.Errorf("%s: %w", doing, certificate)
	case errors.As(err, &record):
		return fmt.Errorf("%s: the server does not use TLS on this port", doing)
	case errors.As(err, &name):
		return fmt.Errorf("%s: %w", doing, name)
	case errors.As(err, &network):
		return fmt.Errorf("%s: %w", doing, network)
	default:
		return fmt.Errorf("%s: the connection failed", doing)
	}
}
