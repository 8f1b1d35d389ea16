package admin

import (
	"bytes"
	_ "embed"
	"fmt"
	"html/template"
	"os"
	"time"

	"github.com/spf13/cobra"

	"keyfob/api"
	"keyfob/cmd/keyfob/cli"
	"keyfob/engine"
)

func (e *commands) tokenLost() *cobra.Command {
	r, out := e.Remote(), &cli.Output{}
	var in api.LostTokenRequest
	var count int
	var lasts time.Duration
	var page string
	c := cli.Command("lost SERIAL", "Report a token lost, and issue emergency tokencodes to its owner", func(c *cobra.Command, args []string) error {
		in.CommandRequest = r.Reason(c)
		switch {
		case in.Fixed && c.Flags().Changed("tokencodes"):
			return cli.Usagef("--fixed and --tokencodes cannot be combined: give one of the two")
		case page != "" && exists(page):
			return cli.Usagef("--page %s: the file already exists", page) // before earlier tokencodes become void
		}
		if c.Flags().Changed("tokencodes") {
			in.Tokencodes = &count
		}
		in.ForSeconds = seconds(lasts)
		lost, err := onToken(c.Context(), r, args[0], func(serial string) (api.Emergency, error) {
			return r.ReportLost(c.Context(), serial, in)
		})
		if err != nil {
			return err
		}
		e.tellLost(lost)
		err = out.Show(e.Out, lost, func(tw *cli.Table) {
			for _, code := range lost.Tokencodes {
				tw.Row(code)
			}
		})
		if err != nil || page == "" || len(lost.Tokencodes) == 0 {
			return err
		}
		return writeEmergencyPage(page, lost)
	})
	f := c.Flags()
	f.IntVar(&count, "tokencodes", 0, "number of emergency tokencodes, each valid once; 0 for no emergency access (default: emergency.codes of the policy)")
	f.BoolVar(&in.Fixed, "fixed", false, "one tokencode that is valid until the end")
	cli.DurationVar(f, &lasts, "for", 0, "how long they are valid (default: emergency.for of the policy)")
	f.StringVar(&in.Found, "found", engine.FoundRefuse, "the token's own tokencodes: refuse them until keyfob token found; allow them, which ends the emergency access; accept them after it")
	f.StringVar(&page, "page", "", "also write this `FILE`, an HTML page with the emergency tokencodes to print or hand over")
	r.CompletesFlag(c, "found", cli.Of(engine.FoundRefuse, engine.FoundAllow, engine.FoundAfter))
	return out.Flag(r.Because(r.Completes(c, cli.Tokens)))
}

func exists(file string) bool {
	_, err := os.Lstat(file)
	return err == nil
}

// tellLost describes what a lost token does from now on, and how the emergency
// tokencodes are entered.
func (e *commands) tellLost(lost api.Emergency) {
	e.Say("token %s reported lost: %s", lost.Serial, meanwhile(lost))
	if lost.Voided {
		e.Say("earlier emergency tokencodes are void")
	}
	if len(lost.Tokencodes) == 0 {
		return
	}
	which := "emergency tokencodes, shown only once, each valid once"
	if lost.Fixed {
		which = "emergency tokencode, shown only once, valid any number of times"
	}
	e.Say("%s until %s; %s:", which, cli.Cell(&lost.Until), typedHow(lost))
}

// typedHow describes how an emergency tokencode is entered.
func typedHow(lost api.Emergency) string {
	if lost.NoPIN {
		return "enter it alone as the passcode"
	}
	return "enter the PIN, then the tokencode, as the passcode"
}

// meanwhile describes what becomes of the token's own tokencodes.
func meanwhile(lost api.Emergency) string {
	own, none := "its own tokencodes are accepted", "its own tokencodes are refused"
	if lost.Kind == engine.KindOnDemand {
		own, none = "tokencodes are still sent", "no tokencode is sent for it"
	}
	until := cli.Cell(&lost.Until)
	switch {
	case lost.Found == engine.FoundAfter:
		return none + " until " + until
	case lost.Found == engine.FoundAllow && len(lost.Tokencodes) > 0:
		return own + "; the first login with one ends the emergency tokencodes"
	case lost.Found == engine.FoundAllow:
		return own
	default:
		return none + " until keyfob token found " + lost.Serial
	}
}

//go:embed emergencypage.html
var emergencyPageText string

// emergencyPage returns a page to print: the emergency tokencodes, their owner,
// until when they are valid and how they are entered.
func emergencyPage(lost api.Emergency) ([]byte, error) {
	page, err := template.New("page").Parse(emergencyPageText)
	if err != nil {
		return nil, fmt.Errorf("reading the page's template: %w", err)
	}
	var b bytes.Buffer
	err = page.Execute(&b, struct {
		api.Emergency
		Day string
	}{lost, lost.Until.Local().Format("2 January 2006, 15:04 MST")})
	return b.Bytes(), err
}

func writeEmergencyPage(file string, lost api.Emergency) error {
	page, err := emergencyPage(lost)
	if err == nil {
		err = cli.CreateFile(file, cli.Content(page))
	}
	if err != nil {
		return fmt.Errorf("token %s was reported lost and its emergency tokencodes are valid, but %w", lost.Serial, err)
	}
	return nil
}
