//go:build linux

package main_test

import (
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"
)

// articleSite is a reader of the article: a home folder, the Sparky of that
// machine, which is our agent, and the hosts, each an agent of its own.
type articleSite struct {
	t       *testing.T
	home    string
	local   string            // URL of the local Sparky
	hosts   map[string]string // URL as printed → URL of the agent that plays it
	remotes map[string]string // git URL as printed → bare repository
}

func newArticleSite(t *testing.T, printed ...string) *articleSite {
	t.Helper()
	t.Parallel()
	s := &articleSite{t: t, home: t.TempDir(), hosts: map[string]string{}, remotes: map[string]string{}}
	_, addr := startAgent(t, "cromt", "127.0.0.1:0", filepath.Join(s.home, ".sparky"))
	s.local = "http://" + addr
	for _, u := range printed {
		_, addr := startAgent(t, "cromt", "127.0.0.1:0", filepath.Join(s.home, "hosts", url.QueryEscape(u)))
		s.hosts[u] = "http://" + addr
	}
	return s
}

// run runs a command in a folder of the home, and returns what it printed.
func (s *articleSite) run(dir, name string, args ...string) string {
	s.t.Helper()
	cmd := exec.CommandContext(s.t.Context(), name, args...)
	cmd.Dir = filepath.Join(s.home, dir)
	cmd.Env = s.env()
	out, err := cmd.CombinedOutput()
	if err != nil {
		s.t.Fatalf("%s %v: %v\n%s", name, args, err, out)
	}
	return string(out)
}

func (s *articleSite) env() []string {
	return append(os.Environ(), "HOME="+s.home, "GIT_CONFIG_GLOBAL="+os.DevNull, "GIT_CONFIG_NOSYSTEM=1",
		"GIT_AUTHOR_NAME=t", "GIT_AUTHOR_EMAIL=t@example.com", "GIT_COMMITTER_NAME=t", "GIT_COMMITTER_EMAIL=t@example.com")
}

// project is step 1: a folder with the files, committed and pushed to what the
// printed URL stands for. The scenario of an action runs the task of that name.
func (s *articleSite) project(printed string, tasks map[string]string) {
	s.t.Helper()
	name := strings.TrimSuffix(filepath.Base(printed), ".git")
	bare := filepath.Join(s.home, "git", name+".git")
	s.remotes[printed] = "file://" + bare
	s.run("", "git", "init", "-q", "--bare", "-b", "main", bare)
	for task, text := range tasks {
		write(s.t, filepath.Join(s.home, name, "tasks", task, "task.bash"), text)
		write(s.t, filepath.Join(s.home, name, ".tom", task+".raku"), strings.ReplaceAll(articleScenario, "tasks/hello", "tasks/"+task))
	}
	s.run(name, "git", "init", "-q", "-b", "main")
	s.run(name, "git", "add", "tasks/", ".tom/")
	s.run(name, "git", "commit", "-q", "-a", "-m", "my first job")
	s.run(name, "git", "remote", "add", "origin", bare)
	s.run(name, "git", "push", "-q", "origin", "main")
}

// apply is step 2.
func (s *articleSite) apply(flow string) {
	s.t.Helper()
	// The longest first: one of the printed URLs is the beginning of another.
	for _, replaced := range []map[string]string{s.remotes, s.hosts} {
		for printed, here := range replaced {
			flow = regexp.MustCompile(`(?m)`+regexp.QuoteMeta(printed)+`$`).ReplaceAllLiteralString(flow, here)
		}
	}
	if strings.Contains(flow, "https:") {
		s.t.Fatalf("not all is replaced in\n%s", flow)
	}
	write(s.t, filepath.Join(s.home, "flow", "jobs.yaml"), flow)
	s.run("flow", "cromt", "--conf", "jobs.yaml")
}

var (
	startForm  = regexp.MustCompile(`<form method="post" action="(/project/[^"]+/start)">`)
	cancelForm = regexp.MustCompile(`<form method="post" action="(/report/[^"]+/cancel)"`)
	rawReport  = regexp.MustCompile(`href="(/report/raw/([^/"]+/[^/"]+))"`)
	projectRef = regexp.MustCompile(`href="/project/([A-Za-z0-9_-]+)"`)
)

// browse does what a browser does: it follows redirects, and says where the
// form is from.
func (s *articleSite) browse(method, target string) (at, page string) {
	s.t.Helper()
	req, err := http.NewRequestWithContext(s.t.Context(), method, target, nil)
	if err != nil {
		s.t.Fatal(err)
	}
	if method == http.MethodPost {
		req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		req.Header.Set("Origin", s.local)
		req.Header.Set("Sec-Fetch-Site", "same-origin")
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		s.t.Fatal(err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil || resp.StatusCode != http.StatusOK {
		s.t.Fatalf("%s %s: %s, %v\n%s", method, target, resp.Status, err, body)
	}
	return resp.Request.URL.String(), string(body)
}

// find returns what a page of the local Sparky has at the group of the pattern.
func (s *articleSite) find(pattern *regexp.Regexp, page string, group int) string {
	s.t.Helper()
	m := pattern.FindStringSubmatch(page)
	if m == nil {
		s.t.Fatalf("no %v on the page\n%s", pattern, page)
	}
	return m[group]
}

// build is a build of the local Sparky.
type build struct {
	page string // its URL
	job  string // project/job-id
}

// start is step 3: the project is found on the pages, and its button pressed.
func (s *articleSite) start(name string) build {
	s.t.Helper()
	_, projects := s.browse(http.MethodGet, s.local+"/projects")
	if !strings.Contains(projects, `href="/project/`+name+`"`) {
		s.t.Fatalf("the project %s is not on the page\n%s", name, projects)
	}
	_, project := s.browse(http.MethodGet, s.local+"/project/"+name)
	at, report := s.browse(http.MethodPost, s.local+s.find(startForm, project, 1))
	return build{at, s.find(rawReport, report, 2)}
}

// post starts a project as a Sparky's own page does.
func (s *articleSite) post(name string) build {
	s.t.Helper()
	_, id := s.browse(http.MethodPost, s.local+"/build/project/"+name)
	return build{job: name + "/" + id}
}

func (s *articleSite) status(b build) string {
	s.t.Helper()
	_, code := s.browse(http.MethodGet, s.local+"/status/"+b.job)
	return code
}

func (s *articleSite) report(b build) string {
	s.t.Helper()
	_, text := s.browse(http.MethodGet, s.local+"/report/raw/"+b.job)
	return text
}

func (s *articleSite) until(b build, what string, done func() bool) {
	s.t.Helper()
	await(s.t, what, func() string { return "status " + s.status(b) + "\n" + s.report(b) }, done)
}

// await waits until done says so, and shows the report when it does not.
func await(t *testing.T, what string, report func() string, done func() bool) {
	t.Helper()
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	for end := time.Now().Add(time.Minute); time.Now().Before(end); <-tick.C {
		if done() {
			return
		}
	}
	t.Fatalf("not %s within a minute\n%s", what, report())
}

func (s *articleSite) ends(b build, code string) string {
	s.t.Helper()
	s.until(b, "at its end", func() bool { c := s.status(b); return c != "-2" && c != "0" })
	text := s.report(b)
	if got := s.status(b); got != code {
		s.t.Fatalf("status %s, want %s\n%s", got, code, text)
	}
	return text
}

// remote is what a host says of the last build of its only project: OK, TERM, Run.
func (s *articleSite) remote(host string) string {
	s.t.Helper()
	_, page := s.browse(http.MethodGet, host+"/projects")
	m := projectRef.FindStringSubmatch(page)
	if m == nil {
		return ""
	}
	req := httptest.NewRequestWithContext(s.t.Context(), http.MethodGet, host+"/badge/"+m[1], nil)
	req.RequestURI = ""
	resp, err := http.DefaultTransport.RoundTrip(req)
	if err != nil {
		s.t.Fatal(err)
	}
	defer resp.Body.Close()
	u, err := resp.Location()
	if err != nil {
		s.t.Fatal(err)
	}
	return strings.TrimPrefix(u.Query().Get("message"), "Build | ")
}

// waiting is a task that is in the middle of its work until it is killed, and
// then takes a second to clear up.
func (s *articleSite) waiting() (task string, pids func() []string) {
	dir := filepath.Join(s.home, "pids")
	if err := os.Mkdir(dir, 0o700); err != nil {
		s.t.Fatal(err)
	}
	task = articleTask + "trap 'sleep 1' TERM\nsleep 300 & touch " + dir + "/$!\nwait\n"
	return task, func() []string {
		names, err := filepath.Glob(filepath.Join(dir, "*"))
		if err != nil {
			s.t.Fatal(err)
		}
		return names
	}
}

// cancelled checks that all hosts have ended their jobs, and how.
func (s *articleSite) cancelled(report func() string, pids []string) {
	s.t.Helper()
	for printed, host := range s.hosts {
		await(s.t, "TERM on "+printed, report, func() bool { return s.remote(host) == "TERM" })
	}
	for _, name := range pids {
		if pid, err := strconv.Atoi(filepath.Base(name)); err != nil || alive(pid) {
			s.t.Errorf("a task has the process %s left, %v", filepath.Base(name), err)
		}
	}
}

// descendants are the processes below one, from the top.
func descendants(t *testing.T, of int) (list []int) {
	t.Helper()
	for next := []int{of}; len(next) > 0; next = next[1:] {
		tasks, err := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/children", next[0]))
		if err != nil {
			t.Fatal(err)
		}
		for _, name := range tasks {
			data, _ := os.ReadFile(name) // of a thread that has ended: none
			for _, word := range strings.Fields(string(data)) {
				pid, err := strconv.Atoi(word)
				if err != nil {
					t.Fatal(err)
				}
				list, next = append(list, pid), append(next, pid)
			}
		}
	}
	return list
}

// alive says whether the process is there, and not only waited for.
func alive(pid int) bool {
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	return err == nil && !strings.Contains(string(stat), ") Z ")
}
