// Package docs_test checks the code against the documents.
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
	"sync"
	"testing"
)

const module = "keyfob"

// file is one Go file of the tree.
type file struct {
	path    string // from the root, with slashes
	pkg     string // its folder
	test    bool
	lines   int
	syntax  *ast.File
	imports []string
	fset    *token.FileSet
}

// tree returns all Go files of the module.
func tree(t *testing.T) []file {
	t.Helper()
	files, err := parsedTree()
	if err != nil {
		t.Fatal(err)
	}
	return files
}

// parsedTree parses all Go files of the module, once. It walks the tree itself,
// because the test cache does not notice a new folder otherwise.
var parsedTree = sync.OnceValues(func() ([]file, error) {
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
			path: rel, pkg: path.Dir(rel), test: strings.HasSuffix(rel, "_test.go"), fset: fset,
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
	return files, err
})

var quoted = regexp.MustCompile("`([^`]+)`")

// table returns the rows of the table in ARCHITECTURE.md whose header starts with
// the given word.
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
			continue // the rest of the header, and the line below it
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

// TestImportsAreThoseOfTheTable compares the imports of each package with its
// row, in both directions: nothing beyond the row, and no row that allows more
// than is used.
func TestImportsAreThoseOfTheTable(t *testing.T) {
	allowed := map[string][]string{}
	for _, row := range table(t, "package") {
		allowed[words(row[0])[0]] = words(row[2])
	}
	used := map[string]map[string]bool{}
	for _, f := range tree(t) {
		if used[f.pkg] == nil {
			used[f.pkg] = map[string]bool{}
		}
		if f.test {
			continue // tests may import any package
		}
		may, ok := allowed[f.pkg]
		if !ok {
			t.Errorf("%s: docs/ARCHITECTURE.md has no row for the package %s", f.path, f.pkg)
			continue
		}
		for _, i := range f.imports {
			ours, ok := strings.CutPrefix(i, module+"/")
			if !ok {
				continue
			}
			used[f.pkg][ours] = true
			if !slices.Contains(may, ours) {
				t.Errorf("%s imports %s; docs/ARCHITECTURE.md does not allow %s to", f.path, ours, f.pkg)
			}
		}
	}
	for pkg, may := range allowed {
		if used[pkg] == nil {
			t.Errorf("docs/ARCHITECTURE.md has a row for %s, which does not exist", pkg)
			continue
		}
		for _, other := range may {
			if !used[pkg][other] {
				t.Errorf("docs/ARCHITECTURE.md allows %s to import %s, which it does not; remove it from the row", pkg, other)
			}
		}
	}
}

// TestLibrariesAreThoseOfTheTable does the same for libraries.
func TestLibrariesAreThoseOfTheTable(t *testing.T) {
	allowed := map[string][]string{}
	for _, row := range table(t, "library") {
		for _, library := range words(row[0]) {
			allowed[library] = words(row[1])
		}
	}
	used, inTests := map[string]map[string]bool{}, map[string]bool{}
	for _, f := range tree(t) {
		for _, i := range f.imports {
			if host, _, _ := strings.Cut(i, "/"); !strings.Contains(host, ".") {
				continue // the standard library, or ours
			}
			library := libraryOf(allowed, i)
			switch {
			case library == "":
				t.Errorf("%s imports %s, which has no row in docs/ARCHITECTURE.md", f.path, i)
			case f.test:
				inTests[library] = true
			case !slices.Contains(allowed[library], f.pkg):
				t.Errorf("%s imports %s; docs/ARCHITECTURE.md does not allow %s to", f.path, i, f.pkg)
			default:
				if used[library] == nil {
					used[library] = map[string]bool{}
				}
				used[library][f.pkg] = true
			}
		}
	}
	for library, pkgs := range allowed {
		if len(pkgs) == 0 && !inTests[library] {
			t.Errorf("docs/ARCHITECTURE.md lists %s for tests, and no test uses it", library)
		}
		for _, pkg := range pkgs {
			if !used[library][pkg] {
				t.Errorf("docs/ARCHITECTURE.md allows %s to import %s, which it does not; remove it from the row", pkg, library)
			}
		}
	}
}

// libraryOf returns the longest library that holds the import, or "".
func libraryOf(libraries map[string][]string, path string) string {
	longest := ""
	for library := range libraries {
		if (path == library || strings.HasPrefix(path, library+"/")) && len(library) > len(longest) {
			longest = library
		}
	}
	return longest
}

// TestReplicatedCodeIsPure checks that the packages whose results must be the
// same on every node depend on their arguments only.
func TestReplicatedCodeIsPure(t *testing.T) {
	pure := func(pkg string) bool {
		return pkg == "fsm" || pkg == "events" || pkg == "engine" || strings.HasPrefix(pkg, "engine/")
	}
	forbidden := []string{"net", "net/http", "os", "os/exec", "crypto/rand", "math/rand", "math/rand/v2", "log", "log/slog", "syscall", "runtime", "io/ioutil"}
	clock := []string{"Now", "Since", "Until", "Sleep", "After", "AfterFunc", "Tick", "NewTimer", "NewTicker"}
	for _, f := range tree(t) {
		if f.test || !pure(f.pkg) {
			continue
		}
		for _, i := range f.imports {
			if slices.Contains(forbidden, i) && !(i == "log/slog" && strings.HasSuffix(f.path, "engine/secret.go")) {
				t.Errorf("%s imports %s, but %s must be a function of its arguments", f.path, i, f.pkg)
			}
		}
		ast.Inspect(f.syntax, func(n ast.Node) bool {
			if s, ok := n.(*ast.SelectorExpr); ok {
				if x, ok := s.X.(*ast.Ident); ok && x.Name == "time" && slices.Contains(clock, s.Sel.Name) {
					t.Errorf("%s: time.%s in a package that must not read the clock", f.fset.Position(s.Pos()), s.Sel.Name)
				}
			}
			return true
		})
	}
}

func TestPackagesHaveComments(t *testing.T) {
	said := map[string]bool{}
	pkgs := map[string]bool{}
	for _, f := range tree(t) {
		if f.test {
			continue
		}
		pkgs[f.pkg] = true
		if f.syntax.Doc != nil {
			said[f.pkg] = true
		}
	}
	for pkg := range pkgs {
		if !said[pkg] {
			t.Errorf("%s has no package comment", pkg)
		}
	}
}

// TestFilesAndFunctionsAreOfLimitedSize allows files of 500 lines and functions
// of 80. Generated code and tests are exempt.
func TestFilesAndFunctionsAreOfLimitedSize(t *testing.T) {
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

func TestTestsDoNotSleep(t *testing.T) {
	for _, f := range tree(t) {
		if !f.test || slices.Contains(f.imports, "testing/synctest") { // sleeping moves the clock there
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

// TestOnlyFrontEndsNameCommands holds the packages below the front ends to
// typed steps and operations, which each front end words.
func TestOnlyFrontEndsNameCommands(t *testing.T) {
	command := regexp.MustCompile(`keyfob (user|token|client|cluster|policy|audit|state|api-token) ` +
		`(add|list|show|set|status|unlock|enable|issue|assign|invite|backup|restore|join|verify|lost|found|resync|replace|clear-pin|set-temporary-pin|next-tokencode)\b`)
	below := regexp.MustCompile(`^(engine|events|fsm|cluster)(/|$)`)
	for _, f := range tree(t) {
		if f.test || !below.MatchString(f.pkg) {
			continue
		}
		ast.Inspect(f.syntax, func(n ast.Node) bool {
			if s, ok := n.(*ast.BasicLit); ok && s.Kind == token.STRING && command.MatchString(s.Value) {
				t.Errorf("%s: %s names a command: answer a typed step or operation", f.fset.Position(s.Pos()), s.Value)
			}
			return true
		})
	}
}
