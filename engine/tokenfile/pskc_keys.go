package tokenfile

import (
	"crypto/fips140"
	"crypto/hmac"
	"crypto/pbkdf2"
	"encoding/base64"
	"encoding/hex"
	"hash"
	"strings"
)

// maxIterations limits the cost of an untrusted file to about a second.
const maxIterations = 2_000_000

// pskcKeys decrypt the values of a container. Every value in CBC has a MAC, which is
// checked before decryption (RFC 6030, section 6.1.1).
type pskcKeys struct {
	encryption []byte
	err        error // why there is no encryption key
	hash       func() hash.Hash
	mac        []byte // nil if the container names no MAC
	ownMAC     bool   // the MAC has a key of its own
	proved     bool   // a MAC was right, so the key is
}

// openPSKC finds the keys of a container. A plaintext file names none, which is an
// error only if a value is encrypted nevertheless.
func openPSKC(encryptionKey, macMethod *element, o Options) (*pskcKeys, error) {
	k := new(pskcKeys)
	k.encryption, k.err = pskcEncryptionKey(encryptionKey, o)
	if encryptionKey != nil && k.err != nil {
		return nil, k.err
	}
	name := macMethod.attr("Algorithm")
	if name == "" {
		return k, nil // key wrapping authenticates itself; files that use it name no MAC
	}
	if k.hash = pskcHash(name); k.hash == nil {
		return nil, ErrUnsupported.because("the file's MAC %.100q is not supported", name)
	}
	if k.err != nil {
		return k, nil
	}
	key := macMethod.find(nsPSKC, "MACKey")
	if key == nil {
		k.mac = k.encryption
		return k, nil
	}
	k.ownMAC = true
	mac, err := k.decrypt(key)
	if err != nil {
		return nil, err
	}
	k.mac = mac
	return k, nil
}

func pskcEncryptionKey(e *element, o Options) ([]byte, error) {
	derived := e.find(anySpace, "DerivedKey")
	switch {
	case e == nil:
		return nil, ErrFormat.because("the file has encrypted values but does not name their key")
	case derived != nil:
		return pskcDerivedKey(derived, o)
	case e.find(anySpace, "X509Data") != nil:
		return nil, ErrUnsupported.because("the file is encrypted to a certificate; ask for one with a pre-shared key or a password")
	case o.Key != "":
		return []byte(o.Key), nil
	case o.Password != "":
		return pskcTypedKey(o.Password)
	default:
		return nil, ErrNeedPassword.because("the file is encrypted with the pre-shared key %.60q: give it in hexadecimal as the password", e.textAt(anySpace, "KeyName"))
	}
}

// pskcTypedKey reads a pre-shared key that was entered as a password.
func pskcTypedKey(password Secret) ([]byte, error) {
	text := strings.Map(func(r rune) rune {
		if strings.ContainsRune(" :-\t\r\n", r) {
			return -1
		}
		return r
	}, string(password))
	key, err := hex.DecodeString(text)
	if err != nil || len(key) != 16 && len(key) != 24 && len(key) != 32 {
		return nil, ErrWrongPassword.because("the file is encrypted with a pre-shared key, which is given as 32, 48 or 64 hexadecimal digits")
	}
	return key, nil
}

// pskcDerivedKey implements PBKDF2 (RFC 6030, section 6.1.2). Files use different
// namespaces for its parameters.
func pskcDerivedKey(derived *element, o Options) ([]byte, error) {
	method := derived.find(anySpace, "KeyDerivationMethod")
	if !strings.HasSuffix(strings.ToLower(method.attr("Algorithm")), "#pbkdf2") {
		return nil, ErrUnsupported.because("the file's key derivation %.100q is not PBKDF2", method.attr("Algorithm"))
	}
	parameters := method.find(anySpace, "PBKDF2-params")
	salt, err := pskcBase64(parameters.textAt(anySpace, "Salt", "Specified"))
	if err != nil || len(salt) == 0 {
		return nil, ErrFormat.because("the salt of the file's key derivation is missing")
	}
	iterations, err := boundedNumber(parameters.textAt(anySpace, "IterationCount"), maxIterations)
	if err != nil {
		return nil, ErrTooLarge.because("the number of rounds of the file's key derivation is not between 1 and %d", maxIterations)
	}
	size := 16
	if s := parameters.textAt(anySpace, "KeyLength"); s != "" {
		if size, err = boundedNumber(s, 32); err != nil {
			return nil, ErrFormat.because("the file's key derivation makes a key of %.10q bytes", s)
		}
	}
	prf := parameters.find(anySpace, "PRF")
	name := prf.attr("Algorithm")
	if name == "" && prf != nil {
		name = strings.TrimSpace(prf.text) // as python-pskc writes it
	}
	if name == "" {
		name = "hmac-sha1" // the default of PKCS #5
	}
	newHash := pskcHash(name)
	if newHash == nil {
		return nil, ErrUnsupported.because("the file's key derivation uses %.100q, which is not supported", name)
	}
	if o.Password == "" {
		return nil, ErrNeedPassword.because("the file is protected by a password")
	}
	var key []byte
	fips140.WithoutEnforcement(func() { // SHA-1, short salts and passwords are the file's choice
		key, err = pbkdf2.Key(newHash, string(o.Password), salt, iterations, size)
	})
	if err != nil {
		return nil, ErrUnsupported.because("the file's key derivation: %v", err)
	}
	return key, nil
}

// value reads a field that may be encrypted.
func (k *pskcKeys) value(e *element, clear func(string) ([]byte, error)) ([]byte, error) {
	if e == nil {
		return nil, ErrFormat.because("it has no secret")
	}
	if text := e.find(nsPSKC, "PlainValue"); text != nil {
		value, err := clear(strings.Join(strings.Fields(text.text), ""))
		if err != nil {
			return nil, ErrFormat.because("its field %s is malformed", e.name.Local)
		}
		return value, nil
	}
	encrypted := e.find(nsPSKC, "EncryptedValue")
	if encrypted == nil {
		return nil, ErrFormat.because("its field %s has no value", e.name.Local)
	}
	if k.err != nil {
		return nil, k.err
	}
	if err := k.verify(encrypted, e.find(nsPSKC, "ValueMAC")); err != nil {
		return nil, err
	}
	return k.decrypt(encrypted)
}

// verify checks the MAC of an encrypted value. The MAC covers the IV and the ciphertext.
func (k *pskcKeys) verify(encrypted, valueMAC *element) error {
	name := encrypted.find(anySpace, "EncryptionMethod").attr("Algorithm")
	if valueMAC == nil && strings.Contains(name, "#kw-") {
		return nil // key wrapping is authenticated
	}
	if valueMAC == nil || k.mac == nil {
		return ErrAltered.because("its encrypted value has no MAC, so a wrong key or an altered value cannot be detected")
	}
	data, err := pskcBase64(encrypted.textAt(anySpace, "CipherData", "CipherValue"))
	if err != nil {
		return ErrFormat.because("its encrypted value is not base64")
	}
	want, err := pskcBase64(valueMAC.text)
	if err != nil {
		return ErrFormat.because("the MAC of its encrypted value is not base64")
	}
	var sum []byte
	fips140.WithoutEnforcement(func() {
		mac := hmac.New(k.hash, k.mac)
		mac.Write(data)
		sum = mac.Sum(nil)
	})
	switch {
	case hmac.Equal(sum, want):
		k.proved = true
		return nil
	case !k.proved && !k.ownMAC: // the key is not proved yet
		return ErrWrongPassword.because("the password or key is wrong, or its encrypted value was altered (the format cannot distinguish them)")
	default:
		return ErrAltered.because("its encrypted value was altered: its MAC is wrong")
	}
}

// decrypt decrypts the CipherData below e with the cipher of its EncryptionMethod.
func (k *pskcKeys) decrypt(e *element) ([]byte, error) {
	name := e.find(anySpace, "EncryptionMethod").attr("Algorithm")
	data, err := pskcBase64(e.textAt(anySpace, "CipherData", "CipherValue"))
	if err != nil || len(data) == 0 {
		return nil, ErrFormat.because("an encrypted value is not base64")
	}
	open, size := pskcCipher(name)
	if open == nil {
		return nil, ErrUnsupported.because("the file's cipher %.100q is not supported", name)
	}
	if len(k.encryption) != size {
		return nil, ErrWrongPassword.because("the key has %d bytes, and the file's cipher needs %d", len(k.encryption), size)
	}
	plain := open(k.encryption, data)
	if plain == nil {
		return nil, ErrWrongPassword.because("the password or key is wrong")
	}
	return plain, nil
}

func pskcBase64(s string) ([]byte, error) {
	return base64.StdEncoding.DecodeString(strings.Join(strings.Fields(s), ""))
}
