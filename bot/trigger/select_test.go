package trigger_test

import (
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/cromt/cromt/bot/event"
	"github.com/cromt/cromt/bot/trigger"
	"github.com/cromt/cromt/flow"
)

func parse(t testing.TB, yaml string) *flow.File {
	t.Helper()
	f, err := flow.Parse("jobs.yaml", []byte(yaml))
	if err != nil {
		t.Fatal(err)
	}
	return f
}

// TestSelect: one project with these keys, and the events that start it.
func TestSelect(t *testing.T) {
	const own = "https://github.com/owner/repo.git"
	events := map[string]trigger.Event{
		"push main":      {Name: "push", Branch: "main"},
		"push dev":       {Name: "push", Branch: "dev"},
		"push rel":       {Name: "push", Branch: "releases/10"},
		"push alpha":     {Name: "push", Branch: "releases/10-alpha"},
		"tag v1":         {Name: "push", Tag: "v1"},
		"tag main":       {Name: "push", Tag: "main"},
		"pr main":        {Name: "pull_request", Branch: "main"},
		"pr dev":         {Name: "pull_request", Branch: "dev"},
		"group main":     {Name: "merge_group", Branch: "main"},
		"group dev":      {Name: "merge_group", Branch: "dev"},
		"push main docs": {Name: "push", Branch: "main", PathsKnown: true, Paths: []string{"docs/a.md", "docs/b.md"}},
		"push main src":  {Name: "push", Branch: "main", PathsKnown: true, Paths: []string{"docs/a.md", "src/a.go"}},
		"push main none": {Name: "push", Branch: "main", PathsKnown: true},
		"pr main docs":   {Name: "pull_request", Branch: "main", PathsKnown: true, Paths: []string{"docs/a.md"}},
		"schedule":       {Name: "schedule"},
	}
	mains := "push main, push main docs, push main none, push main src"
	tests := []struct{ keys, want string }{
		{"{}", ""},
		{"{crontab: '0 1 * * *'}", ""},
		{"{trigger: false}", ""},
		{"{trigger: true}", mains},
		{"{trigger: [push]}", mains},
		{"{trigger: {push: }}", mains},
		{"{trigger: true, branch: dev}", "push dev"},
		{"{trigger: true, branch: refs/heads/dev}", "push dev"},
		{"{trigger: true, branch: v1}", "tag v1"},
		{"{trigger: true, branch: refs/tags/v1}", "tag v1"},
		{"{trigger: true, branch: main}", mains + ", tag main"},
		{"{trigger: [pull_request]}", "pr main, pr main docs"},
		{"{trigger: [pull_request], branch: dev}", "pr dev"},
		{"{trigger: [merge_group]}", "group main"},
		{"{trigger: [push, pull_request, merge_group]}", "group main, pr main, pr main docs, " + mains},
		{"{trigger: {push: {branches: [dev]}}}", "push dev"},
		{"{trigger: {push: {branches: ['**']}}}", "push alpha, push dev, " + mains + ", push rel"},
		{"{trigger: {push: {branches: ['*']}}}", "push dev, " + mains},
		{"{trigger: {push: {branches: ['releases/**', '!releases/**-alpha']}}}", "push rel"},
		{"{trigger: {push: {branches: ['!releases/**-alpha', 'releases/**']}}}", "push alpha, push rel"},
		{"{trigger: {push: {branches: ['releases/**', '!releases/**-alpha', 'releases/10-*']}}}", "push alpha, push rel"},
		{"{trigger: {push: {branches: ['!main']}}}", "push alpha, push dev, push rel"},
		{"{trigger: {push: {branches: [dev]}, pull_request: {branches: ['**']}}}", "pr dev, pr main, pr main docs, push dev"},
		{"{trigger: {merge_group: {branches: [dev]}}}", "group dev"},
		{"{trigger: {push: {branches: [dev]}}, branch: main}", "push dev"},
		{"{trigger: {push: {paths: ['src/**']}}}", "push main, push main src"},
		{"{trigger: {push: {paths: ['**.md']}}}", "push main, push main docs, push main src"},
		{"{trigger: {push: {paths: ['!docs/**']}}}", "push main, push main src"},
		{"{trigger: {push: {paths: ['docs/*', '!docs/a*']}}}", "push main, push main docs"},
		{"{trigger: {push: {paths: ['docs/*', '!docs/*', 'src/*']}}}", "push main, push main src"},
		{"{trigger: {push: {paths: ['?']}}}", "push main"},
		{"{trigger: {pull_request: {paths: ['src/**']}}}", "pr main"},
		{"{trigger: {push: {branches: [dev], paths: ['src/**']}}}", "push dev"},
		{"{trigger: true, path: ./x}", mains},
		{"{trigger: true, path: ~/x, branch: dev}", "push dev"},
		{"{trigger: true, path: 'git@github.com:owner/repo', branch: dev}", "push dev"},
		{"{trigger: true, path: 'https://github.com/other/repo', branch: dev}", mains},
	}
	for _, tt := range tests {
		f := parse(t, "projects: {p: "+tt.keys+"}")
		var got []string
		for name, ev := range events {
			ev.DefaultBranch, ev.Repo = "main", own
			sel := trigger.Select(f, ev)
			if slices.Equal(sel.Projects, []string{"p"}) {
				got = append(got, name)
			}
			if (sel.Reasons["p"] == "") != (len(sel.Projects) == 1) {
				t.Errorf("%s on %s: %+v", tt.keys, name, sel)
			}
		}
		slices.Sort(got)
		if strings.Join(got, ", ") != tt.want {
			t.Errorf("%s is started by\n%s, want\n%s", tt.keys, strings.Join(got, ", "), tt.want)
		}
	}
}

func TestReasons(t *testing.T) {
	f := parse(t, `projects:
  d: {trigger: true}
  dependency: {}
  pulls: {trigger: [pull_request]}
  release: {trigger: {push: {branches: ["r/*"]}}}
  source: {trigger: {push: {branches: ["**"], paths: ["src/**"]}}}
  b: {trigger: true}
  a: {trigger: {push: {branches: ["de\x66"]}}, branch: deg}
`)
	sel := trigger.Select(f, trigger.Event{Name: "push", Branch: "x\"y", DefaultBranch: "main", PathsKnown: true})
	want := map[string]string{
		"d": `its trigger is for "main", not for "x\"y"`, "dependency": "it has no trigger", "pulls": "its trigger does not list push",
		"release": `the branches of its trigger leave out "x\"y"`, "source": "no changed file matches the paths of its trigger",
		"b": `its trigger is for "main", not for "x\"y"`, "a": `the branches of its trigger leave out "x\"y"`,
	}
	if len(sel.Projects) != 0 || fmt.Sprint(sel.Reasons) != fmt.Sprint(want) {
		t.Errorf("%q", sel)
	}
	sel = trigger.Select(f, trigger.Event{Name: "push", Branch: "main", DefaultBranch: "main"})
	if fmt.Sprint(sel.Projects) != "[d source b]" {
		t.Errorf("not in the order of the file: %v", sel.Projects)
	}
	for _, ev := range []trigger.Event{{Name: "push", Branch: "main"}, {Name: "push"}} { // the default branch is not known
		if sel = trigger.Select(f, ev); slices.Contains(sel.Projects, "d") || sel.Reasons["d"] != "the default branch is not known" {
			t.Errorf("%+v", sel)
		}
	}
	if sel = trigger.Select(f, trigger.Event{Name: "push", Tag: "v1", DefaultBranch: "main"}); sel.Reasons["d"] != "its trigger is for branches, not for tags" || sel.Reasons["release"] != sel.Reasons["d"] {
		t.Errorf("%+v", sel)
	}
}

func TestWantsPaths(t *testing.T) {
	f := parse(t, "projects: {a: {trigger: true}, b: {trigger: {push: {paths: ['x']}, pull_request: }}}")
	for name, want := range map[string]bool{"push": true, "pull_request": false, "merge_group": false} {
		if got := trigger.WantsPaths(f, name); got != want {
			t.Errorf("%s: %v", name, got)
		}
	}
}

// TestSelectBounded: when the globs cost too much, paths do not count.
func TestSelectBounded(t *testing.T) {
	yaml := "projects:\n"
	for i := range 200 {
		yaml += fmt.Sprintf("  p%d: {trigger: {push: {paths: ['%s%db']}}}\n", i, strings.Repeat("*a", 500), i)
	}
	ev := trigger.Event{Name: "push", Branch: "main", DefaultBranch: "main", PathsKnown: true}
	for i := range 10_000 {
		ev.Paths = append(ev.Paths, strings.Repeat("a", 1000)+fmt.Sprint(i))
	}
	f := parse(t, yaml)
	begin := time.Now()
	sel := trigger.Select(f, ev)
	t.Logf("%v", time.Since(begin))
	if len(sel.Projects) != 200 {
		t.Errorf("%d projects", len(sel.Projects))
	}
	ev.Paths = ev.Paths[:1]
	yaml = "projects: {p: {trigger: {push: {paths: ['" + strings.Repeat("*a", 500) + "b']}}}}"
	if sel = trigger.Select(parse(t, yaml), ev); len(sel.Projects) != 0 {
		t.Errorf("one path is too much work")
	}
}

func TestNotices(t *testing.T) {
	f := parse(t, `projects:
  own: {trigger: true, path: "git@github.com:owner/repo.git"}
  here: {trigger: true, path: ./x}
  far: {trigger: true, path: "https://github.com/other/repo"}
  dependency: {path: "https://github.com/other/repo"}
  typo: {trigger: {push: {branches: ["+a"]}}}
`)
	want := `jobs.yaml:4:18: the trigger of "far" is about this repository, and its path is another one; put a jobs.yaml into that repository to run on its pushes, or install this one on a host with cromt apply
jobs.yaml:6:19: "+a" in the trigger of "typo" matches nothing; ? and + are about the character before them; write \? or \+ for the characters`
	if got := trigger.Notices(f, "https://github.com/owner/repo").Error(); got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
}

func TestFromGitHub(t *testing.T) {
	repo := event.Repo{DefaultBranch: "main", CloneURL: "https://github.com/o/r.git"}
	for _, tt := range []struct {
		e    event.Event
		want string // Name, Branch, Tag, Paths, PathsKnown; "" for none
	}{
		{event.Event{Push: &event.Push{Branch: "b", Paths: []string{"x"}}}, "push b  [x] true"},
		{event.Event{Push: &event.Push{Branch: "b", Truncated: true}}, "push b  [] false"},
		{event.Event{Push: &event.Push{Tag: "v1"}}, "push  v1 [] false"},
		{event.Event{Push: &event.Push{Branch: "b", Deleted: true}}, ""},
		{event.Event{Action: "opened", PullRequest: &event.PullRequest{BaseRef: "b", HeadRef: "h", State: "open"}}, "pull_request b  [] false"},
		{event.Event{Action: "synchronize", PullRequest: &event.PullRequest{BaseRef: "b", State: "open"}}, "pull_request b  [] false"},
		{event.Event{Action: "reopened", PullRequest: &event.PullRequest{BaseRef: "b", State: "open"}}, "pull_request b  [] false"},
		{event.Event{Action: "synchronize", PullRequest: &event.PullRequest{BaseRef: "b", State: "closed"}}, ""},
		{event.Event{Action: "closed", PullRequest: &event.PullRequest{BaseRef: "b", State: "closed"}}, ""},
		{event.Event{Action: "labeled", PullRequest: &event.PullRequest{BaseRef: "b", State: "open"}}, ""},
		{event.Event{Action: "checks_requested", MergeGroup: &event.MergeGroup{BaseRef: "refs/heads/b/c"}}, "merge_group b/c  [] false"},
		{event.Event{Action: "destroyed", MergeGroup: &event.MergeGroup{BaseRef: "refs/heads/b"}}, ""},
		{event.Event{Action: "created", Comment: &event.Comment{}}, ""},
		{event.Event{}, ""},
	} {
		tt.e.Repo = repo
		ev, ok := trigger.FromGitHub(&tt.e)
		got := fmt.Sprintln(ev.Name, ev.Branch, ev.Tag, ev.Paths, ev.PathsKnown)
		if ok != (tt.want != "") || ok && (got != tt.want+"\n" || ev.DefaultBranch != "main" || ev.Repo != repo.CloneURL) {
			t.Errorf("%+v: %q, %v", tt.e, got, ok)
		}
	}
}

// TestFromPayload reads payloads as GitHub sends them.
func TestFromPayload(t *testing.T) {
	for file, want := range map[string]bool{
		"push/push.json":      false, // removes a tag
		"push/own.paths.json": true, "pull_request/opened.json": true, "pull_request/closed.json": false, "merge_group/checks_requested.json": true,
	} {
		data, err := os.ReadFile("../../testdata/webhooks/" + file)
		if err != nil {
			t.Fatal(err)
		}
		name, _, _ := strings.Cut(file, "/")
		e, err := event.Parse(name, data)
		if err != nil {
			t.Fatal(err)
		}
		ev, ok := trigger.FromGitHub(&e)
		if ok != want || ok && (ev.Name != name || ev.Branch+ev.Tag == "" || ev.DefaultBranch == "" || ev.Repo == "") {
			t.Errorf("%s: %+v, %v", file, ev, ok)
		}
	}
}
