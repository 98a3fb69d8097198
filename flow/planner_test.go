package flow_test

import (
	"errors"
	"flag"
	"fmt"
	"math/rand"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/cromt/cromt/flow"
)

func mustPlan(t testing.TB, text string, o flow.PlanOptions) *flow.Plan {
	t.Helper()
	f, err := flow.Parse("jobs.yaml", []byte(text))
	if err != nil {
		t.Fatal(err)
	}
	p, err := flow.NewPlan(f, o)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func keys(invs []*flow.Invocation) string {
	var s []string
	for _, inv := range invs {
		s = append(s, inv.Key)
	}
	return strings.Join(s, " ")
}

// TestPlanErrors plans testdata/jobs/err/plan-*.yaml, whose parse succeeds.
func TestPlanErrors(t *testing.T) {
	files, err := filepath.Glob("../testdata/jobs/err/plan-*.yaml")
	if err != nil || len(files) == 0 {
		t.Fatal(files, err)
	}
	for _, path := range files {
		t.Run(filepath.Base(path), func(t *testing.T) {
			data, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			f, err := flow.Parse(filepath.Base(path), data)
			if err != nil {
				t.Fatal(err)
			}
			_, err = flow.NewPlan(f, flow.PlanOptions{})
			var list flow.ErrorList
			if !errors.As(err, &list) {
				t.Fatalf("planned, or %v", err)
			}
			golden := strings.TrimSuffix(path, ".yaml") + ".err"
			if flag.Lookup("update").Value.String() == "true" {
				if err := os.WriteFile(golden, []byte(err.Error()+"\n"), 0o644); err != nil {
					t.Fatal(err)
				}
			}
			want, _ := os.ReadFile(golden)
			if got := err.Error() + "\n"; got != string(want) {
				t.Errorf("got\n%s\nwant\n%s", got, want)
			}
		})
	}
}

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

func TestInvocations(t *testing.T) {
	for _, tt := range []struct{ name, text, want, roots string }{
		{"a diamond runs its tip once", `
projects:
  top: {before: [{name: left}, {name: right}]}
  left: {before: [{name: tip}]}
  right: {before: [{name: tip}]}
  tip: {}
`, "tip left right top", "top"},
		{"before and after the same cleans twice", `
projects:
  a: {before: [{name: clean}], after: [{name: clean}]}
  clean: {}
`, "clean a clean#2", "a"},
		{"other vars are another invocation, equal ones are not", `
projects:
  a: {before: [{name: b, vars: {X: 1}}, {name: b, vars: {X: 2}}, {name: b, vars: {X: "1"}, title: other}, {name: b}]}
  b: {vars: {X: 2}}
`, "b b#2 a", "a"},
		{"after is never shared", `
projects:
  a: {after: [{name: c}]}
  b: {after: [{name: c}]}
  c: {}
`, "a c b c#2", "a b"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			p := mustPlan(t, tt.text, flow.PlanOptions{})
			check(t, "invocations", keys(p.Invocations), tt.want)
			check(t, "roots", keys(p.Roots), tt.roots)
		})
	}
}

func TestOverridesMerge(t *testing.T) {
	p := mustPlan(t, `
projects:
  a:
    before:
      - name: b
        url: https://dep:4000
        vars: {V: dep, W: dep}
        sparrowdo: {sudo: true, host: h}
  b:
    url: https://project:5000
    vars: {V: project, U: project}
    sparrowdo: {docker: box, no_sudo: true, verbose: true}
    options: --quiet "--tags=a=b c"
    action: build  install
    hosts:
      - {}
      - {url: https://own:4000, vars: {W: host}, action: other, title: My Box!}
      - {url: https://own:4000}
`, flow.PlanOptions{Roots: []string{"a"}, Vars: map[string]string{"U": "flag"}})
	var got []string
	for _, j := range p.Jobs[:3] {
		var vars []string
		for _, v := range j.Vars {
			vars = append(vars, v.Name+"="+v.Value)
		}
		got = append(got, fmt.Sprintf("%s %s %v %q %v %v", j.Key, j.Host, j.Actions, j.Options, vars, j.Sparrowdo))
	}
	check(t, "jobs", strings.Join(got, "\n"), `b@dep https://dep:4000 [build install] ["--quiet" "--tags=a=b c"] [U=flag V=dep W=dep] map[host:h sudo:true verbose:true]
b@My-Box https://own:4000 [other] ["--quiet" "--tags=a=b c"] [U=flag V=dep W=host] map[host:h sudo:true verbose:true]
b@own https://own:4000 [build install] ["--quiet" "--tags=a=b c"] [U=flag V=dep W=dep] map[host:h sudo:true verbose:true]`)
	check(t, "title", p.Jobs[1].Title, "My Box!")
}

func TestUnknownNamesAreRefused(t *testing.T) {
	f, err := flow.Parse("jobs.yaml", []byte("projects:\n  deploy: {vars: {WORKER: 1}}\n"))
	if err != nil {
		t.Fatal(err)
	}
	_, err = flow.NewPlan(f, flow.PlanOptions{Roots: []string{"deplyo"}})
	check(t, "root", fmt.Sprint(err), `jobs.yaml: project "deplyo" is not defined; did you mean "deploy"?`)
	_, err = flow.NewPlan(f, flow.PlanOptions{Vars: map[string]string{"WORKR": "x"}})
	check(t, "var", fmt.Sprint(err), `jobs.yaml: no project that runs declares the var "WORKR"; did you mean "WORKER"?`)
}

func TestSources(t *testing.T) {
	for in, want := range map[string]flow.Source{
		"":                            {Kind: flow.SourceOwn, Dir: "ci"},
		"path: ./x/y":                 {Kind: flow.SourceOwn, Dir: "ci/x/y"},
		"path: /srv/x":                {Kind: flow.SourceDir, Dir: "/srv/x"},
		"path: ~/x":                   {Kind: flow.SourceDir, Dir: "~/x"},
		"path: git@Forge.example:o/r": {Kind: flow.SourceOwn},
		"path: https://forge.example/o/r.git\n    branch: dev": {Kind: flow.SourceGit, URL: "https://forge.example/o/r.git", Ref: "dev"},
		"path: https://forge.example/o/other":                  {Kind: flow.SourceGit, URL: "https://forge.example/o/other"},
	} {
		p := mustPlan(t, "projects:\n  a:\n    title: t\n    "+in+"\n", flow.PlanOptions{Repo: "https://user@forge.example/o/r.git/", Folder: "ci"})
		if got := p.Jobs[0].Source; got != want {
			t.Errorf("%q: got %+v, want %+v", in, got, want)
		}
	}
}

func TestQueues(t *testing.T) {
	text := `
projects:
  a: {queue-id: "my queue!", hosts: [{url: "http://h1"}, {url: "http://h2"}]}
  b: {queue-id: "my queue!"}
  c: {hosts: [{url: "http://h1"}, {url: "http://h1"}]}
`
	p := mustPlan(t, text, flow.PlanOptions{Repo: "https://x/r"})
	q := func(i int) string { return p.Jobs[i].Queue }
	if q(0) != q(1) || q(0) != q(2) || q(3) == q(4) || q(3) == q(0) {
		t.Errorf("queues %s %s %s %s %s", q(0), q(1), q(2), q(3), q(4))
	}
	again, other := mustPlan(t, text, flow.PlanOptions{Repo: "git@x:r.git"}), mustPlan(t, text, flow.PlanOptions{Repo: "https://x/s"})
	if again.Jobs[3].Queue != q(3) || other.Jobs[3].Queue == q(3) {
		t.Error("a queue belongs to the repository")
	}
}

func TestArtifactsComeFromTheNearestAncestor(t *testing.T) {
	p := mustPlan(t, `
projects:
  use: {artifacts: {in: [f]}, before: [{name: second}]}
  second: {artifacts: {in: [f], out: [{file: f, path: f}]}, before: [{name: first}], hosts: [{url: "http://h1"}, {url: "http://h2"}]}
  first: {artifacts: {out: [{file: f, path: f}]}}
`, flow.PlanOptions{})
	for _, j := range p.Jobs {
		if j.Key == "use@127.0.0.1" && (len(j.In) != 1 || len(j.In[0].From) != 2 || j.In[0].From[0].Key != "second@h1") {
			t.Errorf("%+v", j.In)
		}
	}
}

// TestPlanAgainstBruteForce compares random graphs with what the rules say
// when they are followed literally.
func TestPlanAgainstBruteForce(t *testing.T) {
	rng := rand.New(rand.NewSource(7))
	for range 400 {
		n := 1 + rng.Intn(8)
		before, after := make([][]int, n), make([][]int, n)
		var y strings.Builder
		y.WriteString("projects:\n")
		for i := range n {
			fmt.Fprintf(&y, "  p%d:\n    title: t\n", i)
			for kind, edges := range map[string]*[]int{"before": &before[i], "after": &after[i]} {
				for j := range n {
					if rng.Intn(10) == 0 && (j > i || rng.Intn(12) == 0) {
						*edges = append(*edges, j)
					}
				}
				if len(*edges) > 0 {
					fmt.Fprintf(&y, "    %s:\n", kind)
				}
				for _, j := range *edges {
					fmt.Fprintf(&y, "      - name: p%d\n", j)
				}
			}
		}
		f, err := flow.Parse("x", []byte(y.String()))
		if err != nil {
			t.Fatal(err)
		}
		p, err := flow.NewPlan(f, flow.PlanOptions{})
		cyclic := false
		for i := range n {
			cyclic = cyclic || reaches(before, after, i, i, map[int]bool{})
		}
		if cyclic != (err != nil) {
			t.Fatalf("cyclic %v, error %v\n%s", cyclic, err, y.String())
		}
		if err != nil {
			continue
		}
		seen := map[*flow.Invocation]int{}
		beforeOf := map[string]int{}
		for i, inv := range p.Invocations {
			seen[inv] = i
			if inv.Parent == nil {
				beforeOf[inv.Project.Name]++
			}
			for _, b := range inv.Before {
				if at, ok := seen[b]; !ok || at >= i {
					t.Fatalf("%s comes before %s that it needs", inv.Key, b.Key)
				}
				for _, j := range b.Jobs {
					if !slices.Contains(inv.Jobs[0].Needs, j) {
						t.Fatalf("%s does not need %s", inv.Key, j.Key)
					}
				}
			}
			if inv.Parent != nil && seen[inv.Parent] >= i {
				t.Fatalf("%s comes before %s whose after it is", inv.Key, inv.Parent.Key)
			}
		}
		for name, k := range beforeOf {
			if k > 1 {
				t.Fatalf("%s is invoked %d times without a difference\n%s", name, k, y.String())
			}
		}
	}
}

func reaches(before, after [][]int, from, to int, seen map[int]bool) bool {
	for _, next := range append(append([]int(nil), before[from]...), after[from]...) {
		if next == to {
			return true
		}
		if !seen[next] {
			seen[next] = true
			if reaches(before, after, next, to, seen) {
				return true
			}
		}
	}
	return false
}

func TestPlanIsBounded(t *testing.T) {
	var y strings.Builder // 2^40 invocations, if they were made
	y.WriteString("projects:\n")
	for i := range 40 {
		fmt.Fprintf(&y, "  p%d:\n    after:\n      - name: p%d\n      - {name: p%d, vars: {X: 1}}\n", i, i+1, i+1)
	}
	y.WriteString("  p40: {}\n")
	f, err := flow.Parse("x", []byte(y.String()))
	if err != nil {
		t.Fatal(err)
	}
	if _, err = flow.NewPlan(f, flow.PlanOptions{}); err == nil || !strings.Contains(err.Error(), "more than 20000 jobs") {
		t.Errorf("%v", err)
	}
}

func TestGraphs(t *testing.T) {
	p := mustPlan(t, `
projects:
  jobA: {before: [{name: jobB}], after: [{name: clean, when: always}], hosts: [{url: "https://app:4000", title: 'x"]<b>|#1'}]}
  jobB: {url: "https://database:4000"}
  clean: {hosts: [{}, {}, {}, {}, {}, {}, {}]}
`, flow.PlanOptions{})
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

// BenchmarkPlan10000 parses, validates and plans 10,000 projects, and a chain
// of as many.
func BenchmarkPlan10000(b *testing.B) {
	for name, chain := range map[string]bool{"parallel": false, "chain": true} {
		var y strings.Builder
		y.WriteString("projects:\n")
		for i := range 10_000 {
			fmt.Fprintf(&y, "  project-%05d:\n    path: https://forge.example/group/project-%05d.git\n    action: build test deploy\n    vars:\n      WORKER: w%d\n      REGION: eu-central-%d\n", i, i, i, i%3)
			if !chain {
				fmt.Fprintf(&y, "    url: https://host-%d.example:4000\n    queue-id: q%d\n", i%100, i)
			} else if i > 0 {
				fmt.Fprintf(&y, "    before:\n      - name: project-%05d\n", i-1)
			}
		}
		b.Run(name, func(b *testing.B) {
			b.SetBytes(int64(y.Len()))
			b.ReportAllocs()
			for b.Loop() {
				mustPlan(b, y.String(), flow.PlanOptions{})
			}
		})
	}
}
