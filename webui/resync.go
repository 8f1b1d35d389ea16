package webui

import (
	"net/http"

	"keyfob/engine"
)

// showResync is GET /resync: for a token whose clock is so far off that its
// codes are refused without a word.
func (s *site) showResync(v *visit) { v.showResync(http.StatusOK, problem{}) }

// resync is POST /resync. The passcode alone is not looked at: it waits in the
// second page's form until the next tokencode has been typed too, so that the
// answer says nothing of the first alone, and this node keeps nothing.
func (s *site) resync(v *visit) {
	if pr := v.form.lacks(); pr.is() {
		v.showResync(http.StatusUnprocessableEntity, pr)
		return
	}
	if v.form.tokencode == "" {
		v.showResyncNext()
		return
	}
	out, err := v.authenticate("")
	switch {
	case err != nil:
		v.undecided(err)
	case out.Wait > 0:
		v.throttled(out.Wait)
	case out.Verdict == engine.Resynchronized:
		v.finish()
		v.redirect(pathDone)
	default:
		v.forget()
		v.showResync(http.StatusUnprocessableEntity, refused(out))
	}
}

func (v *visit) showResync(status int, pr problem) {
	p := v.page("resync_heading", stageSignIn).with(pr)
	v.show(status, resyncPage(resyncView{page: p, user: v.form.user, activated: v.activated()}))
}

func (v *visit) showResyncNext() {
	status, pr := http.StatusOK, problem{}
	if v.form.hasNext {
		status, pr = http.StatusUnprocessableEntity, problem{title: "problem_title", text: "tokencode_missing", fields: []string{"tokencode"}}
	}
	p := v.page("resync_next_heading", stageSetUp).with(pr)
	v.show(status, resyncNextPage(resyncView{page: p, request: v.newRequest(), user: v.form.user, passcode: v.form.passcode.Reveal()}))
}
