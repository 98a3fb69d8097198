package flow_test

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"sort"
	"strings"
	"testing"

	"github.com/cromt/cromt/flow"
)

// Random files are planned, and compared with what the rules say when they
// are followed one by one, whatever that costs.
func TestPlanAgainstRules(t *testing.T) {
	cycles, plans, artifacts := 0, 0, 0
	for seed := range uint64(3000) {
		f := randomFile(rand.New(rand.NewPCG(seed, 1)))
		plan, err := flow.NewPlan(f, flow.PlanOptions{})
		if hasCycle(f) {
			cycles++
			if err == nil {
				t.Fatalf("seed %d: a cycle is not found", seed)
			}
			checkCycles(t, f, err)
			continue
		}
		want := newReference(f)
		if err != nil {
			if wrong := want.artifactError(); !wrong || !strings.Contains(err.Error(), "artifact") {
				t.Fatalf("seed %d: %v", seed, err)
			}
			artifacts++
			continue
		}
		plans++
		if want.artifactError() {
			t.Fatalf("seed %d: an artifact without one last producer is not found", seed)
		}
		want.check(t, seed, plan)
	}
	if cycles < 100 || plans < 100 || artifacts < 100 {
		t.Errorf("%d cycles, %d plans and %d wrong artifacts: too few to say anything", cycles, plans, artifacts)
	}
}

// randomFile has up to 12 projects that name each other, mostly forwards, at
// times with another value of V.
func randomFile(r *rand.Rand) *flow.File {
	at := flow.Pos{Line: 1, Col: 1}
	line := 1
	n := 2 + r.IntN(11)
	f := &flow.File{Name: "jobs.yaml"}
	name := func(i int) string { return fmt.Sprint("p", i) }
	dep := func(to int) flow.Dep {
		line++
		d := flow.Dep{Name: flow.Text{Value: name(to), Pos: flow.Pos{Line: line, Col: 1}}}
		if v := r.IntN(6); v > 3 {
			d.Vars = []flow.Var{{Name: "V", Value: fmt.Sprint(v), Pos: at}}
		}
		return d
	}
	density := 0.5 + 2*r.Float64()
	backwards := r.IntN(4) == 0
	for i := range n {
		p := &flow.Project{Name: name(i), Pos: at, Settings: flow.Settings{Vars: []flow.Var{{Name: "V", Value: fmt.Sprint(3 + r.IntN(3)), Pos: at}}}}
		p.Hosts = make([]flow.Host, 1+r.IntN(2))
		for to := range n {
			if to <= i && (!backwards || r.IntN(8) > 0) || r.Float64() > density/float64(n) {
				continue
			}
			if r.IntN(3) == 0 {
				p.After = append(p.After, dep(to))
			} else {
				p.Before = append(p.Before, dep(to))
			}
		}
		if r.IntN(4) == 0 {
			p.Out = []flow.Output{{File: "f", Path: "f"}}
		}
		if r.IntN(12) == 0 {
			p.In = []flow.Text{{Value: "f", Pos: at}}
		}
		f.Projects = append(f.Projects, p)
	}
	return f
}

func edges(f *flow.File) map[[2]string]bool {
	all := make(map[[2]string]bool)
	for _, p := range f.Projects {
		for _, d := range slices.Concat(p.Before, p.After) {
			all[[2]string{p.Name, d.Name.Value}] = true
		}
	}
	return all
}

func hasCycle(f *flow.File) bool {
	reach := edges(f)
	for _, k := range f.Projects {
		for _, i := range f.Projects {
			for _, j := range f.Projects {
				if reach[[2]string{i.Name, k.Name}] && reach[[2]string{k.Name, j.Name}] {
					reach[[2]string{i.Name, j.Name}] = true
				}
			}
		}
	}
	for _, p := range f.Projects {
		if reach[[2]string{p.Name, p.Name}] {
			return true
		}
	}
	return false
}

// checkCycles checks that each cycle named is one, once, that its place is
// that of the entry that closes it, and that without those entries there are
// none.
func checkCycles(t *testing.T, f *flow.File, err error) {
	t.Helper()
	var list flow.ErrorList
	if !errors.As(err, &list) {
		t.Fatal(err)
	}
	seen := make(map[string]bool)
	closing := make(map[flow.Pos]bool)
	for _, e := range list {
		_, path, ok := strings.Cut(e.Msg, ": ")
		names := strings.Split(path, " → ")
		if !ok || len(names) < 2 || names[0] != names[len(names)-1] || seen[path] {
			t.Fatalf("not a cycle, or twice: %s", e.Msg)
		}
		seen[path] = true
		closing[e.Pos] = true
		for i := range names[1:] {
			if !edges(f)[[2]string{names[i], names[i+1]}] {
				t.Fatalf("%s does not name %s", names[i], names[i+1])
			}
		}
		last := f.Project(names[len(names)-2])
		if !slices.ContainsFunc(slices.Concat(last.Before, last.After), func(d flow.Dep) bool {
			return d.Name.Pos == e.Pos && d.Name.Value == names[0]
		}) {
			t.Fatalf("%v is not where %s names %s", e.Pos, last.Name, names[0])
		}
	}
	closes := func(d flow.Dep) bool { return closing[d.Name.Pos] }
	for _, p := range f.Projects {
		p.Before, p.After = slices.DeleteFunc(p.Before, closes), slices.DeleteFunc(p.After, closes)
	}
	if hasCycle(f) {
		t.Fatal("not all cycles are named")
	}
}

// reference is a run of a file as the rules describe it. Invocations are
// known by how they are reached.
type reference struct {
	file   *flow.File
	before map[string][]string
	after  map[string][]string
	of     map[string]*flow.Project
	ended  map[string]map[string]bool // by invocation: who has ended when it starts
}

func newReference(f *flow.File) *reference {
	r := &reference{file: f, before: map[string][]string{}, after: map[string][]string{}, of: map[string]*flow.Project{}}
	named := edges(f)
	for _, p := range f.Projects {
		if !slices.ContainsFunc(f.Projects, func(q *flow.Project) bool { return named[[2]string{q.Name, p.Name}] }) {
			r.add(p.Name+" V="+p.Vars[0].Value, p)
		}
	}
	r.events()
	return r
}

// add adds the invocation id and all that it leads to.
func (r *reference) add(id string, p *flow.Project) {
	if r.of[id] != nil {
		return
	}
	r.of[id] = p
	value := func(d flow.Dep) string {
		if len(d.Vars) > 0 {
			return d.Vars[0].Value
		}
		return r.file.Project(d.Name.Value).Vars[0].Value
	}
	for _, d := range p.Before {
		to := d.Name.Value + " V=" + value(d)
		r.before[id] = append(r.before[id], to)
		r.add(to, r.file.Project(d.Name.Value))
	}
	for i, d := range p.After {
		to := fmt.Sprintf("%s > %d %s V=%s", id, i, d.Name.Value, value(d))
		r.after[id] = append(r.after[id], to)
		r.add(to, r.file.Project(d.Name.Value))
	}
}

// events finds who has ended when an invocation starts, from what causes what.
func (r *reference) events() {
	causes := make(map[string][]string) // "start x", "end x", "complete x" to what they need
	for id := range r.of {
		causes["end "+id] = []string{"start " + id}
		causes["complete "+id] = append(causes["complete "+id], "end "+id)
		for _, b := range r.before[id] {
			causes["start "+id] = append(causes["start "+id], "complete "+b)
		}
		for _, a := range r.after[id] {
			causes["start "+a] = append(causes["start "+a], "end "+id)
			causes["complete "+id] = append(causes["complete "+id], "complete "+a)
		}
	}
	r.ended = make(map[string]map[string]bool)
	for id := range r.of {
		seen := make(map[string]bool)
		var visit func(string)
		visit = func(event string) {
			if !seen[event] {
				seen[event] = true
				for _, c := range causes[event] {
					visit(c)
				}
			}
		}
		visit("start " + id)
		r.ended[id] = make(map[string]bool)
		for event := range seen {
			if who, ok := strings.CutPrefix(event, "end "); ok {
				r.ended[id][who] = true
			}
		}
	}
}

// producer returns the one that made f last before id.
func (r *reference) producer(id string) (string, bool) {
	var makers []string
	for who := range r.ended[id] {
		if len(r.of[who].Out) > 0 {
			makers = append(makers, who)
		}
	}
	for _, m := range makers {
		last := true
		for _, other := range makers {
			last = last && (m == other || r.ended[m][other])
		}
		if last {
			return m, true
		}
	}
	return "", false
}

func (r *reference) artifactError() bool {
	for id, p := range r.of {
		if _, ok := r.producer(id); len(p.In) > 0 && !ok {
			return true
		}
	}
	return false
}

func (r *reference) check(t *testing.T, seed uint64, plan *flow.Plan) {
	t.Helper()
	ids := make(map[*flow.Invocation]string)
	for _, inv := range plan.Invocations { // parents come first
		if inv.Parent == nil {
			ids[inv] = inv.Project.Name + " V=" + inv.Jobs[0].Vars[0].Value
		} else {
			i := slices.IndexFunc(inv.Parent.After, func(e flow.AfterEdge) bool { return e.Invocation == inv })
			ids[inv] = fmt.Sprintf("%s > %d %s V=%s", ids[inv.Parent], i, inv.Project.Name, inv.Jobs[0].Vars[0].Value)
		}
	}
	if len(plan.Invocations) != len(r.of) || len(ids) != len(r.of) {
		t.Fatalf("seed %d: %d invocations, want %d", seed, len(plan.Invocations), len(r.of))
	}
	keys := make(map[string]bool)
	started := make(map[string]bool)
	jobs := 0
	for _, inv := range plan.Invocations {
		id := ids[inv]
		if r.of[id] != inv.Project {
			t.Fatalf("seed %d: %s should not run", seed, id)
		}
		var before []string
		for _, b := range inv.Before {
			before = append(before, ids[b])
		}
		if want := slices.Compact(sorted(r.before[id])); !slices.Equal(sorted(before), want) {
			t.Fatalf("seed %d: before %s are %q, want %q", seed, id, before, want)
		}
		ended := make(map[string]bool) // needs, and theirs
		for _, j := range inv.Jobs {
			if keys[j.Key] {
				t.Fatalf("seed %d: two jobs %s", seed, j.Key)
			}
			keys[j.Key] = true
			jobs++
			for _, n := range j.Needs {
				ended[ids[n.Invocation]] = true
				for who := range r.ended[ids[n.Invocation]] {
					ended[who] = true
				}
			}
		}
		for who := range r.ended[id] {
			if !ended[who] || !started[who] {
				t.Fatalf("seed %d: %s does not wait for %s", seed, id, who)
			}
		}
		if len(ended) != len(r.ended[id]) {
			t.Fatalf("seed %d: %s waits for %v, want %v", seed, id, ended, r.ended[id])
		}
		started[id] = true
		if in := inv.Jobs[0].In; len(in) > 0 {
			if want, _ := r.producer(id); ids[in[0].From[0].Invocation] != want || len(in[0].From) != len(in[0].From[0].Invocation.Jobs) {
				t.Fatalf("seed %d: %s takes f from %s, want %s", seed, id, in[0].From[0].Key, want)
			}
		} else if len(inv.Project.In) > 0 {
			t.Fatalf("seed %d: %s has no input", seed, id)
		}
	}
	if jobs != len(plan.Jobs) {
		t.Fatalf("seed %d: %d jobs, the plan has %d", seed, jobs, len(plan.Jobs))
	}
}

func sorted(list []string) []string {
	list = slices.Clone(list)
	sort.Strings(list)
	return list
}
