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
	pathCaller = "/caller"
)

// pathOf returns the path of a step's page.
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

// The stages of the wizard that the progress bar shows.
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
	policy  *engine.Policy
	lang    string
	path    string // that the links to other languages lead to
	stage   int
	heading string // sentence id
	problem problem
}

// problem is an error message at the top of a page.
type problem struct {
	title, text string           // sentence ids
	first       string           // sentence id, shown before text
	rules       *engine.PINRules // mentioned in text
	wait        time.Duration    // mentioned in text
	refused     bool             // also say when to stop trying
	reference   string
	fields      []string // names of the fields that it is about
}

func (p problem) is() bool { return p.title != "" }

// marks reports whether the problem is about a field.
func (p problem) marks(field string) bool { return slices.Contains(p.fields, field) }

// page makes a page with a heading, at a stage of the wizard. Language links
// lead to the same path if it can be opened with GET.
func (v *visit) page(heading string, stage int) page {
	path := v.path
	if _, known := v.site.routes[path]; !known {
		path = pathSignIn
	}
	return page{site: v.site, policy: &v.site.cfg.Node.State().Policy, lang: v.lang, path: path, stage: stage, heading: heading}
}

// with returns the page with a problem.
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

// headingText returns the heading. Only the last page's mentions the service.
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
	mentions := []any{"Wait", span(ctx, p.problem.wait)}
	if r := p.problem.rules; r != nil {
		mentions = append(mentions, "Rule", lengthRule(ctx, *r), "Last", r.History)
	}
	text := say(ctx, p.problem.text, mentions...)
	if p.problem.first != "" {
		text = say(ctx, p.problem.first, mentions...) + " " + text
	}
	return text
}

// mostTries is how often a refused user is told to try before calling the help
// desk.
const mostTries = 3

// whenToStop says when to stop trying. It depends on the policy alone, so it is
// the same after every refusal. It names fewer failures than lead to a lock.
func (p page) whenToStop(ctx context.Context) string {
	tries := max(2, min(mostTries, p.policy.LockAfter-1))
	if p.policy.LockFor == 0 {
		return say(ctx, "stop", "Tries", tries)
	}
	return say(ctx, "stop_wait", "Tries", tries, "Wait", span(ctx, p.policy.LockFor))
}

// helpLine returns the company's own help line, or ours.
func (p page) helpLine(ctx context.Context) string {
	if line := p.site.cfg.Branding.HelpLine; line != "" {
		return line
	}
	return say(ctx, "help")
}

// passcodeMode is the keyboard for a passcode of an unknown user: digits only
// when no PIN under this policy has letters. A PIN from the time of another
// policy may have some, so a link leads to the other keyboard.
func (p page) passcodeMode(letters bool) string {
	if p.policy.PINAlphanumeric || letters {
		return "text"
	}
	return "numeric"
}

// activated reports whether a first PIN needs an activation code.
func (p page) activated() bool { return p.policy.FirstPIN == engine.FirstPINByActivationCode }

// action is where the form of a first page is sent. The choice of keyboard stays.
func action(path string, letters bool) string {
	if letters {
		return path + "?letters=1"
	}
	return path
}

// signInView is the first page.
type signInView struct {
	page
	user    string
	request string
	letters bool // the passcode field accepts letters even if the policy has none
}

// resyncView is a page that asks for two tokencodes in a row.
type resyncView struct {
	page
	request  string
	user     string
	letters  bool   // as in signInView
	passcode string // on the second page: what was typed on the first
}

// notice is a page with one message and one link.
type notice struct {
	text  string // sentence id
	wait  time.Duration
	link  string
	label string // sentence id
}

// stepView is a page of the conversation.
type stepView struct {
	page
	entry
	request string
	prompt  engine.Prompt
	now     time.Time
}

// left is the time left for this step.
func (s stepView) left() time.Duration { return max(0, s.prompt.Expires.Sub(s.now)) }

// limited reports whether the page says how much time is left. A tokencode that
// was sent says so itself, and the next tokencode of a clock has a limit of its
// own, in tokencodes.
func (s stepView) limited() bool { return s.prompt.Step != events.StepNextTokencode || s.prompt.Event }

// missed is the sentence id for users who were too late for the next tokencode.
func (s stepView) missed() string {
	if s.prompt.Within == 1 {
		return "next_missed_one"
	}
	return "next_missed"
}

// remaining is how long the token shows its present tokencode, in milliseconds.
func (s stepView) remaining() string {
	return milliseconds(min(max(s.prompt.Next.Sub(s.now), 0), s.prompt.Period))
}

func (s stepView) period() string { return milliseconds(s.prompt.Period) }

// counts reports whether the page can say when the next tokencode will appear.
func (s stepView) counts() bool {
	return !s.prompt.Event && s.prompt.Period > 0 && !s.prompt.Next.IsZero()
}

// passcodeLabel is the sentence id of the label: on demand the PIN alone is typed.
func (s stepView) passcodeLabel() string {
	if s.style == styleOnDemand {
		return "pin_label"
	}
	return "passcode_label"
}

// pinMode is the keyboard for a PIN.
func (s stepView) pinMode() string {
	if s.prompt.Rules.Alphanumeric {
		return "text"
	}
	return "numeric"
}

func milliseconds(d time.Duration) string { return strconv.FormatInt(d.Milliseconds(), 10) }

// input is one field of a form.
type input struct {
	name, kind, label string
	value             string
	complete          string // autocomplete
	mode              string // inputmode
	invalid           bool
	masked            bool // hidden until the box below it is ticked
	hint              bool // there is a hint below the label
}

// describedBy lists the elements that describe the field to a screen reader.
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

// lengthRule says how long a PIN must be and which characters it may have.
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

// pinRules lists the rules for a new PIN.
func pinRules(ctx context.Context, r engine.PINRules) []string {
	rules := []string{lengthRule(ctx, r)}
	if r.PINpad {
		rules = append(rules, say(ctx, "pin_rule_zero"))
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

// span says a duration in whole hours, minutes or seconds, rounded down. The
// moment that a page takes to be made does not turn five minutes into four.
func span(ctx context.Context, d time.Duration) string {
	d += 2 * time.Second
	unit, n := "second", int(d/time.Second)-2
	switch minutes := int(d / time.Minute); {
	case minutes >= 120 && minutes%60 == 0:
		unit, n = "hour", minutes/60
	case minutes > 0:
		unit, n = "minute", minutes
	}
	if n != 1 {
		unit += "s"
	}
	return say(ctx, unit, "Number", n)
}

// roundUp is a time to wait in whole seconds, or in whole minutes when it is
// longer than one.
func roundUp(d time.Duration) time.Duration {
	unit := time.Second
	if d > time.Minute {
		unit = time.Minute
	}
	return (d + unit - 1).Truncate(unit)
}

// languageName is a language's name in that language.
func languageName(lang string) string {
	switch lang {
	case "de":
		return "Deutsch"
	default:
		return "English"
	}
}
