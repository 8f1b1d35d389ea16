package tokenfile

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"strings"
)

const (
	headSize  = 64 << 10 // how much of a file is examined to detect its format
	maxLine   = 64 << 10 // bytes of one line
	maxRecord = 1 << 20  // bytes of one XML token: a tag, a text, a comment
)

// Read reads a file of tokens. It returns an error and no tokens if the file as
// a whole cannot be trusted. A problem of a single token is a Refusal. Memory
// is bounded by the tokens returned, not by r.
func Read(r io.Reader, o Options) (Result, error) {
	if o.MaxBytes <= 0 {
		o.MaxBytes = DefaultMaxBytes
	}
	if o.MaxTokens <= 0 {
		o.MaxTokens = DefaultMaxTokens
	}
	m := &meter{r: r, limit: o.MaxBytes}
	in := bufio.NewReaderSize(m, headSize)
	head, err := in.Peek(headSize)
	if err != nil && !errors.Is(err, io.EOF) {
		return Result{}, fmt.Errorf("reading token file: %w", err)
	}
	if bytes.HasPrefix(head, []byte("\uFEFF")) {
		_, _ = in.Discard(3) // cannot fail after Peek
		head = head[3:]
	}
	format, err := detect(head, o.Format)
	if err != nil {
		return Result{}, err
	}
	c := &collector{options: o, serials: map[string]bool{}, result: Result{Format: format}}
	if err := readAs(format, in, m, c); err != nil {
		return Result{Format: format}, err
	}
	if len(c.result.Tokens)+len(c.result.Refused) == 0 {
		return Result{Format: format}, ErrFormat.because("the file was read as %s and contains no token", format)
	}
	return c.result, nil
}

func readAs(format Format, in *bufio.Reader, m *meter, c *collector) error {
	switch format {
	case SDTID:
		return readSDTID(newXMLReader(in, m), c)
	case PSKC:
		return readPSKC(newXMLReader(in, m), c)
	case OTPAuth:
		return readOTPAuth(newLines(in, m), c)
	case CTF:
		return readCTF(newLines(in, m), c)
	case StokenRC:
		return readStokenRC(newLines(in, m), c)
	case CSV:
		return readCSV(newLines(in, m), c)
	default:
		return ErrUnsupported.because("the format %.20q is not one of %v", format, Formats())
	}
}

// detect returns the format based on the beginning of the file. An explicitly requested
// format is not checked here; its reader reports any mismatch.
func detect(head []byte, asked Format) (Format, error) {
	text := strings.TrimSpace(string(head))
	first := firstLine(text)
	switch {
	case text == "":
		return "", ErrFormat.because("the file is empty")
	case bytes.HasPrefix(head, []byte("\xFE\xFF")) || bytes.HasPrefix(head, []byte("\xFF\xFE")):
		return "", ErrFormat.because("the file is UTF-16; save it as UTF-8")
	case bytes.IndexByte(head, 0) >= 0:
		return "", ErrFormat.because("the file is not text")
	case asked != "":
		return asked, nil
	case strings.HasPrefix(text, "<"):
		return detectXML(text)
	case hasPrefixFold(first, "otpauth"):
		return OTPAuth, nil
	case indexFold(text, ctfMarker) >= 0 || indexFold(first, ctkipMarker) >= 0 || isBareCTF(first):
		return CTF, nil
	case isStokenRC(first):
		return StokenRC, nil
	case isCSV(first):
		return CSV, nil
	default:
		return "", ErrFormat.because("this is not a token file that keyfob supports: it does not begin like XML, a URI, a CTF string or a CSV table")
	}
}

// detectXML uses the name of the root element, which is in the first kilobytes of any
// valid file. The XML reader checks the root again.
func detectXML(text string) (Format, error) {
	switch {
	case strings.Contains(text, "<TKNBatch"):
		return SDTID, nil
	case strings.Contains(text, "KeyContainer"):
		return PSKC, nil
	case indexFold(text, ctfMarker) >= 0:
		return CTF, nil // a mail in HTML
	default:
		return "", ErrFormat.because("this XML is neither an RSA token file (TKNBatch) nor PSKC (KeyContainer)")
	}
}

// firstLine returns the first line that is not empty and not a comment.
func firstLine(text string) string {
	for line := range strings.Lines(text) {
		line = strings.TrimSpace(line)
		if line != "" && !strings.HasPrefix(line, "#") {
			return line
		}
	}
	return ""
}
