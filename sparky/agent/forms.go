package agent

import (
	"encoding/json"
	"errors"
	"fmt"
	"mime"
	"net/http"
	"net/url"
	"strings"
	"time"
)

// postBuild starts a project as people do, for programs.
func (a *Agent) postBuild(w http.ResponseWriter, r *http.Request, n names) {
	a.startManual(w, r, n.project, build{description: "manual run"})
}

// postBuildWithTags is postBuild with parameters, in a form or in JSON: tags,
// such as "a=1,b=2", and description.
func (a *Agent) postBuildWithTags(w http.ResponseWriter, r *http.Request, n names) {
	b := build{description: "manual run"}
	var body struct{ Tags, Description string }
	if kind, _, _ := mime.ParseMediaType(r.Header.Get("Content-Type")); kind == "application/x-www-form-urlencoded" {
		form, ok := a.readForm(w, r)
		if !ok {
			return
		}
		body.Tags, body.Description = form.Get("tags"), form.Get("description")
	} else {
		data, ok := a.readJSON(w, r, maxForm)
		if !ok {
			return
		}
		if err := json.Unmarshal(data, &body); err != nil {
			writeError(w, http.StatusBadRequest, fmt.Errorf("body: %w", err))
			return
		}
	}
	b.tags, b.description = decodeTags(body.Tags), cmpOr(body.Description, b.description)
	a.startManual(w, r, n.project, b)
}

func (a *Agent) startManual(w http.ResponseWriter, r *http.Request, project string, b build) {
	b.by = a.who(r)
	p, err := a.readFolder(project)
	if err == nil && !p.Manual {
		err = fmt.Errorf("project %s: %w", project, errNotManual)
	}
	var id string
	if err == nil {
		id, err = a.start(r.Context(), p, b)
	}
	if err != nil {
		a.fail(w, r, err)
		return
	}
	writeText(w, http.StatusOK, id)
}

func (a *Agent) postRebuild(w http.ResponseWriter, r *http.Request, n names) {
	_, rec := a.known(w, r, n)
	if rec == nil {
		return
	}
	id, err := a.rebuild(r.Context(), rec, a.who(r))
	if err != nil {
		a.fail(w, r, err)
		return
	}
	writeText(w, http.StatusOK, id)
}

// who is who made the request, for people to read.
func (a *Agent) who(r *http.Request) string { return cmpOr(a.person(r), "api") }

// person is who has signed in, "" when nobody has.
func (a *Agent) person(r *http.Request) string {
	if s := a.access.session(r); s != nil {
		return s.name
	}
	return ""
}

// readForm reads what a browser sends. It answers errors itself.
func (a *Agent) readForm(w http.ResponseWriter, r *http.Request) (url.Values, bool) {
	ctl := http.NewResponseController(w)
	_ = ctl.SetReadDeadline(time.Now().Add(bodyTimeout)) // a recorder has none
	r.Body = http.MaxBytesReader(w, r.Body, maxForm)
	if err := r.ParseForm(); err != nil {
		if errors.As(err, new(*http.MaxBytesError)) {
			writeError(w, http.StatusRequestEntityTooLarge, err)
		} else {
			writeError(w, http.StatusBadRequest, fmt.Errorf("form: %w", err))
		}
		return nil, false
	}
	_ = ctl.SetReadDeadline(time.Time{})
	return r.PostForm, true
}

// formStart starts a project from its page.
func (a *Agent) formStart(w http.ResponseWriter, r *http.Request, n names) {
	form, ok := a.readForm(w, r)
	if !ok {
		return
	}
	p, err := a.readFolder(n.project)
	if err == nil && !p.Manual {
		err = fmt.Errorf("project %s: %w", n.project, errNotManual)
	}
	b := build{description: "manual run", by: a.person(r)}
	if err == nil {
		// The names that vars have are theirs: the form's own begin with a dot.
		b.tags, err = p.parameters(form.Get(".group"), form)
		b.description = cmpOr(strings.TrimSpace(form.Get(".description")), b.description)
	}
	if err == nil {
		b.id, err = a.start(r.Context(), p, b)
	}
	if err != nil {
		a.failPage(w, r, err)
		return
	}
	a.toBuild(w, r, n.project, b.id)
}

func (a *Agent) formCancel(w http.ResponseWriter, r *http.Request, n names) {
	j, rec := a.lookPage(w, r, n)
	if rec == nil {
		return
	}
	if j != nil {
		a.stop(j, errCancelled)
	}
	redirect(w, fmt.Sprintf("/report/%s/%d", rec.Project, rec.Seq))
}

func (a *Agent) formRebuild(w http.ResponseWriter, r *http.Request, n names) {
	_, rec := a.lookPage(w, r, n)
	if rec == nil {
		return
	}
	id, err := a.rebuild(r.Context(), rec, a.person(r))
	if err != nil {
		a.failPage(w, r, err)
		return
	}
	a.toBuild(w, r, rec.Project, id)
}

// toBuild leads to the page of a build that has just been queued.
func (a *Agent) toBuild(w http.ResponseWriter, r *http.Request, project, id string) {
	_, rec, err := a.find(r.Context(), names{project: project, job: id})
	if err == nil && rec == nil {
		if rec, err = a.store.load(r.Context(), id); err == nil && rec == nil {
			err = fmt.Errorf("job %s: not there", id)
		}
	}
	if err != nil {
		a.fail(w, r, err)
		return
	}
	redirect(w, fmt.Sprintf("/report/%s/%d", project, rec.Seq))
}

// loginPage is the page on which people sign in.
type loginPage struct {
	Next, Message string
	Names         bool // of users; else the token is the password
}

func (a *Agent) getLogin(w http.ResponseWriter, r *http.Request, _ names) {
	a.render(w, r, http.StatusOK, "login", frame{Title: "Sign in", Page: loginPage{localPath(r.URL.Query().Get("next")), "", a.access.users != nil}})
}

func (a *Agent) postLogin(w http.ResponseWriter, r *http.Request, _ names) {
	if a.access.cross.Check(r) != nil {
		writeText(w, http.StatusForbidden, "bad login")
		return
	}
	form, ok := a.readForm(w, r)
	if !ok {
		return
	}
	next := localPath(form.Get("next"))
	if a.access.open {
		redirect(w, next)
		return
	}
	value, err := a.access.signIn(r.Context(), r, form.Get("login"), form.Get("password"))
	if err != nil {
		status := http.StatusForbidden
		if errors.Is(err, errManyTries) {
			w.Header().Set("Retry-After", "60")
			status = http.StatusTooManyRequests
		} else if !errors.Is(err, errBadLogin) {
			a.fail(w, r, err)
			return
		}
		a.log.Warn("sign-in refused", "login", cut(form.Get("login"), 70), "from", r.RemoteAddr, "error", err)
		a.render(w, r, status, "login", frame{Title: "Sign in", Page: loginPage{next, err.Error(), a.access.users != nil}})
		return
	}
	http.SetCookie(w, &http.Cookie{Name: cookieName, Value: value, Path: "/", MaxAge: int(sessionTime / time.Second),
		HttpOnly: true, Secure: r.TLS != nil, SameSite: http.SameSiteLaxMode})
	redirect(w, next)
}

// getLogout asks: a page of another site could ask for it otherwise.
func (a *Agent) getLogout(w http.ResponseWriter, _ *http.Request, _ names) { redirect(w, "/login") }

func (a *Agent) postLogout(w http.ResponseWriter, r *http.Request, _ names) {
	if a.access.cross.Check(r) != nil {
		writeText(w, http.StatusForbidden, "bad origin")
		return
	}
	a.access.signOut(r)
	http.SetCookie(w, &http.Cookie{Name: cookieName, Path: "/", MaxAge: -1, HttpOnly: true, Secure: r.TLS != nil, SameSite: http.SameSiteLaxMode})
	redirect(w, "/login")
}

// localPath returns the path when it is one of this host, else "/".
func localPath(path string) string {
	u, err := url.Parse(path)
	if err != nil || u.Scheme != "" || u.Host != "" || !strings.HasPrefix(path, "/") || strings.HasPrefix(path, "//") ||
		strings.ContainsAny(path, "\\\r\n\t") || len(path) > 2000 {
		return "/"
	}
	return path
}
