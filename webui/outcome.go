package webui

import (
	"errors"
	"net/http"
	"time"

	"github.com/a-h/templ"

	"keyfob/engine"
	"keyfob/events"
)

// undecidedWait is when to try again after the node could not decide: about the
// time in which a cluster elects a leader.
const undecidedWait = 5 * time.Second

// proceed leads to the next page: the last one, the page of the next step, or
// the same page with what was wrong.
func (v *visit) proceed(out engine.Outcome) {
	if out.Verdict == engine.Accept {
		v.finish(entryOf(out.Prompt))
		v.redirect(pathDone)
		return
	}
	if err := v.remember(out.Conversation, out.Prompt.Expires); err != nil {
		v.undecided(err)
		return
	}
	next := pathOf(out.Prompt.Step)
	if pr := problemOf(out.Prompt); pr.is() && next == v.path && !v.form.more {
		v.showPrompt(http.StatusUnprocessableEntity, out.Prompt, pr, v.newRequest())
		return
	}
	v.redirect(next)
}

// ended shows the first page and says why the conversation ended at a step. The
// user name stays.
func (v *visit) ended(out engine.Outcome, at engine.Prompt) {
	v.forget()
	pr := problem{title: "over_title", text: "over_text", reference: out.Reference}
	switch out.Reason { //nolint:exhaustive // the others have no words of their own
	case events.ReasonConversationExpired:
	case events.ReasonNextTokencodeWrong, events.ReasonOutsideWindow, events.ReasonBadTokencode:
		pr.text, pr.refused = "over_tokencode", true
	case events.ReasonTokencodeReused:
		pr.text = "over_reused"
	case events.ReasonNewPINRefused:
		pr.text = "over_pin"
		if last := problemOf(out.Prompt); last.is() {
			pr.first, pr.rules = last.text, last.rules
		}
	default:
		pr.text, pr.refused = "over_refused", true
	}
	if at.Sent && pr.text != "over_text" {
		pr.text += "_sent"
	}
	v.form.user = at.User
	v.showSignIn(http.StatusUnprocessableEntity, pr, v.newRequest())
}

// undecided says that nothing was decided, so that the form can be sent again.
func (v *visit) undecided(err error) {
	v.site.cfg.Log.WarnContext(v.r.Context(), "form not decided", "path", v.path, "source_ip", v.source, "err", err)
	what := "undecided"
	if errors.Is(err, engine.ErrBusy) {
		what = "busy"
	}
	v.tryLater(http.StatusServiceUnavailable, undecidedWait, what)
}

// throttled says that too many attempts from the user's address have failed. The
// node did not look at this one.
func (v *visit) throttled(wait time.Duration) {
	v.tryLater(http.StatusTooManyRequests, wait, "throttled")
}

// tryLater shows the form again, to be sent later. It fills in no secret.
func (v *visit) tryLater(status int, wait time.Duration, what string) {
	v.retryAfter(wait)
	pr := problem{title: what + "_title", text: what + "_text", wait: roundUp(wait)}
	switch v.path {
	case pathSignIn:
		v.showSignIn(status, pr, v.sameRequest())
		return
	case pathCaller:
		v.showCaller(status, pr, v.sameRequest())
		return
	}
	prompt, err := v.prompt(v.conversation())
	if err != nil || pathOf(prompt.Step) != v.path {
		v.show(status, noticePage(v.page(pr.title, stageNone), notice{text: pr.text, wait: pr.wait, link: v.path, label: "again"}))
		return
	}
	v.showPrompt(status, prompt, pr, v.sameRequest())
}

// showPrompt shows the page of a step.
func (v *visit) showPrompt(status int, prompt engine.Prompt, pr problem, request string) {
	view := func(heading string, stage int) stepView {
		return stepView{
			page: v.page(heading, stage).with(pr), entry: entryOf(prompt), request: request, prompt: prompt, now: v.site.cfg.Now(),
		}
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
	field := "tokencode"
	if p.Step == events.StepLogin {
		field = "passcode"
	}
	switch p.Problem {
	case engine.ProblemNone:
		return problem{}
	case engine.ProblemChoice:
	case engine.ProblemReused:
		pr.fields = []string{field}
		pr.text = entryOf(p).byButton(pr.text)
	case engine.ProblemWrong:
		pr.fields, pr.refused = []string{field}, true
		pr.text = wrong(p)
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

// wrong is the sentence for a tokencode or passcode that was not right.
func wrong(p engine.Prompt) string {
	e := entryOf(p)
	switch {
	case p.Step == events.StepLogin && e.style == stylePINFirst:
		return e.byButton("problem_wrong_passcode")
	case p.Step == events.StepLogin:
		return e.words("problem_wrong_passcode")
	case e.style == styleOnDemand:
		return e.words("problem_wrong_tokencode")
	}
	return e.byButton("problem_wrong_tokencode")
}
