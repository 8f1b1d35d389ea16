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

// AddOnDemandTokenRequest adds an on-demand token: the PIN alone requests a
// tokencode, which is sent to an address. The address is the secret of the token.
// The node that is asked seals it, and no answer shows it again.
type AddOnDemandTokenRequest struct {
	CommandRequest
	Serial string `json:"serial" minLength:"1" maxLength:"64" pattern:"^[A-Za-z0-9._-]+$"`
	User   string `json:"user" minLength:"1" maxLength:"256" doc:"The user that the token is assigned to."`
	Mail   Secret `json:"mail,omitempty" maxLength:"254" doc:"Mail address that tokencodes are sent to, without a display name."`
	Phone  Secret `json:"phone,omitempty" maxLength:"32" doc:"Or telephone number, with + and country code."`
	Digits int    `json:"digits,omitempty" minimum:"6" maximum:"10" default:"8" doc:"Digits of a tokencode."`
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

// cannotSend warns that this node cannot send, and names the missing setting.
func cannotSend(mail bool) string {
	what, key := "text messages", "ondemand.sms.url"
	if mail {
		what, key = "mail", "ondemand.smtp.host"
	}
	return "this node cannot send " + what + ", so no tokencode will arrive; set " + key + " in the configuration of every node"
}

var (
	telephone   = regexp.MustCompile(`^\+[1-9][0-9]{6,14}$`) // E.164
	phoneSpaces = strings.NewReplacer(" ", "", "-", "", ".", "", "(", "", ")", "", "\u00a0", "")
)

// address returns the address as a URI. Its error does not repeat the address.
func (n AddOnDemandTokenRequest) address() (engine.Secret, error) {
	to, number := n.Mail.Reveal(), phoneSpaces.Replace(n.Phone.Reveal())
	switch {
	case (to == "") == (number == ""):
		return "", errors.New("needs either a mail address or a telephone number")
	case to != "":
		if one, err := mail.ParseAddress(to); err != nil || one.Address != to {
			return "", errors.New("invalid mail address; use the form ada@example.com")
		}
		return engine.Secret("mailto:" + to), nil
	case !telephone.MatchString(number):
		return "", errors.New("invalid telephone number; start with + and the country code, such as +441632960961")
	default:
		return engine.Secret("tel:" + number), nil
	}
}
