//go:build linux

package agent_test

import (
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/cromt/cromt/sparky"
	"github.com/cromt/cromt/sparky/agent"
)

// builds returns the descriptions of the project's builds, oldest first, when
// there are n of them.
func (h *host) builds(project string, n int) (list []string) {
	h.t.Helper()
	waitFor(h.t, func() bool {
		_, page := h.do("GET", "/project/"+project+"/builds", "")
		list = nil
		for part := range strings.SplitSeq(page, `<span class="text">`) {
			text, _, _ := strings.Cut(part, "</span>")
			list = append(list, text)
		}
		list = list[1:]
		slices.Reverse(list)
		return len(list) == n
	})
	return list
}

const settingsOfDocs = `
sparrowdo:
  no_sudo: true
  tags: >
    Language=Rakudo,
    Name=Alex,
    Occupation=dev___comma___ops
allow_manual_run: true
vars:
  -
      name: Name
      default: Alexey
      type: input
  -
      name: CV
      default: I am a programmer
      type: textarea
  -
      name: Language
      values: [ Raku, Rust, Golang ]
      type: select
      default: Rust
      multiple: true
  -
      name: Color
      values: [ Red, Blue, Green ]
      type: select
      default: Blue
  -
      name: Debug
      type: checkbox
      default: true
  -
      name: Key
      type: password
`

func TestSettings(t *testing.T) {
	vars, tags, err := agent.ParseSettings(settingsOfDocs)
	want := []string{"Name:input:Alexey:", "CV:textarea:I am a programmer:", "Language:select:Rust:Raku|Rust|Golang", "Color:select:Blue:Red|Blue|Green", "Debug:checkbox:true:", "Key:password::"}
	if err != nil || !slices.Equal(vars, want) {
		t.Errorf("%q %v", vars, err)
	}
	if len(tags) != 3 || tags["Language"] != "Rakudo" || tags["Occupation"] != "dev,ops" {
		t.Errorf("%q", tags)
	}
	for _, bad := range []string{
		"- 1", "sparrowdo: 1", "crontab: every day", "crontab: 'TZ=UTC * * * * *'", "scm: {branch: x}", "scm: {url: --upload-pack=x}", "scm: {url: 'ext::sh -c x'}",
		"scm: {url: u, branch: '--x'}", "downstream: ../x", "vars: {a: 1}", "vars: [{name: 'a,b'}]", "vars: [{type: input}]", "vars: [{name: a, type: file}]", "a: [", "vars: [{name: \"it's\"}]",
	} {
		if _, _, err := agent.ParseSettings(bad); err == nil {
			t.Errorf("%s: no error", bad)
		}
	}
	if _, _, err := agent.ParseSettings("plugins: {x: 1}\nunknown: [1]\n"); err != nil {
		t.Errorf("what a Sparky ignores: %v", err)
	}
}

// TestManualRun starts a project by its form and by the API, with parameters.
func TestManualRun(t *testing.T) {
	root := t.TempDir()
	h := start(t, agent.Config{Root: root})
	folder(t, root, "greet", directLine(t, "/", program(t, "cromt", `echo "$SP6_TAGS"`+"\n")), settingsOfDocs)
	_, page := h.do("GET", "/project/greet", "")
	for _, want := range []string{
		`name="Name" value="Alexey"`, `name="CV" rows="4">I am a programmer</textarea>`, `name="Language" multiple>`, `<option selected>Rust</option>`,
		`<input type="checkbox" name="Debug" value="True" checked>`, `type="password" name="Key" value=""`, `action="/project/greet/start"`,
	} {
		if !strings.Contains(page, want) {
			t.Errorf("no %s in the form", want)
		}
	}
	form := url.Values{"Name": {"<Bob>, x=y"}, "CV": {"a\r\nb"}, "Language": {"Raku", "Golang"}, "Color": {"Red"}, "Key": {"s3cret-key"}, "Unknown": {"x"}, ".description": {"by <hand>"}}
	code, to := h.do("POST", "/project/greet/start", form.Encode(), "Content-Type", "application/x-www-form-urlencoded")
	if code != 303 || to != "/report/greet/1" {
		t.Fatalf("%d %s", code, to)
	}
	report := func(n int) string {
		var text string
		waitFor(t, func() bool {
			_, text = h.do("GET", fmt.Sprintf("/report/greet/%d", n), "")
			return strings.Contains(text, ">OK<") || strings.Contains(text, ">Failed<")
		})
		return text
	}
	text := report(1)
	for _, want := range []string{"by &lt;hand&gt;", "CV=a___nl___b,", "Color=Red,", "Key=***,", "Language=Raku___comma___Golang,", "Name=&lt;Bob&gt;___comma___", "x___eq___y,", "Occupation=dev___comma___ops,", "<code>Key=•••</code>"} {
		if !strings.Contains(text, want) {
			t.Errorf("no %q in %s", want, text)
		}
	}
	if strings.Contains(text, "s3cret") || strings.Contains(text, "Unknown") || strings.Contains(text, "Debug=") {
		t.Errorf("%s", text)
	}
	for _, bad := range []url.Values{{"Color": {"Pink"}}, {"Color": {"Red", "Blue"}}, {"Name": {"a\x00b"}}} {
		if code, _ := h.do("POST", "/project/greet/start", bad.Encode(), "Content-Type", "application/x-www-form-urlencoded"); code != 400 {
			t.Errorf("%v: %d", bad, code)
		}
	}
	// The API's forms of it.
	code, id := h.do("POST", "/build-with-tags/project/greet", `{"tags":"Color=Green,Free=a___eq___b","description":"json"}`)
	if _, log := h.wait("greet", id); code != 200 || !strings.Contains(log, "Color=Green,Free=a___eq___b,Language=Rakudo,Name=Alex,") {
		t.Errorf("%d %s %s", code, id, log)
	}
	code, again := h.do("POST", "/build/project/greet/"+id, "")
	if _, log := h.wait("greet", again); code != 200 || !strings.HasPrefix(again, id+".") || !strings.Contains(log, "Color=Green,Free=a___eq___b,") {
		t.Errorf("rebuild: %d %s %s", code, again, log)
	}
	code, id = h.do("POST", "/build-with-tags/project/greet", "tags=Color%3DBlue", "Content-Type", "application/x-www-form-urlencoded")
	if _, log := h.wait("greet", id); code != 200 || !strings.Contains(log, "Color=Blue,") {
		t.Errorf("%d %s %s", code, id, log)
	}
	if code, body := h.do("POST", "/report/greet/1/rebuild", "", "Accept", "text/html"); code != 400 || !strings.Contains(body, "passwords are not kept") {
		t.Errorf("rebuild with a password: %d %s", code, body)
	}
	if code, to := h.do("POST", "/report/greet/2/rebuild", ""); code != 303 || to != "/report/greet/5" {
		t.Errorf("rebuild of a form: %d %s", code, to)
	}
	if got := h.builds("greet", 5); !slices.Equal(got, []string{"by &lt;hand&gt;", "json", "json", "manual run", "json"}) {
		t.Errorf("%q", got)
	}
}

func TestGroups(t *testing.T) {
	root := t.TempDir()
	h := start(t, agent.Config{Root: root})
	folder(t, root, "drinks", directLine(t, "/", program(t, "cromt", `echo "$SP6_TAGS"`+"\n")), `
allow_manual_run: true
vars:
  - {name: Flavor, default: black, type: select, values: [black, green], group: [tea]}
  - {name: Flavor, default: latte, type: select, values: [espresso, latte], group: [coffee]}
group_vars: [tea, coffee]
`)
	_, page := h.do("GET", "/project/drinks", "")
	if !strings.Contains(page, `href="/project/drinks?group=tea"`) || strings.Contains(page, "<select") {
		t.Errorf("%s", page)
	}
	_, page = h.do("GET", "/project/drinks?group=coffee", "")
	if !strings.Contains(page, "<option selected>latte</option>") || strings.Contains(page, "green") {
		t.Errorf("%s", page)
	}
	for form, want := range map[string]int{"Flavor=latte": 400, ".group=tea&Flavor=latte": 400, ".group=coffee&Flavor=latte": 303, ".group=x": 400} {
		if code, body := h.do("POST", "/project/drinks/start", form, "Content-Type", "application/x-www-form-urlencoded"); code != want {
			t.Errorf("%s: %d %s", form, code, body)
		}
	}
}

// TestTemplates fills in the variables that projects share.
func TestTemplates(t *testing.T) {
	root := t.TempDir()
	h := start(t, agent.Config{Root: root})
	hostname, err := os.Hostname()
	if err != nil {
		t.Fatal(err)
	}
	for path, text := range map[string]string{"vars.yaml": "vars: {user: {name: Piter Pen}, role: shared}\n", "hosts/" + hostname + "/vars.yaml": "vars: {role: db_server}\n"} {
		path = filepath.Join(root, "templates", path)
		if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	folder(t, root, "p", "say 1", "allow_manual_run: true\nvars:\n  - {name: Name, default: \"%user.name%\"}\n  - name: Role\n    default: %role%\n  - {name: Other, default: '%none%'}\n")
	_, page := h.do("GET", "/project/p", "")
	for _, want := range []string{`value="Piter Pen"`, `value="db_server"`, `value="%none%"`} {
		if !strings.Contains(page, want) {
			t.Errorf("no %s in %s", want, page)
		}
	}
}

// TestProjectRefusals: what a sparky.yaml forbids, and folders that are none.
func TestProjectRefusals(t *testing.T) {
	root := t.TempDir()
	h := start(t, agent.Config{Root: root})
	line := directLine(t, "/", program(t, "cromt", "echo RAN\n"))
	folder(t, root, "off", line, "disabled: true\nallow_manual_run: true\ncrontab: '* * * * *'\n")
	folder(t, root, "auto", line, "crontab: '30 2 * * *'\n")
	folder(t, root, "broken", line, "vars: {a: 1}\nallow_manual_run: true\n")
	dir := folder(t, root, "fifo", line, "allow_manual_run: true\n")
	if err := os.Remove(filepath.Join(dir, "sparrowfile")); err != nil {
		t.Fatal(err)
	}
	if err := os.Mkdir(filepath.Join(dir, "sparrowfile"), 0o700); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		path string
		code int
		text string
	}{
		{"/build/project/off", 409, "disabled"}, {"/build-with-tags/project/off", 409, "disabled"}, {"/project/off/start", 409, "disabled"},
		{"/build/project/auto", 403, "allow_manual_run"}, {"/project/auto/start", 403, "allow_manual_run"},
		{"/build/project/broken", 500, "sparky.yaml: vars"}, {"/build/project/fifo", 500, "not a regular file"}, {"/build/project/none", 404, "no such project"},
		{"/build/project/..%2Fprojects%2Foff", 400, "must match"}, {"/build-with-tags/project/..", 400, "must match"},
	} {
		body := "{}"
		if code, answer := h.do("POST", c.path, body); code != c.code || !strings.Contains(answer, c.text) {
			t.Errorf("%s: %d %s", c.path, code, answer)
		}
	}
	if code, answer := h.do("POST", "/queue", queueBody("off", "off.1", inDir("/", "x"))); code != 409 || !strings.Contains(answer, "disabled") {
		t.Errorf("queued in a disabled project: %d %s", code, answer)
	}
	agent.StartCron(h.a, time.Now())
	if got := h.builds("off", 0); len(got) != 0 {
		t.Errorf("%q", got)
	}
	_, page := h.do("GET", "/projects", "")
	for _, want := range []string{`<span class="state off">Disabled</span>`, `<span class="state failed">Broken</span>`, "vars: must be a list", "cron 30 2 * * *"} {
		if !strings.Contains(page, want) {
			t.Errorf("no %s in %s", want, page)
		}
	}
}

// TestCron starts what a crontab names, once.
func TestCron(t *testing.T) {
	root := t.TempDir()
	h := start(t, agent.Config{Root: root})
	line := directLine(t, "/", program(t, "cromt", "echo hi\n"))
	folder(t, root, "Nightly", line, "crontab: '30 2 * * *'\nkeep_builds: 5\n")
	zone := time.FixedZone("odd", 5*3600+1800)
	at := time.Date(2026, 3, 1, 2, 30, 0, 0, zone) // by the clock of the host
	for _, m := range []time.Time{at.Add(-time.Minute), at, at, at.Add(time.Minute), at.UTC(), at.Add(24 * time.Hour)} {
		agent.StartCron(h.a, m)
	}
	if got := h.builds("Nightly", 2); !slices.Equal(got, []string{"triggered by cron", "triggered by cron"}) {
		t.Errorf("%q", got)
	}
	if next := agent.NextCron("30 2 * * *", at.Add(-time.Hour)); !next.Equal(at) {
		t.Errorf("next %v, want %v", next, at)
	}
}

// TestSCM starts a build for every new commit of a branch, and none besides.
func TestSCM(t *testing.T) {
	root := t.TempDir()
	repo, commits := repository(t)
	h := start(t, agent.Config{Root: root})
	line := directLine(t, "/", program(t, "cromt", `echo "$SP6_TAGS"`+"\n"))
	branch := git(t, repo, "symbolic-ref", "--short", "HEAD")
	folder(t, root, "watch", line, fmt.Sprintf("scm: {url: %q, branch: %s}\n", repo, strings.TrimSpace(branch)))
	folder(t, root, "nobranch", line, fmt.Sprintf("scm: {url: %q, branch: none}\n", repo))
	poll := func() {
		t.Helper()
		if err := agent.PollSCM(h.a, "watch"); err != nil {
			t.Fatal(err)
		}
	}
	poll()
	poll()
	h.builds("watch", 1)
	git(t, repo, "commit", "--quiet", "--allow-empty", "-m", "more")
	head := strings.TrimSpace(git(t, repo, "rev-parse", "HEAD"))
	poll()
	poll()
	git(t, repo, "reset", "--quiet", "--hard", commits[len(commits)-1])
	poll() // back to a commit that was built before
	want := "run by scm " + strings.TrimSpace(branch) + " ["
	for i, got := range h.builds("watch", 3) {
		if !strings.HasPrefix(got, want) || i == 1 && got != want+head[:8]+"]" {
			t.Errorf("%q", got)
		}
	}
	var page string
	waitFor(t, func() bool { _, page = h.do("GET", "/report/watch/2", ""); return strings.Contains(page, ">OK<") })
	if !strings.Contains(page, "SCM_SHA="+head[:8]) || !strings.Contains(page, "SCM_BRANCH="+strings.TrimSpace(branch)) || !strings.Contains(page, "SCM_URL="+repo) {
		t.Errorf("%s", page)
	}
	if err := agent.PollSCM(h.a, "nobranch"); err == nil || !strings.Contains(err.Error(), "no branch none") {
		t.Errorf("%v", err)
	}
}

// TestDownstream: one project follows another, and a circle ends.
func TestDownstream(t *testing.T) {
	root := t.TempDir()
	h := start(t, agent.Config{Root: root})
	line := directLine(t, "/", program(t, "cromt", "exit 1\n"))
	folder(t, root, "main", line, "allow_manual_run: true\ndownstream: next\n")
	folder(t, root, "next", line, "")
	_, id := h.do("POST", "/build/project/main", "")
	h.wait("main", id)
	if got := h.builds("next", 1); got[0] != "triggered by main@1" {
		t.Errorf("%q", got)
	}
	folder(t, root, "circle", line, "allow_manual_run: true\ndownstream: circle\nkeep_builds: 100\n")
	h.do("POST", "/build/project/circle", "")
	h.builds("circle", 21)
	waitFor(t, func() bool { _, page := h.do("GET", "/queue", ""); return strings.Contains(page, "Nothing here yet") })
	h.builds("circle", 21)
}

// TestKeepBuilds: sparky.yaml says how many builds of its project are kept.
func TestKeepBuilds(t *testing.T) {
	root := t.TempDir()
	h := start(t, agent.Config{Root: root})
	folder(t, root, "few", directLine(t, "/", program(t, "cromt", "echo hi\n")), "allow_manual_run: true\nkeep_builds: 2\n")
	for range 4 {
		_, id := h.do("POST", "/build/project/few", "")
		if st, log := h.wait("few", id); st.State != sparky.CodeOK {
			t.Fatalf("%+v %s", st, log)
		}
	}
	if err := agent.PruneNow(h.a, "few", time.Now()); err != nil {
		t.Fatal(err)
	}
	h.builds("few", 2)
}
