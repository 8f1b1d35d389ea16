package tokenfile

import "keyfob/engine/tokencode"

// setPINMode reads the two bits that RSA's records have. AddPIN alone decides
// whether the PIN is mixed in; LocalPIN without it has no published meaning, and since
// it mixes nothing in, the token is read as a fob.
func (t *Token) setPINMode(addPIN, localPIN bool) {
	t.PINStyle = tokencode.Fob
	if addPIN {
		t.PINStyle = tokencode.PINpad
	} else if localPIN {
		t.warn("its record says LocalPIN without AddPIN, of which the meaning is not known: read as PIN followed by tokencode")
	}
}

// warnMode notes the one record field that could mean an event-based token. Such a
// token shows its first tokencode wrong, at once and to everybody.
func (t *Token) warnMode() {
	t.warn("its record has a mode other than 0 and may be event-based; compare a tokencode before you rely on it")
}

func errOldToken() error {
	return ErrUnsupported.because("it is a token from before 2003 with a 64-bit seed, whose algorithm is not supported; replace it")
}
