package cluster

import (
	"bytes"
	"crypto/ed25519"
	"errors"
	"go/ast"
	"go/parser"
	"go/token"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"keyfob/engine"
	"keyfob/events"
)

func ed(key []byte) ed25519.PublicKey { return key }

// commandNames are the types that package engine declares a method decide of.
func commandNames(t *testing.T) (names []string) {
	t.Helper()
	files, err := filepath.Glob("../engine/*.go")
	if err != nil {
		t.Fatal(err)
	}
	for _, file := range files {
		tree, err := parser.ParseFile(token.NewFileSet(), file, nil, parser.SkipObjectResolution)
		if err != nil {
			t.Fatal(err)
		}
		for _, d := range tree.Decls {
			f, ok := d.(*ast.FuncDecl)
			if !ok || f.Name.Name != "decide" || f.Recv == nil {
				continue
			}
			if receiver, ok := f.Recv.List[0].Type.(*ast.Ident); ok {
				names = append(names, receiver.Name)
			}
		}
	}
	slices.Sort(names)
	return names
}

func TestEveryCommandCanBeSent(t *testing.T) {
	var known []string
	numbers := map[uint8]bool{}
	for _, f := range forms {
		known = append(known, f.typ.Name())
		if numbers[f.number] {
			t.Errorf("number %d is given twice", f.number)
		}
		numbers[f.number] = true
	}
	slices.Sort(known)
	want := append(commandNames(t), "Authenticate")
	slices.Sort(want)
	if diff := cmp.Diff(want, known); diff != "" {
		t.Fatalf("commands of engine and their forms here (-engine +wire):\n%s", diff)
	}
}

// filled is a request with a value in every field that can be set.
func filled(f form) request {
	if f.typ == reflect.TypeFor[engine.Note]() {
		return commandRequest{engine.Note{Event: events.ClockSkewed{Node: "n1", Offset: -7}}}
	}
	v := reflect.New(f.typ).Elem()
	fillIn(v, 1)
	if a, ok := v.Interface().(engine.Authenticate); ok {
		return loginRequest(a)
	}
	return commandRequest{v.Interface().(engine.Command)}
}

func fillIn(v reflect.Value, seed int) {
	switch v.Kind() {
	case reflect.Struct:
		for i := range v.NumField() {
			if v.Field(i).CanSet() {
				fillIn(v.Field(i), seed+i)
			}
		}
	case reflect.String:
		v.SetString(string(rune('a' + seed%26)))
	case reflect.Bool:
		v.SetBool(true)
	case reflect.Int, reflect.Int8, reflect.Int16, reflect.Int32, reflect.Int64:
		v.SetInt(int64(seed))
	case reflect.Uint, reflect.Uint8, reflect.Uint16, reflect.Uint32, reflect.Uint64:
		v.SetUint(uint64(seed))
	case reflect.Slice:
		v.Set(reflect.MakeSlice(v.Type(), 1, 1))
		fillIn(v.Index(0), seed)
	case reflect.Array:
		for i := range v.Len() {
			fillIn(v.Index(i), seed)
		}
	case reflect.Pointer:
		v.Set(reflect.New(v.Type().Elem()))
		fillIn(v.Elem(), seed)
	case reflect.Map:
		v.Set(reflect.MakeMap(v.Type()))
		key, value := reflect.New(v.Type().Key()).Elem(), reflect.New(v.Type().Elem()).Elem()
		fillIn(key, seed)
		fillIn(value, seed)
		v.SetMapIndex(key, value)
	}
}

func TestCommandsArriveAsTheyWereSent(t *testing.T) {
	sent := events.Origin{Request: events.Request{1}, Door: events.DoorRADIUS, Client: "vpn\xff", SourceIP: "192.0.2.1"}
	for _, f := range forms {
		c := filled(f)
		raw, err := encodeCommand(sent, c)
		if err != nil {
			t.Fatal(err)
		}
		o, got, err := decodeCommand(raw)
		if err != nil {
			t.Fatalf("%v: %v", f.typ, err)
		}
		if diff := cmp.Diff(sent, o); diff != "" {
			t.Fatal(diff)
		}
		if !reflect.DeepEqual(c, got) {
			t.Fatalf("sent %+v, got %+v", c, got)
		}
	}
}

func TestRepliesArriveAsTheyWereSent(t *testing.T) {
	var all []reply
	for f := decided; f <= malformed; f++ {
		r := reply{Fate: f, Sequence: 7, Code: "conflict", Text: "why"}
		fillIn(reflect.ValueOf(&r.Decision.Answer).Elem(), int(f))
		r.Decision.Answer.Verdict = engine.Challenge
		all = append(all, r)
	}
	raw, err := encodeReplies(all)
	if err != nil {
		t.Fatal(err)
	}
	got, err := decodeReplies(raw, len(all))
	if err != nil {
		t.Fatal(err)
	}
	if !reflect.DeepEqual(all, got) {
		t.Fatalf("sent %+v, got %+v", all, got)
	}
	if _, err := decodeReplies(raw, len(all)+1); err == nil {
		t.Fatal("fewer replies than commands were taken")
	}
}

// A reply that another node leaves empty or invents does not let anybody in.
func TestZeroReplyDoesNotAccept(t *testing.T) {
	if (reply{}).Decision.Answer.Verdict != engine.Reject {
		t.Fatal("the zero value lets in")
	}
	for f := refused; f <= malformed; f++ {
		if (reply{Fate: f}).err() == nil {
			t.Fatalf("fate %d is no error", f)
		}
	}
}

func TestNodesMayReportOnlyTheirOwnObservations(t *testing.T) {
	for _, tt := range []struct {
		event events.Event
		want  bool
	}{
		{events.PasscodeRejected{Digest: "1", Reason: events.ReasonUserUnknown, Others: []string{"7K3M-QX4P"}}, true},
		{events.NodeKeysCurrent{Node: "n2", Version: 2}, true},
		{events.NodeKeysCurrent{Node: "n1", Version: 2}, false},
		{events.RootKeyRotated{Version: 2}, false},
		{events.RootKeyDropped{Oldest: 2}, false},
		{events.ClockSkewed{Node: "n2"}, true},
		{events.ClockSkewed{Node: "n1"}, false},
		{events.CommandDenied{Operation: "add-user"}, true},
		{events.APITokenRefused{}, true},
		{events.PublishingFailed{Node: "n2"}, true},
		{events.PublishingFailed{Node: "n1"}, false},
		{events.PublishingResumed{Node: "n2"}, true},
		{events.PublishingResumed{Node: "n1"}, false},
		{events.StreamDiffered{Node: "n2"}, true},
		{events.StreamDiffered{Node: "n1"}, false},
		{events.TokencodeNotSent{Serial: "O-1", User: "ada", Result: "failed"}, true},
		{events.PasscodeRejected{User: "ada"}, false},
		{events.PasscodeAccepted{User: "ada"}, false},
		{events.NodeRemoved{Node: "n1"}, false},
		{events.APITokenRevoked{Name: "first"}, false},
	} {
		if got := reportable("n2", commandRequest{engine.Note{Event: tt.event}}); got != tt.want {
			t.Errorf("%T of n2 reportable: %v", tt.event, got)
		}
	}
}

func FuzzDecodeRequest(f *testing.F) {
	for _, form := range forms {
		raw, err := encodeCommand(events.Origin{Request: events.Request{1}}, filled(form))
		if err != nil {
			f.Fatal(err)
		}
		request, err := encodeRequest([][]byte{raw})
		if err != nil {
			f.Fatal(err)
		}
		f.Add(request)
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		list, err := decodeRequest(b)
		if err != nil {
			return
		}
		for _, raw := range list {
			o, c, err := decodeCommand(raw)
			if err != nil {
				continue
			}
			again, err := encodeCommand(o, c)
			if err != nil {
				t.Fatalf("%T was read and cannot be written: %v", c, err)
			}
			o2, c2, err := decodeCommand(again)
			if err != nil || o2 != o || !reflect.DeepEqual(c2, c) {
				t.Fatalf("%+v became %+v, %v", c, c2, err)
			}
		}
	})
}

func FuzzDecodeReplies(f *testing.F) {
	raw, err := encodeReplies([]reply{{Fate: refused, Code: "x"}})
	if err != nil {
		f.Fatal(err)
	}
	f.Add(raw)
	f.Fuzz(func(t *testing.T, b []byte) {
		if replies, err := decodeReplies(b, 1); err == nil {
			if again, err := encodeReplies(replies); err != nil || len(again) > len(b)+64 {
				t.Fatalf("%d bytes became %d, %v", len(b), len(again), err)
			}
		}
		_, _ = decodeRecords(b)
		var p heartbeat
		_ = wireDecoding.Unmarshal(b, &p)
		var j joinRequest
		_ = wireDecoding.Unmarshal(b, &j)
	})
}

func FuzzParseInvitation(f *testing.F) {
	good, err := invitation{Cluster: "c", Addresses: []string{"n1:7400"}, Pin: "p", Secret: bytes.Repeat([]byte{7}, inviteSecretSize)}.text()
	if err != nil {
		f.Fatal(err)
	}
	f.Add(good)
	f.Add(invitationPrefix)
	f.Fuzz(func(t *testing.T, text string) {
		i, err := parseInvitation(text)
		if err != nil {
			return
		}
		again, err := i.text()
		if err != nil || !strings.HasPrefix(again, invitationPrefix) {
			t.Fatal(err)
		}
	})
}

// TestRefusalKeepsItsHelpBetweenNodes also with a node that knows none.
func TestRefusalKeepsItsHelpBetweenNodes(t *testing.T) {
	for _, want := range []engine.Refusal{
		{Code: engine.NotFound, Text: "user not found", Help: engine.HelpListUsers},
		{Code: engine.Invalid, Text: "why/what"},
	} {
		raw, err := encodeReplies([]reply{replyTo(engine.Decision{}, &want)})
		if err != nil {
			t.Fatal(err)
		}
		replies, err := decodeReplies(raw, 1)
		if err != nil {
			t.Fatal(err)
		}
		var got *engine.Refusal
		if err := replies[0].err(); !errors.As(err, &got) || *got != want {
			t.Errorf("%v, want %v", err, want)
		}
	}
}
