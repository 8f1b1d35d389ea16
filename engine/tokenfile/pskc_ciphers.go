package tokenfile

import (
	"bytes"
	"crypto/aes"
	"crypto/cipher"
	"crypto/des" //nolint:gosec // G502: files of before AES are read; nothing is ever written with it
	"crypto/fips140"
	"crypto/sha1" //nolint:gosec // G505: RFC 6030, section 6.1.1 has HMAC-SHA-1 as what all must read
	"crypto/sha256"
	"crypto/sha512"
	"encoding/binary"
	"hash"
	"strconv"
	"strings"
)

// pskcHash returns the hash of an HMAC. The HMAC is named by a URI or, in some files, by
// the last part of one.
func pskcHash(name string) func() hash.Hash {
	name = strings.ToLower(name[strings.LastIndexByte(name, '#')+1:])
	return map[string]func() hash.Hash{
		"hmac-sha1":   sha1.New,
		"hmac-sha224": sha256.New224,
		"hmac-sha256": sha256.New,
		"hmac-sha384": sha512.New384,
		"hmac-sha512": sha512.New,
	}[name]
}

// opener decrypts; it returns nil if the key cannot be right.
type opener func(key, data []byte) []byte

// pskcCipher returns the decryption function of a cipher of XML Encryption, and the
// size of its key.
func pskcCipher(name string) (opener, int) {
	switch strings.ToLower(name[strings.LastIndexByte(name, '#')+1:]) {
	case "aes128-cbc":
		return openAESCBC, 16
	case "aes192-cbc":
		return openAESCBC, 24
	case "aes256-cbc":
		return openAESCBC, 32
	case "kw-aes128":
		return unwrapAES, 16
	case "kw-aes192":
		return unwrapAES, 24
	case "kw-aes256":
		return unwrapAES, 32
	case "tripledes-cbc":
		return openTripleDES, 24
	default:
		return nil, 0
	}
}

func openAESCBC(key, data []byte) []byte { return openCBC(newAES(key), data) }

func openTripleDES(key, data []byte) (plain []byte) {
	fips140.WithoutEnforcement(func() {
		if block, err := des.NewTripleDESCipher(key); err == nil {
			plain = openCBC(block, data)
		}
	})
	return plain
}

// openCBC removes the IV and the padding, of which XML Encryption
// (section 5.2) defines the last byte only.
func openCBC(block cipher.Block, data []byte) []byte {
	size := block.BlockSize()
	if len(data) < 2*size || len(data)%size != 0 {
		return nil
	}
	plain := make([]byte, len(data)-size)
	cipher.NewCBCDecrypter(block, data[:size]).CryptBlocks(plain, data[size:])
	padding := int(plain[len(plain)-1])
	if padding < 1 || padding > size {
		return nil
	}
	return plain[:len(plain)-padding]
}

// unwrapAES implements AES Key Unwrap (RFC 3394, section 2.2.2), which is authenticated.
func unwrapAES(key, data []byte) []byte {
	if len(data) < 24 || len(data)%8 != 0 {
		return nil
	}
	block := newAES(key)
	var buf [aes.BlockSize]byte // A | R[i]
	copy(buf[:8], data)
	rest := bytes.Clone(data[8:])
	n := len(rest) / 8
	for t := 6 * n; t > 0; t-- {
		r := rest[8*((t-1)%n):][:8]
		binary.BigEndian.PutUint64(buf[:8], binary.BigEndian.Uint64(buf[:8])^uint64(t))
		copy(buf[8:], r)
		block.Decrypt(buf[:], buf[:])
		copy(r, buf[8:])
	}
	if !equal(buf[:8], bytes.Repeat([]byte{0xA6}, 8)) {
		return nil
	}
	return rest
}

// boundedNumber reads a decimal number from 1 to limit.
func boundedNumber(s string, limit int) (int, error) {
	n, err := strconv.Atoi(s)
	if err == nil && (n < 1 || n > limit) {
		err = strconv.ErrRange
	}
	return n, err
}
