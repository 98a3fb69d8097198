package flow_test

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"

	"github.com/cromt/cromt/flow"
)

// jobLines writes each job of a plan: its key, where it runs, its variables.
func jobLines(p *flow.Plan) string {
	var b strings.Builder
	for _, j := range p.Jobs {
		fmt.Fprintf(&b, "%s %s", j.Key, j.Where())
		for _, v := range j.Vars {
			fmt.Fprintf(&b, " %s=%s", v.Name, v.Value)
		}
		b.WriteByte('\n')
	}
	return b.String()
}

func TestPlanMatrix(t *testing.T) {
	for _, tt := range []struct{ name, yaml, want string }{
		{
			"the product, the first variable last to change", `
projects: {a: {url: "http://h", vars: {C: 9}, matrix: {A: [1, 2], B: [x, y]}}}`,
			"a@h-1-x http://h A=1 B=x C=9\na@h-1-y http://h A=1 B=y C=9\na@h-2-x http://h A=2 B=x C=9\na@h-2-y http://h A=2 B=y C=9\n",
		},
		{
			"hosts within each combination", `
projects: {a: {matrix: {A: [1, 2]}, hosts: [{url: "http://h1", vars: {A: 7, B: 8}}, {url: "http://h2"}]}}`,
			"a@h1-1 http://h1 A=1 B=8\na@h2-1 http://h2 A=1\na@h1-2 http://h1 A=2 B=8\na@h2-2 http://h2 A=2\n",
		},
		{
			"exclude with part of the variables", `
projects: {a: {url: "http://h", matrix: {A: [1, 2], B: [x, y], exclude: [{A: 1}, {A: 2, B: y}]}}}`,
			"a@h-2-x http://h A=2 B=x\n",
		},
		{ // the example of GitHub's documentation on include
			"include as on GitHub", `
projects:
  a:
    url: http://h
    matrix:
      fruit: [apple, pear]
      animal: [cat, dog]
      include:
        - {color: green}
        - {color: pink, animal: cat}
        - {fruit: apple, shape: circle}
        - {fruit: banana}
        - {fruit: banana, animal: cat}`,
			"a@h-apple-cat http://h animal=cat color=pink fruit=apple shape=circle\n" +
				"a@h-apple-dog http://h animal=dog color=green fruit=apple shape=circle\n" +
				"a@h-pear-cat http://h animal=cat color=pink fruit=pear\n" +
				"a@h-pear-dog http://h animal=dog color=green fruit=pear\n" +
				"a@h-banana http://h fruit=banana\n" +
				"a@h-banana-cat http://h animal=cat fruit=banana\n",
		},
		{
			"what is excluded can be included", `
projects: {a: {url: "http://h", matrix: {A: [1, 2], exclude: [{A: 1}], include: [{A: 1, B: x}]}}}`,
			"a@h-2 http://h A=2\na@h-1-x http://h A=1 B=x\n",
		},
		{
			"labels are safe and differ", `
projects: {a: {url: "http://h", matrix: {A: [a/b, a b, "", "é", ` + strings.Repeat("x", 80) + `, ` + strings.Repeat("x", 81) + `]}}}`,
			"a@h-a-b http://h A=a/b\na@h-a-b-2 http://h A=a b\na@h http://h A=\na@h-2 http://h A=é\n" +
				"a@h-" + strings.Repeat("x", 58) + " http://h A=" + strings.Repeat("x", 80) + "\n" +
				"a@h-" + strings.Repeat("x", 58) + "-2 http://h A=" + strings.Repeat("x", 81) + "\n",
		},
		{
			"workers of each combination", `
pools: {p: {register: true}}
projects: {a: {pool: p, workers: 2, matrix: {A: [1, 2]}}}`,
			"a@1-1 pool p A=1 WORKER=1 WORKERS=2\na@1-2 pool p A=1 WORKER=2 WORKERS=2\na@2-1 pool p A=2 WORKER=1 WORKERS=2\na@2-2 pool p A=2 WORKER=2 WORKERS=2\n",
		},
		{
			"one worker has its number, too", `
pools: {p: {register: true}}
projects: {a: {pool: p}}`,
			"a@1 pool p WORKER=1 WORKERS=1\n",
		},
		{
			"a dependency replaces the pool", `
pools: {p: {register: true}}
projects:
  main: {before: [{name: a}, {name: a, url: "http://h1"}, {name: a, hosts: [{url: "http://h2"}, {url: "http://h3"}]}, {name: a, vars: {V: 2, WORKER: 5}}, {name: a, vars: {V: 1}}]}
  a: {pool: p, workers: 2, vars: {V: 1}, matrix: {A: [x]}}`,
			"a@x-1 pool p A=x V=1 WORKER=1 WORKERS=2\na@x-2 pool p A=x V=1 WORKER=2 WORKERS=2\n" +
				"a#2@h1-x http://h1 A=x V=1\n" +
				"a#3@h2-x http://h2 A=x V=1\na#3@h3-x http://h3 A=x V=1\n" +
				"a#4@x-1 pool p A=x V=2 WORKER=1 WORKERS=2\na#4@x-2 pool p A=x V=2 WORKER=2 WORKERS=2\n" +
				"main@127.0.0.1 http://127.0.0.1:4000\n",
		},
	} {
		t.Run(tt.name, func(t *testing.T) { check(t, "jobs", jobLines(planOf(t, tt.yaml)), tt.want) })
	}
}

func TestPlanMatrixVars(t *testing.T) {
	const file = `projects: {a: {url: "http://h", vars: {C: 9}, matrix: {A: [1, 2], B: [x, y], include: [{A: 2, D: z}]}}}`
	vars := func(vars map[string]string) func(*flow.PlanOptions) {
		return func(o *flow.PlanOptions) { o.Vars = vars }
	}
	check(t, "one value", jobLines(planOf(t, file, vars(map[string]string{"A": "2", "C": "8"}))), "a@h-2-x http://h A=2 B=x C=8 D=z\na@h-2-y http://h A=2 B=y C=8 D=z\n")
	_, err := planErr(t, file, vars(map[string]string{"A": "3", "B": "x"}))
	check(t, "no such value", fmt.Sprint(err), `jobs.yaml:1:47: the matrix of "a" has no combination with A=3 and B=x; give a value that is in it`)
}

// The pools of a plan are the file's, or those that its maker gives.
func TestPlanPools(t *testing.T) {
	const file = `
pools:
  p: {hosts: [{url: "http://p1", labels: [x]}]}
  other: {register: true}
projects:
  a: {pool: p, workers: 3}
  b: {pool: p, labels: [x]}`
	plan := planOf(t, file)
	if len(plan.Pools) != 1 || plan.Pools[0].Hosts[0].URL != "http://p1" {
		t.Errorf("pools %+v", plan.Pools)
	}
	queues := map[string]bool{}
	for _, j := range plan.Jobs {
		if queues[j.Queue] || j.Host != "" {
			t.Errorf("%s is on host %q, queue %s", j.Key, j.Host, j.Queue)
		}
		queues[j.Queue] = true
	}
	given := func(pools ...*flow.Pool) func(*flow.PlanOptions) {
		return func(o *flow.PlanOptions) { o.Pools = append([]*flow.Pool{}, pools...) }
	}
	_, err := planErr(t, file, given())
	check(t, "none", fmt.Sprint(err), "jobs.yaml:6:13: pool \"p\" is not defined\njobs.yaml:7:13: pool \"p\" is not defined")
	_, err = planErr(t, file, given(&flow.Pool{Name: "p", Hosts: []flow.PoolHost{{URL: "http://p2"}}}))
	check(t, "without labels", fmt.Sprint(err), `jobs.yaml:7:16: no host of pool "p" has the labels x`)
	if other := planOf(t, file, given(&flow.Pool{Name: "p", Register: true})); other.Digest() != plan.Digest() {
		t.Error("the digest depends on the hosts of a pool: a run could not be resumed when one has joined")
	}
	if changed := planOf(t, strings.Replace(file, "workers: 3", "workers: 3, labels: [x]", 1)); changed.Digest() == plan.Digest() {
		t.Error("the digest does not depend on labels")
	}
}

// Each worker's artifact has its own folder; combinations are as hosts are.
func TestPlanPoolArtifacts(t *testing.T) {
	plan := planOf(t, `
pools: {p: {register: true}}
projects:
  use: {before: [name: make], artifacts: {in: [f]}, matrix: {A: [1, 2]}}
  make: {pool: p, workers: 2, artifacts: {out: [{file: f, path: f}]}}`)
	for _, j := range plan.Invocations[1].Jobs {
		if got := strings.Join(keys(j.In[0].From), " "); got != "make@1 make@2" {
			t.Errorf("%s takes f from %s", j.Key, got)
		}
	}
}

// The combinations of random matrices, against the rules taken one by one.
func TestMatrixAgainstRules(t *testing.T) {
	for seed := range uint64(2000) {
		m := randomMatrix(seed)
		got, ok := m.Combinations()
		if !ok {
			t.Fatalf("seed %d: too many", seed)
		}
		var list []string
		for _, c := range got {
			list = append(list, show(asMap(c.Vars)))
		}
		if want := matrixByRules(m); !slices.Equal(list, want) {
			t.Fatalf("seed %d: %+v\n got %v\nwant %v", seed, m, list, want)
		}
	}
}

func randomMatrix(seed uint64) *flow.Matrix {
	rnd := (&dice{seed: seed}).rand("matrix")
	m := &flow.Matrix{}
	names := []string{"A", "B", "C", "D"}
	for _, name := range names[:rnd.IntN(4)] {
		a := flow.Axis{Name: name}
		for v := range 1 + rnd.IntN(3) {
			a.Values = append(a.Values, fmt.Sprint(v))
		}
		m.Axes = append(m.Axes, a)
	}
	entries := func(names []string) (list [][]flow.Var) {
		for range rnd.IntN(5) {
			var entry []flow.Var
			for _, name := range names {
				if rnd.IntN(2) == 0 {
					entry = append(entry, flow.Var{Name: name, Value: fmt.Sprint(rnd.IntN(4))})
				}
			}
			if len(entry) > 0 {
				list = append(list, entry)
			}
		}
		return list
	}
	m.Include = entries(names)
	m.Exclude = entries(names[:len(m.Axes)])
	return m
}

func asMap(vars []flow.Var) map[string]string {
	m := map[string]string{}
	for _, v := range vars {
		m[v.Name] = v.Value
	}
	return m
}

func show(m map[string]string) string {
	var s []string
	for _, k := range slices.Sorted(maps.Keys(m)) {
		s = append(s, k+"="+m[k])
	}
	return strings.Join(s, " ")
}

func matrixByRules(m *flow.Matrix) []string {
	original := []map[string]string{}
	if len(m.Axes) > 0 {
		original = append(original, map[string]string{})
	}
	for _, a := range m.Axes {
		var next []map[string]string
		for _, c := range original {
			for _, v := range a.Values {
				c := maps.Clone(c)
				c[a.Name] = v
				next = append(next, c)
			}
		}
		original = next
	}
	original = slices.DeleteFunc(original, func(c map[string]string) bool {
		return slices.ContainsFunc(m.Exclude, func(e []flow.Var) bool {
			return !slices.ContainsFunc(e, func(v flow.Var) bool { return c[v.Name] != v.Value })
		})
	})
	all := make([]map[string]string, len(original))
	for i, c := range original {
		all[i] = maps.Clone(c)
	}
	for _, e := range m.Include {
		fits := 0
		for i, c := range original {
			if slices.ContainsFunc(e, func(v flow.Var) bool { own, ok := c[v.Name]; return ok && own != v.Value }) {
				continue
			}
			fits++
			maps.Copy(all[i], asMap(e))
		}
		if fits == 0 {
			all = append(all, asMap(e))
		}
	}
	var list []string
	for _, c := range all {
		list = append(list, show(c))
	}
	return list
}
