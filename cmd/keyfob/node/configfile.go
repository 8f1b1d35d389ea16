package node

import (
	"errors"
	"fmt"
	"reflect"
	"slices"
	"strconv"
	"strings"

	"github.com/goccy/go-yaml"
	"github.com/goccy/go-yaml/ast"
	"github.com/goccy/go-yaml/parser"
	"github.com/goccy/go-yaml/token"
)

// decodeConfig reads YAML over c and notes the line of each key. The library
// would stop at the first unknown key; this reports every problem with its line,
// and the keys and groups whose values could not be read.
func decodeConfig(file string, data []byte, c *Config) (problems []error, failed []string) {
	parsed, err := parser.ParseBytes(data, 0)
	if err != nil {
		var syntax yaml.Error
		if errors.As(err, &syntax) && syntax.GetToken() != nil {
			return []error{fmt.Errorf("%s:%d: %s", file, syntax.GetToken().Position.Line, syntax.GetMessage())}, nil
		}
		return []error{fmt.Errorf("%s: %w", file, err)}, nil
	}
	c.lines = map[string]int{}
	d := &configDecoder{file: file, lines: strings.Split(string(data), "\n"), keys: map[string]key{}, at: c.lines}
	for _, k := range keysOf(c) {
		d.keys[k.path] = k
	}
	for _, doc := range parsed.Docs {
		if doc.Body != nil {
			d.mapping(doc.Body, "")
		}
	}
	return d.errs, d.failed
}

type configDecoder struct {
	file  string
	lines []string
	keys  map[string]key
	at    map[string]int // lines of the keys

	errs   []error
	failed []string // keys and groups without a value
}

// wrong adds a problem with its line.
func (d *configDecoder) wrong(at *token.Token, format string, args ...any) {
	n := at.Position.Line
	line := ""
	if n >= 1 && n <= len(d.lines) {
		line = strings.TrimSpace(d.lines[n-1])
	}
	d.errs = append(d.errs, fmt.Errorf("%s:%d: %q: %s", d.file, n, line, fmt.Sprintf(format, args...)))
}

// mapping reads the keys below prefix.
func (d *configDecoder) mapping(node ast.Node, prefix string) {
	var pairs []*ast.MappingValueNode
	switch node := node.(type) {
	case *ast.MappingNode:
		pairs = node.Values
	case *ast.MappingValueNode:
		pairs = []*ast.MappingValueNode{node}
	case *ast.NullNode, *ast.CommentGroupNode:
		return
	default:
		group := strings.TrimSuffix(prefix, ".")
		d.failed = append(d.failed, group)
		d.wrong(node.GetToken(), "%s is a group of keys", group)
		return
	}
	for _, pair := range pairs {
		path := prefix + pair.Key.GetToken().Value
		k, known := d.keys[path]
		switch {
		case known:
			d.at[path] = pair.Key.GetToken().Position.Line
			d.value(k, pair.Value)
		case d.isGroup(path):
			d.mapping(pair.Value, path+".")
		default:
			d.wrong(pair.Key.GetToken(), "unknown key %s%s", path, d.meant(path))
		}
	}
}

func (d *configDecoder) isGroup(path string) bool {
	for known := range d.keys {
		if strings.HasPrefix(known, path+".") {
			return true
		}
	}
	return false
}

// meant lists the keys that an unknown one may stand for: those in the same group,
// or with the same last word.
func (d *configDecoder) meant(path string) string {
	group, last := path[:strings.LastIndex(path, ".")+1], path[strings.LastIndex(path, ".")+1:]
	var near []string
	for known := range d.keys {
		if group != "" && strings.HasPrefix(known, group) || strings.HasSuffix(known, "."+last) || known == last {
			near = append(near, known)
		}
	}
	if len(near) == 0 {
		return "; see keyfob config schema"
	}
	slices.Sort(near)
	return "; known keys: " + strings.Join(near, ", ")
}

func (d *configDecoder) value(k key, node ast.Node) {
	switch k.value.Kind() {
	case reflect.Slice:
		var list []string
		if err := yaml.NodeToValue(node, &list); err != nil {
			d.failed = append(d.failed, k.path)
			d.wrong(node.GetToken(), "%s is a list of strings", k.path)
			return
		}
		k.value.Set(reflect.ValueOf(list))
	default:
		text, ok := scalar(node)
		if !ok {
			d.failed = append(d.failed, k.path)
			d.wrong(node.GetToken(), "%s is a single value", k.path)
			return
		}
		k.value.SetString(text)
	}
}

// scalar returns the text of a single value as it is in the file. A port may be
// written as a number, and off is a word, not a Boolean.
func scalar(node ast.Node) (string, bool) {
	switch node := node.(type) {
	case *ast.StringNode:
		return node.Value, true
	case *ast.LiteralNode:
		return node.Value.Value, true
	case *ast.NullNode:
		return "", true
	case *ast.IntegerNode, *ast.FloatNode, *ast.BoolNode:
		return node.GetToken().Value, true
	}
	return "", false
}

// overlay applies the environment. A variable in one of the groups that is not a
// key is an error. Other variables are ignored: for a service named keyfob,
// Kubernetes sets KEYFOB_SERVICE_HOST and others.
func (e *program) overlay(c *Config) []error {
	var errs []error
	known, groups := map[string]key{}, map[string]bool{}
	for _, k := range keysOf(c) {
		known[k.variable()] = k
		if group, _, ok := strings.Cut(k.path, "."); ok {
			groups[strings.ToUpper(group)] = true
		}
	}
	for _, pair := range e.Environ() {
		name, value, _ := strings.Cut(pair, "=")
		ours, isOurs := strings.CutPrefix(name, "KEYFOB_")
		if !isOurs {
			continue
		}
		k, ok := known[name]
		group, _, grouped := strings.Cut(ours, "_")
		switch {
		case !ok && grouped && groups[group]:
			errs = append(errs, fmt.Errorf("environment: unknown key for %s; see keyfob config schema", name))
		case !ok:
		case k.value.Kind() == reflect.Slice:
			k.value.Set(reflect.ValueOf(strings.FieldsFunc(value, func(r rune) bool { return r == ',' || r == ' ' })))
		default:
			k.value.SetString(value)
		}
		if ok {
			delete(c.lines, k.path) // the file does not set it
		}
	}
	return errs
}

// WriteConfig returns a configuration as YAML, with every key.
func WriteConfig(c *Config) string {
	var b strings.Builder
	var open []string
	for _, k := range keysOf(c) {
		parts := strings.Split(k.path, ".")
		groups, name := parts[:len(parts)-1], parts[len(parts)-1]
		for i, group := range groups {
			if i >= len(open) || open[i] != group {
				fmt.Fprintf(&b, "%s%s:\n", strings.Repeat("  ", i), group)
				open = append(open[:min(i, len(open))], group)
			}
		}
		open = open[:len(groups)]
		fmt.Fprintf(&b, "%s%s: %s\n", strings.Repeat("  ", len(groups)), name, k.text())
	}
	return b.String()
}

func (k key) text() string {
	if k.value.Kind() != reflect.Slice {
		return strconv.Quote(k.shown(k.value.String()))
	}
	var items []string
	for i := range k.value.Len() {
		items = append(items, strconv.Quote(k.value.Index(i).String()))
	}
	return "[" + strings.Join(items, ", ") + "]"
}

// shown returns a value as it may be printed: a URL without its password.
func (k key) shown(value string) string {
	scheme, rest, isURL := strings.Cut(value, "://")
	if user := strings.LastIndex(rest, "@"); isURL && user >= 0 {
		return scheme + "://***" + rest[user:]
	}
	return value
}
