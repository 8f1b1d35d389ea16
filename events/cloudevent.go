package events

import (
	"encoding/hex"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"
)

// maxText is the longest text that the stream shows, in bytes.
const maxText = 1024

// CloudEvent returns a record as the audit stream shows it: a CloudEvents 1.0
// object in JSON with sorted keys, no white space, and without sealed parts.
// The encoder is written by hand because every node encodes every event, and
// because the chain hashes these bytes.
func CloudEvent(cluster string, r Record) []byte {
	s := scratches.Get().(*scratch)
	defer scratches.Put(s)
	if f, ok := r.Event.(ClusterFounded); ok {
		cluster = f.Cluster
	}
	var at int
	s.json, at = s.canonical(s.json[:0], cluster, &r)
	out := make([]byte, 0, len(s.json)+len(`,"hash":""`)+2*len(r.Hash))
	out = append(out, s.json[:at]...)
	out = append(out, `,"hash":"`...)
	out = hex.AppendEncode(out, r.Hash[:])
	out = append(out, '"')
	return append(out, s.json[at:]...)
}

// Subject returns the subject of a record. It contains no user data: the parts
// are the site, from the configuration, and words of the registry.
func Subject(r Record) string {
	c := classOf(r.Event)
	return "keyfob.audit." + subjectToken(r.Origin.Site) + "." + c.domain + "." + c.name
}

// subjectToken turns the name of a site into a token of a NATS subject: lower
// case letters, digits, - and _; anything else becomes -.
func subjectToken(site string) string {
	if site == "" {
		return "default"
	}
	site = site[:min(len(site), 64)]
	return strings.Map(func(r rune) rune {
		switch {
		case r >= 'a' && r <= 'z', r >= '0' && r <= '9', r == '_':
			return r
		case r >= 'A' && r <= 'Z':
			return r + 'a' - 'A'
		default:
			return '-'
		}
	}, site)
}

// canonical appends the canonical bytes of r and returns where the hash
// belongs.
func (s *scratch) canonical(b []byte, cluster string, r *Record) ([]byte, int) {
	s.data = Data{Detail: s.data.Detail[:0]}
	r.Event.describe(&s.data)
	d, o, class, digest := &s.data, &r.Origin, classOf(r.Event), s.digest(r.Draft)

	start := len(b)
	b = append(b, `{"data":{`...)
	b = appendString(b, "actor", o.Actor)
	b = appendHex(b, "body", digest[:])
	b = appendString(b, "client", o.Client)
	b = appendString(b, "code", class.code)
	b = appendDetails(b, d.Detail)
	b = appendString(b, "door", string(o.Door))
	at := len(b) - start
	b = appendUint(b, "index", r.Index)
	b = appendString(b, "node", o.Node)
	b = appendString(b, "note", o.Note)
	b = appendString(b, "outcome", d.Outcome)
	b = appendHex(b, "prev", r.Prev[:])
	b = appendString(b, "reason", string(d.Reason))
	b = appendString(b, "reference", o.Reference)
	b = appendUint(b, "sequence", r.Sequence)
	b = appendString(b, "session", o.Session)
	b = appendString(b, "site", o.Site)
	b = appendString(b, "source_ip", o.SourceIP)
	b = appendToken(b, d)
	b = appendString(b, "user", d.User)
	b = appendString(b, "user_digest", d.UserDigest)
	b = append(b, `},"id":"`...)
	b = strconv.AppendUint(b, r.Sequence, 10)
	b = append(b, `","source":"/keyfob/`...)
	b = appendText(b, cluster)
	b = append(b, `","specversion":"1.0","time":"`...)
	b = r.Time.Std().AppendFormat(b, timeFormat)
	b = append(b, `","type":"`...)
	b = append(b, class.wireType...)
	return append(b, `"}`...), at
}

func appendToken(b []byte, d *Data) []byte {
	if d.Serial == "" {
		return b
	}
	b = append(appendKey(b, "token"), '{')
	if d.Drift != nil {
		b = appendInt(b, "drift", *d.Drift)
	}
	b = appendString(b, "kind", d.Kind)
	b = appendString(b, "serial", d.Serial)
	return append(b, '}')
}

func appendDetails(b []byte, fields []Field) []byte {
	if len(fields) == 0 {
		return b
	}
	b = append(appendKey(b, "details"), '{')
	for _, f := range fields {
		switch v := f.Value.(type) {
		case string:
			b = appendString(b, f.Name, v)
		case int64:
			b = appendInt(b, f.Name, v)
		case bool:
			b = strconv.AppendBool(appendKey(b, f.Name), v)
		}
	}
	return append(b, '}')
}

// appendKey appends the name of a member, which needs no escape.
func appendKey(b []byte, key string) []byte {
	if b[len(b)-1] != '{' {
		b = append(b, ',')
	}
	b = append(b, '"')
	b = append(b, key...)
	return append(b, '"', ':')
}

func appendInt(b []byte, key string, v int64) []byte {
	return strconv.AppendInt(appendKey(b, key), v, 10)
}

func appendUint(b []byte, key string, v uint64) []byte {
	return strconv.AppendUint(appendKey(b, key), v, 10)
}

func appendHex(b []byte, key string, v []byte) []byte {
	b = append(appendKey(b, key), '"')
	b = hex.AppendEncode(b, v)
	return append(b, '"')
}

// appendString appends a member unless it is empty.
func appendString(b []byte, key, v string) []byte {
	if v == "" {
		return b
	}
	b = append(appendKey(b, key), '"')
	b = appendText(b, v)
	return append(b, '"')
}

// appendText appends the content of a JSON string that is safe to show on a
// terminal or a page: invalid UTF-8, control characters, line ends and changes
// of the writing direction become U+FFFD, and long text is cut. The only
// remaining escapes are those of " and \.
func appendText(b []byte, v string) []byte {
	cut := len(v) > maxText
	if cut {
		v = v[:maxText]
		for i := 1; i < utf8.UTFMax && !utf8.RuneStart(v[len(v)-1]); i++ {
			v = v[:len(v)-1]
		}
		v = v[:len(v)-1]
	}
	for i := 0; i < len(v); {
		c := v[i]
		if c < utf8.RuneSelf {
			i++
			switch {
			case c == '"' || c == '\\':
				b = append(b, '\\', c)
			case c < ' ' || c == 0x7f:
				b = utf8.AppendRune(b, utf8.RuneError)
			default:
				b = append(b, c)
			}
			continue
		}
		r, size := utf8.DecodeRuneInString(v[i:])
		i += size
		if unicode.In(r, unicode.Cc, unicode.Bidi_Control, unicode.Zl, unicode.Zp) {
			r = utf8.RuneError
		}
		b = utf8.AppendRune(b, r)
	}
	if cut {
		b = append(b, "…"...)
	}
	return b
}
