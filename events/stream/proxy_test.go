package stream

import (
	"errors"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

// durable creates a durable consumer.
func durable(t *testing.T, js jetstream.JetStream, name string) jetstream.Consumer {
	t.Helper()
	c, err := js.CreateConsumer(t.Context(), Name, jetstream.ConsumerConfig{Durable: name, AckPolicy: jetstream.AckExplicitPolicy})
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// consumers returns the names of all consumers on a server.
func consumers(t *testing.T, s *Server) []string {
	t.Helper()
	all, err := s.embedded.proxy.list()
	if err != nil {
		t.Fatal(err)
	}
	names := []string{}
	for _, c := range all {
		names = append(names, c.Name)
	}
	slices.Sort(names)
	return names
}

func apiCode(err error) jetstream.ErrorCode {
	var api *jetstream.APIError
	if errors.As(err, &api) {
		return api.ErrorCode
	}
	return 0
}

func TestConsumersOfOneReaderAreBounded(t *testing.T) {
	s := startServer(t, t.TempDir())
	publish(t, s, story(3), 3)
	greedy, other := readerOf(t, s), readerOf(t, s)
	for range 2 * maxReaderConsumers { // as of a program that starts again and again
		if _, err := greedy.OrderedConsumer(t.Context(), Name, jetstream.OrderedConsumerConfig{}); err != nil {
			t.Fatal(err)
		}
	}
	if n := len(consumers(t, s)); n != maxReaderConsumers {
		t.Errorf("%d consumers", n)
	}
	for i := range maxReaderConsumers {
		durable(t, greedy, fmt.Sprint("c", i))
	}
	_, err := greedy.CreateConsumer(t.Context(), Name, jetstream.ConsumerConfig{Durable: "more"})
	if apiCode(err) != 10026 {
		t.Errorf("one too many: %v", err)
	}
	if _, err := greedy.OrderedConsumer(t.Context(), Name, jetstream.OrderedConsumerConfig{}); apiCode(err) != 10026 {
		t.Errorf("one too many, ordered: %v", err)
	}
	durable(t, other, "mine")
	durable(t, greedy, "c1") // exists
	if err := greedy.DeleteConsumer(t.Context(), Name, "c0"); err != nil {
		t.Fatal(err)
	}
	durable(t, greedy, "more")
	if n := len(consumers(t, s)); n != maxReaderConsumers+1 {
		t.Errorf("%d consumers", n)
	}
}

func TestReadersCannotTouchTheConsumersOfOthers(t *testing.T) {
	s := startServer(t, t.TempDir())
	j := story(10)
	publish(t, s, j, 10)
	owner, thief := readerOf(t, s), readerOf(t, s)
	work := durable(t, owner, "work")
	first, err := work.Next()
	if err != nil {
		t.Fatal(err)
	}
	if _, err := thief.Consumer(t.Context(), Name, "work"); !errors.Is(err, jetstream.ErrConsumerNotFound) {
		t.Errorf("looking: %v", err)
	}
	if err := thief.DeleteConsumer(t.Context(), Name, "work"); !errors.Is(err, jetstream.ErrConsumerNotFound) {
		t.Errorf("deleting: %v", err)
	}
	for _, create := range []func(jetstream.ConsumerConfig) (jetstream.Consumer, error){
		func(c jetstream.ConsumerConfig) (jetstream.Consumer, error) {
			return thief.CreateOrUpdateConsumer(t.Context(), Name, c)
		},
		func(c jetstream.ConsumerConfig) (jetstream.Consumer, error) {
			return thief.UpdateConsumer(t.Context(), Name, c)
		},
	} {
		c := jetstream.ConsumerConfig{Durable: "work", AckPolicy: jetstream.AckExplicitPolicy, Metadata: map[string]string{ownerKey: "x"}}
		if _, err := create(c); apiCode(err) != 10013 {
			t.Errorf("taking over: %v", err)
		}
	}
	answers, err := thief.Conn().SubscribeSync(thief.Conn().NewInbox())
	if err != nil {
		t.Fatal(err)
	}
	if err := thief.Conn().PublishRequest(pullAPI+".work", answers.Subject, []byte(`{"batch":5,"no_wait":true}`)); err != nil {
		t.Fatal(err)
	}
	if m, err := answers.NextMsg(5 * time.Second); !errors.Is(err, nats.ErrNoResponders) {
		t.Errorf("pulling: %v, %v", m, err)
	}
	if err := thief.Conn().Publish(first.Reply(), []byte("+ACK")); err != nil {
		t.Fatal(err)
	}
	if list := thief.Conn(); list.Flush() != nil {
		t.Fatal("not connected")
	}
	st, err := thief.Stream(t.Context(), Name)
	if err != nil {
		t.Fatal(err)
	}
	for name := range st.ConsumerNames(t.Context()).Name() {
		t.Errorf("name shown: %s", name)
	}
	for c := range st.ListConsumers(t.Context()).Info() {
		t.Errorf("consumer shown: %v", c)
	}
	if info, err := work.Info(t.Context()); err != nil || info.AckFloor.Stream != 0 || info.NumAckPending != 1 {
		t.Errorf("the owner's consumer is %+v, %v", info, err)
	}
	if err := first.DoubleAck(t.Context()); err != nil {
		t.Error(err)
	}
}

func TestConsumersEndWithTheirReader(t *testing.T) {
	dir := t.TempDir()
	s := startServer(t, dir)
	publish(t, s, story(3), 3)
	hour := time.Now().Add(time.Hour)
	staying, stayingFile := issue(t, hour)
	leaving, leavingFile := issue(t, hour)
	gone, goneFile := issue(t, hour)
	admit(t, s, staying, leaving, gone)
	for name, file := range map[string]string{"stays": stayingFile, "leaves": leavingFile, "goes": goneFile} {
		durable(t, connect(t, s.URL(), nats.UserCredentials(file)), name)
	}
	admit(t, s, staying, gone)
	if names := consumers(t, s); !slices.Equal(names, []string{"goes", "stays"}) {
		t.Errorf("after a revocation: %v", names)
	}
	s.Close()

	// The revocation happens while the server is down.
	s, err := Start(s.c)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.Close)
	admit(t, s, staying)
	if names := consumers(t, s); !slices.Equal(names, []string{"stays"}) {
		t.Errorf("after a restart: %v", names)
	}
}

func TestConsumerContinuesAfterARestart(t *testing.T) {
	s := startServer(t, t.TempDir())
	j := story(10)
	publish(t, s, j, 10)
	key, file := issue(t, time.Now().Add(time.Hour))
	admit(t, s, key)
	c := durable(t, connect(t, s.URL(), nats.UserCredentials(file)), "siem")
	for range 4 {
		m, err := c.Next()
		if err != nil {
			t.Fatal(err)
		}
		if err := m.DoubleAck(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	s.Close()
	s, err := Start(s.c)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.Close)
	admit(t, s, key)
	c, err = connect(t, s.URL(), nats.UserCredentials(file)).Consumer(t.Context(), Name, "siem")
	if err != nil {
		t.Fatal(err)
	}
	m, err := c.Next()
	if err != nil || string(m.Data()) != string(j.message(5)) {
		t.Errorf("after the restart: %v, %v", m, err)
	}
}

// TestHostileConsumerConfigurations: the server reads the names of fields in any
// case and takes the last one.
func TestHostileConsumerConfigurations(t *testing.T) {
	s := startServer(t, t.TempDir())
	j := story(10)
	publish(t, s, j, 10)
	nc, _ := reader(t, s)
	for _, config := range []string{
		`"deliver_subject":"keyfob.audit.hq.auth.accepted"`,
		`"deliver_subject":"_INBOX.x","Deliver_Subject":"keyfob.audit.hq.auth.accepted"`,
		`"deliver_\u017fubject":"keyfob.audit.hq.auth.accepted"`,
		`"deliver_subject":"_INBOX.>"`,
		`"deliver_subject":"_INBOX..x"`,
		`"deliver_subject":"_KEYFOB.x"`,
		`"Metadata":{"keyfob-reader":"another"}`,
	} {
		body := fmt.Sprintf(`{"stream_name":"KEYFOB_AUDIT","config":{"durable_name":"w","ack_policy":"none",%s}}`, config)
		for _, subject := range []string{createAPI, createAPI + ".w", durableAPI + ".w"} {
			m, err := nc.Request(subject, []byte(body), 5*time.Second)
			if err != nil {
				t.Fatal(err)
			}
			if !hasError(m.Data) {
				t.Errorf("%s on %s: %s", config, subject, m.Data)
			}
		}
	}
	for _, body := range []string{"", "null", "[]", "{", `{"config":7}`, `{"config":{}}{"config":{}}`, `{"Config":{},"config":{}}`} {
		m, err := nc.Request(createAPI+".w", []byte(body), 5*time.Second)
		if err != nil {
			t.Fatal(err)
		}
		if !hasError(m.Data) {
			t.Errorf("%q: %s", body, m.Data)
		}
	}
	if names := consumers(t, s); len(names) != 0 {
		t.Errorf("consumers %v", names)
	}
	stillThere(t, s, j, 10)
}

func hasError(answer []byte) bool {
	_, err := checked(answer)
	var api *apiError
	return errors.As(err, &api)
}
