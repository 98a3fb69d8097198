package agent

import (
	"fmt"
	"net/http"

	"github.com/cromt/cromt/sparky"
)

// getReportJID leads people from a job-id to its page.
func (a *Agent) getReportJID(w http.ResponseWriter, r *http.Request, n names) {
	_, rec := a.known(w, r, n)
	switch {
	case rec == nil:
	case rec.State == sparky.CodeQueued || rec.Pruned:
		w.WriteHeader(http.StatusNotFound)
	default:
		redirect(w, fmt.Sprintf("/report/%s/%d", rec.Project, rec.Seq))
	}
}

func redirect(w http.ResponseWriter, to string) {
	w.Header().Set("Location", to)
	w.WriteHeader(http.StatusSeeOther)
}

// badges are the words and colours of a Sparky's badges.
func badge(state sparky.Code) (text, colour string) {
	switch state {
	case sparky.CodeOK:
		return "OK", "green"
	case sparky.CodeFailed:
		return "FAIL", "red"
	case sparky.CodeCancelled:
		return "TERM", "red"
	case sparky.CodeRunning:
		return "Run", "yellow"
	}
	return "UNKOWN", "gray" //nolint:misspell // so spelled by a Sparky
}

func (a *Agent) getBadge(w http.ResponseWriter, r *http.Request, n names) {
	recs, err := a.store.list(r.Context(), `WHERE pruned = 0 AND project = ? AND state <> ? ORDER BY seq DESC LIMIT 1`,
		n.project, int(sparky.CodeQueued))
	if err != nil {
		a.fail(w, r, err)
		return
	}
	state := sparky.CodeQueued
	if len(recs) > 0 {
		state = recs[0].State
	}
	text, colour := badge(state)
	redirect(w, "https://img.shields.io/static/v1?label=Sparky&message=Build+%7C+"+text+"&color="+colour)
}
