package radius

import (
	"bytes"
	"crypto/fips140"
	"crypto/rand"
	"encoding/hex"
	"errors"
	mathrand "math/rand/v2"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	layeh "layeh.com/radius"
	"layeh.com/radius/rfc2865"
	"layeh.com/radius/rfc2869"

	"keyfob/engine"
)

// The examples of RFC 2865, section 7.
const rfcSecret engine.Secret = "xyzzy5461"

func unhex(t testing.TB, text string) []byte {
	t.Helper()
	b, err := hex.DecodeString(strings.Join(strings.Fields(text), ""))
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func mustParse(t testing.TB, b []byte) Packet {
	t.Helper()
	p, err := Parse(b)
	if err != nil {
		t.Fatalf("Parse(%x): %v", b, err)
	}
	return p
}

func TestExamplesOfRFC2865(t *testing.T) {
	secret := newSharedSecret(rfcSecret)
	for _, tc := range []struct {
		name, request, response string
		user, password, message string
		code                    Code
	}{
		{
			name: "7.1 User Telnet to Specified Host",
			request: `01 00 00 38 0f 40 3f 94 73 97 80 57 bd 83 d5 cb 98 f4 22 7a 01 06 6e 65 6d 6f 02 12 0d be 70 8d 93
				d4 13 ce 31 96 e4 3f 78 2a 0a ee 04 06 c0 a8 01 10 05 06 00 00 00 03`,
			response: `02 00 00 26 86 fe 22 0e 76 24 ba 2a 10 05 f6 bf 9b 55 e0 b2 06 06 00 00 00 01 0f 06 00 00 00 00 0e 06 c0 a8 01 03`,
			user:     "nemo", password: "arctangent", code: AccessAccept,
		},
		{
			name: "7.3 User with Challenge-Response card",
			request: `01 02 00 39 f3 a4 7a 1f 6a 6d 76 71 0b 94 7a b9 30 41 a0 39 01 07 6d 6f 70 73 79 02 12 33 65 75 73 77
				82 89 b5 70 88 5e 15 08 48 25 c5 04 06 c0 a8 01 10 05 06 00 00 00 07`,
			response: `0b 02 00 4e 36 f3 c8 76 4a e8 c7 11 57 40 3c 0c 71 ff 9c 45 12 30 43 68 61 6c 6c 65 6e 67 65 20 33 32
				37 36 39 34 33 30 2e 20 20 45 6e 74 65 72 20 72 65 73 70 6f 6e 73 65 20 61 74 20 70 72 6f 6d 70 74 2e 18 0a 33 32
				37 36 39 34 33 30`,
			user: "mopsy", password: "challenge", code: AccessChallenge,
			message: "Challenge 32769430.  Enter response at prompt.",
		},
	} {
		t.Run(tc.name, func(t *testing.T) {
			request, response := mustParse(t, unhex(t, tc.request)), mustParse(t, unhex(t, tc.response))
			user, _ := request.Lookup(UserName)
			hidden, _ := request.Lookup(UserPassword)
			password, err := secret.reveal(hidden, request.Authenticator())
			if err != nil || string(user) != tc.user || password.Reveal() != tc.password {
				t.Errorf("user %q, password %q, %v; want %q, %q", user, password.Reveal(), err, tc.user, tc.password)
			}
			again, err := secret.hide(password, request.Authenticator())
			if err != nil || !bytes.Equal(again, hidden) {
				t.Errorf("hidden again: %x, %v; want %x", again, err, hidden)
			}
			if !secret.authentic(response, request.Authenticator()) {
				t.Error("the RFC's response is not authentic")
			}
			message, _ := response.Lookup(ReplyMessage)
			if response.Code() != tc.code || string(message) != tc.message {
				t.Errorf("response is %v with message %q", response.Code(), message)
			}
		})
	}
}

func TestMalformedPacketsAreRefused(t *testing.T) {
	good := unhex(t, "01 00 00 18 00000000000000000000000000000000 01 04 61 62")
	for name, tc := range map[string]struct {
		bytes []byte
		want  error
	}{
		"nothing":                        {nil, errShort},
		"less than a header":             {good[:19], errShort},
		"shorter than it says":           {good[:23], errShort},
		"says less than a header":        {append([]byte{1, 0, 0, 19}, good[4:]...), errShort},
		"attribute of length 0":          {append(good[:21:21], 0, 0, 0), errAttribute},
		"attribute of length 1":          {append(good[:21:21], 1, 0, 0), errAttribute},
		"attribute beyond the end":       {append(good[:21:21], 5, 0, 0), errAttribute},
		"half an attribute":              {append([]byte{1, 0, 0, 21}, good[4:]...), errAttribute},
		"longer than 4096 bytes":         {append([]byte{1, 0, 0x10, 1}, make([]byte, 4093)...), errLong},
		"more than 200 attributes":       {manyAttributes(201), errAttributes},
		"as many attributes as allowed":  {manyAttributes(200), nil},
		"padding behind the packet":      {append(good[:24:24], 0xff, 0), nil},
		"an attribute without any value": {append([]byte{1, 0, 0, 22}, append(good[4:20:20], 18, 2)...), nil},
	} {
		t.Run(name, func(t *testing.T) {
			p, err := Parse(tc.bytes)
			if !errors.Is(err, tc.want) {
				t.Errorf("error is %v, want %v", err, tc.want)
			}
			if err == nil && len(p) != int(tc.bytes[2])<<8+int(tc.bytes[3]) {
				t.Errorf("packet has %d bytes", len(p))
			}
		})
	}
}

func manyAttributes(n int) []byte {
	length := headerLength + 2*n
	b := make([]byte, headerLength, length)
	b[0], b[2], b[3] = 1, byte(length>>8), byte(length)
	for range n {
		b = append(b, byte(ReplyMessage), 2)
	}
	return b
}

func TestMalformedPasswordsAreRefused(t *testing.T) {
	secret := newSharedSecret("testing123")
	var request Authenticator
	embedded, err := secret.hide("1234\x005678", request)
	if err != nil {
		t.Fatal(err)
	}
	for name, hidden := range map[string][]byte{
		"empty":                   {},
		"not whole blocks":        make([]byte, 17),
		"longer than 128":         make([]byte, 144),
		"a NUL in its middle":     embedded,
		"hidden with another key": mustHide(t, "another", "1234123456", request),
	} {
		t.Run(name, func(t *testing.T) {
			if got, err := secret.reveal(hidden, request); err == nil && got.Reveal() == "1234123456" {
				t.Errorf("revealed %q", got.Reveal())
			}
			if _, err := secret.reveal(hidden, request); err == nil && name != "hidden with another key" {
				t.Error("no error")
			}
		})
	}
	if _, err := secret.hide(engine.Secret(strings.Repeat("1", 129)), request); err == nil {
		t.Error("a password of 129 bytes was hidden")
	}
}

func mustHide(t *testing.T, secret, password engine.Secret, request Authenticator) []byte {
	t.Helper()
	b, err := newSharedSecret(secret).hide(password, request)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func TestPasswordsAgreeWithAnotherImplementation(t *testing.T) {
	if fips140.Enforced() {
		t.Skip("the other implementation cannot use MD5 in strict FIPS mode")
	}
	const key = "testing123"
	secret := newSharedSecret(key)
	for n := range maxPassword + 1 {
		var request Authenticator
		_, _ = rand.Read(request[:])
		password := engine.Secret(strings.Repeat("ä1", n/3) + strings.Repeat("z", n%3))
		hidden, err := secret.hide(password, request)
		if err != nil {
			t.Fatal(err)
		}
		theirs, err := layeh.UserPassword(hidden, []byte(key), request[:])
		if err != nil || string(theirs) != password.Reveal() {
			t.Errorf("%d bytes: they read %q, %v", n, theirs, err)
		}
		if n == 0 {
			continue // they do not hide an empty password
		}
		hidden, err = layeh.NewUserPassword([]byte(password.Reveal()), []byte(key), request[:])
		if err != nil {
			t.Fatal(err)
		}
		ours, err := secret.reveal(hidden, request)
		if err != nil || ours != password {
			t.Errorf("%d bytes: we read %q, %v", n, ours.Reveal(), err)
		}
	}
}

func TestPacketsAgreeWithAnotherImplementation(t *testing.T) {
	if fips140.Enforced() {
		t.Skip("the other implementation cannot use MD5 in strict FIPS mode")
	}
	random := mathrand.New(mathrand.NewPCG(1, 2))
	secret := newSharedSecret("testing123")
	for range 500 {
		request := layeh.New(layeh.CodeAccessRequest, []byte("testing123"))
		built := newPacket(AccessAccept, request.Identifier)
		want := map[layeh.Type]int{rfc2869.MessageAuthenticator_Type: 1}
		for range random.IntN(20) {
			typ, value := Type(81+random.IntN(100)), make([]byte, random.IntN(maxValue+1))
			built.add(typ, value)
			want[layeh.Type(typ)]++
		}
		p, err := built.finish()
		if errors.Is(err, errOverflow) {
			continue
		}
		secret.sign(p, request.Authenticator, request.Authenticator)
		raw, err := request.Encode()
		if err != nil {
			t.Fatal(err)
		}
		if !layeh.IsAuthenticResponse(p, raw, []byte("testing123")) {
			t.Fatal("the other implementation refuses our response")
		}
		theirs, err := layeh.Parse(p, []byte("testing123"))
		if err != nil {
			t.Fatal(err)
		}
		got := map[layeh.Type]int{}
		for _, a := range theirs.Attributes {
			got[a.Type]++
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Fatalf("attributes (-ours +theirs):\n%s", diff)
		}
	}
	// The other way round.
	request := layeh.New(layeh.CodeAccessRequest, []byte("testing123"))
	_ = rfc2865.UserName_SetString(request, "alice")
	reply := request.Response(layeh.CodeAccessReject)
	_ = rfc2865.ReplyMessage_SetString(reply, "Access denied")
	raw, err := reply.Encode()
	if err != nil {
		t.Fatal(err)
	}
	if !secret.authentic(mustParse(t, raw), request.Authenticator) {
		t.Error("we refuse the response of the other implementation")
	}
}

func TestBuilderRefusesWhatDoesNotFit(t *testing.T) {
	long := newPacket(AccessAccept, 1)
	long.addString(ReplyMessage, strings.Repeat("a", 254))
	if _, err := long.finish(); !errors.Is(err, errValue) {
		t.Errorf("an attribute of 254 bytes: %v", err)
	}
	big := newPacket(AccessAccept, 1)
	for range 17 {
		big.add(ProxyState, make([]byte, maxValue))
	}
	if _, err := big.finish(); !errors.Is(err, errOverflow) {
		t.Errorf("a packet of more than 4096 bytes: %v", err)
	}
}

func TestSharedSecretIsNeverPrinted(t *testing.T) {
	if got := cmp.Diff("***", sprint(newSharedSecret("testing123"))); got != "" {
		t.Error(got)
	}
}

// FuzzParse compares Parse with another implementation: both must accept the
// same bytes and find the same attributes.
func FuzzParse(f *testing.F) {
	f.Add([]byte("\x01\x00\x00\x18aaaaaaaaaaaaaaaa\x01\x04ab"))
	f.Add([]byte("\x01\x00\x00\x14aaaaaaaaaaaaaaaa\xff\xff"))
	f.Add([]byte("\x01\x00\x00\x16aaaaaaaaaaaaaaaa\x12\x02"))
	f.Add([]byte("\x01\x00\x00\x1aaaaaaaaaaaaaaaaa\x1a\xff\x00\x00\x01\x37"))
	f.Fuzz(func(t *testing.T, b []byte) {
		ours, err := Parse(b)
		theirs, theirErr := layeh.Parse(b, nil)
		if errors.Is(err, errAttributes) {
			return // a limit of our own
		}
		if (err == nil) != (theirErr == nil) {
			t.Fatalf("we say %v, they say %v", err, theirErr)
		}
		if err != nil {
			return
		}
		i := 0
		for typ, value := range ours.Attributes() {
			a := theirs.Attributes[i]
			if layeh.Type(typ) != a.Type || !bytes.Equal(value, a.Attribute) {
				t.Fatalf("attribute %d is %d %x, they say %d %x", i, typ, value, a.Type, a.Attribute)
			}
			i++
		}
		if i != len(theirs.Attributes) {
			t.Fatalf("we have %d attributes, they have %d", i, len(theirs.Attributes))
		}
		at, count := ours.offset(MessageAuthenticator)
		first, found := ours.Lookup(MessageAuthenticator)
		if found != (count > 0) || found && !bytes.Equal(first, ours[at:at+len(first)]) {
			t.Fatal("Lookup and offset differ")
		}
	})
}
