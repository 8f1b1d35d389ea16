package api

import (
	"net/http"
	"strings"
	"testing"
)

// No body causes a panic or status 500, and no answer repeats a seed from it.
func FuzzBody(f *testing.F) {
	f.Add(`{"user":"ada","passcode":"2468123456"}`)
	f.Add(`{"reason":"r","serial":"0002","kind":"totp","seed":"NBSWY3DPEHPK3PXP"}`)
	f.Add(`{"reason":"r","name":"vpn","prefix":"192.0.2.0/24","secret":"sesame open"}`)
	f.Add(`{"reason":"r","settings":{"pin.min":"4"}}`)
	f.Add(`{"reason":"r","first":"123456","second":"654321"}`)
	f.Add(`[{"a":1e999}]`)
	f.Add("{\"user\":\"\xff\",\"passcode\":null}")
	node := newFake(f)
	a := node.api(f)
	f.Fuzz(func(t *testing.T, body string) {
		const canary = "CANARY7SEED"
		node.Reset()
		node.origins, node.losses = nil, nil
		for _, op := range operations(a) {
			if op.Method == get {
				continue
			}
			path := strings.NewReplacer("{user}", "ada", "{serial}", "0001", "{name}", "n9", "{session}", "0123456789ab").Replace(strings.TrimPrefix(op.Path, Prefix))
			status, answer := call(t, a, RoleAdmin, op.Method, path, strings.ReplaceAll(body, "NBSWY3DPEHPK3PXP", canary))
			if status == http.StatusInternalServerError {
				t.Errorf("%s %s: %s", op.Method, op.Path, answer)
			}
			if strings.Contains(answer, canary) {
				t.Errorf("%s %s repeats what was sent: %s", op.Method, op.Path, answer)
			}
		}
	})
}
