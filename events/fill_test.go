package events

import (
	"fmt"
	"reflect"
)

// filled is an event of the class with every field set, each to another value.
func filled(c class) Event {
	n := 0
	v := reflect.New(c.typ).Elem()
	fill(v, c.typ.Name(), &n)
	return v.Interface().(Event)
}

// empty is an event of the class with no field set.
func empty(c class) Event { return reflect.Zero(c.typ).Interface().(Event) }

func fill(v reflect.Value, name string, n *int) {
	*n++
	switch v.Kind() {
	case reflect.Struct:
		for i := range v.NumField() {
			fill(v.Field(i), v.Type().Field(i).Name, n)
		}
	case reflect.Pointer:
		v.Set(reflect.New(v.Type().Elem()))
		fill(v.Elem(), name, n)
	case reflect.String:
		v.SetString(fmt.Sprintf("%s %d", name, *n))
	case reflect.Bool:
		v.SetBool(true)
	case reflect.Int64:
		if v.Type() == reflect.TypeFor[Time]() {
			v.SetInt(1_795_000_000_123 + int64(*n))
			return
		}
		v.SetInt(-int64(*n))
	case reflect.Uint8, reflect.Uint16, reflect.Uint32, reflect.Uint64:
		v.SetUint(uint64(*n))
	case reflect.Slice:
		if k := v.Type().Elem().Kind(); k == reflect.String || k == reflect.Struct {
			v.Set(reflect.MakeSlice(v.Type(), 2, 2))
			fill(v.Index(0), name, n)
			fill(v.Index(1), name, n)
			return
		}
		v.SetBytes([]byte(fmt.Sprintf("%s %d", name, *n)))
	case reflect.Array:
		for i := range v.Len() {
			v.Index(i).SetUint(uint64(*n + i))
		}
	default:
		panic(fmt.Sprintf("a field of kind %s: teach fill about it", v.Kind()))
	}
}

func fullOrigin() Origin {
	n := 0
	var o Origin
	fill(reflect.ValueOf(&o).Elem(), "Origin", &n)
	return o
}
