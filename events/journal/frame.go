package journal

import (
	"bufio"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io"

	"keyfob/events"
)

// appendFrame appends a framed record.
func appendFrame(b []byte, r events.Record) ([]byte, error) {
	start := len(b)
	framed, err := events.AppendRecord(append(b, make([]byte, frameSize)...), r)
	if err != nil {
		return b, fmt.Errorf("record %d: %w", r.Sequence, err)
	}
	head, record := framed[start:start+frameSize], framed[start+frameSize:]
	if len(record) > maxRecord {
		return b, fmt.Errorf("record %d has %d bytes; the maximum is %d", r.Sequence, len(record), maxRecord)
	}
	binary.BigEndian.PutUint32(head, uint32(len(record)))
	sum := crc32.Update(crc32.Checksum(head[:4], castagnoli), castagnoli, record)
	binary.BigEndian.PutUint32(head[4:], sum)
	return framed, nil
}

// frames reads the frames of a segment in order.
type frames struct {
	r     *bufio.Reader
	at    int64 // offset of the next frame
	limit int64 // end of the frames, or of the file
	head  [frameSize]byte
	buf   []byte
}

func newFrames(r io.ReaderAt, from, limit int64) *frames {
	size := int(min(max(limit-from, 16), 256<<10))
	return &frames{r: bufio.NewReaderSize(io.NewSectionReader(r, from, limit-from), size), at: from, limit: limit}
}

// errFooter is returned where a footer may start instead of a frame.
var errFooter = errors.New("footer")

// next returns the bytes of the next record, valid until the next call, or io.EOF
// at the end.
func (f *frames) next() ([]byte, error) {
	if f.at == f.limit {
		return nil, io.EOF
	}
	if f.limit-f.at < 4 {
		return nil, errShort
	}
	if _, err := io.ReadFull(f.r, f.head[:4]); err != nil {
		return nil, readError(err)
	}
	length := int64(binary.BigEndian.Uint32(f.head[:]))
	switch {
	case length == 0:
		return nil, errFooter
	case length > maxRecord:
		return nil, fmt.Errorf("%w: record of %d bytes", errForm, length)
	case f.limit-f.at < frameSize+length:
		return nil, errShort
	}
	if int64(cap(f.buf)) < length {
		f.buf = make([]byte, length, max(length, 4096))
	}
	f.buf = f.buf[:length]
	if _, err := io.ReadFull(f.r, f.head[4:]); err != nil {
		return nil, readError(err)
	}
	if _, err := io.ReadFull(f.r, f.buf); err != nil {
		return nil, readError(err)
	}
	sum := crc32.Update(crc32.Checksum(f.head[:4], castagnoli), castagnoli, f.buf)
	if sum != binary.BigEndian.Uint32(f.head[4:]) {
		return nil, errSum
	}
	f.at += frameSize + length
	return f.buf, nil
}

func readError(err error) error {
	if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
		return errShort
	}
	return err
}
