package stream

import (
	"bytes"
	"encoding/json"
	"errors"
	"slices"
	"strings"

	"github.com/nats-io/nats.go"
)

// handle answers a request of the reader with that key.
func (p *proxy) handle(key string, m *nats.Msg) {
	verb, rest, _ := strings.Cut(strings.TrimPrefix(m.Subject, proxySubject+key+"."), ".")
	consumer, _, _ := strings.Cut(rest, ".")
	var body []byte
	var err error
	switch verb {
	case "new":
		body, err = p.create(key, "", createAPI, m.Data)
	case "create":
		body, err = p.create(key, consumer, createAPI+"."+rest, m.Data)
	case "durable":
		body, err = p.create(key, consumer, durableAPI+"."+rest, m.Data)
	case "info":
		body, err = p.info(key, consumer)
	case "delete":
		body, err = p.remove(key, consumer)
	case "names", "list":
		body, err = p.own(key, verb)
	default:
		err = errBadRequest
	}
	if err != nil {
		body = p.refusal(verb, err)
	}
	_ = m.Respond(body) // an error means that the server has stopped
}

// refusal is the answer of the JetStream API with an error.
func (p *proxy) refusal(verb string, err error) []byte {
	var api *apiError
	if !errors.As(err, &api) {
		p.log.Warn("request of an audit reader failed", "request", verb, "err", err)
		api = errUnreachable
	}
	kind := map[string]string{"info": "info", "delete": "delete", "names": "names", "list": "list"}[verb]
	if kind == "" {
		kind = "create"
	}
	body, _ := json.Marshal(map[string]any{ // strings and numbers can be encoded
		"type": "io.nats.jetstream.api.v1.consumer_" + kind + "_response", "error": api,
	})
	return body
}

// info returns JetStream's description of a consumer of the reader.
func (p *proxy) info(key, consumer string) ([]byte, error) {
	body, err := p.ask(infoAPI+"."+consumer, nil)
	if err != nil {
		return nil, err
	}
	var c consumerInfo
	if err := json.Unmarshal(body, &c); err != nil {
		return nil, err
	}
	if c.owner() != key {
		return nil, errNoConsumer
	}
	return body, nil
}

func (p *proxy) remove(key, consumer string) ([]byte, error) {
	p.changing.Lock()
	defer p.changing.Unlock()
	if _, err := p.info(key, consumer); err != nil {
		return nil, err
	}
	return p.ask(deleteAPI+"."+consumer, nil)
}

// own answers a request for the reader's consumers. All fit into one page.
func (p *proxy) own(key, verb string) ([]byte, error) {
	all, err := p.list()
	if err != nil {
		return nil, err
	}
	names, infos := []string{}, []json.RawMessage{}
	for _, c := range all {
		if c.owner() == key {
			names, infos = append(names, c.Name), append(infos, c.raw)
		}
	}
	page := map[string]any{
		"type": "io.nats.jetstream.api.v1.consumer_" + verb + "_response", "total": len(names), "offset": 0, "limit": maxReaderConsumers,
	}
	if page["consumers"] = any(infos); verb == "names" {
		page["consumers"] = names
	}
	return json.Marshal(page)
}

// create creates or updates a consumer of the reader.
func (p *proxy) create(key, name, subject string, body []byte) ([]byte, error) {
	p.changing.Lock()
	defer p.changing.Unlock()
	request, config, err := parse(body)
	if err != nil {
		return nil, err
	}
	for _, field := range []string{"name", "durable_name"} {
		if text, _ := config[field].(string); name == "" {
			name = text
		}
	}
	all, err := p.list()
	if err == nil {
		err = p.makeRoom(all, key, name)
	}
	if err != nil {
		return nil, err
	}
	if deliver, _ := config["deliver_subject"].(string); deliver != "" && !isInbox(deliver) {
		return nil, errDeliver
	}
	metadata, _ := config["metadata"].(map[string]any)
	if metadata == nil {
		metadata = make(map[string]any)
	}
	metadata[ownerKey] = key
	config["metadata"] = metadata
	if body, err = json.Marshal(request); err != nil {
		return nil, err
	}
	answer, err := p.ask(subject, body)
	if err != nil {
		return nil, err
	}
	var c consumerInfo
	if err := json.Unmarshal(answer, &c); err != nil {
		return nil, err
	}
	names := owned(all, key)
	if slices.Contains(names, c.Name) {
		return answer, nil
	}
	return answer, p.permit(key, append(names, c.Name))
}

// parse reads a request for a consumer. It keeps what it does not know.
func parse(body []byte) (request, config map[string]any, err error) {
	if len(body) > maxReaderPayload {
		return nil, nil, errRequestSize
	}
	in := json.NewDecoder(bytes.NewReader(body))
	in.UseNumber()
	if err := in.Decode(&request); err != nil {
		return nil, nil, errBadRequest
	}
	config, ok := request["config"].(map[string]any)
	if !ok || !plainKeys(request) || !plainKeys(config) {
		return nil, nil, errBadRequest
	}
	return request, config, nil
}

// plainKeys reports whether the names of all fields are in lower case. JetStream
// reads names in any case, so another spelling would be a second value.
func plainKeys(object map[string]any) bool {
	for key := range object {
		if strings.Trim(key, "abcdefghijklmnopqrstuvwxyz_") != "" {
			return false
		}
	}
	return true
}

// makeRoom returns why the reader may not create or update the consumer of that
// name, which may be empty. A reader that has as many as it may loses the oldest one
// that it has abandoned: a program that starts again and again leaves such behind.
func (p *proxy) makeRoom(all []consumerInfo, key, name string) error {
	count, oldest := 0, -1
	for i, c := range all {
		switch {
		case c.Name == name && c.owner() == key:
			return nil
		case c.Name == name:
			return errNameTaken
		case c.owner() != key:
			continue
		}
		if count++; c.abandoned() && (oldest < 0 || c.Created.Before(all[oldest].Created)) {
			oldest = i
		}
	}
	if count < maxReaderConsumers {
		return nil
	}
	if oldest < 0 {
		return errTooMany
	}
	_, err := p.ask(deleteAPI+"."+all[oldest].Name, nil)
	return err
}

// isInbox reports whether readers can subscribe to a subject, and only they do.
func isInbox(subject string) bool {
	return strings.HasPrefix(subject, inbox) && !strings.ContainsAny(subject, "*> \t\r\n") &&
		!strings.HasSuffix(subject, ".") && !strings.Contains(subject, "..")
}
