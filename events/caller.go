package events

// CallerProofShown is recorded when the page shows a user, who has proved a
// token, a word to read out to the help desk. The tokencode is used up.
type CallerProofShown struct {
	User    string `cbor:"1,keyasint"`
	Use     Use    `cbor:"2,keyasint"`
	Digest  string `cbor:"3,keyasint"` // keyed digest of the word
	Expires Time   `cbor:"4,keyasint"`
}

// CallerProofRefused is recorded when the page shows no word, because the
// tokencode was not right or the user cannot prove a token now.
type CallerProofRefused struct {
	User   string `cbor:"1,keyasint"`
	Serial string `cbor:"2,keyasint,omitempty"` // if it could be told
	Kind   string `cbor:"3,keyasint,omitempty"`
	Reason Reason `cbor:"4,keyasint"`
}

// CallerChecked is recorded when an administrator checks the word that a caller
// reads out.
type CallerChecked struct {
	User string `cbor:"1,keyasint"`
	// Until is how long the administrator may help this caller; zero if the word
	// was wrong.
	Until Time `cbor:"2,keyasint,omitzero"`
}

func (CallerProofShown) ofAttempt()   {}
func (CallerProofRefused) ofAttempt() {}
func (CallerChecked) ofUser()         {}

func (e CallerProofShown) describe(d *Data) {
	d.User = e.User
	d.use(e.Use)
	d.detail("expires", e.Expires)
}

func (e CallerProofRefused) describe(d *Data) {
	d.User, d.Serial, d.Kind, d.Reason = e.User, e.Serial, e.Kind, e.Reason
}

func (e CallerChecked) describe(d *Data) {
	d.User = e.User
	right := !e.Until.IsZero()
	detailSet(d, "right", &right)
	d.detail("until", e.Until)
}
