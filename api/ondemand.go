package api

import (
	"context"
	"errors"
	"net/mail"
	"regexp"
	"strings"

	"keyfob/engine"
	"keyfob/events"
)

// AddOnDemandTokenRequest adds a token that displays nothing: the PIN alone asks for a
// tokencode, which is sent to an address. The address is the token's secret; it
// is sealed on the node that is asked, and no answer shows it again.
type AddOnDemandTokenRequest struct {
	CommandRequest
	Serial string `json:"serial" minLength:"1" maxLength:"64" pattern:"^[A-Za-z0-9._-]+$"`
	User   string `json:"user" minLength:"1" maxLength:"256" doc:"To whom it is given."`
	Mail   Secret `json:"mail,omitempty" maxLength:"254" doc:"Where its tokencodes are sent: a mail address, alone."`
	Phone  Secret `json:"phone,omitempty" maxLength:"32" doc:"Or a telephone number with + and country code."`
	Digits int    `json:"digits,omitempty" minimum:"6" maximum:"10" default:"8" doc:"Of a tokencode."`
}

type addOnDemandTokenInput struct{ Body AddOnDemandTokenRequest }

func (a *API) addOnDemandToken(ctx context.Context, in *addOnDemandTokenInput) (*answer[GivenToken], error) {
	n := in.Body
	address, err := n.address()
	if err != nil {
		return nil, invalid("token " + n.Serial + ": " + err.Error())
	}
	sealed, err := a.cfg.Seal.SealSeed(n.Serial, address)
	if err != nil {
		return nil, err
	}
	command := engine.ImportToken{User: canonical(n.User), Token: engine.WithDefaults(events.TokenImported{
		Serial: n.Serial,
		Kind:   engine.KindOnDemand,
		Digits: uint8(n.Digits), //nolint:gosec // the schema bounds it
		Sealed: sealed,
	})}
	out, err := a.giveOut(ctx, n.Reason, command, n.Serial)
	if err == nil && !a.cfg.Remedies.Sends(address) {
		out.Body.Warning = cannotSend(n.Mail != "")
	}
	return out, err
}

// cannotSend says that a node sends nothing, and what is to be set.
func cannotSend(mail bool) string {
	what, key := "text messages", "ondemand.sms.url"
	if mail {
		what, key = "mail", "ondemand.smtp.host"
	}
	return "this node sends no " + what + ", so no tokencode will come: set " + key + " in the configuration of every node"
}

var (
	telephone   = regexp.MustCompile(`^\+[1-9][0-9]{6,14}$`) // E.164
	phoneSpaces = strings.NewReplacer(" ", "", "-", "", ".", "", "(", "", ")", "", "\u00a0", "")
)

// address is where the tokencodes go, as a URI. Its error does not repeat what
// was typed.
func (n AddOnDemandTokenRequest) address() (engine.Secret, error) {
	to, number := n.Mail.Reveal(), phoneSpaces.Replace(n.Phone.Reveal())
	switch {
	case (to == "") == (number == ""):
		return "", errors.New("want a mail address or a telephone number, and not both")
	case to != "":
		if one, err := mail.ParseAddress(to); err != nil || one.Address != to {
			return "", errors.New("that is no mail address; want one such as ada@example.com, and nothing around it")
		}
		return engine.Secret("mailto:" + to), nil
	case !telephone.MatchString(number):
		return "", errors.New("that is no telephone number; want + and the country code, such as +441632960961")
	default:
		return engine.Secret("tel:" + number), nil
	}
}
