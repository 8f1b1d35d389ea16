package vault

import (
	"context"
	"errors"
	"fmt"

	"keyfob/cluster/vault/hsm"
)

// PKCS11 is the Provider whose key stays in an HSM. A program beside this one,
// keyfob-pkcs11, speaks to it.
type PKCS11 struct {
	program string
	key     hsm.Key
}

// HSMKey names an AES key in a token.
type HSMKey = hsm.Key

// NewPKCS11 returns the provider for an AES key in a token.
func NewPKCS11(program string, key HSMKey) PKCS11 { return PKCS11{program, key} }

// Name implements Provider.
func (p PKCS11) Name() string { return "pkcs11" }

// Wrap implements Provider.
func (p PKCS11) Wrap(ctx context.Context, key, aad []byte) ([]byte, error) {
	return p.ask(ctx, hsm.Wrap, key, aad)
}

// Unwrap implements Provider.
func (p PKCS11) Unwrap(ctx context.Context, wrapped, aad []byte) ([]byte, error) {
	return p.ask(ctx, hsm.Unwrap, wrapped, aad)
}

func (p PKCS11) ask(ctx context.Context, operation string, data, aad []byte) ([]byte, error) {
	out, err := hsm.Ask(ctx, p.program, hsm.Request{Operation: operation, Key: p.key, Data: data, AAD: aad})
	if errors.Is(err, hsm.ErrAbsent) {
		return nil, fmt.Errorf("%w: %w", ErrUnreachable, err)
	}
	return out, err
}
