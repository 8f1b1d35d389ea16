package node

import (
	"os"
	"path/filepath"
	"testing"

	"keyfob/cmd/keyfob/cli"
)

func TestExamplesInTheManualAreCurrent(t *testing.T) {
	e := &program{&cli.Environment{Environ: func() []string { return nil }}}
	for _, name := range []string{"../../../docs/examples/keyfob.yaml"} {
		c, err := e.loadConfig(name)
		if err != nil {
			t.Errorf("%s: %v", filepath.Base(name), err)
		}
		if c.Node == "" {
			t.Errorf("%s names no node", name)
		}
	}
	if _, err := os.Stat("../../../deploy/keyfob.service"); err != nil {
		t.Error(err)
	}
}
