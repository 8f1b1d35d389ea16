package tokenfile

import (
	"bytes"
	"crypto/aes"
	"encoding/base64"
	"encoding/xml"
	"fmt"
	"io"
	"strconv"
	"strings"

	"keyfob/engine/tokencode"
)

// SDTIDOptions configures WriteSDTID.
type SDTIDOptions struct {
	Password Secret // only its first 32 bytes count; empty: the seeds are not protected
	Origin   string // the issuer; must not be empty
	Dest     string // the recipient
	Name     string // of the batch
}

// sdtidTrailer takes the place of the batch signature: stoken requires the elements
// and ignores their content.
const sdtidTrailer = `  <TKNTrailer>
    <BatchSignature> </BatchSignature>
    <BatchCertificate> </BatchCertificate>
  </TKNTrailer>
</TKNBatch>
`

// WriteSDTID writes SecurID tokens as RSA XML records and reads 16 bytes from entropy. It
// writes no batch signature: the private key for such signatures is publicly known, so a
// signature proves nothing. stoken reads only files with one token.
func WriteSDTID(w io.Writer, tokens []Token, o SDTIDOptions, entropy io.Reader) error {
	if len(tokens) == 0 || strings.TrimSpace(o.Origin) == "" {
		return ErrFormat.because("an RSA token file needs an origin and at least one token")
	}
	for _, t := range tokens {
		if t.Params.Kind != tokencode.SecurID {
			return ErrUnsupported.because("an RSA token file can contain only SecurID tokens, not %s", t.Params.Kind)
		}
		if _, err := tokencode.New(t.Params, t.Seed); err != nil {
			return ErrUnsupported.because("token %s: %v", t.Serial, err)
		}
	}
	var secret [aes.BlockSize]byte
	if _, err := io.ReadFull(entropy, secret[:]); err != nil {
		return fmt.Errorf("generating the secret of a token file: %w", err)
	}
	header := sdtidHeader(tokens, o, secret[:])
	password := string(o.Password)
	if password == "" {
		password = header.get("Origin")
	}
	keys, err := newSDTIDKeys(header, password)
	if err != nil {
		return err
	}
	header = append(header, macField("TKNHeader.HeaderMAC", keys.headerMAC(header)))

	var out bytes.Buffer
	out.WriteString("<?xml version=\"1.0\"?>\n<TKNBatch>\n")
	header.writeXML(&out, "TKNHeader")
	for _, t := range tokens {
		fields := sdtidToken(t, header, keys)
		fields = append(fields, macField("TKN.TokenMAC", keys.tokenMAC(fields)))
		fields.writeXML(&out, "TKN")
		if out.Len() > headSize {
			if _, err := out.WriteTo(w); err != nil {
				return fmt.Errorf("writing token file: %w", err)
			}
		}
	}
	out.WriteString(sdtidTrailer)
	if _, err := out.WriteTo(w); err != nil {
		return fmt.Errorf("writing token file: %w", err)
	}
	return nil
}

// sdtidHeader writes the first token's values as the defaults; fields without
// effect have the values of RSA's own files.
func sdtidHeader(tokens []Token, o SDTIDOptions, secret []byte) sdtidFields {
	var f sdtidFields
	f.put("TKNHeader.Version", "0")
	f.put("TKNHeader.Origin", o.Origin)
	f.put("TKNHeader.Dest", o.Dest)
	f.put("TKNHeader.Name", o.Name)
	f.put("TKNHeader.FirstToken", serial12(tokens[0].Params.Serial))
	f.put("TKNHeader.LastToken", serial12(tokens[len(tokens)-1].Params.Serial))
	f.put("TKNHeader.NumTokens", strconv.Itoa(len(tokens)))
	f.put("TKNHeader.Secret", base64.StdEncoding.EncodeToString(secret))
	for _, p := range sdtidParams(tokens[0]) {
		f.put("TKNHeader.Def"+p.name, p.value)
	}
	return f
}

// sdtidParams are the fields that are allowed in both the header and a token.
func sdtidParams(t Token) []sdtidField {
	pad := "0"
	if t.PINStyle == tokencode.PINpad {
		pad = "1"
	}
	death := ctf2Epoch.AddDate(0, 0, ctf2LastDay)
	if !t.Expires.IsZero() {
		death = lastDay(t.Expires)
	}
	born := t.Born
	if born.IsZero() {
		born = ctf2Epoch
	}
	window := func(intervals int) string { return strconv.Itoa(intervals * seconds(t.Params)) }
	return []sdtidField{
		{name: "Birth", value: born.UTC().Format("2006/01/02")},
		{name: "Death", value: death.Format("2006/01/02")},
		{name: "Digits", value: strconv.Itoa(t.Params.Digits)},
		{name: "Interval", value: strconv.Itoa(seconds(t.Params))},
		{name: "Alg", value: "1"},
		{name: "Mode", value: "0"},
		{name: "SmallWin", value: window(t.Windows.Small)},
		{name: "MediumWin", value: window(t.Windows.Medium)},
		{name: "LargeWin", value: window(t.Windows.Large)},
		{name: "AddPIN", value: pad},
		{name: "LocalPIN", value: pad},
		{name: "TimeDerivedSeeds", value: "1"},
		{name: "AppDerivedSeeds", value: "0"},
		{name: "FormFactor", value: "20000001"}, // a software token
	}
}

func sdtidToken(t Token, header sdtidFields, keys *sdtidKeys) sdtidFields {
	sn := serial12(t.Params.Serial)
	first, last := "", t.Name
	if i := strings.LastIndexByte(t.Name, ' '); i >= 0 {
		first, last = t.Name[:i], t.Name[i+1:]
	}
	var f sdtidFields
	f.put("TKN.SN", sn)
	f.put("TKN.Seed", "="+base64.StdEncoding.EncodeToString(keys.crypt(sn, t.Seed)))
	f.put("TKN.UserFirstName", first)
	f.put("TKN.UserLastName", last)
	f.put("TKN.UserLogin", t.User)
	for _, p := range sdtidParams(t) {
		if header.get("Def"+p.name) != p.value {
			f.put("TKN."+p.name, p.value)
		}
	}
	f.put("TKN.TokenAttributes.DeviceSerialNumber", t.DeviceID)
	f.put("TKN.TokenAttributes.Nickname", t.Label)
	return f
}

// put adds a field. An empty value is written as one space, as in RSA's files.
func (f *sdtidFields) put(path, value string) {
	if value = clean(value); value == "" {
		value = " "
	}
	*f = append(*f, sdtidField{path: path, name: path[strings.LastIndexByte(path, '.')+1:], value: value})
}

func macField(path, mac string) sdtidField {
	name := path[strings.LastIndexByte(path, '.')+1:]
	return sdtidField{path: path, name: name, value: base64.StdEncoding.EncodeToString([]byte(mac)), isMAC: true}
}

// writeXML writes a section. Fields of the same inner element must be adjacent.
func (f sdtidFields) writeXML(out *bytes.Buffer, section string) {
	fmt.Fprintf(out, "  <%s>\n", section)
	open := ""
	for _, field := range f {
		inner := strings.TrimSuffix(strings.TrimPrefix(field.path, section+"."), field.name)
		inner = strings.TrimSuffix(inner, ".")
		if inner != open {
			closeElement(out, open)
			if inner != "" {
				fmt.Fprintf(out, "    <%s>\n", inner)
			}
			open = inner
		}
		fmt.Fprintf(out, "    <%s>", field.name)
		_ = xml.EscapeText(out, []byte(field.value)) // writing to a bytes.Buffer cannot fail
		fmt.Fprintf(out, "</%s>\n", field.name)
	}
	closeElement(out, open)
	fmt.Fprintf(out, "  </%s>\n", section)
}

func closeElement(out *bytes.Buffer, name string) {
	if name != "" {
		fmt.Fprintf(out, "    </%s>\n", name)
	}
}
