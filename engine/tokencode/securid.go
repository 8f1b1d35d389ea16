package tokencode

import (
	"crypto/aes"
	"crypto/cipher"
	"encoding/binary"
	"fmt"
	"strings"
	"time"
)

// securid is the time-based AES-128 algorithm of SecurID.
//
// Five encryptions form a chain in which each result is the next key: year,
// month, day, hour, and the minute rounded down to a block of four intervals.
// The last result holds the four tokencodes of the block. A window therefore
// costs one encryption for four tokencodes, and four key expansions per hour. A
// window is scanned on both sides alternately, so the hours and blocks of both
// sides are cached.
type securid struct {
	seed   cipher.Block
	serial [4]byte // BCD of the last 8 of the 12 digits
	period int64   // seconds

	hours     [4]hourKey // ±70 minutes touch four hours
	nextHour  int        // the oldest of hours
	blocks    [2]block   // one for each side
	nextBlock int        // the oldest of blocks

	in, out [aes.BlockSize]byte // fields, because arguments of cipher.Block escape to the heap
}

type hourKey struct {
	hour int64 // since 1970
	key  cipher.Block
}

type block struct {
	number int64 // since 1970
	filled bool
	codes  [aes.BlockSize]byte
}

const (
	intervalsPerBlock = 4
	secondsPerHour    = 3600
)

func newSecurID(p Params, seed []byte) (*securid, error) {
	if len(seed) != aes.BlockSize {
		return nil, fmt.Errorf("seed of %d bytes, SecurID needs %d", len(seed), aes.BlockSize)
	}
	key, err := aes.NewCipher(seed)
	if err != nil {
		return nil, fmt.Errorf("expanding seed: %w", err)
	}
	s := &securid{seed: key, period: int64(p.Period / time.Second)}
	padded := strings.Repeat("0", 12-len(p.Serial)) + p.Serial
	for i := range s.serial {
		pair := padded[4+2*i:]
		s.serial[i] = (pair[0]-'0')<<4 | (pair[1] - '0')
	}
	return s, nil
}

// number needs no calendar. Blocks of 4 minutes (2 minutes at 30 s) divide the hour
// evenly, so the position in the block is the interval modulo 4.
func (s *securid) number(interval int64) uint32 {
	codes := s.block(interval >> 2)
	return binary.BigEndian.Uint32(codes[4*(interval&3):])
}

func (s *securid) block(number int64) *[aes.BlockSize]byte {
	for i := range s.blocks {
		if b := &s.blocks[i]; b.filled && b.number == number {
			return &b.codes
		}
	}
	b := &s.blocks[s.nextBlock]
	s.nextBlock = (s.nextBlock + 1) % len(s.blocks)

	start := number * intervalsPerBlock * s.period
	key := s.hour(floorDiv(start, secondsPerHour))
	s.fill(time.Unix(start, 0).UTC(), 8)
	key.Encrypt(b.codes[:], s.in[:])
	b.number, b.filled = number, true
	return &b.codes
}

func (s *securid) hour(hour int64) cipher.Block {
	for _, h := range s.hours {
		if h.key != nil && h.hour == hour {
			return h.key
		}
	}
	t := time.Unix(hour*secondsPerHour, 0).UTC()
	key := s.seed
	for _, n := range [...]int{2, 3, 4, 5} { // year, month, day, hour
		s.fill(t, n)
		key.Encrypt(s.out[:], s.in[:])
		next, err := aes.NewCipher(s.out[:])
		if err != nil {
			panic("tokencode: AES refused a key of 16 bytes: " + err.Error())
		}
		key = next
	}
	s.hours[s.nextHour] = hourKey{hour, key}
	s.nextHour = (s.nextHour + 1) % len(s.hours)
	return key
}

// fill sets s.in to the block for the first n bytes of the time: year (two
// bytes), month, day, hour, minute in BCD; then the serial.
func (s *securid) fill(t time.Time, n int) {
	year, month, day := t.Date()
	full := [8]byte{bcd(year / 100), bcd(year), bcd(int(month)), bcd(day), bcd(t.Hour()), bcd(t.Minute())}
	copy(s.in[:], "\xAA\xAA\xAA\xAA\xAA\xAA\xAA\xAA")
	copy(s.in[:n], full[:])
	copy(s.in[8:], s.serial[:])
	copy(s.in[12:], "\xBB\xBB\xBB\xBB")
}

// bcd packs the last two decimal digits of n. Only years before year 0 are negative;
// their result does not matter.
func bcd(n int) byte {
	n = (n%100 + 100) % 100
	return byte(n/10<<4 | n%10)
}
