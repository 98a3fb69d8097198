package flow_test

import (
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/cromt/cromt/flow"
)

// planOf parses and plans a file; options may change what it is planned for.
func planOf(t testing.TB, yaml string, options ...func(*flow.PlanOptions)) *flow.Plan {
	t.Helper()
	plan, err := planErr(t, yaml, options...)
	if err != nil {
		t.Fatal(err)
	}
	return plan
}

func planErr(t testing.TB, yaml string, options ...func(*flow.PlanOptions)) (*flow.Plan, error) {
	t.Helper()
	f, err := flow.Parse("jobs.yaml", []byte(yaml))
	if err != nil {
		t.Fatal(err)
	}
	var o flow.PlanOptions
	for _, option := range options {
		option(&o)
	}
	return flow.NewPlan(f, o)
}

func roots(names ...string) func(*flow.PlanOptions) {
	return func(o *flow.PlanOptions) { o.Roots = names }
}

// outline writes the invocations of a plan, one a line, with what they name
// and the keys of their jobs' needs.
func outline(p *flow.Plan) string {
	var b strings.Builder
	for _, inv := range p.Invocations {
		b.WriteString(inv.Key)
		for _, d := range inv.Before {
			fmt.Fprintf(&b, " <%s", d.Key)
		}
		for _, e := range inv.After {
			fmt.Fprintf(&b, " >%s:%s", e.Invocation.Key, e.When)
		}
		if needs := inv.Jobs[0].Needs; len(needs) > 0 {
			fmt.Fprintf(&b, " [%s]", strings.Join(keys(needs), " "))
		}
		b.WriteByte('\n')
	}
	return b.String()
}

func keys(jobs []*flow.Job) []string {
	var list []string
	for _, j := range jobs {
		list = append(list, strings.TrimSuffix(j.Key, "@127.0.0.1"))
	}
	return list
}

func TestPlanInvocations(t *testing.T) {
	for _, tt := range []struct {
		name, yaml, want string
		roots            []string
	}{
		{name: "one project", yaml: `projects: {a: {}}`, want: "a\n"},
		{name: "a null project", yaml: `projects: {a: }`, want: "a\n"},
		{
			name: "the article's chain",
			yaml: `
projects:
  jobA: {before: [name: jobB]}
  jobB: {before: [name: jobC]}
  jobC: {}`,
			want: "jobC\njobB <jobC [jobC]\njobA <jobB [jobB]\n",
		},
		{
			name: "a diamond runs its tip once",
			yaml: `
projects:
  top: {before: [name: left, name: right]}
  left: {before: [name: tip]}
  right: {before: [name: tip]}
  tip: {}`,
			want: "tip\nleft <tip [tip]\nright <tip [tip]\ntop <left <right [left right]\n",
		},
		{
			name: "before and after clean twice",
			yaml: `
projects:
  build: {before: [name: clean], after: [name: clean]}
  clean: {}`,
			want: "clean\nbuild <clean >clean#2:success [clean]\nclean#2 [build]\n",
		},
		{
			name: "other settings, another invocation",
			yaml: `
projects:
  main: {before: [{name: db, vars: {A: 1}}, {name: db, vars: {A: 2}}, {name: db, vars: {A: 1}, title: "same"}, name: web]}
  web: {before: [name: db]}
  db: {vars: {A: 1}}`,
			want: "db\ndb#2\nweb <db [db]\nmain <db <db#2 <web [db db#2 web]\n",
		},
		{
			name: "a root and a dependency share",
			yaml: `
projects:
  a: {before: [name: b]}
  b: {}`,
			roots: []string{"b", "a", "b"},
			want:  "b\na <b [b]\n",
		},
		{
			name: "those who wait for an invocation wait for what is after it",
			yaml: `
projects:
  main: {before: [name: build]}
  build: {after: [name: test, {name: undo, when: failure}]}
  test: {after: [{name: report, when: always}], before: [name: data]}
  undo: {}
  report: {}
  data: {}`,
			want: "build >test:success >undo:failure\ndata\ntest <data >report:always [build data]\nreport [test]\nundo [build]\nmain <build [build test report undo]\n",
		},
		{
			name: "an after entry of a shared project belongs to each of its invocations",
			yaml: `
projects:
  main: {before: [{name: box, vars: {N: 1}}, {name: box, vars: {N: 2}}]}
  box: {after: [name: stop]}
  stop: {}`,
			want: "box >stop:success\nstop [box]\nbox#2 >stop#2:success\nstop#2 [box#2]\nmain <box <box#2 [box stop box#2 stop#2]\n",
		},
	} {
		t.Run(tt.name, func(t *testing.T) {
			plan := planOf(t, tt.yaml, roots(tt.roots...))
			if got := outline(plan); got != tt.want {
				t.Errorf("got\n%swant\n%s", got, tt.want)
			}
		})
	}
}

// Every setting but the title makes another invocation, unless it says what
// the project says.
func TestPlanSharing(t *testing.T) {
	for override, want := range map[string]int{
		`title: other`:                                    1,
		`url: "https://h/"`:                               1,
		`url: "https://other"`:                            2,
		`action: "build  install"`:                        1,
		`action: install`:                                 2,
		`options: "--verbose"`:                            1,
		`options: "--quiet"`:                              2,
		`queue-id: lane`:                                  2,
		`vars: {A: 1}`:                                    1,
		`vars: {A: 2}`:                                    2,
		`vars: {B: 1}`:                                    2,
		`secrets: [S]`:                                    1,
		`secrets: []`:                                     2,
		`sparrowdo: {docker: alpine}`:                     1,
		`sparrowdo: {localhost: true}`:                    2,
		`timeout: 3600`:                                   1,
		`timeout: 60`:                                     2,
		`hosts: [url: "https://h"]`:                       1,
		`hosts: [{url: "https://h", vars: {A: 1}}]`:       1,
		`hosts: [{url: "https://h", title: "A host"}]`:    1,
		`hosts: [{url: "https://h"}, {url: "https://h"}]`: 2,
		`hosts: [url: "https://other"]`:                   2,
	} {
		plan := planOf(t, `
projects:
  main: {before: [name: x, {name: x, `+override+`}]}
  x: {url: "https://h", action: build install, vars: {A: 1}, secrets: [S], sparrowdo: {docker: alpine}}
`)
		equal(t, override, len(plan.Invocations)-1, want)
	}
	// a variable of the command line wins everywhere
	plan := planOf(t, `
projects:
  main: {before: [{name: x, vars: {A: 1}}, {name: x, vars: {A: 2}}]}
  x: {}
`, func(o *flow.PlanOptions) { o.Vars = map[string]string{"A": "3"} })
	equal(t, "invocations", outline(plan), "x\nmain <x [x]\n")
	equal(t, "A", plan.Jobs[0].Vars[0].Value, "3")
}

func TestPlanSettings(t *testing.T) {
	plan := planOf(t, `
projects:
  main:
    before:
      - name: db
        url: https://dep
        vars: {B: dep, C: dep}
        sparrowdo: {localhost: true, sudo: true}
        queue-id: lane
        timeout: 60
  db:
    url: https://project
    action: " pull  build "
    options: --verbose --profile='a b'
    vars: {A: project, B: project, C: project, D: project}
    secrets: [S]
    sparrowdo: {docker: alpine, no_sudo: true, image: alpine}
    hosts:
      - url: https://one:4000/
      - vars: {C: host}
        secrets: []
        title: "Web 1 / blue"
      - action: install
        options: ""
        sparrowdo: {host: inner, no_sudo: true}
        queue-id: own
`, func(o *flow.PlanOptions) { o.Vars = map[string]string{"D": "command line"} })
	db := plan.Invocations[0]
	equal(t, "timeout", db.Timeout.String(), "1m0s")
	var got []string
	for _, j := range db.Jobs {
		vars := ""
		for _, v := range j.Vars {
			vars += v.Name + "=" + v.Value + " "
		}
		got = append(got, fmt.Sprint(j.Key, " ", j.Host, " ", j.Actions, fmt.Sprintf(" %q ", j.Options), vars, j.Secrets, j.Sparrowdo, " ", j.QueueID, " ", j.Title))
	}
	equal(t, "jobs", got, []string{
		`db@one https://one:4000 [pull build] ["--verbose" "--profile=a b"] A=project B=dep C=dep D=command line [S] map[image:alpine localhost:true sudo:true] lane db@one`,
		`db@Web-1-blue https://dep [pull build] ["--verbose" "--profile=a b"] A=project B=dep C=host D=command line [] map[image:alpine localhost:true sudo:true] lane Web 1 / blue`,
		`db@dep https://dep [install] [] A=project B=dep C=dep D=command line [S] map[host:inner image:alpine no_sudo:true] own db@dep`,
	})
	main := plan.Jobs[len(plan.Jobs)-1]
	equal(t, "default action", main.Actions, []string{"default"})
	equal(t, "default options", main.Options, []string{"--verbose"})
	equal(t, "default host", main.Host, flow.DefaultHostURL)
	equal(t, "default timeout", main.Invocation.Timeout, flow.DefaultTimeout)
}

func TestPlanLabels(t *testing.T) {
	plan := planOf(t, `
projects:
  a:
    hosts:
      - url: https://hostA:4000
      - url: https://hostA:4001
      - url: http://[fe80::1]:4000
      - url: https://HOSTA:4000
      - {url: "https://hostA", title: hostA-2}
      - url: https://hostA
      - url: https://known
      - {url: https://known, title: "../.."}
      - {url: https://x, title: "Привет"}
      - {url: https://y-2}
      - {url: https://y}
      - {url: https://y}
`, func(o *flow.PlanOptions) {
		o.HostName = func(url string) string {
			if url == "https://known" {
				return "Büro 1"
			}
			return ""
		}
	})
	var got []string
	queues := make(map[string]bool)
	for _, j := range plan.Jobs {
		got = append(got, j.Label)
		queues[j.Queue] = true
	}
	equal(t, "labels", got, []string{"hostA", "hostA-4001", "fe80-1", "HOSTA-2", "hostA-2-2", "hostA-3", "B-ro-1", "B-ro-1-2", "x", "y-2", "y", "y-3"})
	equal(t, "distinct queues", len(queues), len(plan.Jobs))
}

func TestPlanQueues(t *testing.T) {
	file := `
projects:
  a: {queue-id: "lane 1", url: https://x}
  b: {queue-id: "lane 1", url: https://y}
  c: {queue-id: "lane-1"}
  "0.1": {}
  long: {queue-id: ` + strings.Repeat("q", 300) + `}
`
	first := planOf(t, file)
	queue := func(p *flow.Plan, i int) string { return p.Jobs[i].Queue }
	equal(t, "one queue-id, one queue", queue(first, 0), queue(first, 1))
	if queue(first, 1) == queue(first, 2) {
		t.Errorf("two queue-ids share %s", queue(first, 1))
	}
	equal(t, "the text of the queue-id", first.Jobs[0].QueueID, "lane 1")
	again := planOf(t, file)
	for i, j := range first.Jobs {
		equal(t, "queue of the same file", again.Jobs[i].Queue, j.Queue)
		if !validQueue(j.Queue) {
			t.Errorf("queue %q is not a name for a Sparky", j.Queue)
		}
	}
	other := planOf(t, file, func(o *flow.PlanOptions) { o.Repo = "https://example.com/other" })
	if queue(other, 0) == queue(first, 0) {
		t.Error("repositories share a queue")
	}
	same := planOf(t, file, func(o *flow.PlanOptions) { o.Repo = "git@Example.com:other.git" })
	equal(t, "queue of the same repository", queue(same, 0), queue(other, 0))
}

func validQueue(s string) bool {
	const letters = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789"
	return s != "" && len(s) <= 100 && strings.Contains(letters, s[:1]) && strings.Trim(s, letters+"_-") == ""
}

func TestPlanSource(t *testing.T) {
	for _, tt := range []struct {
		project string
		want    flow.Source
	}{
		{`{}`, flow.Source{Kind: flow.SourceOwn, Dir: "ci"}},
		{`{path: .}`, flow.Source{Kind: flow.SourceOwn, Dir: "ci"}},
		{`{path: ./}`, flow.Source{Kind: flow.SourceOwn, Dir: "ci"}},
		{`{path: ., branch: main}`, flow.Source{Kind: flow.SourceOwn, Dir: "ci"}},
		{`{path: ./a//b/}`, flow.Source{Kind: flow.SourceOwn, Dir: "ci/a/b"}},
		{`{path: "~/x"}`, flow.Source{Kind: flow.SourceDir, Dir: "~/x"}},
		{`{path: "~"}`, flow.Source{Kind: flow.SourceDir, Dir: "~"}},
		{`{path: /srv/x}`, flow.Source{Kind: flow.SourceDir, Dir: "/srv/x"}},
		{`{path: "https://git@GitHub.com/me/it.git/"}`, flow.Source{Kind: flow.SourceOwn}},
		{`{path: "git@github.com:me/it"}`, flow.Source{Kind: flow.SourceOwn}},
		{`{path: "ssh://git@github.com:22/me/it.git"}`, flow.Source{Kind: flow.SourceOwn}},
		{`{path: "https://github.com/me/it", branch: main}`, flow.Source{Kind: flow.SourceGit, URL: "https://github.com/me/it", Ref: "main"}},
		{`{path: "https://github.com/Me/it"}`, flow.Source{Kind: flow.SourceGit, URL: "https://github.com/Me/it"}},
		{`{path: "https://github.com:8443/me/it"}`, flow.Source{Kind: flow.SourceGit, URL: "https://github.com:8443/me/it"}},
	} {
		plan := planOf(t, "projects:\n  a: "+tt.project, func(o *flow.PlanOptions) {
			o.Repo, o.Folder = "https://github.com/me/it", "ci/"
		})
		equal(t, tt.project, plan.Jobs[0].Source, tt.want)
	}
	plan := planOf(t, "projects:\n  a: {path: file:///srv/it.git}")
	equal(t, "file URL", plan.Jobs[0].Source, flow.Source{Kind: flow.SourceGit, URL: "file:///srv/it.git"})
}

func TestNormalizeRepo(t *testing.T) {
	for _, same := range [][]string{
		{"https://github.com/a/b", "http://github.com/a/b", "https://GitHub.com/a/b.git/", "https://user:pass@github.com:443/a/b//", "git@github.com:a/b.git", "ssh://git@github.com/a/b", "GITHUB.com:/a/b", "git://github.com:9418/a/b"},
		{"/srv/x", "file:///srv/x.git", "/srv/x/"},
		{"git@[::1]:a/b", "ssh://[::1]/a/b"},
		{"https://github.com/A/b"},
		{"https://github.com:8443/a/b"},
		{"https://example.com/github.com/a/b"},
		{""},
	} {
		for _, url := range same {
			equal(t, url, flow.NormalizeRepo(url), flow.NormalizeRepo(same[0]))
		}
		if same[0] != "https://github.com/a/b" && flow.NormalizeRepo(same[0]) == "github.com/a/b" {
			t.Errorf("%s is github.com/a/b", same[0])
		}
	}
}

func TestPlanArtifacts(t *testing.T) {
	for _, tt := range []struct{ name, yaml, want string }{
		{"the article's", `
projects:
  jobA: {artifacts: {in: [patch.sql]}, before: [name: jobB]}
  jobB: {artifacts: {out: [{file: patch.sql, path: out/patch.sql}]}, hosts: [{url: "https://h1"}, {url: "https://h2"}]}`,
			"jobB@h1 jobB@h2"},
		{"the nearest of those in order", `
projects:
  jobA: {artifacts: {in: [f]}, before: [name: old, name: new]}
  new: {artifacts: {in: [f], out: [{file: f, path: f}]}, before: [name: old]}
  old: {artifacts: {out: [{file: f, path: f}]}}`,
			"new"},
		{"an after entry of what is before", `
projects:
  jobA: {artifacts: {in: [f]}, before: [name: jobB]}
  jobB: {after: [name: pack]}
  pack: {artifacts: {out: [{file: f, path: f}]}}`,
			"pack"},
		{"the parent of an after entry", `
projects:
  build: {artifacts: {out: [{file: f, path: f}]}, after: [name: jobA]}
  jobA: {artifacts: {in: [f]}}`,
			"build"},
		{"far away", `
projects:
  jobA: {artifacts: {in: [f]}, before: [name: b]}
  b: {before: [name: c]}
  c: {after: [name: d]}
  d: {before: [name: e]}
  e: {artifacts: {out: [{file: f, path: f}, {file: g, path: g}]}}`,
			"e"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			plan := planOf(t, tt.yaml)
			i := slices.IndexFunc(plan.Jobs, func(j *flow.Job) bool { return j.Invocation.Key == "jobA" })
			in := plan.Jobs[i].In
			if len(in) != 1 {
				t.Fatalf("inputs are %v", in)
			}
			equal(t, "producers", strings.Join(keys(in[0].From), " "), tt.want)
		})
	}
}

func TestPlanOK(t *testing.T) {
	for name, data := range files(t, "ok") {
		t.Run(filepath.Base(name), func(t *testing.T) {
			plan := planOf(t, string(data))
			if len(plan.Jobs) == 0 || len(plan.Roots) == 0 {
				t.Errorf("%d jobs, %d roots", len(plan.Jobs), len(plan.Roots))
			}
		})
	}
}
