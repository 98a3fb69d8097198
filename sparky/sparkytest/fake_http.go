package sparkytest

import (
	"encoding/json"
	"fmt"
	"io"
	"mime"
	"net/http"
	"time"
	"unicode/utf8"

	"github.com/cromt/cromt/sparky"
)

// reportDelay is how long the report of a job that has just started is 500.
const reportDelay = 300 * time.Millisecond

// ServeHTTP answers as a real Sparky does.
func (f *Fake) ServeHTTP(w http.ResponseWriter, r *http.Request) { f.mux.ServeHTTP(w, r) }

func (f *Fake) routes() {
	f.mux = http.NewServeMux()
	f.mux.HandleFunc("POST /queue", f.guarded(f.queue))
	f.mux.HandleFunc("POST /stash", f.guarded(f.putStash))
	f.mux.HandleFunc("GET /stash/{project}/{job}", f.getStash)
	f.mux.HandleFunc("PUT /file/project/{project}/job/{job}/filename/{name}", f.guarded(f.putFile))
	f.mux.HandleFunc("GET /file/{project}/{job}/{name}", f.getFile)
	f.mux.HandleFunc("GET /status/{project}/{job}", f.status)
	f.mux.HandleFunc("GET /trigger/{project}/{job}", f.guarded(f.trigger))
	f.mux.HandleFunc("GET /report/raw/{project}/{job}", f.report)
	f.mux.HandleFunc("POST /cancel/project/{project}/{job}", f.cancelJob)
	f.mux.HandleFunc("POST /default_login", f.login)
}

func (f *Fake) guarded(h http.HandlerFunc) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		if f.cfg.Token != "" && r.Header.Get("Token") != f.cfg.Token {
			w.Header().Set("Content-Type", "text/plain; charset=utf-8")
			w.WriteHeader(http.StatusForbidden)
			_, _ = io.WriteString(w, "bad token")
			return
		}
		h(w, r)
	}
}

func jobKey(r *http.Request) string { return r.PathValue("project") + "/" + r.PathValue("job") }

func sayJSON(w http.ResponseWriter, v any) {
	w.Header().Set("Content-Type", "application/json")
	_ = json.NewEncoder(w).Encode(v)
}

func sayError(w http.ResponseWriter, text string) { sayJSON(w, map[string]string{"error": text}) }

// jsonBody decodes the body, with the answers of Sparky when it cannot.
func jsonBody(w http.ResponseWriter, r *http.Request, v any) bool {
	body := readBody(r)
	if kind, _, _ := mime.ParseMediaType(r.Header.Get("Content-Type")); kind != "application/json" || len(body) > 0 && body[0] == '[' {
		w.WriteHeader(http.StatusBadRequest)
		return false
	}
	if !json.Valid(body) {
		w.WriteHeader(http.StatusInternalServerError)
		return false
	}
	if err := json.Unmarshal(body, v); err != nil {
		sayError(w, "Error X::Method::NotFound, : , No such method 'key' for invocant of type 'Str'.  Did you mean 'keys'?")
		return false
	}
	return true
}

func (f *Fake) queue(w http.ResponseWriter, r *http.Request) {
	var q sparky.QueueRequest
	if !jsonBody(w, r, &q) {
		return
	}
	if len(q.Trigger) == 0 || q.Trigger[0] != '{' {
		sayError(w, "Error X::TypeCheck::Binding::Parameter, : , Type check failed in binding to parameter '%trigger'; expected Associative but got Any (Any)")
		return
	}
	if q.Config.JobID == "" {
		sayError(w, "Error X::AdHoc, : , Failed to open file /home/sparky/.sparky/projects/p/.triggers: Is a directory")
		return
	}
	f.mu.Lock()
	if f.queues[q.Config.Project] == nil {
		f.queues[q.Config.Project] = map[string]sparky.QueueRequest{}
	}
	f.queues[q.Config.Project][q.Config.JobID] = q
	f.mu.Unlock()
	sayJSON(w, map[string]string{"project": q.Config.Project, "job-id": q.Config.JobID})
}

func (f *Fake) status(w http.ResponseWriter, r *http.Request) {
	f.mu.Lock()
	defer f.mu.Unlock()
	code := sparky.CodeQueued
	if _, queued := f.queues[r.PathValue("project")][r.PathValue("job")]; !queued {
		j := f.jobs[jobKey(r)]
		if j == nil {
			w.WriteHeader(http.StatusNotFound)
			return
		}
		code = j.code
	}
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	fmt.Fprint(w, int(code))
}

func (f *Fake) report(w http.ResponseWriter, r *http.Request) {
	f.mu.Lock()
	defer f.mu.Unlock()
	j := f.jobs[jobKey(r)]
	text := "build is queued, wait till it gets run\n"
	if _, queued := f.queues[r.PathValue("project")][r.PathValue("job")]; !queued {
		if j == nil {
			w.WriteHeader(http.StatusNotFound)
			return
		}
		if j.code == sparky.CodeRunning && time.Since(j.begun) < reportDelay {
			w.WriteHeader(http.StatusInternalServerError)
			return
		}
		if text = *j.text(); !utf8.ValidString(text) {
			w.WriteHeader(http.StatusInternalServerError)
			return
		}
	}
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	_, _ = io.WriteString(w, text)
}

func (f *Fake) trigger(w http.ResponseWriter, r *http.Request) {
	f.mu.Lock()
	defer f.mu.Unlock()
	q, queued := f.queues[r.PathValue("project")][r.PathValue("job")]
	if j := f.jobs[jobKey(r)]; !queued && j != nil {
		q, queued = j.Request, true
	}
	if !queued {
		w.WriteHeader(http.StatusNotFound)
		return
	}
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	fmt.Fprintf(w, "{:cwd(\"/home/sparky/.sparky/.cache/%s/\"), :description(%q), :sparrowdo(${:conf(\"config.raku\"), :localhost(Bool::True)})}", r.PathValue("job"), q.Config.Description)
}

func (f *Fake) putStash(w http.ResponseWriter, r *http.Request) {
	var s struct {
		Config struct {
			Project string `json:"project"`
			JobID   string `json:"job-id"`
		}
		Data json.RawMessage
	}
	if !jsonBody(w, r, &s) {
		return
	}
	if len(s.Data) == 0 || s.Data[0] != '{' {
		sayError(w, "Error X::TypeCheck::Binding::Parameter, : , expected Associative")
		return
	}
	f.mu.Lock()
	f.stash[s.Config.Project+"/"+s.Config.JobID] = s.Data
	f.mu.Unlock()
	sayJSON(w, map[string]string{"path": "/home/sparky/.sparky/projects/" + s.Config.Project + "/.stash/" + s.Config.JobID})
}

func (f *Fake) getStash(w http.ResponseWriter, r *http.Request) {
	f.mu.Lock()
	defer f.mu.Unlock()
	data := f.stash[jobKey(r)]
	if data == nil {
		data = []byte("{}")
	}
	w.Header().Set("Content-Type", "application/json; charset=utf-8")
	_, _ = w.Write(data)
}

func (f *Fake) putFile(w http.ResponseWriter, r *http.Request) {
	body := readBody(r)
	f.mu.Lock()
	f.files[jobKey(r)+"/"+r.PathValue("name")] = body
	f.mu.Unlock()
	sayJSON(w, map[string]string{"path": "/home/sparky/.sparky/projects/" + r.PathValue("project") + "/.files/" + r.PathValue("job") + "/" + r.PathValue("name")})
}

func (f *Fake) getFile(w http.ResponseWriter, r *http.Request) {
	f.mu.Lock()
	body, ok := f.files[jobKey(r)+"/"+r.PathValue("name")]
	f.mu.Unlock()
	if !ok {
		w.WriteHeader(http.StatusNotFound)
		return
	}
	w.Header().Set("Content-Type", "application/octet-stream")
	_, _ = w.Write(body)
}

func (f *Fake) login(w http.ResponseWriter, r *http.Request) {
	if r.FormValue("login") == "admin" && r.FormValue("password") == "admin" {
		http.SetCookie(w, &http.Cookie{Name: "user", Value: "admin"})
		http.SetCookie(w, &http.Cookie{Name: "token", Value: "RmAV04wR"})
	}
	w.Header().Set("Location", "/")
	w.WriteHeader(http.StatusSeeOther)
}

func (f *Fake) cancelJob(w http.ResponseWriter, r *http.Request) {
	for _, name := range []string{"user", "token"} {
		if c, err := r.Cookie(name); err != nil || c.Value == "" {
			w.WriteHeader(http.StatusForbidden)
			return
		}
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	if !f.ever[r.PathValue("project")] {
		w.WriteHeader(http.StatusInternalServerError)
		return
	}
	f.killed[jobKey(r)] = true
	_, _ = io.WriteString(w, r.PathValue("job")+".terminate")
}
