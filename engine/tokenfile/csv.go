package tokenfile

import (
	"encoding/csv"
	"encoding/hex"
	"slices"
	"strings"
	"time"

	"keyfob/engine/tokencode"
)

// Encoding says how a table writes its secrets.
type Encoding string

// The encodings of a secret.
const (
	Hex    Encoding = "hex"
	Base32 Encoding = "base32"
)

// csvColumns lists the columns that are read, each with the names it may have. Case,
// spaces and underscores do not matter. The names in capitals of Microsoft's table for
// hardware tokens, which many makers deliver, are among them.
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

// csvLayout says what the columns of a table mean.
type csvLayout interface {
	token(fields []string, o Options) (Token, error)
}

// readCSV reads a table: ours, with a header line, or one of those that makers'
// tools write without. One bad row does not spoil the others.
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

// csvLayoutOf tells the layout by the first line, nil when it is no table.
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

// csvSeparator is the one of comma, semicolon and tab that the line has most of.
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
		return nil, ErrFormat.because("the quotes of the row do not match")
	}
	for i := range fields {
		fields[i] = strings.TrimSpace(fields[i])
	}
	return fields, nil
}

// csvHeader is a table whose first line names its columns.
type csvHeader struct {
	index   map[string]int // by column
	unknown []string
	twice   []string
}

// newCSVHeader reads a header line; nil when it is none.
func newCSVHeader(fields []string) *csvHeader {
	h := &csvHeader{index: map[string]int{}}
	for i, field := range fields {
		name := csvColumn(field)
		if _, ok := h.index[name]; ok {
			h.twice = append(h.twice, name)
		}
		if name == "" {
			h.unknown = append(h.unknown, clean(field))
		} else {
			h.index[name] = i
		}
	}
	if _, ok := h.index["serial"]; !ok {
		return nil
	}
	return h
}

func csvColumn(field string) string {
	field = strings.NewReplacer(" ", "", "_", "", "-", "").Replace(strings.ToLower(field))
	for column, names := range csvColumns {
		if slices.Contains(names, field) {
			return column
		}
	}
	return ""
}

// check refuses a header that leaves open what must be known.
func (h *csvHeader) check(c *collector) error {
	secrets := 0
	for _, column := range []string{"secret", "secret_hex", "secret_base32"} {
		if _, ok := h.index[column]; ok {
			secrets++
		}
	}
	_, kind := h.index["kind"]
	_, interval := h.index["interval"]
	switch {
	case len(h.twice) > 0:
		return ErrFormat.because("the header line names the column %s twice", h.twice[0])
	case secrets != 1:
		return ErrFormat.because("the header line must name one of the columns secret, secret_hex and secret_base32")
	case !kind && !interval:
		return ErrFormat.because("the header line must name the column kind (totp, hotp or securid)")
	}
	if len(h.unknown) > 0 {
		c.note("columns that were not read: " + strings.Join(h.unknown, ", "))
	}
	return nil
}

func (h *csvHeader) token(fields []string, o Options) (Token, error) {
	row := csvRow{h, fields}
	tok := Token{
		Serial: clean(row.get("serial")),
		User:   clean(row.get("user")),
		Name:   clean(row.get("name")),
		Issuer: clean(row.get("issuer")),
		Label:  clean(row.get("label")),
	}
	for _, read := range []func(*Token, Options) error{row.secret, row.params, row.dates, row.pinStyle} {
		if err := read(&tok, o); err != nil {
			return tok, err
		}
	}
	return tok, nil
}

type csvRow struct {
	header *csvHeader
	fields []string
}

// get returns a field, empty when the row or the table has none.
func (r csvRow) get(column string) string {
	if i, ok := r.header.index[column]; ok && i < len(r.fields) {
		return r.fields[i]
	}
	return ""
}

func (r csvRow) secret(tok *Token, o Options) (err error) {
	switch {
	case r.get("secret_hex") != "":
		tok.Seed, err = decodeSecret(r.get("secret_hex"), Hex)
	case r.get("secret_base32") != "":
		tok.Seed, err = decodeSecret(r.get("secret_base32"), Base32)
	default:
		tok.Seed, err = decodeSecret(r.get("secret"), o.Encoding)
	}
	return err
}

// params reads the algorithm. A table with an interval and no kind is one of
// TOTP tokens, as Microsoft's is.
func (r csvRow) params(tok *Token, _ Options) (err error) {
	p := &tok.Params
	kind := strings.TrimPrefix(strings.ToLower(r.get("kind")), "oath-")
	if _, named := r.header.index["kind"]; !named {
		kind = string(tokencode.TOTP)
	}
	p.Digits = 6
	if s := r.get("digits"); s != "" {
		if p.Digits, err = number(s, "digits"); err != nil {
			return err
		}
	}
	interval := 0
	switch p.Kind = tokencode.Kind(kind); p.Kind {
	case tokencode.TOTP:
		interval = 30
	case tokencode.SecurID:
		interval = 60
		tok.Serial = serial12(tok.Serial)
		p.Serial = tok.Serial
	case tokencode.HOTP:
		if s := r.get("counter"); s != "" {
			if tok.Counter, err = parseCounter(s); err != nil {
				return err
			}
		}
	default:
		return ErrUnsupported.because("its kind is %.20q and must be totp, hotp or securid", r.get("kind"))
	}
	if p.Kind != tokencode.SecurID {
		if p.Algorithm, err = parseAlgorithm(r.get("algorithm")); err != nil {
			return err
		}
	}
	if s := r.get("interval"); s != "" && p.Kind != tokencode.HOTP {
		if interval, err = number(s, "interval"); err != nil {
			return err
		}
	}
	p.Period = time.Duration(interval) * time.Second
	return nil
}

func (r csvRow) dates(tok *Token, _ Options) (err error) {
	if s := r.get("born"); s != "" {
		if tok.Born, err = parseDay(s); err != nil {
			return err
		}
	}
	if s := r.get("expires"); s != "" {
		last, err := parseDay(s)
		if err != nil {
			return err
		}
		tok.Expires = afterDay(last)
	}
	return nil
}

func (r csvRow) pinStyle(tok *Token, _ Options) error {
	style := strings.ToLower(r.get("pin_style"))
	switch r.get("add_pin") {
	case "":
	case "0":
		style = string(tokencode.Fob)
	case "1":
		style = string(tokencode.PINpad)
	default:
		return ErrFormat.because("its add_pin is %.20q and must be 0 or 1", r.get("add_pin"))
	}
	switch tok.PINStyle = tokencode.PINStyle(style); {
	case style == "":
		tok.PINStyle = tokencode.Fob
	case tok.PINStyle == tokencode.PINpad && tok.Params.Kind != tokencode.SecurID:
		return ErrUnsupported.because("only SecurID tokens mix the PIN in (pin_style pinpad)")
	case tok.PINStyle != tokencode.Fob && tok.PINStyle != tokencode.PINpad && tok.PINStyle != tokencode.NoPIN:
		return ErrFormat.because("its pin_style is %.20q and must be fob, pinpad or none", style)
	}
	return nil
}

// decodeSecret reads a secret in the encoding that the table names. When it names
// none, only a secret that has a letter or digit which the other alphabet lacks is read:
// that is a proof and not a guess.
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
