// Package docs_test holds the code to what the documents say.
package docs_test

import (
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
)

const module = "keyfob"

// file is one Go file of the tree.
type file struct {
	path    string // from the root, with slashes
	room    string // its folder
	test    bool
	lines   int
	syntax  *ast.File
	imports []string
	fset    *token.FileSet
}

// tree parses the whole tree. The test cache does not see a new folder by
// itself, so each one is opened here.
func tree(t *testing.T) []file {
	t.Helper()
	var files []file
	err := filepath.WalkDir("..", func(name string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if base := d.Name(); d.IsDir() && name != ".." && (strings.HasPrefix(base, ".") || base == "testdata" || base == "node_modules") {
			return fs.SkipDir
		}
		if d.IsDir() || !strings.HasSuffix(name, ".go") {
			return nil
		}
		source, err := os.ReadFile(name)
		if err != nil {
			return err
		}
		fset := token.NewFileSet()
		syntax, err := parser.ParseFile(fset, name, source, parser.ParseComments)
		if err != nil {
			return err
		}
		rel := strings.TrimPrefix(filepath.ToSlash(name), "../")
		f := file{
			path: rel, room: path.Dir(rel), test: strings.HasSuffix(rel, "_test.go"), fset: fset,
			lines: strings.Count(string(source), "\n"), syntax: syntax,
		}
		for _, i := range syntax.Imports {
			p, err := strconv.Unquote(i.Path.Value)
			if err != nil {
				return err
			}
			f.imports = append(f.imports, p)
		}
		files = append(files, f)
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return files
}

var quoted = regexp.MustCompile("`([^`]+)`")

// table reads the rows of the table whose header starts with the given word.
func table(t *testing.T, header string) [][]string {
	t.Helper()
	text, err := os.ReadFile("ARCHITECTURE.md")
	if err != nil {
		t.Fatal(err)
	}
	_, rest, ok := strings.Cut(string(text), "| "+header+" |")
	if !ok {
		t.Fatalf("ARCHITECTURE.md has no table headed %q", header)
	}
	var rows [][]string
	for i, line := range strings.Split(rest, "\n") {
		if i < 2 {
			continue // the rest of the header, and its rule
		}
		if !strings.HasPrefix(line, "|") {
			break
		}
		rows = append(rows, strings.Split(strings.Trim(line, "|"), "|"))
	}
	return rows
}

func words(cell string) []string {
	var all []string
	for _, m := range quoted.FindAllStringSubmatch(cell, -1) {
		all = append(all, m[1])
	}
	return all
}

func TestArrowsAreThoseOfTheTable(t *testing.T) {
	allowed := map[string][]string{}
	for _, row := range table(t, "room") {
		allowed[words(row[0])[0]] = words(row[2])
		if strings.TrimSpace(row[2]) == "everything" {
			allowed[words(row[0])[0]] = []string{"*"}
		}
	}
	seen := map[string]bool{}
	for _, f := range tree(t) {
		seen[f.room] = true
		if f.test {
			continue // a test may look from outside
		}
		may, ok := allowed[f.room]
		if !ok {
			t.Errorf("%s: the folder %s has no row in docs/ARCHITECTURE.md", f.path, f.room)
			continue
		}
		for _, i := range f.imports {
			ours, ok := strings.CutPrefix(i, module+"/")
			if ok && may != nil && may[0] == "*" {
				continue
			}
			if ok && !slices.Contains(may, ours) {
				t.Errorf("%s imports %s, which docs/ARCHITECTURE.md does not allow to %s", f.path, ours, f.room)
			}
		}
	}
	for room := range allowed {
		if !seen[room] {
			t.Errorf("docs/ARCHITECTURE.md names the room %s, which is not there", room)
		}
	}
}

func TestLibrariesStayInTheirRooms(t *testing.T) {
	for _, row := range table(t, "library") {
		rooms := words(row[1])
		for _, library := range words(row[0]) {
			for _, f := range tree(t) {
				if f.test || slices.Contains(rooms, f.room) {
					continue
				}
				for _, i := range f.imports {
					if i == library || strings.HasPrefix(i, library+"/") {
						t.Errorf("%s imports %s, which belongs in %s only: %s", f.path, i, row[1], strings.TrimSpace(row[2]))
					}
				}
			}
		}
	}
}

// TestReplicatedCodeIsPure holds engine, fsm and events to their promise.
func TestReplicatedCodeIsPure(t *testing.T) {
	rooms := []string{"engine", "engine/tokencode", "engine/throttle", "fsm", "events"}
	forbidden := []string{"net", "net/http", "os", "os/exec", "crypto/rand", "math/rand", "math/rand/v2", "log", "log/slog", "syscall", "runtime", "io/ioutil"}
	clock := []string{"Now", "Since", "Until", "Sleep", "After", "AfterFunc", "Tick", "NewTimer", "NewTicker"}
	for _, f := range tree(t) {
		if f.test || !slices.Contains(rooms, f.room) {
			continue
		}
		for _, i := range f.imports {
			if slices.Contains(forbidden, i) && !(i == "log/slog" && strings.HasSuffix(f.path, "engine/secret.go")) {
				t.Errorf("%s imports %s: %s is a function of its arguments", f.path, i, f.room)
			}
		}
		ast.Inspect(f.syntax, func(n ast.Node) bool {
			if s, ok := n.(*ast.SelectorExpr); ok {
				if x, ok := s.X.(*ast.Ident); ok && x.Name == "time" && slices.Contains(clock, s.Sel.Name) {
					t.Errorf("%s: time.%s in a package that has no clock", f.fset.Position(s.Pos()), s.Sel.Name)
				}
			}
			return true
		})
	}
}

func TestPackagesSayWhatTheyOwn(t *testing.T) {
	said := map[string]bool{}
	rooms := map[string]bool{}
	for _, f := range tree(t) {
		if f.test {
			continue
		}
		rooms[f.room] = true
		if f.syntax.Doc != nil {
			said[f.room] = true
		}
	}
	for room := range rooms {
		if !said[room] {
			t.Errorf("the package in %s has no comment that says what it owns", room)
		}
	}
}

// TestFilesAndFunctionsKeepTheirSize guards the tail: no file above 500 lines
// and no function above 80. Generated code is nobody's reading.
func TestFilesAndFunctionsKeepTheirSize(t *testing.T) {
	for _, f := range tree(t) {
		if f.test || ast.IsGenerated(f.syntax) {
			continue
		}
		if f.lines > 500 {
			t.Errorf("%s has %d lines", f.path, f.lines)
		}
		for _, d := range f.syntax.Decls {
			fn, ok := d.(*ast.FuncDecl)
			if !ok || fn.Body == nil {
				continue
			}
			if n := f.fset.Position(fn.End()).Line - f.fset.Position(fn.Pos()).Line; n > 80 {
				t.Errorf("%s: %s has %d lines", f.path, fn.Name.Name, n)
			}
		}
	}
}

func TestNobodySleepsInTests(t *testing.T) {
	for _, f := range tree(t) {
		if !f.test || slices.Contains(f.imports, "testing/synctest") { // where sleeping moves the clock
			continue
		}
		ast.Inspect(f.syntax, func(n ast.Node) bool {
			if s, ok := n.(*ast.SelectorExpr); ok && s.Sel.Name == "Sleep" {
				if x, ok := s.X.(*ast.Ident); ok && x.Name == "time" {
					t.Errorf("%s: time.Sleep in a test: wait for a condition, or move the clock", f.fset.Position(s.Pos()))
				}
			}
			return true
		})
	}
}
