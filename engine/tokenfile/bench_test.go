package tokenfile

import (
	"bytes"
	"fmt"
	"strings"
	"testing"

	"keyfob/engine/tokencode"
)

// BenchmarkRead reads files of 100,000 tokens, the size of a large migration.
func BenchmarkRead(b *testing.B) {
	const n = 100_000
	c := newChance(1)
	tokens := make([]Token, n)
	for i := range tokens {
		tokens[i] = c.token()
		tokens[i].Serial = fmt.Sprintf("%012d", i)
		tokens[i].Params.Serial = tokens[i].Serial
	}
	var sdtid, uris, ctf, table, pskc bytes.Buffer
	if err := WriteSDTID(&sdtid, tokens, SDTIDOptions{Origin: "o"}, c); err != nil {
		b.Fatal(err)
	}
	table.WriteString("serial,secret_hex,kind,user\n")
	pskc.WriteString(pskcStart)
	for i, tok := range tokens {
		text, err := WriteCTF(tok, CTFOptions{Version: 2}, nil)
		if err != nil {
			b.Fatal(err)
		}
		ctf.WriteString(text + "\n")
		fmt.Fprintf(&table, "%s,%s,totp,user%d\n", tok.Serial, secretHex, i)
		fmt.Fprintf(&uris, "otpauth://totp/Lab:user%d?secret=%s\n", i, secretBase32)
		key := pskcFile(pskcTOTP, pskcDigits8+"<Data>"+pskcSecret+"</Data>")
		key = strings.TrimSuffix(strings.TrimPrefix(key, pskcStart), "</KeyContainer>")
		pskc.WriteString(strings.Replace(key, ">77<", fmt.Sprintf(">%d<", i), 1) + "\n")
	}
	pskc.WriteString("</KeyContainer>")
	for _, file := range []struct {
		format Format
		data   []byte
	}{{SDTID, sdtid.Bytes()}, {PSKC, pskc.Bytes()}, {CTF, ctf.Bytes()}, {OTPAuth, uris.Bytes()}, {CSV, table.Bytes()}} {
		b.Run(string(file.format), func(b *testing.B) {
			b.SetBytes(int64(len(file.data)))
			b.ReportAllocs()
			for b.Loop() {
				got, err := Read(bytes.NewReader(file.data), Options{})
				if err != nil || len(got.Tokens) != n || got.Format != file.format {
					b.Fatal(err, len(got.Tokens), got.Format, got.Refused[:min(1, len(got.Refused))])
				}
			}
		})
	}
}

// BenchmarkUnlock measures the cost of trying one password.
func BenchmarkUnlock(b *testing.B) {
	c := newChance(1)
	text, err := WriteCTF(Token{
		Seed:   make(tokencode.Seed, 16),
		Params: tokencode.Params{Kind: tokencode.SecurID, Digits: 8, Period: 60e9, Serial: "1"},
	}, CTFOptions{Version: 3, Password: "asdf"}, c)
	if err != nil {
		b.Fatal(err)
	}
	for b.Loop() {
		if _, err := parseCTF(text, Options{Password: "asdf"}); err != nil {
			b.Fatal(err)
		}
	}
}
