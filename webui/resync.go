package webui

import (
	"net/http"

	"keyfob/engine"
)

// showResync is GET /resync: for a token whose clock or counter is so far off
// that its tokencodes are refused.
func (s *site) showResync(v *visit) {
	if v.resyncIsOff() {
		return
	}
	v.showResync(http.StatusOK, problem{})
}

// resyncIsOff answers with a page that says what to do instead when the policy
// does not let users resynchronize tokens themselves.
func (v *visit) resyncIsOff() bool {
	if v.site.cfg.Node.State().Policy.ResyncByUser {
		return false
	}
	v.notice(http.StatusNotFound, "resync_off")
	return true
}

// resync is POST /resync. The node is asked only when the next tokencode has
// been typed too, so that the answer says nothing about the first passcode
// alone. Until then the passcode stays in the form of the second page; nothing
// is kept here.
func (s *site) resync(v *visit) {
	if v.resyncIsOff() {
		return
	}
	if pr := v.form.incomplete(); pr.is() {
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
		v.finish(entryOf(out.Prompt))
		v.redirect(pathDone)
	default:
		v.forget()
		v.showResync(http.StatusUnprocessableEntity, refused(out))
	}
}

func (v *visit) showResync(status int, pr problem) {
	p := v.page("resync_heading", stageSignIn).with(pr)
	v.show(status, resyncPage(resyncView{page: p, user: v.form.user, letters: v.letters()}))
}

func (v *visit) showResyncNext() {
	status, pr := http.StatusOK, problem{}
	if v.form.hasNext {
		status, pr = http.StatusUnprocessableEntity, missing("tokencode_missing", "tokencode")
	}
	p := v.page("resync_next_heading", stageSetUp).with(pr)
	v.show(status, resyncNextPage(resyncView{page: p, request: v.newRequest(), user: v.form.user, passcode: v.form.passcode.Reveal()}))
}
