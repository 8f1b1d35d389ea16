package webui

import (
	"net/http"
	"time"

	"keyfob/engine"
)

// callerView is the page on which a user on the telephone gets a word to read
// out to the help desk.
type callerView struct {
	page
	user    string
	request string
	word    string        // empty: the form
	within  time.Duration // the word is valid
}

// showCaller is GET /caller.
func (s *site) showCaller(v *visit) { v.showCaller(http.StatusOK, problem{}, v.newRequest()) }

func (v *visit) showCaller(status int, pr problem, request string) {
	v.show(status, callerPage(callerView{page: v.page("caller_heading", stageNone).with(pr), user: v.form.user, request: request}))
}

// caller is POST /caller. Nothing is kept in the browser: the word is on the
// page that answers the form.
func (s *site) caller(v *visit) {
	switch {
	case v.form.user == "":
		v.showCaller(http.StatusUnprocessableEntity, missing("user_missing", "user"), v.newRequest())
		return
	case v.form.tokencode == "":
		v.showCaller(http.StatusUnprocessableEntity, missing("tokencode_missing", "tokencode"), v.newRequest())
		return
	}
	out, err := v.authenticate("")
	switch {
	case err != nil:
		v.undecided(err)
	case out.Wait > 0:
		v.throttled(out.Wait)
	case out.Verdict == engine.Proved:
		v.show(http.StatusOK, wordPage(callerView{
			page: v.page("word_heading", stageNone), word: out.Word.Reveal(), within: out.Expires.Sub(s.cfg.Now()),
		}))
	default: // the same answer for every reason
		pr := refused(out)
		pr.text, pr.fields = "caller_refused", []string{"tokencode"}
		v.showCaller(http.StatusUnprocessableEntity, pr, v.newRequest())
	}
}
