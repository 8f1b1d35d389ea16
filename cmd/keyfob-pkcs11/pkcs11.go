//go:build cgo

// Keyfob-pkcs11 wraps and unwraps the root key of a node with an AES key in a PKCS #11
// token, such as an HSM. The key never leaves the token. The node starts this program
// for each request; see package hsm for the conversation.
//
// It is a program of its own because PKCS #11 modules are C libraries: it is built with
// cgo, and keyfob without.
package main

import (
	"errors"
	"fmt"
	"os"
	"strings"

	"github.com/miekg/pkcs11"

	"keyfob/cluster/vault/hsm"
)

func main() {
	if err := hsm.Serve(os.Stdin, os.Stdout, answer); err != nil {
		fmt.Fprintln(os.Stderr, "keyfob-pkcs11:", err) // the node gets no answer, which is an error there
	}
}

func answer(r hsm.Request) hsm.Answer {
	data, err := do(r)
	if err != nil {
		return hsm.Answer{Error: err.Error(), Absent: absent(err)}
	}
	return hsm.Answer{Data: data}
}

// errAbsent is a module or a token that is not there.
var errAbsent = errors.New("not found")

// absent reports whether trying again later may help.
func absent(err error) bool {
	var code pkcs11.Error
	if !errors.As(err, &code) {
		return errors.Is(err, errAbsent)
	}
	switch code {
	case pkcs11.CKR_TOKEN_NOT_PRESENT, pkcs11.CKR_DEVICE_ERROR, pkcs11.CKR_DEVICE_REMOVED, pkcs11.CKR_DEVICE_MEMORY,
		pkcs11.CKR_SESSION_COUNT, pkcs11.CKR_GENERAL_ERROR, pkcs11.CKR_FUNCTION_FAILED:
		return true
	}
	return false
}

func do(r hsm.Request) ([]byte, error) {
	if r.Operation != hsm.Wrap && r.Operation != hsm.Unwrap {
		return nil, fmt.Errorf("operation %.20q is not known", r.Operation)
	}
	pin, err := os.ReadFile(r.Key.PINFile)
	if err != nil {
		return nil, fmt.Errorf("reading the PIN of the token: %w", err)
	}
	defer clear(pin)
	module := pkcs11.New(r.Key.Module)
	if module == nil {
		return nil, fmt.Errorf("PKCS #11 module %s: %w", r.Key.Module, errAbsent)
	}
	defer module.Destroy()
	if err := module.Initialize(); err != nil {
		return nil, fmt.Errorf("starting %s: %w", r.Key.Module, err)
	}
	defer func() { _ = module.Finalize() }()
	slot, err := slotOf(module, r.Key.Token)
	if err != nil {
		return nil, err
	}
	session, err := module.OpenSession(slot, pkcs11.CKF_SERIAL_SESSION)
	if err != nil {
		return nil, fmt.Errorf("opening a session with token %q: %w", r.Key.Token, err)
	}
	defer func() { _ = module.CloseSession(session) }()
	if err := module.Login(session, pkcs11.CKU_USER, strings.TrimSpace(string(pin))); err != nil {
		return nil, fmt.Errorf("logging in to token %q: %w; a wrong PIN may lock the token", r.Key.Token, err)
	}
	defer func() { _ = module.Logout(session) }()
	key, err := keyOf(module, session, r.Key.Label)
	if err != nil {
		return nil, err
	}
	if r.Operation == hsm.Wrap {
		return wrap(module, session, key, r)
	}
	return unwrap(module, session, key, r)
}

// slotOf finds the slot with a token.
func slotOf(module *pkcs11.Ctx, token string) (uint, error) {
	slots, err := module.GetSlotList(true)
	if err != nil {
		return 0, fmt.Errorf("listing slots: %w", err)
	}
	for _, slot := range slots {
		if info, err := module.GetTokenInfo(slot); err == nil && strings.TrimRight(info.Label, " \x00") == token {
			return slot, nil
		}
	}
	return 0, fmt.Errorf("token %q: %w", token, errAbsent)
}

// keyOf finds the one AES key with a label.
func keyOf(module *pkcs11.Ctx, session pkcs11.SessionHandle, label string) (pkcs11.ObjectHandle, error) {
	err := module.FindObjectsInit(session, []*pkcs11.Attribute{
		pkcs11.NewAttribute(pkcs11.CKA_CLASS, pkcs11.CKO_SECRET_KEY),
		pkcs11.NewAttribute(pkcs11.CKA_KEY_TYPE, pkcs11.CKK_AES),
		pkcs11.NewAttribute(pkcs11.CKA_LABEL, label),
	})
	if err != nil {
		return 0, fmt.Errorf("searching key %q: %w", label, err)
	}
	found, _, err := module.FindObjects(session, 2)
	if err = errors.Join(err, module.FindObjectsFinal(session)); err != nil {
		return 0, fmt.Errorf("searching key %q: %w", label, err)
	}
	if len(found) != 1 {
		return 0, fmt.Errorf("the token must hold exactly one AES key with label %q: create one, or choose another label", label)
	}
	return found[0], nil
}

const (
	nonceSize = 12
	tagBits   = 128
)

func wrap(module *pkcs11.Ctx, session pkcs11.SessionHandle, key pkcs11.ObjectHandle, r hsm.Request) ([]byte, error) {
	nonce, err := module.GenerateRandom(session, nonceSize)
	if err != nil {
		return nil, fmt.Errorf("drawing a nonce: %w", err)
	}
	params := pkcs11.NewGCMParams(nonce, r.AAD, tagBits)
	defer params.Free()
	if err := module.EncryptInit(session, []*pkcs11.Mechanism{pkcs11.NewMechanism(pkcs11.CKM_AES_GCM, params)}, key); err != nil {
		return nil, fmt.Errorf("wrapping: %w", err)
	}
	sealed, err := module.Encrypt(session, r.Data)
	if err != nil {
		return nil, fmt.Errorf("wrapping: %w", err)
	}
	if iv := params.IV(); len(iv) == nonceSize { // some tokens choose the nonce themselves
		nonce = iv
	}
	return append(append([]byte{}, nonce...), sealed...), nil
}

func unwrap(module *pkcs11.Ctx, session pkcs11.SessionHandle, key pkcs11.ObjectHandle, r hsm.Request) ([]byte, error) {
	if len(r.Data) < nonceSize+tagBits/8 {
		return nil, errors.New("the wrapped key is too short")
	}
	params := pkcs11.NewGCMParams(r.Data[:nonceSize], r.AAD, tagBits)
	defer params.Free()
	if err := module.DecryptInit(session, []*pkcs11.Mechanism{pkcs11.NewMechanism(pkcs11.CKM_AES_GCM, params)}, key); err != nil {
		return nil, fmt.Errorf("unwrapping: %w", err)
	}
	plain, err := module.Decrypt(session, r.Data[nonceSize:])
	if err != nil {
		return nil, errors.New("the token does not open the wrapped key: it was wrapped with another key, or is damaged")
	}
	return plain, nil
}
