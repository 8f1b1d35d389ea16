package delivery

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
)

// errFinal says that another attempt would end alike.
var errFinal = errors.New("no use trying again")

// answered is a server's refusal by its number, of SMTP or of HTTP. Its words
// are left out: they may quote the address, or the message.
func answered(who string, number int, again bool) error {
	if again {
		return fmt.Errorf("%s answered %d", who, number)
	}
	return fmt.Errorf("%s answered %d: %w", who, number, errFinal)
}

// shown is an error as far as it is known to hold nothing of what was sent:
// what this machine says of time, the network and certificates. Of everything
// else it says only what was being done.
func shown(ctx context.Context, doing string, err error) error {
	if ctx.Err() != nil { // whatever the closed connection says
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
		return fmt.Errorf("%s: the server does not speak TLS there", doing)
	case errors.As(err, &name):
		return fmt.Errorf("%s: %w", doing, name)
	case errors.As(err, &network):
		return fmt.Errorf("%s: %w", doing, network)
	default:
		return fmt.Errorf("%s: the conversation broke off", doing)
	}
}
