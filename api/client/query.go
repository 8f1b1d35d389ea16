package client

import (
	"fmt"
	"net/url"
	"reflect"
	"time"
)

// values returns the fields of a query type that are set.
func values(query any) url.Values {
	all := url.Values{}
	collect(reflect.ValueOf(query), all)
	return all
}

// encode returns the query string with its question mark, or an empty string.
func encode(query any) string {
	all := values(query)
	if len(all) == 0 {
		return ""
	}
	return "?" + all.Encode()
}

func collect(v reflect.Value, into url.Values) {
	for i := range v.NumField() {
		field := v.Type().Field(i)
		if field.Anonymous {
			collect(v.Field(i), into)
			continue
		}
		name := field.Tag.Get("query")
		if name == "" || v.Field(i).IsZero() {
			continue
		}
		switch value := v.Field(i).Interface().(type) {
		case time.Time:
			into.Set(name, value.Format(time.RFC3339Nano))
		default:
			into.Set(name, fmt.Sprint(value))
		}
	}
}
