package engine

import (
	"fmt"
	"reflect"
	"testing"

	"keyfob/events"
)

// public are the byte strings of the state that are not sealed under the root key,
// by the path of the field.
var public = map[string]string{
	"Cluster.Certificate":                   "a certificate",
	"Cluster.Keys.CheckpointKey":            "a public key",
	"Cluster.OnlyRecoveryKey":               "a public key",
	"Cluster.RecoveryKeys[].Key":            "a public key",
	"Approval.Body":                         "a rotation drops it",
	"Token.Lost.Used":                       "numbers",
	"NodeRecord.SealKey":                    "a public key",
	"Invitation.SealKey":                    "a public key",
	"Cluster.Keys.Live[].Boxes[].Sealed":    "sealed for the key of a node",
	"Cluster.Keys.Live[].Recovery[].Sealed": "sealed for a recovery key",
}

// fillRecord sets every field, and calls bytes for each byte string.
func fillRecord(v reflect.Value, path string, n *int, bytes func(path, value string)) {
	*n++
	switch v.Kind() {
	case reflect.Struct:
		for i := range v.NumField() {
			if v.Field(i).CanSet() {
				fillRecord(v.Field(i), path+"."+v.Type().Field(i).Name, n, bytes)
			}
		}
	case reflect.Pointer:
		v.Set(reflect.New(v.Type().Elem()))
		fillRecord(v.Elem(), path, n, bytes)
	case reflect.String:
		v.SetString(fmt.Sprintf("text %d", *n))
	case reflect.Uint8, reflect.Uint16, reflect.Uint32, reflect.Uint64:
		v.SetUint(uint64(*n % 200))
	case reflect.Int, reflect.Int64:
		v.SetInt(int64(*n))
	case reflect.Slice:
		if v.Type().Elem().Kind() == reflect.Uint8 {
			value := fmt.Sprintf("\x01\x01value %d", *n)
			v.SetBytes([]byte(value))
			bytes(path, value)
			return
		}
		v.Set(reflect.MakeSlice(v.Type(), 2, 2))
		for i := range 2 {
			fillRecord(v.Index(i), path+"[]", n, bytes)
		}
	default: // maps, arrays and flags contain nothing sealed
	}
}

// filledState has a record in every table, with every field set. paths are those of
// its byte strings.
func filledState(t *testing.T) (s *State, paths map[string]string) {
	t.Helper()
	s, paths = &State{}, make(map[string]string)
	n := 0
	for table := range Table(100) {
		_ = s.PutRecord(table, func(record any) error {
			v := reflect.ValueOf(record).Elem()
			name := v.Type().Name() + "."
			if table == TableHead {
				name = ""
			}
			for i := range v.NumField() {
				f := v.Type().Field(i).Name
				if f != "Policy" {
					fillRecord(v.Field(i), name+f, &n, func(path, value string) { paths[value] = path })
				}
			}
			return nil
		})
	}
	return s, paths
}

func TestEverySealedValueIsFound(t *testing.T) {
	s, paths := filledState(t)
	if len(paths) < 10 {
		t.Fatalf("the state has only %d byte strings", len(paths))
	}
	found := make(map[string]bool)
	for v := range s.Sealed {
		found[string(v.Value)] = true
	}
	for value, path := range paths {
		if _, open := public[path]; open == found[value] {
			t.Errorf("%s: found by State.Sealed is %v, listed as public is %v: a rotation must know every value that is sealed under the root key",
				path, found[value], open)
		}
	}
}

func TestEverySealedValueIsReplaced(t *testing.T) {
	s, _ := filledState(t)
	before := s.Copy()
	want := make(map[string]bool)
	for v := range before.Sealed {
		next := append([]byte{1, 2}, v.Value[2:]...)
		want[string(next)] = true
		s.Apply(1, events.Draft{Event: events.RecordsResealed{Version: 2, Values: []events.Resealed{
			{Place: v.Place, Before: DigestOf([]byte("another")), Sealed: []byte("\x01\x09wrong")},
			{Place: v.Place, Before: DigestOf(v.Value), Sealed: next},
		}}})
	}
	for v := range s.Sealed {
		if !want[string(v.Value)] {
			t.Errorf("%+v is %q after it was sealed again", v.Place, v.Value)
		}
		delete(want, string(v.Value))
	}
	if len(want) != 0 {
		t.Errorf("%d values were not replaced", len(want))
	}
	for v := range before.Sealed {
		if KeyVersion(v.Value) != 1 {
			t.Errorf("%+v changed in a copy of the state", v.Place)
		}
	}
}

func TestEveryEventThatBringsASealedValueIsExamined(t *testing.T) {
	for _, e := range events.Kinds() {
		typ := reflect.TypeOf(e)
		f, ok := typ.FieldByName("Sealed")
		if !ok || f.Type.Kind() != reflect.Slice || f.Type.Elem().Kind() != reflect.Uint8 {
			continue
		}
		v := reflect.New(typ).Elem()
		v.FieldByName("Sealed").SetBytes([]byte{1, 1})
		s := &State{Cluster: Cluster{Keys: RootKeys{Version: 2}}}
		if !s.outdated(v.Interface().(events.Event)) {
			t.Errorf("%v brings a value into the state whose key version nobody examines", typ)
		}
	}
}
