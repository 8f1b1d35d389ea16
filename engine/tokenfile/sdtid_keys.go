package tokenfile

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/subtle"
	"encoding/base64"
	"encoding/binary"

	"keyfob/engine/tokencode"
)

// Constants for deriving distinct keys within a batch.
const (
	sdtidBatchMAC = "\x2B\x7E\x15\x16\x28\xAE\xD2\xA6\xAB\xF7\x15\x88\x09\xCF\x4F\x3C"
	sdtidTokenMAC = "\x1B\xB6\x7A\xE8\x58\x4C\xAA\x73\xB2\x57\x42\xD7\x07\x8B\x83\xB8"
	sdtidTokenEnc = "\x16\xA0\x9E\x66\x7F\x3B\xCC\x90\x8B\x2F\xB1\x36\x6E\xA9\x57\xD3"

	sdtidRounds = 1000
)

// sdtidKeys are the keys of a batch for one password.
type sdtidKeys struct {
	batch  cipher.Block
	macKey cipher.Block // of the header
}

// newSDTIDKeys derives the keys of a batch. Only the first 32 bytes of the password
// count in this format.
func newSDTIDKeys(header sdtidFields, password string) (*sdtidKeys, error) {
	secret, err := base64.StdEncoding.DecodeString(header.get("Secret"))
	if err != nil || len(secret) != aes.BlockSize {
		return nil, ErrFormat.because("the header's Secret is not 16 bytes of base64")
	}
	name := header.get("Name")
	k0 := sdtidPasswordKey(password, header.get("Dest"), name)
	var key [aes.BlockSize]byte
	newAES(k0[:]).Encrypt(key[:], append(fit("Secret", 8), fit(name, 8)...))
	subtle.XORBytes(key[:], key[:], secret)

	k := &sdtidKeys{batch: newAES(key[:])}
	k.macKey = k.derive(sdtidBatchMAC, "BatchMAC", name)
	return k, nil
}

// sdtidPasswordKey is a thousand CBC-MACs of password, Dest and a counter, added up.
// The counter is in the last block, so the others are computed once.
func sdtidPasswordKey(password, dest, name string) (k0 [aes.BlockSize]byte) {
	block := newAES(fit(name, aes.BlockSize))
	state := cbcMAC(block, string(make([]byte, aes.BlockSize)), append(fit(password, 32), fit(dest, 32)...))
	var last [aes.BlockSize]byte
	for i := range sdtidRounds {
		clear(last[:])
		binary.BigEndian.PutUint16(last[aes.BlockSize-2:], uint16(i))
		subtle.XORBytes(last[:], last[:], state[:])
		block.Encrypt(last[:], last[:])
		subtle.XORBytes(k0[:], k0[:], last[:])
	}
	return k0
}

// derive derives a key for one purpose and one name or serial.
func (k *sdtidKeys) derive(iv, purpose, name string) cipher.Block {
	key := cbcMAC(k.batch, iv, append(fit(purpose, 32), fit(name, 32)...))
	return newAES(key[:])
}

func (k *sdtidKeys) headerMAC(header sdtidFields) string {
	mac := cbcMAC(k.macKey, sdtidBatchMAC, header.macInput())
	return string(mac[:])
}

func (k *sdtidKeys) tokenMAC(token sdtidFields) string {
	key := k.derive(sdtidTokenMAC, "TokenMAC", token.get("SN"))
	mac := cbcMAC(key, sdtidTokenMAC, token.macInput())
	return string(mac[:])
}

// crypt encrypts or decrypts a seed; both are the same operation. The serial is used as
// written in the file, without padding zeros.
func (k *sdtidKeys) crypt(sn string, in []byte) tokencode.Seed {
	out := make([]byte, aes.BlockSize)
	k.derive(sdtidTokenEnc, "TokenEncrypt", sn).Encrypt(out, append(fit(sn, 8), fit("Seed", 8)...))
	subtle.XORBytes(out, out, in)
	return out
}

// cbcMAC is plain CBC-MAC. The last block is padded with zeros.
func cbcMAC(block cipher.Block, iv string, data []byte) (x [aes.BlockSize]byte) {
	copy(x[:], iv)
	for len(data) > 0 {
		n := subtle.XORBytes(x[:], x[:], data[:min(len(data), aes.BlockSize)])
		block.Encrypt(x[:], x[:])
		data = data[n:]
	}
	return x
}
