package tokenfile

import (
	"slices"
	"strings"
	"time"

	"keyfob/engine/tokencode"
)

// csvHeader describes a table whose first line names its columns.
type csvHeader struct {
	index   map[string]int // by column
	unknown []string
	twice   []string
}

// newCSVHeader reads a header line; nil if the line is not one.
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

// check refuses a header that lacks required columns.
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

// get returns a field, empty if the row or the table lacks it.
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

// params reads the algorithm. A table with an interval and no kind contains
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
		return ErrUnsupported.because("its kind is %s and must be totp, hotp or securid", shown(r.get("kind")))
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
		return ErrFormat.because("its add_pin is %s and must be 0 or 1", shown(r.get("add_pin")))
	}
	switch tok.PINStyle = tokencode.PINStyle(style); {
	case style == "":
		tok.PINStyle = tokencode.Fob
	case tok.PINStyle == tokencode.PINpad && tok.Params.Kind != tokencode.SecurID:
		return ErrUnsupported.because("only SecurID tokens mix the PIN in (pin_style pinpad)")
	case tok.PINStyle != tokencode.Fob && tok.PINStyle != tokencode.PINpad && tok.PINStyle != tokencode.NoPIN:
		return ErrFormat.because("its pin_style is %s and must be fob, pinpad or none", shown(style))
	}
	return nil
}
