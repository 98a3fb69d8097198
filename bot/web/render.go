package web

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"net/url"
	"strings"

	"github.com/cromt/cromt/bot/githubapp"
	"github.com/cromt/cromt/bot/store"
)

// problem is an answer that is no page.
type problem struct {
	status int
	text   string // a sentence
	hint   string // what to do; "" for nothing
}

func (e *problem) Error() string { return e.text }

// errNotFound is the answer for what there is not, and for what a reader may
// not see.
var errNotFound = &problem{http.StatusNotFound, "There is no such page, or you may not see it.", "Its repository may be one that you cannot read, or the run may be too old to be kept."}

// frame is what is around the content of every page.
type frame struct {
	Title   string
	Nav     string // which of the main links it belongs to
	Login   string // who has signed in; "" nobody
	Path    string // of this page, with its query
	Refresh int    // seconds after which the script loads it again; 0: it does not
	Content any
}

// page serves a page for those who may see it.
func (p *pages) page(h func(http.ResponseWriter, *http.Request, *reader) error) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		rd, err := p.reader(r)
		if err == nil {
			err = h(w, r, rd)
		}
		if err != nil {
			p.fail(w, r, rd, err)
		}
	})
}

// show answers with a page, or with the same as JSON.
func (p *pages) show(w http.ResponseWriter, r *http.Request, rd *reader, name string, f frame, asJSON any) error {
	if wantsJSON(r) {
		return writeJSON(w, http.StatusOK, asJSON)
	}
	return p.html(w, r, rd, http.StatusOK, name, f)
}

func (p *pages) html(w http.ResponseWriter, r *http.Request, rd *reader, status int, name string, f frame) error {
	if rd != nil {
		f.Login = rd.login
	}
	f.Path = r.URL.RequestURI()
	var b bytes.Buffer
	if err := p.templates.ExecuteTemplate(&b, name, f); err != nil {
		return err
	}
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	w.WriteHeader(status)
	_, _ = b.WriteTo(w) // who does not take it is gone
	return nil
}

func writeJSON(w http.ResponseWriter, status int, v any) error {
	data, err := json.Marshal(v)
	if err != nil {
		return err
	}
	w.Header().Set("Content-Type", "application/json; charset=utf-8")
	w.WriteHeader(status)
	_, _ = w.Write(append(data, '\n'))
	return nil
}

// wantsJSON reports whether JSON is asked for, before HTML if for both.
func wantsJSON(r *http.Request) bool {
	for kind := range strings.SplitSeq(r.Header.Get("Accept"), ",") {
		switch kind, _, _ = strings.Cut(strings.TrimSpace(kind), ";"); kind {
		case "application/json":
			return true
		case "text/html":
			return false
		}
	}
	return false
}

// failure is what the page about a problem shows.
type failure struct {
	Text, Hint string
	SignIn     string // where to sign in; "": that is of no use
	Setup      bool   // nobody can sign in: say how to have that
	Callback   string
}

// fail answers that there is no page.
func (p *pages) fail(w http.ResponseWriter, r *http.Request, rd *reader, err error) {
	e, view := p.explain(w, r, err)
	w.Header().Set("Cache-Control", "no-store")
	if wantsJSON(r) {
		_ = writeJSON(w, e.status, map[string]string{"error": strings.TrimSpace(e.text + " " + e.hint)})
		return
	}
	if err := p.html(w, r, rd, e.status, "problem.html", frame{Title: http.StatusText(e.status), Content: view}); err != nil {
		p.Logger.Error("page about a problem", "error", err)
	}
}

func (p *pages) explain(w http.ResponseWriter, r *http.Request, err error) (*problem, failure) {
	var e *problem
	switch {
	case errors.Is(err, githubapp.ErrSignedOut):
		_ = p.setCookie(w, sessionCookie, nil, 0)
		fallthrough
	case errors.Is(err, errSignIn):
		e = &problem{http.StatusUnauthorized, "Sign in to see this page.", "You see what you can read on GitHub."}
		return e, failure{Text: e.text, Hint: e.hint, SignIn: "/signin?" + url.Values{"next": {r.URL.RequestURI()}}.Encode()}
	case errors.Is(err, errClosed):
		e = &problem{http.StatusForbidden, "Signing in is not set up.", "Whoever operates this App sets github.client_id and github.client_secret_file in bot.yaml."}
		return e, failure{Text: e.text, Setup: true, Callback: p.PublicURL + callbackPath}
	case errors.As(err, &e):
	case errors.Is(err, store.ErrNotFound):
		e = errNotFound
	case r.Context().Err() != nil:
		e = &problem{http.StatusServiceUnavailable, "The request has ended.", ""}
	case errors.Is(err, context.DeadlineExceeded):
		e = &problem{http.StatusServiceUnavailable, "This takes too long.", "Try again in a moment."}
	default:
		p.Logger.Error("page", "path", r.URL.Path, "error", err)
		e = &problem{http.StatusInternalServerError, "Something went wrong here.", "It is in the log of the App."}
	}
	return e, failure{Text: e.text, Hint: e.hint}
}

// visible returns a run that the reader may see.
func (p *pages) visible(r *http.Request, rd *reader) (*store.Run, error) {
	run, err := p.Store.Run(r.Context(), r.PathValue("id"))
	if err != nil {
		return nil, err
	}
	return run, p.allowed(r, rd, run.Repo, run.RepoID)
}

// allowedName is allowed for the repository that has had a name last.
func (p *pages) allowedName(r *http.Request, rd *reader, repo string) error {
	page, err := p.Store.Runs(r.Context(), store.Filter{Repo: repo, Limit: 1})
	if err != nil {
		return err
	}
	id := int64(0)
	if len(page.Runs) > 0 {
		id = page.Runs[0].RepoID
	}
	return p.allowed(r, rd, repo, id)
}

// allowed returns an error unless the reader may see what there is of a
// repository; see reader.canRead.
func (p *pages) allowed(r *http.Request, rd *reader, repo string, id int64) error {
	ok, err := rd.canRead(r.Context(), repo, id)
	switch {
	case err != nil:
		return p.unasked(err)
	case !ok:
		return errNotFound
	}
	return nil
}

// unasked is the problem that GitHub did not say what somebody may read.
func (p *pages) unasked(err error) error {
	if errors.Is(err, githubapp.ErrSignedOut) {
		return err
	}
	p.Logger.Warn("what a reader may read is not known", "error", err)
	return &problem{http.StatusBadGateway, "GitHub does not say what you may read.", "Try again in a moment."}
}
