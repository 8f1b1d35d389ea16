package docs_test

import (
	"go/ast"
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
	"unicode/utf8"
)

// documents returns the text of every Markdown file of the module, by its path
// from the root.
func documents(t *testing.T) map[string]string {
	t.Helper()
	all := map[string]string{}
	err := filepath.WalkDir("..", func(name string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if base := d.Name(); d.IsDir() && name != ".." && (strings.HasPrefix(base, ".") || base == "testdata") {
			return fs.SkipDir
		}
		if d.IsDir() || !strings.HasSuffix(name, ".md") {
			return nil
		}
		text, err := os.ReadFile(name)
		all[strings.TrimPrefix(filepath.ToSlash(name), "../")] = string(text)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return all
}

// TestLinesOfDocumentsFitAScreen limits prose and code to 100 characters and
// rows of tables to 240. Tables that are generated are exempt.
func TestLinesOfDocumentsFitAScreen(t *testing.T) {
	const most, mostInTables = 100, 240
	for name, text := range documents(t) {
		generated := false
		for i, line := range strings.Split(text, "\n") {
			switch {
			case strings.HasPrefix(line, "<!-- end of "):
				generated = false
			case strings.HasPrefix(line, "<!-- "):
				generated = true
			}
			limit := most
			if strings.HasPrefix(line, "|") {
				limit = mostInTables
			}
			if n := utf8.RuneCountInString(line); n > limit && !generated {
				t.Errorf("%s:%d: %d characters, at most %d are allowed", name, i+1, n, limit)
			}
		}
	}
}

var (
	link    = regexp.MustCompile(`\]\(([^)\s]+)\)`)
	heading = regexp.MustCompile(`(?m)^#+ (.+)$`)
	fence   = regexp.MustCompile("(?ms)^```.*?^```$")
)

// TestLinksOfDocumentsLead checks that the file exists to which a link points,
// and that it has the heading.
func TestLinksOfDocumentsLead(t *testing.T) {
	all := documents(t)
	for name, text := range all {
		for _, m := range link.FindAllStringSubmatch(fence.ReplaceAllString(text, ""), -1) {
			file, anchor, _ := strings.Cut(m[1], "#")
			if strings.Contains(m[1], "://") {
				continue
			}
			target := name
			if file != "" {
				target = path.Join(path.Dir(name), file)
			}
			if _, err := os.Stat(filepath.Join("..", target)); err != nil {
				t.Errorf("%s links to %s, which does not exist", name, target)
				continue
			}
			if anchor != "" && !anchors(all[target])[anchor] {
				t.Errorf("%s links to %s, which has no heading #%s", name, target, anchor)
			}
		}
	}
}

// anchors returns the fragments that GitHub gives to the headings of a text.
func anchors(text string) map[string]bool {
	all := map[string]bool{}
	for _, m := range heading.FindAllStringSubmatch(fence.ReplaceAllString(text, ""), -1) {
		all[strings.Map(func(r rune) rune {
			switch {
			case r == ' ':
				return '-'
			case r == '-', r == '_', r >= '0' && r <= '9', r >= 'a' && r <= 'z', r > utf8.RuneSelf:
				return r
			}
			return -1
		}, strings.ToLower(m[1]))] = true
	}
	return all
}

var (
	namedTest = regexp.MustCompile("`([a-z/]+)\\.(Test[A-Za-z0-9_]+)`")
	anyTest   = regexp.MustCompile(`\bTest[A-Z][A-Za-z0-9_]+`)
)

// TestPromisesOfSecurityNameTheirTests checks that the tests exist that
// documents name, and that each row of a table of promises in SECURITY.md names
// one.
func TestPromisesOfSecurityNameTheirTests(t *testing.T) {
	tests := map[string]bool{}
	for _, f := range tree(t) {
		if !f.test {
			continue
		}
		for _, d := range f.syntax.Decls {
			if fn, ok := d.(*ast.FuncDecl); ok && fn.Recv == nil {
				tests[f.pkg+"."+fn.Name.Name], tests[fn.Name.Name] = true, true
			}
		}
	}
	all := documents(t)
	for name, text := range all {
		for _, test := range anyTest.FindAllString(text, -1) {
			if !tests[test] {
				t.Errorf("%s names %s, which does not exist", name, test)
			}
		}
	}
	inTable := false
	for i, line := range strings.Split(all["docs/SECURITY.md"], "\n") {
		named := namedTest.FindAllStringSubmatch(line, -1)
		switch {
		case line == "| promise | test |":
			inTable = true
		case !strings.HasPrefix(line, "|"):
			inTable = false
		case inTable && len(named) == 0 && line != "|---|---|":
			t.Errorf("SECURITY.md:%d: this promise names no test", i+1)
		}
		for _, m := range named {
			if !tests[m[1]+"."+m[2]] {
				t.Errorf("SECURITY.md:%d: there is no test %s in %s; name the test that checks this promise", i+1, m[2], m[1])
			}
		}
	}
}

// TestCitedRulesExist checks that rules.md has the headings that comments cite.
func TestCitedRulesExist(t *testing.T) {
	headings := map[string]bool{}
	for _, m := range heading.FindAllStringSubmatch(documents(t)["docs/rules.md"], -1) {
		headings[m[1]] = true
	}
	cited := regexp.MustCompile(`rules\.md, "([^"]+)"`)
	n := 0
	for _, f := range tree(t) {
		for _, group := range f.syntax.Comments {
			for _, m := range cited.FindAllStringSubmatch(group.Text(), -1) {
				n++
				if title := strings.Join(strings.Fields(m[1]), " "); !headings[title] {
					t.Errorf("%s cites %q of rules.md, which has no such heading", f.path, title)
				}
			}
		}
	}
	if n == 0 {
		t.Error("no comment cites rules.md")
	}
}

// TestTroubleshootingListsMessagesOfTheProgram checks that the program has the
// messages that OPERATIONS.md explains.
func TestTroubleshootingListsMessagesOfTheProgram(t *testing.T) {
	program := stringsOf(t)
	text, err := os.ReadFile("OPERATIONS.md")
	if err != nil {
		t.Fatal(err)
	}
	_, rest, ok := strings.Cut(string(text), "| message | do |\n|---|---|\n")
	if !ok {
		t.Fatal("OPERATIONS.md has no table of messages")
	}
	found := 0
	for line := range strings.Lines(rest) {
		if !strings.HasPrefix(line, "| `") {
			continue
		}
		message := words(line)[0]
		for _, piece := range filledIn.Split(message, -1) {
			if piece = strings.TrimSpace(piece); len(piece) < 6 {
				continue
			}
			found++
			if !strings.Contains(program, piece) {
				t.Errorf("OPERATIONS.md explains %q, but no message of the program has %q", message, piece)
			}
		}
	}
	if found < 10 {
		t.Errorf("only %d pieces of messages found", found)
	}
}

// filledIn matches what a message fills in.
var filledIn = regexp.MustCompile(`\bDATA(?:/admin\.sock)?\b|\bFILE\b|\b[A-Z]\b|"?\bn[12]\b"?|:8443|\bweb\.listen\b`)

var (
	dottedKey   = regexp.MustCompile(`[a-z_]+(?:\.[a-z_][a-z0-9_]*)+`)
	metricOrKF  = regexp.MustCompile(`\b(?:keyfob_[a-z]+_[a-z_]+|KF\d{4}[IW])\b`)
	keyInTables = regexp.MustCompile("(?m)^\\| `([a-z0-9_.]+)` \\|")
)

// TestNamesInDocumentsExist checks the metrics, the codes of events and the keys
// of configuration and policy that documents name.
func TestNamesInDocumentsExist(t *testing.T) {
	all := documents(t)
	var keys []string
	groups := map[string]bool{}
	for _, m := range keyInTables.FindAllStringSubmatch(all["docs/reference.md"], -1) {
		keys = append(keys, m[1])
		if group, _, ok := strings.Cut(m[1], "."); ok {
			groups[group] = true
		}
	}
	isKey := func(name string) bool {
		return slices.ContainsFunc(keys, func(k string) bool { return k == name || strings.HasPrefix(k, name+".") })
	}
	program := stringsOf(t)
	for name, text := range all {
		if name != "README.md" && !strings.HasPrefix(name, "docs/") {
			continue
		}
		for _, w := range metricOrKF.FindAllString(text, -1) {
			if !strings.Contains(program, w) {
				t.Errorf("%s names %s, which does not exist", name, w)
			}
		}
		for _, w := range words(fence.ReplaceAllString(text, "")) {
			for _, key := range dottedKey.FindAllString(w, -1) {
				if group, _, _ := strings.Cut(key, "."); groups[group] && !isKey(key) && !strings.Contains(w, "/") && !strings.Contains(w, "keyfob.") {
					t.Errorf("%s names %s, which is no key of the configuration or the policy", name, key)
				}
			}
		}
	}
}

// stringsOf returns the strings of the program, one a line.
func stringsOf(t *testing.T) string {
	t.Helper()
	var texts strings.Builder
	for _, f := range tree(t) {
		if f.test {
			continue
		}
		ast.Inspect(f.syntax, func(n ast.Node) bool {
			if lit, ok := n.(*ast.BasicLit); ok && lit.Kind == token.STRING {
				if s, err := strconv.Unquote(lit.Value); err == nil {
					texts.WriteString(s + "\n")
				}
			}
			return true
		})
	}
	return texts.String()
}

// retired matches words that this project has replaced; the message says by what.
var retired = map[*regexp.Regexp]string{
	regexp.MustCompile(`(?i)\b(?:whoever|whomever|thereof|whereof)\b`):          `"a user who", "an attacker who", or the subject itself`,
	regexp.MustCompile(`(?i)\b(?:reign|accession|abdicate|hush|turnstile)s?\b`): "leadership, stepping down, drain (see the glossary)",
}

// TestRetiredWordsStayRetired looks for them in documents and in Go files.
func TestRetiredWordsStayRetired(t *testing.T) {
	texts := documents(t)
	for _, f := range tree(t) {
		b, err := os.ReadFile(filepath.Join("..", f.path))
		if err != nil {
			t.Fatal(err)
		}
		texts[f.path] = string(b)
	}
	delete(texts, "docs/text_test.go")
	for name, text := range texts {
		for pattern, use := range retired {
			if at := pattern.FindStringIndex(text); at != nil {
				t.Errorf("%s:%d: %q: use %s", name, 1+strings.Count(text[:at[0]], "\n"), text[at[0]:at[1]], use)
			}
		}
	}
}
