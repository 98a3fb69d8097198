package sparkytest

import (
	"encoding/json"
	"net/http"
	"net/url"
	"strings"
	"testing"

	"github.com/cromt/cromt/sparky"
)

// inheritance: a child has its parent's settings and tags, unless it says its own.
func (s *suite) inheritance(t *testing.T) {
	for _, c := range []struct {
		name string
		tags map[string]string
		want []string
		not  []string
	}{
		{"own", map[string]string{"stage": "child"}, []string{"stage=child", ":no_sudo(Bool::True)", ":repo("}, []string{"parent=1"}},
		{"none", nil, []string{"parent=1", "other=2", ":no_sudo(Bool::True)"}, nil},
	} {
		project, id := s.id("inherit-"+c.name), s.id("inherit-"+c.name)
		req := s.request(project, id, Succeeds)
		req.Config.Tags = c.tags
		req.Trigger = json.RawMessage(`{"description":"parent","cwd":"/x","sparrowdo":{"localhost":true,"no_sudo":true,"tags":"parent=1,other=2"}}`)
		if c.tags == nil {
			req.Config.Tags = map[string]string{}
		}
		if _, err := s.client.Queue(t.Context(), req); err != nil {
			t.Fatal(err)
		}
		s.until(t, project, id, sparky.CodeOK)
		a := s.send(t, "GET", "/trigger/"+project+"/"+id, "")
		for _, want := range append(c.want, "SPARKY_JOB_ID="+id, "SPARKY_PROJECT="+project) {
			if a.status != 200 || !strings.Contains(a.body, want) {
				t.Errorf("%s: no %s in %v", c.name, want, a)
			}
		}
		for _, not := range c.not {
			if strings.Contains(a.body, not) {
				t.Errorf("%s: %s in %v", c.name, not, a)
			}
		}
	}
}

// pages: those that people bookmark are there.
func (s *suite) pages(t *testing.T) {
	project, id := s.id("page"), s.id("page")
	s.queue(t, project, id, Succeeds)
	s.until(t, project, id, sparky.CodeOK)
	if a := s.send(t, "GET", "/", ""); a.status != http.StatusSeeOther || !strings.HasPrefix(a.header.Get("Location"), "/builds_latest") {
		t.Errorf("GET /: %v, %v", a, a.header)
	}
	for _, path := range []string{"/builds", "/builds_latest", "/projects", "/project/" + project, "/project/" + project + "/builds", "/queue", "/about"} {
		a := s.send(t, "GET", path, "")
		if a.status != 200 || !strings.HasPrefix(a.header.Get("Content-Type"), "text/html") {
			t.Errorf("GET %s: %d, %v", path, a.status, a.header)
		}
		if strings.Contains(path, "build") && !strings.Contains(a.body, project) {
			t.Errorf("GET %s: nothing of %s", path, project)
		}
	}
	if a := s.send(t, "GET", "/badge/"+s.id("none"), ""); a.status != http.StatusSeeOther || !strings.Contains(a.header.Get("Location"), "UNKOWN&color=gray") { //nolint:misspell // so spelled by a Sparky
		t.Errorf("badge of an unknown project: %v, %v", a, a.header)
	}
	if a := s.send(t, "GET", "/login", ""); a.status != 200 && a.status != http.StatusSeeOther {
		t.Errorf("GET /login: %v", a)
	}
	if s.Real {
		return // its live logs are web sockets
	}
	loc := s.send(t, "GET", "/report_jid/"+project+"/"+id, "").header.Get("Location")
	if a := s.send(t, "GET", loc+"/live?offset=0", ""); a.status != 200 || !strings.Contains(a.body, "conformance") || !strings.Contains(a.body, "event: end\n") {
		t.Errorf("live log: %v", a)
	}
}

// login: cookies are given for the right password alone, and cancel a job.
func (s *suite) login(t *testing.T) {
	if s.Login == "" {
		return // nobody can sign in
	}
	const form = "application/x-www-form-urlencoded"
	try := func(password string) answer {
		body := url.Values{"login": {s.Login}, "password": {password}}.Encode()
		return s.send(t, "POST", "/default_login", body, "Content-Type", form, "Token", "")
	}
	if a := try(s.Password + "x"); len(a.header.Values("Set-Cookie")) > 0 {
		t.Errorf("a wrong password: %v, %v", a, a.header)
	}
	a := try(s.Password)
	var cookies []string
	for _, k := range (&http.Response{Header: a.header}).Cookies() {
		cookies = append(cookies, k.Name+"="+k.Value)
	}
	if a.status != http.StatusSeeOther || len(cookies) == 0 {
		t.Fatalf("login: %v, %v", a, a.header)
	}
	s.cookie = strings.Join(cookies, "; ")
	project, id := s.id("login"), s.id("login")
	s.queue(t, project, id, Sleeps)
	s.until(t, project, id, sparky.CodeRunning)
	path := "/cancel/project/" + project + "/" + id
	if a := s.send(t, "POST", path, "", "Token", ""); a.status != http.StatusForbidden {
		t.Errorf("cancel by nobody: %v", a)
	}
	if a := s.send(t, "POST", path, "", "Token", "", "Cookie", s.cookie); a.status != 200 || a.body != id+".terminate" {
		t.Errorf("cancel: %v", a)
	}
	s.until(t, project, id, sparky.CodeCancelled)
}

// build: a project's folder is started by hand. It comes after login, whose
// cookies a real Sparky wants.
func (s *suite) build(t *testing.T) {
	if s.Project == "" {
		return // the host has none that we know of
	}
	const js, form = "application/json", "application/x-www-form-urlencoded"
	var first string
	for _, c := range []struct{ path, contentType, body string }{
		{"/build/project/" + s.Project, "", ""},
		{"/build-with-tags/project/" + s.Project, js, `{"description":"test build","tags":"message=hello,from=Sparky"}`},
		{"/build-with-tags/project/" + s.Project, form, "description=form+build&tags=message%3Dhi"},
		{"/build-with-tags/project/" + s.Project, js, "{}"},
	} {
		var headers []string
		if c.contentType != "" {
			headers = append(headers, "Content-Type", c.contentType)
		}
		if s.cookie != "" {
			headers = append(headers, "Cookie", s.cookie)
		}
		a := s.send(t, "POST", c.path, c.body, headers...)
		if a.status != 200 || !sparky.JobID.MatchString(a.body) {
			t.Fatalf("POST %s with %q: %v", c.path, c.body, a)
		}
		s.until(t, s.Project, a.body, sparky.CodeOK)
		if strings.Contains(c.body, "from=Sparky") {
			if tr := s.send(t, "GET", "/trigger/"+s.Project+"/"+a.body, ""); !strings.Contains(tr.body, "from=Sparky") || !strings.Contains(tr.body, `:description("test build")`) {
				t.Errorf("trigger: %v", tr)
			}
		}
		first = a.body
	}
	var headers []string
	if s.cookie != "" {
		headers = []string{"Cookie", s.cookie}
	}
	a := s.send(t, "POST", "/build/project/"+s.Project+"/"+first, "", headers...)
	if a.status != 200 || !strings.HasPrefix(a.body, first+".") {
		t.Fatalf("rebuild: %v", a)
	}
	s.until(t, s.Project, a.body, sparky.CodeOK)
}
