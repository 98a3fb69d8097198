package agent

import (
	"context"
	"crypto/sha256"
	"crypto/subtle"
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

// ServeHTTP answers the API of a Sparky host, with our extensions.
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
	if !route.open && !a.authorized(r) {
		writeText(w, http.StatusForbidden, "bad token")
		return
	}
	if err := route.check(args); err != nil {
		writeError(w, http.StatusBadRequest, err)
		return
	}
	route.serve(a, w, r, args)
}

// authorized compares sums of fixed length, so that the time it takes tells
// nothing about the token.
func (a *Agent) authorized(r *http.Request) bool {
	if a.cfg.Token == "" {
		return true
	}
	sum := sha256.Sum256([]byte(r.Header.Get("Token")))
	return subtle.ConstantTimeCompare(sum[:], a.token[:]) == 1
}

// names are the variable segments of a path.
type names struct{ project, job, file string }

type route struct {
	method string
	path   string // P, J, F and N stand for a project, job-id, file and number
	open   bool   // needs no token
	serve  func(*Agent, http.ResponseWriter, *http.Request, names)
}

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
		return []route{{"GET", "status/P/J", false, (*Agent).getStatus}}
	case "queue":
		return []route{{"POST", "queue", false, (*Agent).postQueue}}
	case "report":
		return []route{{"GET", "report/raw/P/J", false, (*Agent).getReport}, {"GET", "report/P/N", false, (*Agent).getReportPage}}
	case "report_jid":
		return []route{{"GET", "report_jid/P/J", false, (*Agent).getReportJID}}
	case "file":
		return []route{{"PUT", "file/project/P/job/J/filename/F", false, (*Agent).putFile}, {"GET", "file/P/J/F", false, (*Agent).getFile}}
	case "file_view":
		return []route{{"GET", "file_view/P/J/F", false, (*Agent).viewFile}}
	case "stash":
		return []route{{"POST", "stash", false, (*Agent).postStash}, {"GET", "stash/P/J", false, (*Agent).getStash}}
	case "trigger":
		return []route{{"GET", "trigger/P/J", false, (*Agent).getTrigger}}
	case "cancel":
		return []route{{"POST", "cancel/project/P/J", false, (*Agent).postCancel}}
	case "badge":
		return []route{{"GET", "badge/P", false, (*Agent).getBadge}}
	case "project":
		return []route{{"GET", "project/P", false, (*Agent).getProject}}
	case "cromt":
		return []route{{"GET", "cromt", false, (*Agent).getHello}}
	case "healthz":
		return []route{{"GET", "healthz", true, (*Agent).getHealth}}
	case "":
		return []route{{"GET", "", false, (*Agent).getIndex}}
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

// fail answers an error of the agent's own working.
func (a *Agent) fail(w http.ResponseWriter, r *http.Request, err error) {
	var full *diskFullError
	var tooLarge *http.MaxBytesError
	switch {
	case errors.As(err, &full):
		writeError(w, http.StatusInsufficientStorage, err)
	case errors.As(err, &tooLarge), errors.Is(err, errTooLarge):
		writeError(w, http.StatusRequestEntityTooLarge, err)
	case errors.Is(err, errConflict):
		writeError(w, http.StatusConflict, err)
	case errors.Is(err, errBusy), errors.Is(err, errJournalClosed):
		w.Header().Set("Retry-After", "5")
		writeError(w, http.StatusServiceUnavailable, err)
	case errors.Is(err, context.Canceled):
	default:
		a.log.Error("request", "method", r.Method, "path", r.URL.Path, "error", err)
		writeError(w, http.StatusInternalServerError, err)
	}
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
