package admin

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"keyfob/api"
	"keyfob/api/client"
	"keyfob/cmd/keyfob/cli"
)

// maxLoginSteps is more than any login takes.
const maxLoginSteps = 24

func (e *commands) loginCommand() *cobra.Command {
	r, out := e.Remote().Anonymous(), &cli.Output{}
	return out.Flag(r.Flags(r.Completes(cli.Command("login [USER]", "Log in as an administrator", func(c *cobra.Command, args []string) error {
		if err := r.CanKeepSession(); err != nil {
			return err
		}
		ask := e.Questions()
		user := strings.Join(args, "")
		if user == "" {
			var err error
			if user, err = ask.Text("User: "); err != nil {
				return err
			}
		}
		session, err := e.logIn(c.Context(), r.Client, ask, user)
		if err != nil {
			return err
		}
		if err := r.SaveSession(session); err != nil {
			return err
		}
		e.Say("logged in as %s with the role %s until %s", session.User, session.Role, cli.Cell(session.Expires))
		if e.Getenv("KEYFOB_TOKEN") != "" {
			e.Say("KEYFOB_TOKEN is set: commands use that API token, not the session")
		}
		return out.Shown(e.Environment, session.Session)
	}))))
}

// logIn asks for the passcode and for what the steps after it need.
func (e *commands) logIn(ctx context.Context, c *client.Client, ask *cli.Questions, user string) (s api.IssuedSession, err error) {
	in := api.OpenSessionRequest{User: user}
	passcode, err := ask.Secret("PASSCODE: ")
	in.Passcode = api.Secret(passcode)
	for range maxLoginSteps {
		if err != nil {
			return s, err
		}
		out, err := c.OpenSession(ctx, in)
		switch {
		case err != nil:
			return s, err
		case out.Session != nil:
			return *out.Session, nil
		case out.Prompt == nil:
			return s, e.loginRefused(out.LoginAnswer)
		}
		if in, err = e.nextStep(ask, user, *out.Prompt); err != nil {
			return s, err
		}
		in.Conversation = out.Conversation
	}
	return s, errors.New("the login takes too many steps; start again")
}

func (e *commands) loginRefused(out api.LoginAnswer) error {
	text := "the login was refused"
	if why := pinProblems[out.Problem]; why != "" {
		text += ": " + why
	}
	return fmt.Errorf("%s; the reference for the help desk is %s", text, out.Reference)
}

// nextStep asks what a step of a conversation needs.
func (e *commands) nextStep(ask *cli.Questions, user string, p api.Prompt) (in api.OpenSessionRequest, err error) {
	in.User = user
	if why := pinProblems[p.Problem]; why != "" {
		e.Say("%s", strings.ToUpper(why[:1])+why[1:]+".")
	}
	if p.GeneratedPIN != "" {
		e.Say("Your new PIN is %s. Remember it; it is not shown again.", p.GeneratedPIN)
	}
	question := ""
	switch p.Step {
	case "choose_pin":
		answer, err := ask.Text("Do you want to choose your PIN yourself (y/N)? ")
		in.Choice = "generated"
		if word := strings.ToLower(strings.TrimSpace(answer)); word == "y" || word == "yes" {
			in.Choice = "own"
		}
		return in, err
	case "generate_pin":
		_, err = ask.Text("A new PIN will be shown. Press Enter when nobody else can see the screen. ")
		in.Choice = "generated"
		return in, err
	case "new_pin":
		kind := "digits"
		if p.PINLetters {
			kind = "letters or digits"
		}
		return e.askPIN(ask, in, fmt.Sprintf("New PIN (%d to %d %s): ", p.PINMin, p.PINMax, kind))
	case "confirm_pin":
		question = "New PIN again: "
	case "login":
		question = "Wait for the tokencode to change, then enter the new PASSCODE: "
	case "next_tokencode":
		question = "Wait for the tokencode to change, then enter the new tokencode: "
		if p.Sent {
			question = "Enter the tokencode that was sent to you: "
		}
	default:
		return in, fmt.Errorf("this version of keyfob does not know the step %s; use the page", p.Step)
	}
	typed, err := ask.Secret(question)
	in.Passcode = api.Secret(typed)
	return in, err
}

func (e *commands) askPIN(ask *cli.Questions, in api.OpenSessionRequest, question string) (api.OpenSessionRequest, error) {
	pin, err := ask.Secret(question)
	if err != nil {
		return in, err
	}
	again, err := ask.Secret("New PIN again: ")
	in.Passcode, in.Again = api.Secret(pin), api.Secret(again)
	return in, err
}

// pinProblems are what was wrong with an answer.
var pinProblems = map[string]string{
	"pins_differ":      "the two PINs differ",
	"pin_length":       "the PIN is too short or too long",
	"pin_characters":   "the PIN contains a character that is not allowed",
	"pin_trivial":      "the PIN is a repetition or a sequence",
	"pin_common":       "the PIN is too common",
	"pin_personal":     "the PIN is part of the user name or of the serial",
	"pin_used_before":  "the PIN was used before",
	"pin_leading_zero": "the PIN must not start with 0",
	"tokencode_reused": "the tokencode was used before; wait for the next one",
	"wrong":            "that was not correct",
	"choice":           "the answer is neither yes nor no",
}

func (e *commands) logoutCommand() *cobra.Command {
	r := e.Remote().WithSession()
	all := false
	c := cli.Command("logout", "End the session of keyfob login", func(c *cobra.Command, _ []string) error {
		err := r.EndOwnSession(c.Context(), all, r.Why(c))
		ended := client.IsProblem(err, "unauthorized")
		if err != nil && !ended {
			return err
		}
		if err := r.ForgetSession(); err != nil {
			return err
		}
		if ended {
			e.Say("the session had ended already")
			return nil
		}
		e.Say("logged out")
		return nil
	})
	c.Flags().BoolVar(&all, "all", false, "end all sessions of the same user")
	return r.Because(r.Completes(c))
}
