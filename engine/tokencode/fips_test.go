package tokencode

import (
	"os"
	"os/exec"
	"testing"
)

// TestStrictFIPSModeComputesAllKinds repeats the vectors in strict FIPS mode, where
// HMAC-SHA-1 and short keys panic. Such a panic would let a login crash the server.
func TestStrictFIPSModeComputesAllKinds(t *testing.T) {
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.CommandContext(t.Context(), self, "-test.run=RFC|Conforms|Stoken", "-test.count=1")
	cmd.Env = append(os.Environ(), "GODEBUG=fips140=only")
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
}
