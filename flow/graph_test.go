package flow_test

import (
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/cromt/cromt/flow"
)

func TestOkFilesPlan(t *testing.T) {
	files, err := filepath.Glob("../testdata/jobs/ok/*.yaml")
	if err != nil || len(files) == 0 {
		t.Fatal(files, err)
	}
	for _, path := range files {
		data, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		f, err := flow.Parse(filepath.Base(path), data)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := flow.NewPlan(f, flow.PlanOptions{Repo: "https://forge.example/o/r.git"}); err != nil {
			t.Errorf("%v", err)
		}
	}
}

func TestGraphs(t *testing.T) {
	p := planOf(t, `
projects:
  jobA: {before: [{name: jobB}], after: [{name: clean, when: always}], hosts: [{url: "https://app:4000", title: 'x"]<b>|#1'}]}
  jobB: {url: "https://database:4000"}
  clean: {hosts: [{}, {}, {}, {}, {}, {}, {}]}
`)
	paint := func(j *flow.Job) flow.Conclusion {
		if j.Invocation.Key == "jobA" {
			return flow.Failure
		}
		return flow.Success
	}
	for name, got := range map[string]string{
		"graph.mmd": p.Mermaid(nil), "graph-states.mmd": p.Mermaid(paint), "graph.dot": p.Dot(paint), "graph.svg": string(p.SVG(paint)),
	} {
		path := filepath.Join("../testdata/golden", name)
		if flag.Lookup("update").Value.String() == "true" {
			if err := os.WriteFile(path, []byte(got), 0o644); err != nil {
				t.Fatal(err)
			}
		}
		want, _ := os.ReadFile(path)
		check(t, name, got, string(want))
	}
	var b strings.Builder
	if err := p.WriteText(&b); err != nil {
		t.Fatal(err)
	}
	check(t, "text", b.String(), `stage 1
  jobB, from this repository
    jobB@database on https://database:4000: default
stage 2
  jobA needs jobB, from this repository
    jobA@x-b-1 on https://app:4000: default
stage 3
  clean after jobA (always), from this repository
    clean@127.0.0.1 on http://127.0.0.1:4000: default
    clean@127.0.0.1-2 on http://127.0.0.1:4000: default
    clean@127.0.0.1-3 on http://127.0.0.1:4000: default
    clean@127.0.0.1-4 on http://127.0.0.1:4000: default
    clean@127.0.0.1-5 on http://127.0.0.1:4000: default
    clean@127.0.0.1-6 on http://127.0.0.1:4000: default
    clean@127.0.0.1-7 on http://127.0.0.1:4000: default
9 jobs of 3 invocations
`)
}
