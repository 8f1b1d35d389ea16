package strictcbor_test

import (
	"testing"

	"keyfob/events/strictcbor"
)

type pair struct {
	A uint64 `cbor:"1,keyasint,omitempty"`
	B string `cbor:"2,keyasint,omitempty"`
}

func TestDecodingRefusesWhatIsNotOurs(t *testing.T) {
	decoding := strictcbor.Decoding(strictcbor.Limits{Nesting: 4, Elements: 16, Pairs: 16})
	for name, bytes := range map[string]string{
		"an unknown field":     "\xa1\x03\x01",
		"a field twice":        "\xa2\x01\x01\x01\x02",
		"an indefinite length": "\xbf\x01\x01\xff",
		"a tag":                "\xa1\x01\xc1\x01",
		"what follows":         "\xa1\x01\x01\x00",
		"half of it":           "\xa1\x01",
	} {
		var p pair
		if err := decoding.Unmarshal([]byte(bytes), &p); err == nil {
			t.Errorf("%s is read as %+v", name, p)
		}
	}
	for name, bytes := range map[string]string{
		"nesting":  "\x81\x81\x81\x81\x81\x00",
		"elements": "\x91\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00",
		"pairs":    "\xb1" + "\x00\x00\x01\x00\x02\x00\x03\x00\x04\x00\x05\x00\x06\x00\x07\x00\x08\x00\x09\x00\x0a\x00\x0b\x00\x0c\x00\x0d\x00\x0e\x00\x0f\x00\x10\x00",
	} {
		var v any
		if err := decoding.Unmarshal([]byte(bytes), &v); err == nil {
			t.Errorf("%s beyond the limit is read as %v", name, v)
		}
	}
}

func TestWhatIsEncodedIsDecoded(t *testing.T) {
	want := pair{7, "not UTF-8: \xff"}
	b, err := strictcbor.Encoding().Marshal(want)
	if err != nil {
		t.Fatal(err)
	}
	var got pair
	if err := strictcbor.Decoding(strictcbor.Limits{}).Unmarshal(b, &got); err != nil || got != want {
		t.Errorf("%+v, %v; want %+v", got, err, want)
	}
}
