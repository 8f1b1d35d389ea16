package webui

import (
	"errors"
	"net/http"
	"time"

	"github.com/a-h/templ"

	"keyfob/engine"
	"keyfob/events"
)

// undecidedWait is when to try again after the node could not decide: about
// the time in which a cluster finds a new leader.
const undecidedWait = 5 * time.Second

// showSignIn is GET /.
func (s *site) showSignIn(v *visit) {
	var pr problem
	if v.r.URL.Query().Has("over") {
		pr = problem{title: "over_title", text: "over_text"}
	}
	v.showSignIn(http.StatusOK, pr, v.newRequest())
}

func (v *visit) showSignIn(status int, pr problem, request string) {
	p := v.page("signin_heading", stageSignIn).with(pr)
	p.path = pathSignIn
	v.show(status, signInPage(signInView{page: p, user: v.form.user, request: request, activated: v.activated()}))
}

// activated reports whether a first PIN needs an activation code.
func (v *visit) activated() bool {
	return v.site.cfg.Node.State().Policy.FirstPIN == engine.FirstPINByActivationCode
}

// sameRequest keeps the number of the form that was sent, so that sending it
// again is a retry.
func (v *visit) sameRequest() string {
	if v.form.request != "" {
		return v.form.request
	}
	return v.newRequest()
}

// signIn is POST /: it begins a conversation anew, whatever the browser had.
func (s *site) signIn(v *visit) {
	if pr := v.form.lacks(); pr.is() {
		v.showSignIn(http.StatusUnprocessableEntity, pr, v.newRequest())
		return
	}
	out, err := v.authenticate("")
	if err != nil && !errors.Is(err, engine.ErrConversation) {
		v.undecided(err)
		return
	}
	if out.Wait > 0 {
		v.throttled(out.Wait)
		return
	}
	if err == nil && (out.Verdict == engine.Accept || out.Verdict == engine.Challenge) {
		v.goOn(out)
		return
	}
	// One answer, whatever the reason.
	v.forget()
	v.showSignIn(http.StatusUnprocessableEntity, refused(out), v.newRequest())
}

// lacks says which fields of a first page are empty. It is the same for every
// user, and nothing has been asked of the node.
func (f form) lacks() problem {
	switch {
	case f.user == "" && f.passcode == "":
		return problem{title: "problem_title", text: "both_missing", fields: []string{"user", "passcode"}}
	case f.user == "":
		return problem{title: "problem_title", text: "user_missing", fields: []string{"user"}}
	case f.passcode == "":
		return problem{title: "problem_title", text: "passcode_missing", fields: []string{"passcode"}}
	}
	return problem{}
}

// refused is the one answer to whoever has not proved anything yet.
func refused(out engine.Outcome) problem {
	return problem{title: "refused_title", text: "refused_text", reference: out.Reference, fields: []string{"passcode"}}
}

// showStep is GET of a page within the conversation.
func (s *site) showStep(v *visit) {
	conversation := v.conversation()
	if conversation == "" {
		v.redirect(pathSignIn)
		return
	}
	prompt, err := v.prompt(conversation)
	switch {
	case errors.Is(err, engine.ErrConversation):
		v.forget()
		v.redirect(pathSignIn + "?over=1")
	case err != nil:
		v.undecided(err)
	case pathOf(prompt.Step) != v.path:
		v.redirect(pathOf(prompt.Step))
	default:
		v.showPrompt(http.StatusOK, prompt, problemOf(prompt), v.newRequest())
	}
}

// answerStep is POST of a page within the conversation.
func (s *site) answerStep(v *visit) {
	conversation := v.conversation()
	if conversation == "" {
		if v.isDone() { // pressed twice
			v.redirect(pathDone)
			return
		}
		v.over(engine.Outcome{Reason: events.ReasonConversationExpired}, engine.Prompt{})
		return
	}
	prompt, err := v.prompt(conversation)
	switch {
	case errors.Is(err, engine.ErrConversation):
		// The turn is past. It may be the retry of a form whose answer was
		// lost on the way, which the node remembers.
	case err != nil:
		v.undecided(err)
		return
	case pathOf(prompt.Step) != v.path:
		v.redirect(pathOf(prompt.Step)) // what this form says is not the answer to that step
		return
	case !v.answers(prompt):
		return
	}
	out, err := v.authenticate(conversation)
	switch {
	case errors.Is(err, engine.ErrConversation):
		v.over(engine.Outcome{Reason: events.ReasonConversationExpired}, prompt)
	case err != nil:
		v.undecided(err)
	case out.Wait > 0:
		v.throttled(out.Wait)
	case out.Verdict == engine.Reject && out.Prompt.Step == events.StepNone:
		v.over(out, prompt)
	default:
		v.goOn(out)
	}
}

// answers reports whether the form is an answer to the step at all, and shows
// the page again when it is not.
func (v *visit) answers(prompt engine.Prompt) bool {
	var pr problem
	switch prompt.Step {
	case events.StepNextTokencode:
		if v.form.tokencode == "" {
			pr = problem{title: "problem_title", text: "tokencode_missing", fields: []string{"tokencode"}}
			if prompt.Sent {
				pr.text = "tokencode_missing_sent"
			}
		}
	case events.StepLogin:
		if v.form.passcode == "" {
			pr = problem{title: "problem_title", text: "passcode_missing", fields: []string{"passcode"}}
		}
	case events.StepChoosePIN, events.StepGeneratePIN:
		if v.form.choice == engine.ChoiceNone && v.form.pin == "" {
			pr = problem{title: "problem_title", text: "choice"}
		}
	case events.StepNewPIN, events.StepConfirmPIN:
		if v.form.choice != engine.ChoiceNone && v.form.pin == "" {
			v.redirect(pathPIN) // chosen already: pressed twice
			return false
		}
		if v.form.pin == "" {
			pr = problem{title: "problem_title", text: "pin_missing", fields: []string{"pin"}}
		}
	case events.StepNone:
	}
	if !pr.is() {
		return true
	}
	v.showPrompt(http.StatusUnprocessableEntity, prompt, pr, v.newRequest())
	return false
}

// goOn leads to where the conversation went: the last page, the page of the
// next step, or the same page with what was wrong.
func (v *visit) goOn(out engine.Outcome) {
	if out.Verdict == engine.Accept {
		v.finish()
		v.redirect(pathDone)
		return
	}
	if err := v.remember(out.Conversation, out.Prompt.Expires); err != nil {
		v.undecided(err)
		return
	}
	next := pathOf(out.Prompt.Step)
	if pr := problemOf(out.Prompt); pr.is() && next == v.path {
		v.showPrompt(http.StatusUnprocessableEntity, out.Prompt, pr, v.newRequest())
		return
	}
	v.redirect(next)
}

// over says that the conversation has ended at a step, on the first page. Where
// tokencodes are sent, nobody is told to wait for what his token shows.
func (v *visit) over(out engine.Outcome, at engine.Prompt) {
	v.forget()
	pr := problem{title: "over_title", text: "over_text", reference: out.Reference}
	switch out.Reason { //nolint:exhaustive // the others have no words of their own
	case events.ReasonConversationExpired:
	case events.ReasonNextTokencodeWrong, events.ReasonOutsideWindow, events.ReasonBadTokencode:
		pr.text = "over_tokencode"
	case events.ReasonTokencodeReused:
		pr.text = "over_reused"
	case events.ReasonNewPINRefused:
		pr.text = "over_pin"
		if last := problemOf(out.Prompt); last.is() {
			pr.first, pr.rules = last.text, last.rules
		}
	default:
		pr.text = "over_refused"
	}
	if at.Sent && pr.text != "over_text" {
		pr.text += "_sent"
	}
	v.showSignIn(http.StatusUnprocessableEntity, pr, v.newRequest())
}

// undecided says that nothing is known, so that the form can be sent again.
func (v *visit) undecided(err error) {
	v.site.cfg.Log.WarnContext(v.r.Context(), "form undecided", "path", v.path, "source_ip", v.source, "err", err)
	what := "undecided"
	if errors.Is(err, engine.ErrBusy) {
		what = "busy"
	}
	v.later(http.StatusServiceUnavailable, undecidedWait, what)
}

// throttled says that too much came from where the form came from. What it
// says was not looked at.
func (v *visit) throttled(wait time.Duration) {
	v.later(http.StatusTooManyRequests, wait, "throttled")
}

// later shows the form that was sent once more, to be sent again. Nothing
// secret is filled in.
func (v *visit) later(status int, wait time.Duration, what string) {
	v.retryAfter(wait)
	pr := problem{title: what + "_title", text: what + "_text"}
	if v.path == pathSignIn {
		v.showSignIn(status, pr, v.sameRequest())
		return
	}
	prompt, err := v.prompt(v.conversation())
	if err != nil || pathOf(prompt.Step) != v.path {
		v.show(status, noticePage(v.page(what+"_title", stageNone), what+"_text", v.path))
		return
	}
	v.showPrompt(status, prompt, pr, v.sameRequest())
}

// showDone is GET /done, for whoever has just got there.
func (s *site) showDone(v *visit) {
	if !v.isDone() {
		v.redirect(pathSignIn)
		return
	}
	v.show(http.StatusOK, donePage(v.page("done_heading", stageDone)))
}

// showLost is GET /lost.
func (s *site) showLost(v *visit) {
	v.show(http.StatusOK, lostPage(v.page("lost_heading", stageNone)))
}

// showPrompt is the page of a step.
func (v *visit) showPrompt(status int, prompt engine.Prompt, pr problem, request string) {
	view := func(heading string, stage int) stepView {
		return stepView{page: v.page(heading, stage).with(pr), request: request, prompt: prompt, now: v.site.cfg.Now()}
	}
	var content templ.Component
	switch prompt.Step {
	case events.StepNextTokencode:
		if prompt.Sent {
			content = sentPage(view("sent_heading", stageSetUp))
		} else {
			content = nextPage(view("next_heading", stageSetUp))
		}
	case events.StepChoosePIN:
		content = choosePage(view("choose_heading", stageSetUp))
	case events.StepGeneratePIN:
		content = generatePage(view("generate_heading", stageSetUp))
	case events.StepNewPIN:
		content = newPINPage(view("pin_heading", stageSetUp))
	case events.StepConfirmPIN:
		content = confirmPage(view("confirm_heading", stageSetUp))
	case events.StepLogin:
		content = loginPage(view("login_heading", stageFinish))
	case events.StepNone:
		v.redirect(pathSignIn)
		return
	}
	v.show(status, content)
}

// problemOf words what was wrong with the answer before.
func problemOf(p engine.Prompt) problem {
	pr := problem{title: "problem_title", text: "problem_" + string(p.Problem)}
	switch p.Problem {
	case engine.ProblemNone:
		return problem{}
	case engine.ProblemChoice:
	case engine.ProblemReused, engine.ProblemWrong:
		field := "tokencode"
		if p.Step == events.StepLogin {
			field = "passcode"
		}
		pr.fields = []string{field}
		if p.Problem == engine.ProblemWrong {
			pr.text += "_" + field
			if p.Sent {
				pr.text += "_sent"
			}
		}
	case engine.ProblemDifferent, engine.ProblemLength, engine.ProblemCharacters,
		engine.ProblemTrivial, engine.ProblemCommon, engine.ProblemPersonal, engine.ProblemSameAsOld, engine.ProblemLeadingZero:
		pr.fields = []string{"pin"}
		pr.rules = &p.Rules
		if p.Problem == engine.ProblemSameAsOld && p.Rules.History <= 1 {
			pr.text = "problem_pin_last"
		}
	default:
		pr.text = "problem_unknown"
	}
	return pr
}

func (v *visit) authenticate(conversation string) (engine.Outcome, error) {
	origin, err := v.origin()
	if err != nil {
		return engine.Outcome{}, err
	}
	a, retry := v.form.attempt(v.path, conversation)
	if retry {
		origin.Request = a.Origin.Request
	}
	a.Origin, a.Arrived, a.Source = origin, v.arrived, v.source
	ctx, cancel := v.context()
	defer cancel()
	out, err := v.site.cfg.Node.Authenticate(ctx, a)
	if out.Reference == "" {
		out.Reference = origin.Reference // every refusal has one, of the same length
	}
	return out, err
}

func (v *visit) prompt(conversation string) (engine.Prompt, error) {
	if conversation == "" {
		return engine.Prompt{}, engine.ErrConversation
	}
	origin, err := v.origin()
	if err != nil {
		return engine.Prompt{}, err
	}
	ctx, cancel := v.context()
	defer cancel()
	return v.site.cfg.Node.Prompt(ctx, conversation, origin)
}
