package agent

import (
	"bytes"
	"cmp"
	"crypto/sha256"
	"embed"
	"encoding/hex"
	"fmt"
	"html/template"
	"net/http"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/cromt/cromt/sparky"
)

//go:embed web
var web embed.FS

// pages are the templates, each page with the frame around it. They are read
// when somebody looks at one: most processes of the program have no pages.
var pages = sync.OnceValue(func() map[string]*template.Template {
	all := map[string]*template.Template{}
	frame := template.Must(template.New("frame.html").Funcs(template.FuncMap{
		"state": stateWord, "class": stateClass, "time": timeText, "ago": ago, "size": size, "asset": asset,
	}).ParseFS(web, "web/frame.html", "web/list.html"))
	for _, name := range []string{"projects", "project", "builds", "queue", "report", "about", "login", "error"} {
		all[name] = template.Must(template.Must(frame.Clone()).ParseFS(web, "web/"+name+".html"))
	}
	return all
})

// asset returns the address of a file of the pages, another one when the file
// is another.
func asset(name string) (string, error) {
	data, err := web.ReadFile("web/" + name)
	sum := sha256.Sum256(data)
	return "/static/" + name + "?" + hex.EncodeToString(sum[:4]), err
}

// frame is what every page shows.
type frame struct {
	Title, Host, Version string
	User                 string // who has signed in; "": nobody
	Open                 bool   // nobody needs to
	Section              string // of the menu
	Refresh              int    // seconds after which a browser without scripts asks again; 0: never
	Live                 bool   // the page needs the script
	Page                 any
}

func (a *Agent) render(w http.ResponseWriter, r *http.Request, status int, name string, f frame) {
	f.Host, f.Version, f.Open = a.cfg.Name, a.cfg.Version, a.access.open
	f.User = a.person(r)
	var b bytes.Buffer
	if err := pages()[name].ExecuteTemplate(&b, "frame.html", f); err != nil {
		a.fail(w, r, err)
		return
	}
	h := w.Header()
	h.Set("Content-Type", "text/html; charset=utf-8")
	h.Set("Content-Security-Policy", "default-src 'none'; style-src 'self'; script-src 'self'; connect-src 'self'; img-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'")
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("Referrer-Policy", "same-origin")
	h.Set("Cache-Control", "no-store")
	w.WriteHeader(status)
	_, _ = w.Write(b.Bytes()) // the client has gone
}

// missing answers that there is no such thing, to people in words.
func (a *Agent) missing(w http.ResponseWriter, r *http.Request, title, text string) {
	if !strings.Contains(r.Header.Get("Accept"), "text/html") {
		w.WriteHeader(http.StatusNotFound)
		return
	}
	a.render(w, r, http.StatusNotFound, "error", frame{Title: title, Page: text})
}

// failPage answers an error to people, when it is one that they can act on.
func (a *Agent) failPage(w http.ResponseWriter, r *http.Request, err error) {
	if status := statusOf(err); status != 0 && status < 500 {
		a.render(w, r, status, "error", frame{Title: "Not done", Page: err.Error()})
		return
	}
	a.fail(w, r, err)
}

func (a *Agent) getStatic(w http.ResponseWriter, r *http.Request, n names) {
	data, err := web.ReadFile("web/" + n.file)
	kinds := map[string]string{"style.css": "text/css; charset=utf-8", "live.js": "text/javascript; charset=utf-8", "icon.svg": "image/svg+xml"}
	kind, ok := kinds[n.file]
	if err != nil || !ok {
		w.WriteHeader(http.StatusNotFound)
		return
	}
	h := w.Header()
	h.Set("Content-Type", kind)
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("Cache-Control", "public, max-age=86400")
	_, _ = w.Write(data) // the client has gone
}

func stateWord(c sparky.Code) string {
	switch c {
	case sparky.CodeOK:
		return "OK"
	case sparky.CodeFailed:
		return "Failed"
	case sparky.CodeCancelled:
		return "Cancelled"
	case sparky.CodeRunning:
		return "Running"
	}
	return "Queued"
}

func stateClass(c sparky.Code) string { return strings.ToLower(stateWord(c)) }

func timeText(t time.Time) string {
	if t.IsZero() {
		return ""
	}
	return t.Local().Format("2006-01-02 15:04:05 MST")
}

// ago says how long ago that was.
func ago(t time.Time) string {
	switch d := time.Since(t); {
	case t.IsZero():
		return ""
	case d < time.Minute:
		return "just now"
	case d < time.Hour:
		return fmt.Sprintf("%d min ago", d/time.Minute)
	case d < 24*time.Hour:
		return fmt.Sprintf("%d h ago", d/time.Hour)
	}
	return t.Local().Format("2006-01-02")
}

// Took says how long the build has run.
func (r *record) Took() string {
	if r.Started.IsZero() {
		return ""
	}
	end := r.Ended
	if end.IsZero() {
		end = time.Now()
	}
	d := end.Sub(r.Started)
	switch {
	case d < time.Second:
		return fmt.Sprintf("%d ms", d.Milliseconds())
	case d < time.Minute:
		return fmt.Sprintf("%.1f s", d.Seconds())
	}
	return d.Round(time.Second).String()
}

func size(n int64) string {
	switch {
	case n < 1<<10:
		return fmt.Sprintf("%d B", n)
	case n < 1<<20:
		return fmt.Sprintf("%.1f KiB", float64(n)/(1<<10))
	}
	return fmt.Sprintf("%.1f MiB", float64(n)/(1<<20))
}

// row is a build in a list.
type row struct {
	*record
	Description string
	ShowProject bool
}

func rows(recs []*record, showProject bool) []row {
	list := make([]row, len(recs))
	for i, rec := range recs {
		list[i] = row{rec, rec.settings().Description, showProject}
	}
	return list
}

func (a *Agent) getIndex(w http.ResponseWriter, _ *http.Request, _ names) {
	redirect(w, "/builds_latest")
}

// buildList is a page of builds, newest first.
type buildList struct {
	Rows  []row
	Older int64 // build that the next page ends before; 0: none
	Path  string
}

func (a *Agent) builds(r *http.Request, where string, args ...any) (*buildList, error) {
	before, err := strconv.ParseInt(r.URL.Query().Get("before"), 10, 64)
	if err != nil || before <= 0 {
		before = 1 << 62
	}
	recs, err := a.store.list(r.Context(), `WHERE pruned = 0 AND seq < ?`+where+` ORDER BY seq DESC LIMIT ?`, append(append([]any{before}, args...), maxList+1)...)
	if err != nil {
		return nil, err
	}
	list := &buildList{Path: r.URL.Path}
	if len(recs) > maxList {
		recs = recs[:maxList]
		list.Older = recs[maxList-1].Seq
	}
	list.Rows = rows(recs, where == "")
	return list, nil
}

func (a *Agent) getBuilds(w http.ResponseWriter, r *http.Request, _ names) {
	list, err := a.builds(r, "")
	if err != nil {
		a.fail(w, r, err)
		return
	}
	a.render(w, r, http.StatusOK, "builds", frame{Title: "Builds", Section: "builds", Page: list})
}

// getQueue shows what runs and what waits, in the order of acceptance.
func (a *Agent) getQueue(w http.ResponseWriter, r *http.Request, _ names) {
	var recs []*record
	a.mu.Lock()
	for _, j := range a.jobs {
		if rec := j.snapshot(); !rec.State.Ended() && isReady(j) && j.notReady == nil {
			recs = append(recs, &rec)
		}
	}
	a.mu.Unlock()
	slices.SortFunc(recs, func(x, y *record) int { return cmp.Compare(x.Seq, y.Seq) })
	more := max(0, len(recs)-maxList)
	a.render(w, r, http.StatusOK, "queue", frame{Title: "Queue", Section: "queue", Refresh: 5, Page: struct {
		Rows []row
		More int
	}{rows(recs[:len(recs)-more], true), more}})
}

// projectRow is a project in the list of them.
type projectRow struct {
	Name, Problem    string
	Folder, Disabled bool
	Crontab          string
	SCM              *scm
	Last             *record // nil: none
}

func (a *Agent) getProjects(w http.ResponseWriter, r *http.Request, _ names) {
	filter := strings.ToLower(strings.TrimSpace(r.URL.Query().Get("q")))
	recs, err := a.store.list(r.Context(), `WHERE seq IN (SELECT max(seq) FROM jobs WHERE pruned = 0 GROUP BY project) ORDER BY seq DESC`)
	if err != nil {
		a.fail(w, r, err)
		return
	}
	folders, err := a.folderNames()
	if err != nil {
		a.fail(w, r, err)
		return
	}
	last := map[string]*record{}
	for _, rec := range recs {
		last[rec.Project] = rec
	}
	var list []projectRow
	for _, name := range folders {
		row := projectRow{Name: name, Folder: true, Last: last[name]}
		if p, err := a.readFolder(name); err != nil {
			row.Problem = err.Error()
		} else {
			row.Disabled, row.Crontab, row.SCM = p.Disabled, p.Crontab, p.SCM
		}
		list = append(list, row)
	}
	for _, rec := range recs {
		if _, found := slices.BinarySearch(folders, rec.Project); !found {
			list = append(list, projectRow{Name: rec.Project, Last: rec})
		}
	}
	list = slices.DeleteFunc(list, func(p projectRow) bool { return !strings.Contains(strings.ToLower(p.Name), filter) })
	more := max(0, len(list)-maxList)
	a.render(w, r, http.StatusOK, "projects", frame{Title: "Projects", Section: "projects", Page: struct {
		Rows   []projectRow
		More   int
		Filter string
		Dir    string
	}{list[:len(list)-more], more, filter, a.projectPath("NAME")}})
}

func (a *Agent) getAbout(w http.ResponseWriter, r *http.Request, _ names) {
	a.mu.Lock()
	running, sparrows, waiting := a.running, a.waits, a.waiting
	a.mu.Unlock()
	free, err := freeBytes(a.cfg.Root)
	if err != nil {
		a.fail(w, r, err)
		return
	}
	a.render(w, r, http.StatusOK, "about", frame{Title: "About", Section: "about", Page: map[string]any{
		"Root": a.cfg.Root, "MaxJobs": a.cfg.MaxJobs, "Running": running, "Sparrows": sparrows, "Waiting": waiting, "Free": free,
		"Tom": a.tom, "Sparrowdo": a.sparrowdo, "Token": a.access.hasToken, "Users": a.access.users != nil, "MaxDisk": a.cfg.MaxDisk,
		"System": runtime.GOOS + "/" + runtime.GOARCH, "Time": time.Now(),
	}})
}
