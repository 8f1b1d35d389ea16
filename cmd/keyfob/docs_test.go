package main

import (
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/spf13/cobra"
)

// TestCommandsOfDocumentsExist parses every command line that a document, the
// Makefile, a unit or a script shows: the command exists, and so do its flags.
// Command lines in blocks must also have the right number of arguments.
func TestCommandsOfDocumentsExist(t *testing.T) {
	found := 0
	for _, name := range documents(t) {
		text, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		for _, c := range commandLines(filepath.Ext(name) == ".md", string(text)) {
			if c.text == "keyfob checkpoint v1" || c.text == "keyfob checkpoint key v1" {
				continue // the first line of what is signed
			}
			found++
			if err := parses(c); err != nil {
				t.Errorf("%s:%d: %s: %v", strings.TrimPrefix(name, "../../"), c.line, c.text, err)
			}
		}
	}
	if found < 100 {
		t.Errorf("only %d command lines found: the test does not see them", found)
	}
}

// documents returns the files that show commands.
func documents(t *testing.T) []string {
	t.Helper()
	all := []string{"../../Makefile", "../../deploy/keyfob.service"}
	err := filepath.WalkDir("../..", func(name string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if base := d.Name(); d.IsDir() && name != "../.." && (strings.HasPrefix(base, ".") || base == "testdata") {
			return fs.SkipDir
		}
		if strings.HasSuffix(name, ".md") && d.Name() != "CHANGELOG.md" { // which names commands of the past
			all = append(all, name)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return all
}

type commandLine struct {
	line  int
	text  string
	whole bool // in a block: nothing is left out
}

var (
	span = regexp.MustCompile("`([^`]+)`")
	// What may stand before the program in a block.
	prompt = regexp.MustCompile(`^\s*(?:[a-z0-9]+# )?(?:sudo -u keyfob |ExecStart(?:Pre)?=/usr/bin/)?(?:\./bin/)?keyfob( .*)$`)
)

// commandLines returns the command lines of a text: lines in blocks, and spans
// of code in prose.
func commandLines(markdown bool, text string) []commandLine {
	var all []commandLine
	lines := strings.Split(text, "\n")
	fenced := false
	for i := 0; i < len(lines); i++ {
		at, line := i+1, lines[i]
		if strings.HasPrefix(line, "```") {
			fenced = !fenced
		}
		if !markdown || fenced || strings.HasPrefix(line, "    ") || strings.HasPrefix(line, "\t") {
			for strings.HasSuffix(line, "\\") && i+1 < len(lines) {
				i++
				line = strings.TrimSuffix(line, "\\") + lines[i]
			}
			if m := prompt.FindStringSubmatch(line); m != nil {
				all = append(all, commandLine{at, "keyfob" + m[1], true})
			}
			continue
		}
		for _, m := range span.FindAllStringSubmatch(line, -1) {
			if strings.HasPrefix(m[1], "keyfob ") {
				all = append(all, commandLine{at, m[1], false})
			}
		}
	}
	return all
}

func parses(c commandLine) error {
	text, _, _ := strings.Cut(c.text, " #")
	words := split(text)
	for i, w := range words {
		if w == "|" || w == ">" || w == "<" {
			words = words[:i]
			break
		}
	}
	cmd, args, err := testRoot().Find(words[1:])
	if err != nil {
		return err
	}
	if err := cmd.ParseFlags(args); err != nil {
		return err
	}
	args = cmd.Flags().Args()
	if cmd.HasSubCommands() {
		if len(args) > 0 || c.whole {
			return fmt.Errorf("%s has no command %q", cmd.CommandPath(), strings.Join(args, " "))
		}
		return nil
	}
	if c.whole || len(args) > 0 {
		return cmd.ValidateArgs(args)
	}
	return nil
}

// TestCommandsOfMessagesExist looks at every string of the program: a command
// that a message advises exists, and so do its flags.
func TestCommandsOfMessagesExist(t *testing.T) {
	top := map[string]bool{}
	for _, c := range testRoot().Commands() {
		top[c.Name()] = true
	}
	advised := regexp.MustCompile(`\bkeyfob ([a-z][a-z-]+)((?: (?:--?)?[A-Za-z][A-Za-z-]*)*)`)
	found := 0
	for _, name := range sources(t) {
		fset := token.NewFileSet()
		file, err := parser.ParseFile(fset, name, nil, parser.SkipObjectResolution)
		if err != nil {
			t.Fatal(err)
		}
		ast.Inspect(file, func(n ast.Node) bool {
			lit, ok := n.(*ast.BasicLit)
			if !ok || lit.Kind != token.STRING {
				return true
			}
			for _, m := range advised.FindAllStringSubmatch(lit.Value, -1) {
				if !top[m[1]] || strings.HasPrefix(m[0], "keyfob audit trail") || strings.HasPrefix(m[0], "keyfob audit stream") {
					continue // not a command
				}
				found++
				if err := advisable(append([]string{m[1]}, strings.Fields(m[2])...)); err != nil {
					t.Errorf("%s: %s: %v", fset.Position(lit.Pos()), m[0], err)
				}
			}
			return true
		})
	}
	if found < 20 {
		t.Errorf("only %d commands found: the test does not see them", found)
	}
}

// sources returns the Go files of the program.
func sources(t *testing.T) []string {
	t.Helper()
	var all []string
	err := filepath.WalkDir("../..", func(name string, d fs.DirEntry, err error) error {
		if err == nil && strings.HasSuffix(name, ".go") && !strings.HasSuffix(name, "_test.go") {
			all = append(all, name)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return all
}

// advisable checks the words of a command, and its flags as far as they follow.
func advisable(words []string) error {
	cmd := testRoot()
	for len(words) > 0 && cmd.HasSubCommands() {
		i := slices.IndexFunc(cmd.Commands(), func(c *cobra.Command) bool { return c.Name() == words[0] })
		if i < 0 {
			return fmt.Errorf("%s has no command %q", cmd.CommandPath(), words[0])
		}
		cmd, words = cmd.Commands()[i], words[1:]
	}
	for _, w := range words {
		if name, ok := strings.CutPrefix(w, "--"); ok && cmd.Flags().Lookup(name) == nil {
			return fmt.Errorf("%s has no flag --%s", cmd.CommandPath(), name)
		}
	}
	return nil
}
