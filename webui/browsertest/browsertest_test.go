package browsertest

import (
	"crypto/sha256"
	"encoding/base64"
	"testing"
)

// integrity is the hash that the npm package of axe-core 4.14.1 publishes for
// axe.min.js (sri-history.json).
const integrity = "sha256-KTSJmUUM3yhJqOcLeRL8LahahJ2jnA0NU5T1HUqe2Vw="

func TestAxeIsTheReleasedFile(t *testing.T) {
	sum := sha256.Sum256([]byte(axe))
	if got := "sha256-" + base64.StdEncoding.EncodeToString(sum[:]); got != integrity {
		t.Errorf("axe.min.js is %s, want %s", got, integrity)
	}
}
