package tokenfile

import "strings"

// find returns the first element at the path below e, or nil. A nil element has
// no children, so lookups can be chained without checks.
func (e *element) find(space string, path ...string) *element {
	for _, name := range path {
		kids := e.all(space, name)
		if len(kids) == 0 {
			return nil
		}
		e = kids[0]
	}
	return e
}

func (e *element) all(space, name string) (found []*element) {
	if e == nil {
		return nil
	}
	for _, kid := range e.kids {
		if kid.name.Local == name && (space == anySpace || kid.name.Space == space) {
			found = append(found, kid)
		}
	}
	return found
}

// textAt returns the trimmed text at the path, empty if there is none.
func (e *element) textAt(space string, path ...string) string {
	if found := e.find(space, path...); found != nil {
		return strings.TrimSpace(found.text)
	}
	return ""
}

// attr returns an attribute without a namespace, trimmed.
func (e *element) attr(name string) string {
	if e == nil {
		return ""
	}
	for _, a := range e.attrs {
		if a.Name.Local == name && a.Name.Space == "" {
			return strings.TrimSpace(a.Value)
		}
	}
	return ""
}
