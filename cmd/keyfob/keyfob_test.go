package main

import (
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"

	"keyfob/cmd/keyfob/demo"
)

// TestScripts runs the scripts in testdata, which define the command line.
func TestScripts(t *testing.T) {
	bin := t.TempDir()
	build := exec.CommandContext(t.Context(), "go", "build", "-o", filepath.Join(bin, "keyfob"), ".")
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("building keyfob: %v: %s", err, out)
	}
	testscript.Run(t, testscript.Params{
		Dir:                 "testdata/script",
		RequireExplicitExec: true,
		RequireUniqueNames:  true,
		Setup: func(env *testscript.Env) error {
			env.Setenv("PATH", bin+string(os.PathListSeparator)+env.Getenv("PATH"))
			env.Setenv("BASE", strconv.Itoa(freeBase(t)))
			env.Defer(func() { endLeftovers(filepath.Join(env.WorkDir, "dev", demo.File)) })
			return nil
		},
		Cmds: map[string]func(*testscript.TestScript, bool, []string){
			"status":   status,
			"json":     jsonEquals,
			"end":      endNodes,
			"get":      get,
			"reads":    reads,
			"await":    await,
			"becomes":  becomes,
			"interval": interval,
			"login":    login,
			"spoken":   spoken,
			"caller":   caller,
		},
	})
}
