package webui

import (
	"context"
	"slices"
	"strconv"
	"strings"
	"time"

	"keyfob/engine"
	"keyfob/events"
)

// The paths of the wizard.
const (
	pathSignIn = "/"
	pathPIN    = "/pin"
	pathNext   = "/next"
	pathLogin  = "/login"
	pathDone   = "/done"
	pathLost   = "/lost"
	pathResync = "/resync"
)

// pathOf is the page of a step.
func pathOf(step events.Step) string {
	switch step {
	case events.StepNextTokencode:
		return pathNext
	case events.StepChoosePIN, events.StepGeneratePIN, events.StepNewPIN, events.StepConfirmPIN:
		return pathPIN
	case events.StepLogin:
		return pathLogin
	case events.StepNone:
		return pathSignIn
	}
	return pathSignIn
}

// Stages are what the visitor is told of the way ahead. The last one is
// complete when nothing is left to do.
const (
	stageNone = iota
	stageSignIn
	stageSetUp
	stageFinish
	stageDone
)

const stages = stageFinish

// page is what every page shows.
type page struct {
	site    *site
	lang    string
	path    string // where the links to other languages lead
	stage   int
	heading string // id of the sentence
	problem problem
}

// problem is what went wrong, to be said at the top of the page.
type problem struct {
	title, text string           // ids of the sentences
	first       string           // of one more, before the text
	rules       *engine.PINRules // that they mention
	reference   string
	fields      []string // the fields that it is about
}

func (p problem) is() bool { return p.title != "" }

// marks reports whether a field is one that the problem is about.
func (p problem) marks(field string) bool { return slices.Contains(p.fields, field) }

// page is a page with a heading, at a stage of the wizard. Links to other
// languages lead to the path itself where it can be read with GET.
func (v *visit) page(heading string, stage int) page {
	path := v.path
	if _, ours := v.site.routes[path]; !ours {
		path = pathSignIn
	}
	return page{site: v.site, lang: v.lang, path: path, stage: stage, heading: heading}
}

// with is the page after something went wrong.
func (p page) with(pr problem) page {
	p.problem = pr
	return p
}

func (p page) title(ctx context.Context) string {
	title := say(ctx, "title", "Heading", p.headingText(ctx))
	if p.problem.is() {
		return say(ctx, "title_error", "Title", title)
	}
	return title
}

// headingText is the heading; only the last page's mentions the service.
func (p page) headingText(ctx context.Context) string {
	service := p.site.cfg.Branding.ServiceName
	if p.heading == "done_heading" && service == "" {
		return say(ctx, "done_heading_default")
	}
	return say(ctx, p.heading, "Service", service)
}

func (p page) asset(name string) string { return p.site.files[name].path }

func (p page) hasLogo() bool {
	_, has := p.site.files[logoFile]
	return has
}

// signInView is the first page.
type signInView struct {
	page
	user      string
	request   string
	activated bool // a first PIN needs an activation code
}

// resyncView is a page on which two tokencodes in a row are asked for.
type resyncView struct {
	page
	request   string
	user      string
	activated bool   // as in signInView
	passcode  string // on the second page: what was typed on the first
}

// stepView is a page of the conversation.
type stepView struct {
	page
	request string
	prompt  engine.Prompt
	now     time.Time
}

// input is one field of a form.
type input struct {
	name, kind, label string
	value             string
	complete          string // autocomplete
	mode              string // inputmode
	invalid           bool
	masked            bool // hidden as typed until the box below is ticked
	hint              bool // there is a hint below the label
}

// describedBy lists what a screen reader says about the field.
func (f input) describedBy() string {
	var ids []string
	if f.hint {
		ids = append(ids, f.name+"-hint")
	}
	if f.invalid {
		ids = append(ids, "problem")
	}
	return strings.Join(ids, " ")
}

// pinMode is the keyboard for a PIN.
func (s stepView) pinMode() string {
	if s.prompt.Rules.Alphanumeric {
		return "text"
	}
	return "numeric"
}

// lengthRule is how long a PIN must be and of what.
func lengthRule(ctx context.Context, r engine.PINRules) string {
	id := "pin_rule_digits"
	if r.Alphanumeric {
		id = "pin_rule_characters"
	}
	if r.Min == r.Max {
		id += "_exactly"
	}
	return say(ctx, id, "Min", r.Min, "Max", r.Max)
}

// pinRules are all rules for a new PIN, one a line.
func pinRules(ctx context.Context, r engine.PINRules) []string {
	rules := []string{lengthRule(ctx, r)}
	if r.PINpad {
		rules = append(rules, say(ctx, "pin_rule_added"), say(ctx, "pin_rule_zero"))
	}
	rules = append(rules, say(ctx, "pin_rule_trivial"), say(ctx, "pin_rule_common"), say(ctx, "pin_rule_personal"))
	switch {
	case r.History > 1:
		rules = append(rules, say(ctx, "pin_rule_history", "Last", r.History))
	case r.History == 1:
		rules = append(rules, say(ctx, "pin_rule_last"))
	}
	return rules
}

// remaining is how long the token goes on showing its present code, in
// milliseconds; never more than it shows any.
func (s stepView) remaining() string {
	left := min(max(s.prompt.Next.Sub(s.now), 0), s.prompt.Period)
	return strconv.FormatInt(left.Milliseconds(), 10)
}

func (s stepView) period() string {
	return strconv.FormatInt(s.prompt.Period.Milliseconds(), 10)
}

// counts reports whether the page can say when the next code will come.
func (s stepView) counts() bool {
	return !s.prompt.Event && s.prompt.Period > 0 && !s.prompt.Next.IsZero()
}

func (p page) stageName() string {
	switch p.stage {
	case stageSignIn:
		return "stage_signin"
	case stageSetUp:
		return "stage_setup"
	default:
		return "stage_finish"
	}
}

func (p page) problemText(ctx context.Context) string {
	var mentions []any
	if r := p.problem.rules; r != nil {
		mentions = []any{"Rule", lengthRule(ctx, *r), "Last", r.History}
	}
	text := say(ctx, p.problem.text, mentions...)
	if p.problem.first != "" {
		text = say(ctx, p.problem.first, mentions...) + " " + text
	}
	return text
}

// helpLine is whom to call, in the company's words if it has any.
func (p page) helpLine(ctx context.Context) string {
	if line := p.site.cfg.Branding.HelpLine; line != "" {
		return line
	}
	return say(ctx, "help")
}

// languageName is what the speakers of a language call it.
func languageName(lang string) string {
	switch lang {
	case "de":
		return "Deutsch"
	default:
		return "English"
	}
}
