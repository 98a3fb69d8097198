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
	"strings"
	"testing"
	"time"
)

// The texts of the article that Cromtit was announced with, as printed: its
// files, and its jobs.yaml of each topic. Only the URLs in them are replaced.
const (
	articleScenario = `#!raku
task-run "tasks/hello", %(
  worker => %*ENV<WORKER>
);
`
	articleTask = `echo "Hello worker " $(config worker)!
`
	articleFlow = `projects:
  job1:
    path: https://github.com/melezhik/myjobs.git
    action: hello
    hosts:
      -
        url: https://hostA:4000
        vars:
          WORKER: A
      -
        url: https://hostB:4000
        vars:
          WORKER: B
      -
        url: https://hostC:4000
        vars:
          WORKER: C  
`
	articleDependencies = `projects:
  jobA:
    path: https://github.com/melezhik/application.git
    action: deploy
    hosts:
      -
        url: https://app:4000
    before:
       -
         name: jobB # app needs a database
  jobB:
    path: https://github.com/melezhik/database.git
    action: deploy
    hosts:
      -
        url: https://database:4000
    before:
       -
         name: jobC # database needs a network
  jobC:
    path: https://github.com/melezhik/network.git
    action: deploy
    hosts:
      -
        url: https://infra:4000
`
	articleCreate = `echo "Hello worker " $(config worker)!
mkdir -p out
touch out/patch.sql
`
	articleDeploy = `echo "Hello " $(config worker)
cat .artifacts/patch.sql
`
	articleArtifacts = `projects:
  jobA:
    path: https://github.com/melezhik/database
    action: deploy
    hosts:
      -
        url: https://database:4000
    artifacts:
       in:  
       - patch.sql
    before:
       -
         name: jobB # database needs a migration file
  jobB:
    path: https://github.com/melezhik/db-tools.git
    action: create
    hosts:
      -
        url: https://host1:4000
    artifacts:
       out:  
       -
         file: patch.sql
         path: out/patch.sql
  
`
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

// until waits until done says so, and shows the report when it does not.
func (s *articleSite) until(b build, what string, done func() bool) {
	s.t.Helper()
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	for end := time.Now().Add(time.Minute); time.Now().Before(end); <-tick.C {
		if done() {
			return
		}
	}
	s.t.Fatalf("not %s within a minute; status %s\n%s", what, s.status(b), s.report(b))
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

var articleHosts = []string{"https://hostA:4000", "https://hostB:4000", "https://hostC:4000"}

// TestArticle follows the article's three steps.
func TestArticle(t *testing.T) {
	s := newArticleSite(t, articleHosts...)
	s.project("https://github.com/melezhik/myjobs.git", map[string]string{"hello": articleTask})
	s.apply(articleFlow)
	for how, b := range map[string]build{"form": s.start("job1"), "route": s.post("job1")} {
		text := s.ends(b, "1")
		for _, worker := range []string{"A", "B", "C"} {
			if n := strings.Count(text, ":: Hello worker  "+worker+"!\n"); n != 1 {
				t.Errorf("%s: worker %s said hello %d times\n%s", how, worker, n, text)
			}
		}
		if n := strings.Count(text, "[task run: task.bash - tasks/hello]\n"); n != 3 {
			t.Errorf("%s: %d tasks\n%s", how, n, text)
		}
	}
	for printed, host := range s.hosts {
		if got := s.remote(host); got != "OK" {
			t.Errorf("%s says %q", printed, got)
		}
	}
}

// TestArticleDependencies: jobA depends on jobB, which depends on jobC.
func TestArticleDependencies(t *testing.T) {
	s := newArticleSite(t, "https://app:4000", "https://database:4000", "https://infra:4000")
	order := filepath.Join(s.home, "order")
	for _, name := range []string{"application", "database", "network"} {
		s.project("https://github.com/melezhik/"+name+".git", map[string]string{
			"deploy": fmt.Sprintf("echo begin %s >>%s\nsleep 0.2\necho end %[1]s >>%[2]s\n", name, order),
		})
	}
	s.apply(articleDependencies)
	s.ends(s.start("jobA"), "1")
	got, err := os.ReadFile(order)
	if want := "begin network\nend network\nbegin database\nend database\nbegin application\nend application\n"; err != nil || string(got) != want {
		t.Errorf("%q, %v, want %q", got, err, want)
	}
}

// TestArticleArtifacts: jobA is given the file that jobB has made.
func TestArticleArtifacts(t *testing.T) {
	s := newArticleSite(t, "https://database:4000", "https://host1:4000")
	s.project("https://github.com/melezhik/db-tools.git", map[string]string{"create": articleCreate})
	s.project("https://github.com/melezhik/database", map[string]string{"deploy": articleDeploy})
	s.apply(articleArtifacts)
	text := s.ends(s.start("jobA"), "1")
	made, used := strings.Index(text, "Hello worker  !"), strings.Index(text, "Hello \n")
	if made < 0 || used < made {
		t.Errorf("made at %d, used at %d\n%s", made, used, text)
	}

	// An empty file could be missing as well: what is in it arrives.
	create := filepath.Join("tasks", "create", "task.bash")
	write(t, filepath.Join(s.home, "db-tools", create), articleCreate+"echo 'ALTER TABLE a' >out/patch.sql\n")
	s.run("db-tools", "git", "commit", "-q", "-a", "-m", "second")
	s.run("db-tools", "git", "push", "-q", "origin", "main")
	if text := s.ends(s.start("jobA"), "1"); !strings.Contains(text, ":: ALTER TABLE a\n") {
		t.Errorf("the file's text is not in\n%s", text)
	}
}

// waiting is a task that is in the middle of its work until it is killed.
func (s *articleSite) waiting() (task string, pids func() []string) {
	dir := filepath.Join(s.home, "pids")
	if err := os.Mkdir(dir, 0o700); err != nil {
		s.t.Fatal(err)
	}
	task = articleTask + "sleep 300 & touch " + dir + "/$!\nwait\n"
	return task, func() []string {
		names, err := filepath.Glob(filepath.Join(dir, "*"))
		if err != nil {
			s.t.Fatal(err)
		}
		return names
	}
}

// cancelled checks that all hosts have ended their jobs, and how.
func (s *articleSite) cancelled(b build, pids []string) {
	s.t.Helper()
	for printed, host := range s.hosts {
		s.until(b, "TERM on "+printed, func() bool { return s.remote(host) == "TERM" })
	}
	for _, name := range pids {
		if stat, err := os.ReadFile(filepath.Join("/proc", filepath.Base(name), "stat")); err == nil && !strings.Contains(string(stat), ") Z ") {
			s.t.Errorf("a task has a process left: %s", stat)
		}
	}
}

// TestArticleCancel: the Cancel of the local Sparky's page reaches the hosts.
func TestArticleCancel(t *testing.T) {
	s := newArticleSite(t, articleHosts...)
	task, pids := s.waiting()
	s.project("https://github.com/melezhik/myjobs.git", map[string]string{"hello": task})
	s.apply(articleFlow)
	b := s.start("job1")
	s.until(b, "at work on all hosts", func() bool { return len(pids()) == 3 })
	_, page := s.browse(http.MethodGet, b.page)
	s.browse(http.MethodPost, s.local+s.find(cancelForm, page, 1))
	text := s.ends(b, "-11")
	if n := strings.Count(text, "* ✗ cancelled in "); n != 3 || strings.Count(text, "confirmed it") != 2*n || !strings.HasSuffix(text, "Terminated\n") {
		t.Errorf("%d hosts confirmed it\n%s", n, text)
	}
	s.cancelled(b, pids())
}
