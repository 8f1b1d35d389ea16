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
	c := cli.Command("lost SERIAL", "Say that a token is not with its owner, who gets emergency tokencodes", func(c *cobra.Command, args []string) error {
		in.CommandRequest = r.Reason(c)
		switch {
		case in.Fixed && c.Flags().Changed("tokencodes"):
			return cli.Usagef("--fixed is one tokencode, --tokencodes says how many: give one of the two")
		case page != "" && exists(page):
			return cli.Usagef("--page %s: the file is there already", page) // before anything is void
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
	f.IntVar(&count, "tokencodes", 0, "how many emergency tokencodes, each good once; 0 for no emergency access (default: emergency.codes of the policy)")
	f.BoolVar(&in.Fixed, "fixed", false, "one tokencode that is good until the end")
	cli.DurationVar(f, &lasts, "for", 0, "how long they are good (default: emergency.for of the policy)")
	f.StringVar(&in.Found, "found", engine.FoundRefuse, "what the token's own tokencodes do meanwhile: refuse, nothing until keyfob token found; allow, let in and end the emergency tokencodes; after, nothing until those are over")
	f.StringVar(&page, "page", "", "write this `FILE` too, an HTML page with the emergency tokencodes, to be printed or handed over")
	r.CompletesFlag(c, "found", cli.Of(engine.FoundRefuse, engine.FoundAllow, engine.FoundAfter))
	return out.Flag(r.Because(r.Completes(c, cli.Tokens)))
}

func exists(file string) bool {
	_, err := os.Lstat(file)
	return err == nil
}

// tellLost says what a lost token does from now on, and how what stands in for
// it is typed.
func (e *commands) tellLost(lost api.Emergency) {
	e.Say("token %s is lost: %s", lost.Serial, meanwhile(lost))
	if lost.Voided {
		e.Say("the emergency tokencodes that were given out before are void")
	}
	if len(lost.Tokencodes) == 0 {
		return
	}
	which := "these emergency tokencodes, shown only this once, are each good once"
	if lost.Fixed {
		which = "this emergency tokencode, shown only this once, is good as often as it is needed"
	}
	e.Say("%s until %s; %s:", which, cli.Cell(&lost.Until), typedHow(lost))
}

// typedHow is where an emergency tokencode is typed.
func typedHow(lost api.Emergency) string {
	if lost.NoPIN {
		return "typed alone, as the passcode"
	}
	return "type the PIN, then the tokencode, as the passcode"
}

// meanwhile is what becomes of the token's own tokencodes.
func meanwhile(lost api.Emergency) string {
	own, none := "its own tokencodes are accepted", "its own tokencodes are refused"
	if lost.Kind == engine.KindOnDemand {
		own, none = "tokencodes are sent all the same", "no tokencode is sent for it"
	}
	until := cli.Cell(&lost.Until)
	switch {
	case lost.Found == engine.FoundAfter:
		return none + " until " + until
	case lost.Found == engine.FoundAllow && len(lost.Tokencodes) > 0:
		return own + ", and the first that lets its owner in ends the emergency tokencodes"
	case lost.Found == engine.FoundAllow:
		return own
	default:
		return none + " until keyfob token found " + lost.Serial
	}
}

//go:embed emergencypage.html
var emergencyPageText string

// emergencyPage is a page to be printed: emergency tokencodes, whose they are,
// until when and how they are typed.
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
		return fmt.Errorf("token %s is lost, and its emergency tokencodes hold, but %w", lost.Serial, err)
	}
	return nil
}
