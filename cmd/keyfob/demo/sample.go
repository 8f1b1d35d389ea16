package demo

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strconv"
	"time"

	"keyfob/api"
	"keyfob/api/client"
	"keyfob/cmd/keyfob/fob"
	"keyfob/engine/tokencode"
	"keyfob/engine/tokenfile"
)

// Sample is a user of the demo with a software token. The modes are those of
// the first start.
type Sample struct {
	User   string `json:"user"`
	Serial string `json:"serial"`
	Kind   string `json:"kind"`
	URI    string `json:"uri"`
	PIN    string `json:"pin"`
	Mode   string `json:"mode"`
}

// part is who a sample user is, and what happens to the token on its way in.
type part struct {
	user      string
	kind      tokencode.Kind
	pin       string
	mode      string
	style     tokencode.PINStyle
	form      string
	pinSource string
	offset    time.Duration // of the token's clock
}

// cast is the users of the demo: one for each thing that can happen to a token.
func cast() []part {
	return []part{
		{user: "alice", kind: tokencode.TOTP, mode: api.ModeNewPIN, pinSource: "own"},
		{user: "bob", kind: tokencode.TOTP, pin: "2468", mode: api.ModeNormal},
		{user: "carol", kind: tokencode.SecurID, style: tokencode.Fob, form: "fob", mode: api.ModeNewPIN, pinSource: "generated"},
		{user: "dave", kind: tokencode.SecurID, style: tokencode.PINpad, form: "app", pin: "135790", mode: api.ModeNormal},
		{user: "erin", kind: tokencode.HOTP, pin: "8642", mode: api.ModeNormal},
		{user: "frank", kind: tokencode.TOTP, pin: "97531", mode: api.ModeNormal, offset: -time.Minute},
		{user: "grace", kind: tokencode.TOTP, pin: "86420", mode: api.ModeNextTokencode},
	}
}

// make makes the token of a part.
func (p part) make(now time.Time) (Sample, error) {
	t, err := fob.Make(now, p.kind, p.user, "keyfob dev")
	if err != nil {
		return Sample{}, err
	}
	if p.style != "" {
		t.PINStyle = p.style
	}
	uri, err := t.URI()
	if err != nil {
		return Sample{}, fmt.Errorf("writing token of %s: %w", p.user, err)
	}
	if p.offset != 0 {
		uri += "&" + fob.OffsetParameter + "=" + strconv.Itoa(int(p.offset/time.Second))
	}
	return Sample{User: p.user, Serial: t.Serial, Kind: string(p.kind), URI: uri, PIN: p.pin, Mode: p.mode}, nil
}

// fill puts policy, RADIUS client, users and tokens into the cluster, where
// they are missing.
func (d *Cluster) fill(ctx context.Context) error {
	var err error
	if d.people, err = d.samples(); err != nil {
		return err
	}
	r := d.API()
	short := api.PolicySettings{Settings: map[string]string{"pin.min": "4"}} // as the samples' PINs are
	if _, err := r.SetPolicy(ctx, api.SetPolicyRequest{CommandRequest: byDemo(), PolicySettings: short}); err != nil {
		return fmt.Errorf("setting policy: %w", err)
	}
	_, err = r.AddClient(ctx, api.AddClientRequest{
		CommandRequest: byDemo(), Name: RADIUSClient, Prefix: "127.0.0.0/8", Secret: api.Secret(d.Secret), Trusted: true,
	})
	if _, err := isNew(err); err != nil {
		return fmt.Errorf("adding RADIUS client: %w", err)
	}
	for i, p := range cast() {
		if err := d.introduce(ctx, r, p, d.people[i]); err != nil {
			return fmt.Errorf("adding %s: %w", p.user, err)
		}
	}
	return nil
}

// isNew tells what was added from what was there before.
func isNew(err error) (bool, error) {
	if client.IsProblem(err, "exists") {
		return false, nil
	}
	return err == nil, err
}

func (d *Cluster) introduce(ctx context.Context, r *client.Client, p part, s Sample) error {
	_, err := r.AddUser(ctx, api.AddUserRequest{CommandRequest: byDemo(), User: p.user})
	if _, err := isNew(err); err != nil {
		return err
	}
	t, err := tokenfile.ParseURI(s.URI)
	if err != nil {
		return fmt.Errorf("reading sample token: %w", err)
	}
	n := api.AddTokenRequest{CommandRequest: byDemo(), TokenRecord: fob.Record(t), PIN: api.Secret(p.pin)}
	n.Serial, n.User = s.Serial, p.user
	n.Form, n.PINSource = p.form, p.pinSource
	_, err = r.AddToken(ctx, n)
	added, err := isNew(err)
	if err != nil || !added {
		return err
	}
	if p.mode == api.ModeNextTokencode {
		_, err = r.RequireNextTokencode(ctx, s.Serial, byDemo())
		return err
	}
	return nil
}

// samples reads the sample tokens, which are made at the first start.
func (d *Cluster) samples() ([]Sample, error) {
	const name = "tokens.json"
	var people []Sample
	b, err := os.ReadFile(d.file(name))
	switch {
	case errors.Is(err, fs.ErrNotExist):
	case err != nil:
		return nil, fmt.Errorf("reading sample tokens: %w", err)
	default:
		if err := json.Unmarshal(b, &people); err != nil || len(people) != len(cast()) {
			return nil, fmt.Errorf("%s is of another version: remove %s and start anew", d.file(name), d.Dir)
		}
		return people, nil
	}
	for _, p := range cast() {
		s, err := p.make(d.Env.Now())
		if err != nil {
			return nil, err
		}
		people = append(people, s)
	}
	return people, writeJSONFile(d.file(name), people)
}
