package vault

import (
	"bufio"
	"crypto/cipher"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
)

const (
	chunkSize = 64 << 10 // bytes of plaintext in every chunk except the last
	saltSize  = 16
)

var errClosed = errors.New("sealed stream is closed")

// SealWriter returns a writer that seals a stream of any length into w. Close writes
// the last chunk, without which the stream does not open. It does not close w.
//
// Each stream has a key of its own. The associated data of a chunk is its number and
// whether it is the last one. So a chunk that is missing, out of order or from another
// stream does not open, and neither does a truncated stream (the STREAM construction:
// Hoang, Reyhanitabar, Rogaway, Vizár 2015).
func (v *Vault) SealWriter(w io.Writer, p Purpose, id Identity) io.WriteCloser {
	return &sealWriter{vault: v, ring: v.ring.Load(), purpose: p, id: id, dst: w, plain: make([]byte, 0, chunkSize)}
}

// OpenReader returns a reader of a sealed stream. What it returns is authentic and in
// order, but may be only a part until it returns io.EOF. After an error (ErrDamaged,
// or that of r) nothing that was read may be used.
func (v *Vault) OpenReader(r io.Reader, p Purpose, id Identity) io.Reader {
	return &openReader{vault: v, purpose: p, id: id, src: bufio.NewReaderSize(r, chunkSize+overheadSize+1)}
}

// chunks numbers the chunks of one stream.
type chunks struct {
	aead  cipher.AEAD
	place []byte
	next  uint64
}

func newChunks(key [keySize]byte, place, header []byte) *chunks {
	c := &chunks{place: append(place, header...)}
	c.aead = newAEAD(derive(key[:], "keyfob stream", string(c.place)))
	return c
}

// aad returns the associated data of the next chunk.
func (c *chunks) aad(last bool) []byte {
	aad := binary.BigEndian.AppendUint64(c.place[:len(c.place):len(c.place)], c.next)
	c.next++
	if last {
		return append(aad, 1)
	}
	return append(aad, 0)
}

type sealWriter struct {
	vault   *Vault
	ring    *keyring // of the start: the caller may have stored the version
	purpose Purpose
	id      Identity
	dst     io.Writer

	chunks *chunks // nil until the header is written
	plain  []byte  // up to one chunk, kept because it may be the last
	sealed []byte  // space for one chunk
	err    error   // permanent
}

// Write implements io.Writer.
func (s *sealWriter) Write(p []byte) (n int, err error) {
	for len(p) > 0 && s.err == nil {
		if len(s.plain) == chunkSize {
			s.err = s.flush(false)
			continue
		}
		fits := min(len(p), chunkSize-len(s.plain))
		s.plain = append(s.plain, p[:fits]...)
		p, n = p[fits:], n+fits
	}
	return n, s.err
}

// Close seals the last chunk.
func (s *sealWriter) Close() error {
	defer clear(s.plain[:chunkSize])
	if s.err != nil {
		return s.err
	}
	err := s.flush(true)
	s.err = errClosed
	return err
}

func (s *sealWriter) flush(last bool) error {
	if s.chunks == nil {
		if err := s.begin(); err != nil {
			return err
		}
	}
	s.sealed = s.chunks.aead.Seal(s.sealed[:0], nil, s.plain, s.chunks.aad(last))
	s.plain = s.plain[:0]
	if _, err := s.dst.Write(s.sealed); err != nil {
		return fmt.Errorf("writing sealed stream: %w", err)
	}
	return nil
}

func (s *sealWriter) begin() error {
	ring := s.ring
	header := make([]byte, headerSize+saltSize)
	header[0], header[1] = formatStream, ring.primary
	if _, err := io.ReadFull(s.vault.random, header[headerSize:]); err != nil {
		return fmt.Errorf("starting sealed stream: %w", err)
	}
	if _, err := s.dst.Write(header); err != nil {
		return fmt.Errorf("writing sealed stream: %w", err)
	}
	s.chunks = newChunks(ring.keys[ring.primary][s.purpose], s.vault.place(s.purpose, s.id), header)
	return nil
}

type openReader struct {
	vault   *Vault
	purpose Purpose
	id      Identity
	src     *bufio.Reader

	chunks *chunks // nil until the header is read
	sealed []byte  // space for one chunk
	opened []byte  // space for one chunk
	plain  []byte  // the part of opened that has not been returned
	err    error   // permanent; returned when plain is empty
}

// Read implements io.Reader.
func (o *openReader) Read(p []byte) (int, error) {
	for len(o.plain) == 0 && o.err == nil {
		o.plain, o.err = o.chunk()
	}
	if len(o.plain) == 0 {
		return 0, o.err
	}
	n := copy(p, o.plain)
	clear(o.plain[:n])
	o.plain = o.plain[n:]
	return n, nil
}

// chunk opens the next chunk. With the last one it returns io.EOF as well.
func (o *openReader) chunk() ([]byte, error) {
	if o.chunks == nil {
		if err := o.begin(); err != nil {
			return nil, err
		}
	}
	n, err := io.ReadFull(o.src, o.sealed)
	if err != nil && !errors.Is(err, io.EOF) && !errors.Is(err, io.ErrUnexpectedEOF) {
		return nil, fmt.Errorf("reading sealed stream: %w", err)
	}
	last := err != nil
	if !last {
		_, err := o.src.Peek(1)
		if err != nil && !errors.Is(err, io.EOF) {
			return nil, fmt.Errorf("reading sealed stream: %w", err)
		}
		last = err != nil
	}
	number := o.chunks.next
	plain, err := o.chunks.aead.Open(o.opened[:0], nil, o.sealed[:n], o.chunks.aad(last))
	if err != nil {
		return nil, fmt.Errorf("opening %v, chunk %d: %w", o.purpose, number, ErrDamaged)
	}
	if last {
		return plain, io.EOF
	}
	return plain, nil
}

func (o *openReader) begin() error {
	var header [headerSize + saltSize]byte
	if _, err := io.ReadFull(o.src, header[:]); err != nil {
		if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
			return fmt.Errorf("opening %v: too short: %w", o.purpose, ErrDamaged)
		}
		return fmt.Errorf("reading sealed stream: %w", err)
	}
	if header[0] != formatStream {
		return fmt.Errorf("opening %v: %w", o.purpose, ErrDamaged)
	}
	keys, ok := o.vault.ring.Load().keys[header[1]]
	if !ok {
		return fmt.Errorf("opening %v: no key of version %d: %w", o.purpose, header[1], ErrDamaged)
	}
	o.chunks = newChunks(keys[o.purpose], o.vault.place(o.purpose, o.id), header[:])
	o.sealed, o.opened = make([]byte, chunkSize+overheadSize), make([]byte, chunkSize)
	return nil
}
