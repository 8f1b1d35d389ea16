package stream

import (
	"encoding/json"
	"testing"
)

// FuzzConsumerRequest: what the proxy sends on has one value for each field, however
// it is spelled.
func FuzzConsumerRequest(f *testing.F) {
	for _, seed := range []string{
		`{"stream_name":"KEYFOB_AUDIT","config":{"durable_name":"w","deliver_subject":"_INBOX.x"}}`,
		`{"config":{"deliver_subject":"_INBOX.x","Deliver_Subject":"keyfob.audit.x"}}`,
		`{"config":{"deliver_\u017fubject":"x"}}`, `{"Config":{}}`, `{"config":null}`, `[]`, `{"config":{}}{}`, `{"config":{"opt_start_seq":18446744073709551615}}`,
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, body []byte) {
		request, config, err := parse(body)
		if err != nil {
			return
		}
		deliver, _ := config["deliver_subject"].(string)
		sent, err := json.Marshal(request)
		if err != nil {
			t.Fatal(err)
		}
		var read struct { // as JetStream reads it
			Config struct {
				Deliver any `json:"deliver_subject"`
			} `json:"config"`
		}
		if err := json.Unmarshal(sent, &read); err != nil {
			t.Fatalf("%s: %v", sent, err)
		}
		if text, ok := read.Config.Deliver.(string); ok && text != deliver {
			t.Errorf("%s became %s, with another deliver subject", body, sent)
		}
	})
}
