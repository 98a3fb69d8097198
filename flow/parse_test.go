package flow_test

import (
	"errors"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/cromt/cromt/flow"
)

var update = flag.Bool("update", false, "write the golden files of testdata/jobs/err")

// plannerCases begin the names of error files that only planning finds.
const plannerCases = "plan-"

func files(t testing.TB, folder string) map[string][]byte {
	t.Helper()
	names, err := filepath.Glob(filepath.Join("..", "testdata", "jobs", folder, "*.yaml"))
	if err != nil || len(names) == 0 {
		t.Fatalf("no files in %s: %v", folder, err)
	}
	all := make(map[string][]byte)
	for _, name := range names {
		if strings.HasPrefix(filepath.Base(name), plannerCases) {
			continue
		}
		data, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		all[name] = data
	}
	return all
}

func TestParseOK(t *testing.T) {
	for name, data := range files(t, "ok") {
		t.Run(filepath.Base(name), func(t *testing.T) {
			f, err := flow.Parse("jobs.yaml", data)
			if err != nil {
				t.Fatal(err)
			}
			if len(f.Projects) == 0 {
				t.Error("no projects")
			}
		})
	}
}

func TestParseErrors(t *testing.T) {
	for name, data := range files(t, "err") {
		t.Run(filepath.Base(name), func(t *testing.T) {
			_, err := flow.Parse("jobs.yaml", data)
			if err == nil {
				t.Fatal("parsed without an error")
			}
			var list flow.ErrorList
			if !errors.As(err, &list) {
				t.Fatalf("error is a %T", err)
			}
			golden := strings.TrimSuffix(name, ".yaml") + ".err"
			got := err.Error() + "\n"
			if *update {
				if err := os.WriteFile(golden, []byte(got), 0o644); err != nil {
					t.Fatal(err)
				}
			}
			want, err := os.ReadFile(golden)
			if err != nil {
				t.Fatal(err)
			}
			if got != string(want) {
				t.Errorf("got\n%swant\n%s", got, want)
			}
		})
	}
}

func parseFile(t *testing.T, name string) *flow.File {
	t.Helper()
	data, err := os.ReadFile(filepath.Join("..", "testdata", "jobs", "ok", name))
	if err != nil {
		t.Fatal(err)
	}
	f, err := flow.Parse("jobs.yaml", data)
	if err != nil {
		t.Fatal(err)
	}
	return f
}

func equal(t *testing.T, what string, got, want any) {
	t.Helper()
	if !reflect.DeepEqual(got, want) {
		t.Errorf("%s is\n%+v, want\n%+v", what, got, want)
	}
}

func TestParseArticle(t *testing.T) {
	f := parseFile(t, "article-hello.yaml")
	host := func(line int, url, worker string) flow.Host {
		return flow.Host{Pos: flow.Pos{Line: line, Col: 9}, Settings: flow.Settings{
			URL:  flow.Text{Value: url, Pos: flow.Pos{Line: line, Col: 14}},
			Vars: []flow.Var{{Name: "WORKER", Value: worker, Pos: flow.Pos{Line: line + 2, Col: 11}}},
		}}
	}
	equal(t, "file", f, &flow.File{Name: "jobs.yaml", Timeout: time.Hour, Projects: []*flow.Project{{
		Name:         "job1",
		Pos:          flow.Pos{Line: 2, Col: 3},
		Path:         flow.Text{Value: "https://github.com/melezhik/myjobs.git", Pos: flow.Pos{Line: 3, Col: 11}},
		Settings:     flow.Settings{Action: flow.Text{Value: "hello", Pos: flow.Pos{Line: 4, Col: 13}}},
		Hosts:        []flow.Host{host(7, "https://hostA:4000", "A"), host(11, "https://hostB:4000", "B"), host(15, "https://hostC:4000", "C")},
		Timeout:      time.Hour,
		QueueTimeout: time.Hour,
		Retry:        flow.Retry{Delay: 10 * time.Second, Backoff: 2, MaxDelay: 5 * time.Minute, On: []string{"failure"}},
	}}})
}

func TestParseFull(t *testing.T) {
	f := parseFile(t, "full.yaml")
	p := f.Project("all")
	equal(t, "storage", f.Storage.Value, "http://storage.example.com")
	equal(t, "overlap", f.Overlap.Value, "cancel")
	equal(t, "timeouts", []time.Duration{f.Timeout, p.Timeout, p.QueueTimeout, p.Before[0].Timeout, f.Project("base").Timeout},
		[]time.Duration{time.Hour, 90 * time.Minute, 10 * time.Minute, 20 * time.Minute, time.Hour})
	equal(t, "retry", p.Retry, flow.Retry{Limit: 3, Delay: 30 * time.Second, Backoff: 1.5, MaxDelay: 10 * time.Minute, On: []string{"failure", "timed_out", "lost"}})
	equal(t, "short retry", f.Project("base").Retry, flow.Retry{Limit: 2, Delay: 10 * time.Second, Backoff: 2, MaxDelay: 5 * time.Minute, On: []string{"failure"}})
	equal(t, "trigger true", p.Trigger.Events, []flow.TriggerEvent{{Name: "push"}})
	equal(t, "trigger list", f.Project("base").Trigger.Events, []flow.TriggerEvent{{Name: "push"}, {Name: "pull_request"}, {Name: "merge_group"}})
	equal(t, "trigger map", f.Project("report").Trigger.Events, []flow.TriggerEvent{
		{Name: "push", Branches: []string{"main", "release/**", "!release/old"}, Paths: []string{"docs/**", "!*.md"}},
		{Name: "pull_request"},
		{Name: "merge_group", Branches: []string{"main"}},
	})
	equal(t, "flags", []bool{p.IgnoreErrors, p.FailFast, f.Project("base").FailFast}, []bool{true, true, false})
	var whens []flow.When
	for _, d := range p.After {
		whens = append(whens, d.When)
	}
	equal(t, "whens", whens, []flow.When{flow.WhenSuccess, flow.WhenFailure, flow.WhenAlways})
	options := make(map[string]any)
	for _, o := range p.Sparrowdo {
		options[o.Name] = o.Value
	}
	equal(t, "sparrowdo", options, map[string]any{
		"docker": "alpine", "image": "alpine:3.20", "secretsfile": "~/secrets", "sudo": true,
		"bootstrap": false, "no_index_update": true, "verbose": false, "debug": false, "localhost": false,
	})
	equal(t, "out", p.Out, []flow.Output{{File: "app.tar.gz", Path: "dist/app.tar.gz", Pos: flow.Pos{Line: 40, Col: 11}}})
	equal(t, "in", p.In, []flow.Text{{Value: "base.tar.gz", Pos: flow.Pos{Line: 38, Col: 12}}})
	if p.Hosts[0].Secrets == nil || p.Before[0].Secrets == nil || f.Project("base").Secrets != nil {
		t.Error("no secrets given and none listed are not told apart")
	}
}

func TestParseSourceText(t *testing.T) {
	f := parseFile(t, "nulls.yaml")
	p := f.Project("texts")
	equal(t, "texts", []string{p.QueueID.Value, p.Title.Value, p.Branch.Value, p.Action.Value, p.Options.Value}, []string{"1", "1.10", "2024-01-01", "true", ""})
	if !p.Options.IsSet() {
		t.Error("empty options are not set")
	}
	vars := make(map[string]string)
	for _, v := range p.Vars {
		vars[v.Name] = v.Value
	}
	equal(t, "vars", vars, map[string]string{
		"ONE": "1", "VERSION": "1.10", "FLAG": "true", "YES": "yes", "HEX": "0x1F", "DATE": "2024-01-01",
		"EMPTY": "", "TILDE": "~", "MULTI": "line 1\nline 2\n",
	})
	equal(t, "default timeout of the file", f.Project("nothing").Timeout, 90*time.Minute)
	equal(t, "fractions of a second", f.Project("1").Timeout, 1500*time.Millisecond)
}

func TestParseMerge(t *testing.T) {
	f := parseFile(t, "anchors.yaml")
	slow := f.Project("slow")
	vars := make(map[string]string)
	for _, v := range slow.Vars {
		vars[v.Name] = v.Value
	}
	equal(t, "vars", vars, map[string]string{"LEVEL": "1", "MODE": "slow"})
	equal(t, "hosts", len(slow.Hosts), 2)
	equal(t, "the nearer of two", f.Project("both").Action.Value, "build")
	equal(t, "alias", f.Project("again").Action.Value, "test")
}

// TestParseKeepsTheRest: what is right is there beside the error, so that a
// caller can look for more problems.
func TestParseKeepsTheRest(t *testing.T) {
	f, err := flow.Parse("jobs.yaml", []byte("projects: {a: {acton: x, title: A}, b: {before: [{name: c}]}}"))
	if err == nil || f == nil || len(f.Projects) != 2 || f.Projects[0].Title.Value != "A" {
		t.Errorf("%+v, %v", f, err)
	}
}

func FuzzParse(f *testing.F) {
	for _, folder := range []string{"ok", "err"} {
		for _, data := range files(f, folder) {
			f.Add(data)
		}
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		file, err := flow.Parse("jobs.yaml", data)
		if err != nil {
			checkList(t, "jobs.yaml", data, err)
			return
		}
		for _, p := range file.Projects {
			if !p.Pos.IsSet() || p.Timeout <= 0 || p.QueueTimeout <= 0 || p.Retry.Backoff < 1 || p.Retry.MaxDelay < p.Retry.Delay || len(p.Retry.On) == 0 {
				t.Errorf("project %+v", p)
			}
			for _, d := range append(p.Before, p.After...) {
				if file.Project(d.Name.Value) == nil || d.When == "" {
					t.Errorf("dependency %+v", d)
				}
			}
			if _, err := flow.SplitWords(p.Options.Value); err != nil {
				t.Errorf("options %q: %v", p.Options.Value, err)
			}
		}
	})
}

// manyProjects is a file of n projects of some 260 bytes.
func manyProjects(n int) []byte {
	var b strings.Builder
	b.WriteString("projects:\n")
	for i := range n {
		fmt.Fprintf(&b, "  project-%d:\n    path: https://github.com/example/repository-%d.git\n    action: pull build\n    title: Build of repository %d for the release, with all of its tests\n", i, i, i)
		fmt.Fprintf(&b, "    hosts:\n      - url: https://host%d.example.com:4000\n        queue-id: q%d\n", i%100, i%50)
		if i > 0 {
			fmt.Fprintf(&b, "    before:\n      - name: project-%d\n", (i-1)/2)
		}
	}
	return []byte(b.String())
}

func BenchmarkParse(b *testing.B) {
	for name, data := range map[string][]byte{
		"10000-projects": manyProjects(10_000),
		"10000-keys":     []byte(manyKeys(10_000)),
		"80000-keys":     []byte(manyKeys(80_000)),
	} {
		b.Run(name, func(b *testing.B) {
			b.SetBytes(int64(len(data)))
			b.ReportAllocs()
			for b.Loop() {
				if _, err := flow.Parse("jobs.yaml", data); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
