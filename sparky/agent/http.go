package agent

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"mime"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/cromt/cromt/sparky"
)

// ServeHTTP answers the API of a Sparky host, with our extensions, and its pages.
func (a *Agent) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	route, args := findRoute(r)
	if route == nil {
		w.WriteHeader(http.StatusNotFound)
		return
	}
	if route.method != r.Method {
		w.WriteHeader(http.StatusMethodNotAllowed)
		return
	}
	if route.kind != free && !a.access.allows(r) {
		a.deny(w, r, route)
		return
	}
	if err := route.check(args); err != nil {
		writeError(w, http.StatusBadRequest, err)
		return
	}
	route.serve(a, w, r, args)
}

// deny answers a request that may not be made: people are led to where they
// can sign in.
func (a *Agent) deny(w http.ResponseWriter, r *http.Request, route *route) {
	if route.kind == page && r.Method == http.MethodGet && r.Header.Get("Token") == "" && strings.Contains(r.Header.Get("Accept"), "text/html") {
		w.Header().Set("Cache-Control", "no-store")
		redirect(w, "/login?"+url.Values{"next": {r.URL.RequestURI()}}.Encode())
		return
	}
	writeText(w, http.StatusForbidden, "bad token")
}

// names are the variable segments of a path.
type names struct{ project, job, file string }

type route struct {
	method string
	path   string // P, J, F and N stand for a project, job-id, file and number
	kind   kind
	serve  func(*Agent, http.ResponseWriter, *http.Request, names)
}

// kind says who may ask for a route.
type kind int

const (
	api  kind = iota // who has the token or has signed in
	page             // likewise; others are asked to sign in
	free             // everybody: it tells nothing
)

// check refuses names that no client of ours and no Sparky makes.
func (rt *route) check(n names) error {
	if n.project != "" && !sparky.ProjectName.MatchString(n.project) {
		return errors.New("project: must match " + sparky.ProjectName.String())
	}
	if n.job != "" && !sparky.JobID.MatchString(n.job) {
		return errors.New("job-id: must match " + sparky.JobID.String())
	}
	if n.file != "" && !sparky.FileName.MatchString(n.file) {
		return errors.New("filename: must match " + sparky.FileName.String())
	}
	return nil
}

// routesUnder returns the routes whose path begins with that segment.
func routesUnder(first string) []route {
	switch first {
	case "status":
		return []route{{"GET", "status/P/J", api, (*Agent).getStatus}}
	case "queue":
		return []route{{"POST", "queue", api, (*Agent).postQueue}, {"GET", "queue", page, (*Agent).getQueue}}
	case "report":
		return []route{{"GET", "report/raw/P/J", api, (*Agent).getReport}, {"GET", "report/P/N", page, (*Agent).getReportPage},
			{"GET", "report/P/N/live", api, (*Agent).getLive}, {"POST", "report/P/N/cancel", page, (*Agent).formCancel}, {"POST", "report/P/N/rebuild", page, (*Agent).formRebuild}}
	case "report_jid":
		return []route{{"GET", "report_jid/P/J", page, (*Agent).getReportJID}}
	case "file":
		return []route{{"PUT", "file/project/P/job/J/filename/F", api, (*Agent).putFile}, {"GET", "file/P/J/F", api, (*Agent).getFile}}
	case "file_view":
		return []route{{"GET", "file_view/P/J/F", api, (*Agent).viewFile}}
	case "stash":
		return []route{{"POST", "stash", api, (*Agent).postStash}, {"GET", "stash/P/J", api, (*Agent).getStash}}
	case "trigger":
		return []route{{"GET", "trigger/P/J", api, (*Agent).getTrigger}}
	case "cancel":
		return []route{{"POST", "cancel/project/P/J", api, (*Agent).postCancel}}
	case "build":
		return []route{{"POST", "build/project/P", api, (*Agent).postBuild}, {"POST", "build/project/P/J", api, (*Agent).postRebuild}, {"GET", "build/project/P", page, (*Agent).getBuildForm}}
	case "build-with-tags":
		return []route{{"POST", "build-with-tags/project/P", api, (*Agent).postBuildWithTags}}
	case "badge":
		return []route{{"GET", "badge/P", api, (*Agent).getBadge}}
	case "project":
		return []route{{"GET", "project/P", page, (*Agent).getProject}, {"GET", "project/P/builds", page, (*Agent).getProjectBuilds}, {"POST", "project/P/start", page, (*Agent).formStart}}
	case "cromt":
		return []route{{"GET", "cromt", api, (*Agent).getHello}}
	}
	return plainRoutes(first)
}

// plainRoutes are those of a single segment.
func plainRoutes(first string) []route {
	switch first {
	case "projects":
		return []route{{"GET", "projects", page, (*Agent).getProjects}}
	case "builds", "builds_latest":
		return []route{{"GET", first, page, (*Agent).getBuilds}}
	case "about":
		return []route{{"GET", "about", page, (*Agent).getAbout}}
	case "login", "default_login":
		return []route{{"GET", first, free, (*Agent).getLogin}, {"POST", first, free, (*Agent).postLogin}}
	case "logout":
		return []route{{"GET", "logout", free, (*Agent).getLogout}, {"POST", "logout", free, (*Agent).postLogout}}
	case "static":
		return []route{{"GET", "static/F", free, (*Agent).getStatic}}
	case "healthz":
		return []route{{"GET", "healthz", free, (*Agent).getHealth}}
	case "":
		return []route{{"GET", "", page, (*Agent).getIndex}}
	}
	return nil
}

// findRoute matches the path segment by segment, decoding each by itself: an
// encoded slash is part of a name, and no name has one. Among the routes of a
// path that of the request's method is returned.
func findRoute(r *http.Request) (*route, names) {
	segments := strings.Split(strings.TrimPrefix(r.URL.EscapedPath(), "/"), "/")
	for i, s := range segments {
		if strings.Contains(s, "%") {
			decoded, err := url.PathUnescape(s)
			if err != nil {
				return nil, names{}
			}
			segments[i] = decoded
		}
	}
	var found *route
	var args names
	routes := routesUnder(segments[0])
	for i := range routes {
		if n, ok := routes[i].match(segments); ok && (found == nil || routes[i].method == r.Method) {
			found, args = &routes[i], n
		}
	}
	return found, args
}

func (rt *route) match(segments []string) (n names, ok bool) {
	rest, more := rt.path, true
	for _, s := range segments {
		if !more {
			return n, false
		}
		var want string
		want, rest, more = strings.Cut(rest, "/")
		switch want {
		case "P":
			n.project = s
		case "J":
			n.job = s
		case "F", "N":
			n.file = s
		default:
			if s != want {
				return n, false
			}
			continue
		}
		if s == "" {
			return n, false
		}
	}
	return n, !more
}

func writeText(w http.ResponseWriter, status int, text string) {
	w.Header()["Content-Type"] = []string{"text/plain; charset=utf-8"}
	w.WriteHeader(status)
	_, _ = io.WriteString(w, text) // the client has gone
}

func writeJSON(w http.ResponseWriter, status int, v any) {
	data, err := json.Marshal(v)
	if err != nil {
		http.Error(w, err.Error(), http.StatusInternalServerError)
		return
	}
	w.Header()["Content-Type"] = []string{"application/json"}
	w.WriteHeader(status)
	_, _ = w.Write(data) // the client has gone
}

// writeError answers with the error as JSON, as text of one line.
func writeError(w http.ResponseWriter, status int, err error) {
	writeJSON(w, status, sparky.QueueAnswer{Error: err.Error()})
}

// statusOf returns the status for an error of the agent's own working, 0 for
// that of a client that has gone.
func statusOf(err error) int {
	switch {
	case errors.As(err, new(*diskFullError)):
		return http.StatusInsufficientStorage
	case errors.As(err, new(*http.MaxBytesError)), errors.Is(err, errTooLarge):
		return http.StatusRequestEntityTooLarge
	case errors.Is(err, errNoProject):
		return http.StatusNotFound
	case errors.Is(err, errNotManual):
		return http.StatusForbidden
	case errors.Is(err, errParameter), errors.Is(err, errDepth):
		return http.StatusBadRequest
	case errors.Is(err, errConflict), errors.Is(err, errDisabled):
		return http.StatusConflict
	case errors.Is(err, errBusy), errors.Is(err, errDraining), errors.Is(err, errJournalClosed):
		return http.StatusServiceUnavailable
	case errors.Is(err, context.Canceled):
		return 0
	}
	return http.StatusInternalServerError
}

// fail answers an error of the agent's own working.
func (a *Agent) fail(w http.ResponseWriter, r *http.Request, err error) {
	status := statusOf(err)
	switch status {
	case 0:
		return
	case http.StatusServiceUnavailable:
		w.Header().Set("Retry-After", "5")
	case http.StatusInternalServerError:
		a.log.Error("request", "method", r.Method, "path", r.URL.Path, "error", err)
	}
	writeError(w, status, err)
}

// readJSON reads a JSON body of at most limit bytes. It answers errors itself.
func (a *Agent) readJSON(w http.ResponseWriter, r *http.Request, limit int64) ([]byte, bool) {
	if !saysJSON(r.Header) {
		writeError(w, http.StatusBadRequest, errors.New("content type: must be application/json"))
		return nil, false
	}
	ctl := http.NewResponseController(w)
	_ = ctl.SetReadDeadline(time.Now().Add(bodyTimeout)) // a recorder has none
	data, err := readBody(http.MaxBytesReader(w, r.Body, limit), min(r.ContentLength, limit))
	if err != nil {
		var tooLarge *http.MaxBytesError
		if errors.As(err, &tooLarge) {
			writeError(w, http.StatusRequestEntityTooLarge, err)
		} else {
			writeError(w, http.StatusBadRequest, err)
		}
		return nil, false
	}
	_ = ctl.SetReadDeadline(time.Time{})
	return data, true
}

// readBody reads all of r, whose length is expected, but not sure, to be size.
func readBody(r io.Reader, size int64) ([]byte, error) {
	// Half a megabyte at first, whatever the client promises.
	data := make([]byte, 0, max(512, min(size+1, 512<<10)))
	for {
		n, err := r.Read(data[len(data):cap(data)])
		data = data[:len(data)+n]
		if err == io.EOF {
			return data, nil
		}
		if err != nil {
			return nil, err
		}
		if len(data) == cap(data) {
			data = append(data, 0)[:len(data)]
		}
	}
}

// saysJSON accepts the header twice, as the Raku client sends it.
func saysJSON(h http.Header) bool {
	for _, v := range h.Values("Content-Type") {
		if v == "application/json" {
			return true
		}
		if t, _, err := mime.ParseMediaType(v); err == nil && t == "application/json" {
			return true
		}
	}
	return false
}
