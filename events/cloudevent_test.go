package events

import (
	"encoding/json"
	"testing"
)

// checkCloudEvent holds any record to what every consumer relies on.
func checkCloudEvent(t *testing.T, r Record) {
	t.Helper()
	out := CloudEvent("c1", r)
	var m map[string]any
	if err := json.Unmarshal(out, &m); err != nil {
		t.Fatalf("%s: %v", out, err)
	}
}
