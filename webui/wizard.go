package webui

import (
	"errors"
	"net/http"

	"keyfob/engine"
	"keyfob/events"
)

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
	v.show(status, signInPage(signInView{page: p, user: v.form.user, request: request, letters: v.letters()}))
}

// letters reports whether the user asked for a keyboard with letters.
func (v *visit) letters() bool { return v.r.URL.Query().Has("letters") }

// sameRequest keeps the random number of the form that was sent, so that sending
// it again is a retry.
func (v *visit) sameRequest() string {
	if v.form.request != "" {
		return v.form.request
	}
	return v.newRequest()
}

// signIn is POST /. It starts a new conversation, even if the browser has one.
func (s *site) signIn(v *visit) {
	if pr := v.form.incomplete(); pr.is() {
		v.showSignIn(http.StatusUnprocessableEntity, pr, v.newRequest())
		return
	}
	out, err := v.authenticate("")
	switch {
	case err != nil:
		v.undecided(err)
	case out.Wait > 0:
		v.throttled(out.Wait)
	case out.Verdict == engine.Accept || out.Verdict == engine.Challenge:
		v.proceed(out)
	default: // the same answer for every reason
		v.forget()
		v.showSignIn(http.StatusUnprocessableEntity, refused(out), v.newRequest())
	}
}

// incomplete says which fields of a first page are empty. It is the same for
// every user; the node is not asked.
func (f form) incomplete() problem {
	switch {
	case f.user == "" && f.passcode == "":
		return missing("both_missing", "user", "passcode")
	case f.user == "":
		return missing("user_missing", "user")
	case f.passcode == "":
		return missing("passcode_missing", "passcode")
	}
	return problem{}
}

func missing(text string, fields ...string) problem {
	return problem{title: "problem_title", text: text, fields: fields}
}

// refused is the one answer to everybody who has not completed the first step.
func refused(out engine.Outcome) problem {
	return problem{
		title: "refused_title", text: "refused_text", refused: true, reference: out.Reference, fields: []string{"passcode"},
	}
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
		if _, done := v.done(); done { // the button was pressed twice
			v.redirect(pathDone)
			return
		}
		v.ended(engine.Outcome{Reason: events.ReasonConversationExpired}, engine.Prompt{})
		return
	}
	prompt, err := v.prompt(conversation)
	switch {
	case errors.Is(err, engine.ErrConversation):
		// The turn is over. This may be the retry of a form whose answer was
		// lost on the way; the node remembers that answer.
	case err != nil:
		v.undecided(err)
		return
	case pathOf(prompt.Step) != v.path:
		v.redirect(pathOf(prompt.Step)) // the form answers another step
		return
	case v.form.more && !prompt.Extendable:
		v.redirect(v.path)
		return
	case !v.form.more && !v.answers(prompt):
		return
	}
	out, err := v.authenticate(conversation)
	switch {
	case err != nil:
		v.undecided(err)
	case out.Wait > 0:
		v.throttled(out.Wait)
	case out.Verdict == engine.Reject && out.Prompt.Step == events.StepNone:
		v.ended(out, prompt)
	default:
		v.proceed(out)
	}
}

// answers reports whether the form answers the step. If not, it shows the page
// again.
func (v *visit) answers(prompt engine.Prompt) bool {
	var pr problem
	switch prompt.Step {
	case events.StepNextTokencode:
		if v.form.tokencode == "" {
			pr = missing("tokencode_missing", "tokencode")
			if prompt.Sent {
				pr.text = "tokencode_missing_sent"
			}
		}
	case events.StepLogin:
		if v.form.passcode == "" {
			pr = missing("passcode_missing", "passcode")
			if prompt.Sent {
				pr.text = "pin_missing"
			}
		}
	case events.StepChoosePIN, events.StepGeneratePIN:
		if v.form.choice == engine.ChoiceNone && v.form.pin == "" {
			pr = missing("problem_choice")
		}
	case events.StepNewPIN, events.StepConfirmPIN:
		if v.form.choice != engine.ChoiceNone && v.form.pin == "" {
			v.redirect(pathPIN) // the button was pressed twice
			return false
		}
		if v.form.pin == "" {
			pr = missing("pin_missing", "pin")
		}
	case events.StepNone:
	}
	if !pr.is() {
		return true
	}
	v.showPrompt(http.StatusUnprocessableEntity, prompt, pr, v.newRequest())
	return false
}

// showDone is GET /done, for users who have just finished.
func (s *site) showDone(v *visit) {
	entry, done := v.done()
	if !done {
		v.redirect(pathSignIn)
		return
	}
	v.show(http.StatusOK, donePage(v.page("done_heading", stageDone), entry))
}

// showLost is GET /lost.
func (s *site) showLost(v *visit) {
	v.show(http.StatusOK, lostPage(v.page("lost_heading", stageNone)))
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
