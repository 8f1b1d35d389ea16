package tokenfile

import (
	"encoding/csv"
	"encoding/hex"
	"slices"
	"strings"

	"keyfob/engine/tokencode"
)

// Encoding is the encoding of the secrets in a table.
type Encoding string

// The encodings of a secret.
const (
	Hex    Encoding = "hex"
	Base32 Encoding = "base32"
)

// csvColumns lists the supported columns with their accepted names. Case, spaces and
// underscores are ignored. The list includes the column names of Microsoft's table for
// hardware tokens, which many vendors deliver.
var csvColumns = map[string][]string{
	"serial":        {"serial", "serialnumber", "serialno", "sn"},
	"secret":        {"secret", "secretkey", "key"},
	"secret_hex":    {"secrethex", "seed", "seedhex"},
	"secret_base32": {"secretbase32", "seedbase32"},
	"kind":          {"kind", "type", "tokentype"},
	"digits":        {"digits", "length"},
	"interval":      {"interval", "timeinterval", "period", "timestep"},
	"counter":       {"counter"},
	"algorithm":     {"algorithm", "hash"},
	"user":          {"user", "upn", "owner", "login"},
	"name":          {"name", "fullname"},
	"issuer":        {"issuer"},
	"label":         {"label", "nickname"},
	"born":          {"born", "birth", "start"},
	"expires":       {"expires", "death", "expiry"},
	"pin_style":     {"pinstyle"},
	"add_pin":       {"addpin"},
}

// csvLayout is the meaning of a table's columns.
type csvLayout interface {
	token(fields []string, o Options) (Token, error)
}

// readCSV reads a table: with a header line, or in one of the manufacturers' formats
// that have none. A bad row does not affect the others.
func readCSV(in *lines, c *collector) error {
	line, ok := in.next()
	if !ok {
		return in.err()
	}
	separator := csvSeparator(line)
	layout, isHeader := csvLayoutOf(line)
	if layout == nil {
		return ErrFormat.because("the table has no header line; its first line must name the columns, at least serial, secret and kind")
	}
	if header, ok := layout.(*csvHeader); ok {
		if err := header.check(c); err != nil {
			return err
		}
	}
	for ; ok; line, ok = in.next() {
		if isHeader {
			isHeader = false
			continue
		}
		if hasPrefixFold(line, yubicoStart) {
			continue
		}
		fields, err := csvFields(line, separator)
		var tok Token
		if err == nil {
			tok, err = layout.token(fields, c.options)
		}
		if err == nil {
			err = finish(&tok)
		}
		if err := c.take(tok, in.number, err); err != nil {
			return err
		}
	}
	return in.err()
}

func isCSV(first string) bool {
	layout, _ := csvLayoutOf(first)
	return layout != nil
}

// csvLayoutOf detects the layout from the first line; nil if it is not a table.
func csvLayoutOf(first string) (layout csvLayout, isHeader bool) {
	fields, err := csvFields(first, csvSeparator(first))
	if err != nil || len(fields) < 2 {
		return nil, false
	}
	if header := newCSVHeader(fields); header != nil {
		return header, true
	}
	switch {
	case isYubicoLog(fields):
		return yubicoLog{}, false
	case isYubicoFlat(fields):
		return yubicoFlat{}, false
	case isBareTable(fields):
		return bareTable{}, false
	default:
		return nil, false
	}
}

// csvSeparator returns the most frequent of comma, semicolon and tab in a line.
func csvSeparator(line string) rune {
	return slices.MaxFunc([]rune{',', ';', '\t'}, func(a, b rune) int {
		return strings.Count(line, string(a)) - strings.Count(line, string(b))
	})
}

func csvFields(line string, separator rune) ([]string, error) {
	r := csv.NewReader(strings.NewReader(line))
	r.Comma = separator
	r.TrimLeadingSpace = true
	fields, err := r.Read()
	if err != nil {
		return nil, ErrFormat.because("the row has unbalanced quotes")
	}
	for i := range fields {
		fields[i] = strings.TrimSpace(fields[i])
	}
	return fields, nil
}

// decodeSecret decodes a secret in the encoding that the table names. If it names
// none, the secret must have a character that only one of the encodings uses, so that
// nothing is guessed.
func decodeSecret(s string, e Encoding) (tokencode.Seed, error) {
	switch lower := strings.ToLower(s); {
	case strings.HasPrefix(lower, "hex:"):
		s, e = s[len("hex:"):], Hex
	case strings.HasPrefix(lower, "base32:"):
		s, e = s[len("base32:"):], Base32
	}
	if e == "" {
		notBase32 := strings.ContainsAny(s, "0189")
		notHex := strings.ContainsAny(strings.ToUpper(s), "GHIJKLMNOPQRSTUVWXYZ=")
		if notBase32 == notHex {
			return nil, ErrFormat.because("its secret may be hex or base32; name the column secret_hex or secret_base32")
		}
		e = Base32
		if notBase32 {
			e = Hex
		}
	}
	if e == Base32 {
		return base32Seed(s)
	}
	seed, err := hex.DecodeString(strings.NewReplacer(" ", "", "-", "", ":", "").Replace(s))
	if err != nil {
		return nil, ErrFormat.because("its secret is not hexadecimal")
	}
	if len(seed) == 0 {
		return nil, ErrFormat.because("its secret is empty")
	}
	return seed, nil
}
