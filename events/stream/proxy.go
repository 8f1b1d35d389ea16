package stream

import (
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"sync"
	"time"

	"github.com/nats-io/nats.go"
)

// proxy answers what readers ask about their consumers. JetStream knows one account,
// that of the stream, and no owners. The proxy writes the owner into the metadata of
// each consumer, bounds how many a reader has, and lets the reader's account use
// its own consumers and no others. Messages and acknowledgements do not pass here.
//
// Each reader has a subscription, and so a goroutine and a queue, of its own.
type proxy struct {
	nc     *nats.Conn
	log    *slog.Logger
	permit func(reader string, consumers []string) error

	changing sync.Mutex // held while consumers are created or deleted

	mu    sync.Mutex                    // guards below
	subs  map[string]*nats.Subscription // by reader
	swept bool                          // the consumers of former readers have been deleted
}

const (
	ownerKey   = "keyfob-reader" // in the metadata of a consumer: the reader's key
	proxyQueue = 1024            // requests of one reader that wait
	proxyBytes = 4 << 20
	proxyWait  = 5 * time.Second // for JetStream
	maxPages   = 64              // of a list of consumers
)

func (r *embedded) openProxy(log *slog.Logger) (*proxy, error) {
	nc, err := r.connect("keyfob proxy", r.proxyCreds, nats.MaxReconnects(-1), nats.ReconnectWait(minDelay))()
	if err != nil {
		return nil, fmt.Errorf("connecting the proxy for readers: %w", err)
	}
	return &proxy{nc: nc, log: log, permit: r.permit, subs: make(map[string]*nats.Subscription)}, nil
}

func (p *proxy) close() { p.nc.Close() }

// serve answers the readers with these keys, and deletes the consumers of all
// others. It is cheap if nothing has changed.
func (p *proxy) serve(keys []string) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	for key, sub := range p.subs {
		if !slices.Contains(keys, key) {
			_ = sub.Unsubscribe() // an error means that it is gone
			delete(p.subs, key)
			p.swept = false
		}
	}
	if p.swept && len(p.subs) == len(keys) {
		return nil
	}
	p.changing.Lock()
	defer p.changing.Unlock()
	all, err := p.list()
	if err != nil {
		return err
	}
	for _, key := range keys {
		if p.subs[key] != nil {
			continue
		}
		if err := p.admit(key, all); err != nil {
			return fmt.Errorf("serving audit reader %s: %w", key, err)
		}
	}
	if err := p.nc.FlushTimeout(proxyWait); err != nil {
		return fmt.Errorf("serving audit readers: %w", err)
	}
	return p.sweep(keys, all)
}

// admit begins to answer a reader. The caller holds mu.
func (p *proxy) admit(key string, all []consumerInfo) error {
	if err := p.permit(key, owned(all, key)); err != nil {
		return err
	}
	sub, err := p.nc.Subscribe(proxySubject+key+".>", func(m *nats.Msg) { p.handle(key, m) })
	if err != nil {
		return err
	}
	p.subs[key] = sub
	return sub.SetPendingLimits(proxyQueue, proxyBytes)
}

// sweep deletes the consumers that belong to none of the readers. The caller holds
// mu.
func (p *proxy) sweep(keys []string, all []consumerInfo) error {
	for _, c := range all {
		if slices.Contains(keys, c.owner()) {
			continue
		}
		if _, err := p.ask(deleteAPI+"."+c.Name, nil); err != nil {
			return fmt.Errorf("deleting the consumer of a former audit reader: %w", err)
		}
		p.log.Info("consumer of a former audit reader deleted", "consumer", c.Name)
	}
	p.swept = true
	return nil
}

// owned returns the names of a reader's consumers.
func owned(all []consumerInfo, key string) []string {
	names := []string{}
	for _, c := range all {
		if c.owner() == key {
			names = append(names, c.Name)
		}
	}
	return names
}

// consumerInfo is what the proxy reads of a consumer. raw is all of it.
type consumerInfo struct {
	Name    string    `json:"name"`
	Created time.Time `json:"created"`
	Config  struct {
		Durable  string            `json:"durable_name"`
		Metadata map[string]string `json:"metadata"`
	} `json:"config"`
	AckFloor struct {
		Stream uint64 `json:"stream_seq"`
	} `json:"ack_floor"`
	Waiting int  `json:"num_waiting"` // requests for messages
	Bound   bool `json:"push_bound"`
	raw     json.RawMessage
}

// abandoned reports whether a consumer is not durable and nobody waits for its
// messages. JetStream deletes it after some time.
func (c consumerInfo) abandoned() bool {
	return c.Config.Durable == "" && c.Waiting == 0 && !c.Bound
}

func (c consumerInfo) owner() string { return c.Config.Metadata[ownerKey] }

// apiError is the error in an answer of JetStream.
type apiError struct {
	Code        int    `json:"code"`
	ErrCode     int    `json:"err_code"`
	Description string `json:"description"`
}

func (e *apiError) Error() string { return e.Description }

// Errors of the JetStream API.
var (
	errBadRequest  = &apiError{400, 10003, "bad request"}
	errNoStream    = &apiError{404, 10059, "stream not found"}
	errNoConsumer  = &apiError{404, 10014, "consumer not found"}
	errNameTaken   = &apiError{400, 10013, "consumer name already in use"}
	errTooMany     = &apiError{400, 10026, "maximum consumers limit reached"}
	errDeliver     = &apiError{400, 10081, "consumer deliver subject must be an inbox of the reader"}
	errUnreachable = &apiError{503, 10008, "JetStream system temporarily unavailable"}
	errRequestSize = &apiError{400, 10054, "consumer configuration is too long"}
)

// ask sends a request to JetStream and returns the answer, or the error in it.
func (p *proxy) ask(subject string, body []byte) ([]byte, error) {
	m, err := p.nc.Request(subject, body, proxyWait)
	if err != nil {
		return nil, err
	}
	return checked(m.Data)
}

// checked returns an answer of JetStream, or the error in it.
func checked(answer []byte) ([]byte, error) {
	var failed struct {
		Error *apiError `json:"error"`
	}
	if err := json.Unmarshal(answer, &failed); err != nil {
		return nil, err
	}
	if failed.Error != nil {
		return nil, failed.Error
	}
	return answer, nil
}

// list returns all consumers.
func (p *proxy) list() ([]consumerInfo, error) {
	var all []consumerInfo
	for range maxPages {
		body, err := p.ask(listAPI, fmt.Appendf(nil, `{"offset":%d}`, len(all)))
		var api *apiError
		if errors.As(err, &api) && api.ErrCode == errNoStream.ErrCode {
			return nil, nil
		}
		if err != nil {
			return nil, fmt.Errorf("listing consumers: %w", err)
		}
		var page struct {
			Total     int               `json:"total"`
			Consumers []json.RawMessage `json:"consumers"`
		}
		if err := json.Unmarshal(body, &page); err != nil {
			return nil, fmt.Errorf("listing consumers: %w", err)
		}
		for _, raw := range page.Consumers {
			c := consumerInfo{raw: raw}
			if err := json.Unmarshal(raw, &c); err != nil {
				return nil, fmt.Errorf("listing consumers: %w", err)
			}
			all = append(all, c)
		}
		if len(page.Consumers) == 0 || len(all) >= page.Total {
			break
		}
	}
	return all, nil
}
