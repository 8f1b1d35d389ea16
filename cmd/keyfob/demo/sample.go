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

// Sample is a user of the demo with a software token. Mode is that of the first
// start.
type Sample struct {
	User   string `json:"user"`
	Serial string `json:"serial"`
	Kind   string `json:"kind"`
	URI    string `json:"uri"`
	PIN    string `json:"pin"`
	Mode   string `json:"mode"`
}

// sampleUser describes a sample user and the token.
type sampleUser struct {
	user      string
	kind      tokencode.Kind
	pin       string
	mode      string
	style     tokencode.PINStyle
	form      string
	pinSource string
	offset    time.Duration // of the token's clock
}

// sampleUsers are the users of the demo, one for each state of a token.
func sampleUsers() []sampleUser {
	return []sampleUser{
		{user: "alice", kind: tokencode.TOTP, mode: api.ModeNewPIN, pinSource: "own"},
		{user: "bob", kind: tokencode.TOTP, pin: "2468", mode: api.ModeNormal},
		{user: "carol", kind: tokencode.SecurID, style: tokencode.Fob, form: "fob", mode: api.ModeNewPIN, pinSource: "generated"},
		{user: "dave", kind: tokencode.SecurID, style: tokencode.PINpad, form: "app", pin: "135790", mode: api.ModeNormal},
		{user: "erin", kind: tokencode.HOTP, pin: "8642", mode: api.ModeNormal},
		{user: "frank", kind: tokencode.TOTP, pin: "97531", mode: api.ModeNormal, offset: -time.Minute},
		{user: "grace", kind: tokencode.TOTP, pin: "86420", mode: api.ModeNextTokencode},
	}
}

// make generates the token.
func (p sampleUser) make(now time.Time) (Sample, error) {
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

// populate adds the policy, the RADIUS client, the users and their tokens, unless
// they exist.
func (d *Cluster) populate(ctx context.Context) error {
	var err error
	if d.people, err = d.samples(); err != nil {
		return err
	}
	r := d.API()
	short := api.PolicySettings{Settings: map[string]string{"pin.min": "4"}} // the PINs of the samples are short
	if _, err := r.SetPolicy(ctx, api.SetPolicyRequest{CommandRequest: byDemo(), PolicySettings: short}); err != nil {
		return fmt.Errorf("setting policy: %w", err)
	}
	_, err = r.AddClient(ctx, api.AddClientRequest{
		CommandRequest: byDemo(), Name: RADIUSClient, Prefix: "127.0.0.0/8", Secret: api.Secret(d.Secret), Trusted: true,
	})
	if _, err := isNew(err); err != nil {
		return fmt.Errorf("adding RADIUS client: %w", err)
	}
	for i, p := range sampleUsers() {
		if err := d.introduce(ctx, r, p, d.people[i]); err != nil {
			return fmt.Errorf("adding %s: %w", p.user, err)
		}
	}
	return nil
}

// isNew reports whether something was added, or existed before.
func isNew(err error) (bool, error) {
	if client.IsProblem(err, "exists") {
		return false, nil
	}
	return err == nil, err
}

func (d *Cluster) introduce(ctx context.Context, r *client.Client, p sampleUser, s Sample) error {
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

// samples reads the sample tokens, which the first start makes.
func (d *Cluster) samples() ([]Sample, error) {
	const name = "tokens.json"
	var people []Sample
	b, err := os.ReadFile(d.file(name))
	switch {
	case errors.Is(err, fs.ErrNotExist):
	case err != nil:
		return nil, fmt.Errorf("reading sample tokens: %w", err)
	default:
		if err := json.Unmarshal(b, &people); err != nil || len(people) != len(sampleUsers()) {
			return nil, fmt.Errorf("%s was written by another version: remove %s and start again", d.file(name), d.Dir)
		}
		return people, nil
	}
	for _, p := range sampleUsers() {
		s, err := p.make(d.Env.Now())
		if err != nil {
			return nil, err
		}
		people = append(people, s)
	}
	return people, writeJSONFile(d.file(name), people)
}
