// Package strictcbor is the one CBOR of keyfob: core deterministic encoding (RFC
// 8949, section 4.2.1), and decoding that refuses everything that this encoding does not
// produce or the receiver does not know.
//
// A field that is not known is an error. A node that left it out would have
// another state than the others, or decide something else than was asked.
package strictcbor

import "github.com/fxamacker/cbor/v2"

// Limits bound what is decoded. Zero is the library's default.
type Limits struct {
	Nesting  int // levels, at least 4
	Elements int // of an array, at least 16
	Pairs    int // of a map, at least 16
}

// Encoding returns the encoding.
func Encoding() cbor.UserBufferEncMode {
	return must(cbor.CoreDetEncOptions().UserBufferEncMode())
}

// Decoding returns the decoding within limits.
func Decoding(l Limits) cbor.DecMode {
	return must(cbor.DecOptions{
		MaxNestedLevels:   l.Nesting,
		MaxArrayElements:  l.Elements,
		MaxMapPairs:       l.Pairs,
		DupMapKey:         cbor.DupMapKeyEnforcedAPF,
		IndefLength:       cbor.IndefLengthForbidden,
		TagsMd:            cbor.TagsForbidden,
		ExtraReturnErrors: cbor.ExtraDecErrorUnknownField,
		// A decision must be encodable even if a front end let invalid text in. Text
		// is made valid where it is shown.
		UTF8: cbor.UTF8DecodeInvalid,
	}.DecMode())
}

// must returns a mode. Its options are constants of this program, so an error is
// a mistake in it.
func must[T any](mode T, err error) T {
	if err != nil {
		panic("strictcbor: " + err.Error())
	}
	return mode
}
