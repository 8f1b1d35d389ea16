package tokenfile

import "keyfob/engine/tokencode"

// setPINMode reads the two bits that RSA's records have. AddPIN alone decides
// whether the PIN is mixed in. LocalPIN without it is undocumented. Since
// it mixes nothing in, the token is read as a fob.
func (t *Token) setPINMode(addPIN, localPIN bool) {
	t.PINStyle = tokencode.Fob
	if addPIN {
		t.PINStyle = tokencode.PINpad
	} else if localPIN {
		t.warn("its record has LocalPIN without AddPIN, which is undocumented: read as PIN followed by tokencode")
	}
}

// warnMode notes the one record field that could mean an event-based token. Such a
// token is refused at its first login, so the error is noticed immediately.
func (t *Token) warnMode() {
	t.warn("its record has a mode other than 0 and may be event-based; compare a tokencode before you rely on it")
}

func errOldToken() error {
	return ErrUnsupported.because("it is a token from before 2003 with a 64-bit seed, whose algorithm is not supported; replace it")
}
