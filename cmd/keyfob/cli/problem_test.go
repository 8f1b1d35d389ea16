package cli

import (
	"bytes"
	"context"
	"os"
	"regexp"
	"testing"

	"github.com/spf13/cobra"

	"keyfob/api/client"
)

func TestProblemIsToldWithTheCommandThatHelps(t *testing.T) {
	for help, want := range map[string]string{
		"list_users": "keyfob: user \"ada\" not found; run keyfob user list\n",
		"":           "keyfob: user \"ada\" not found\n",
		"from_later": "keyfob: user \"ada\" not found\n",
	} {
		var told bytes.Buffer
		e := &Environment{Err: &told}
		root := &cobra.Command{Use: "keyfob", SilenceErrors: true, SilenceUsage: true, RunE: func(*cobra.Command, []string) error {
			return &client.Problem{Detail: `user "ada" not found`, Help: help}
		}}
		if status := e.Execute(context.Background(), root, []string{}); status != 1 || told.String() != want {
			t.Errorf("%q: status %d, %q, want %q", help, status, told.String(), want)
		}
	}
}

// TestEveryHelpHasACommand notices a new one.
func TestEveryHelpHasACommand(t *testing.T) {
	source, err := os.ReadFile("../../../engine/engine.go")
	if err != nil {
		t.Fatal(err)
	}
	helps := regexp.MustCompile(`Help = "(\w+)"`).FindAllStringSubmatch(string(source), -1)
	for _, m := range helps {
		if helpLines[m[1]] == "" {
			t.Errorf("no command helps as %s", m[1])
		}
	}
	if len(helps) != len(helpLines) {
		t.Errorf("%d commands for %d helps", len(helpLines), len(helps))
	}
}
