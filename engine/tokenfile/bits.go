package tokenfile

import (
	"crypto/aes"
	"crypto/cipher"
)

// bitString holds one bit per byte, most significant bit first.
type bitString []byte

// octalBits reads three bits from each digit. It refuses the digits 8 and 9, whose highest
// bit stoken silently drops.
func octalBits(s string) (bitString, error) {
	bits := make(bitString, 0, 3*len(s))
	for i := range len(s) {
		if s[i] < '0' || s[i] > '7' {
			return nil, ErrFormat.because("the CTF string has the digit %q where only 0 to 7 are allowed", s[i])
		}
		bits.put(uint64(s[i]-'0'), 3)
	}
	return bits, nil
}

func (b *bitString) put(value uint64, n int) {
	for i := n - 1; i >= 0; i-- {
		*b = append(*b, byte(value>>i&1))
	}
}

func (b *bitString) take(n int) (value uint64) {
	for _, bit := range (*b)[:n] {
		value = value<<1 | uint64(bit)
	}
	*b = (*b)[n:]
	return value
}

func (b bitString) octal() string {
	digits := make([]byte, 0, len(b)/3)
	for len(b) > 0 {
		digits = append(digits, '0'+byte(b.take(3)))
	}
	return string(digits)
}

// fit returns the first n bytes of s, padded with zeros.
func fit(s string, n int) []byte {
	b := make([]byte, n)
	copy(b, s)
	return b
}

// newAES requires a key of 16 or 32 bytes, which its callers guarantee.
func newAES(key []byte) cipher.Block {
	block, err := aes.NewCipher(key)
	if err != nil {
		panic("tokenfile: AES refused a key: " + err.Error())
	}
	return block
}
