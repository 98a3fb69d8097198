package flow_test

import (
	"fmt"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/cromt/cromt/flow"
)

// shape makes a file of projects; deps gives the names before the i-th.
func shape(n int, deps func(i int) []string) *flow.File {
	at := flow.Pos{Line: 1, Col: 1}
	f := &flow.File{Name: "jobs.yaml"}
	for i := range n {
		p := &flow.Project{Name: fmt.Sprint("p", i), Pos: flow.Pos{Line: i + 1, Col: 1}}
		p.URL = flow.Text{Value: fmt.Sprintf("https://h%d:4000", i%100), Pos: at}
		p.Vars = []flow.Var{{Name: "N", Value: fmt.Sprint(i), Pos: at}}
		for _, name := range deps(i) {
			p.Before = append(p.Before, flow.Dep{Pos: at, Name: flow.Text{Value: name, Pos: at}})
		}
		f.Projects = append(f.Projects, p)
	}
	return f
}

// tree names about three projects before each.
func tree(i int) []string {
	var names []string
	for _, d := range []int{i / 2, i / 3, i - 100} {
		if d >= 0 && d < i {
			names = append(names, fmt.Sprint("p", d))
		}
	}
	return names
}

func chain(i int) []string {
	if i == 0 {
		return nil
	}
	return []string{fmt.Sprint("p", i-1)}
}

// layers names all hundred projects of the layer before.
func layers(i int) []string {
	var names []string
	for d := (i/100 - 1) * 100; d >= 0 && d < i/100*100; d++ {
		names = append(names, fmt.Sprint("p", d))
	}
	return names
}

// ladder is a row of diamonds: without sharing there are 2^n ways down.
func ladder(i int) []string {
	if i < 2 {
		return nil
	}
	return []string{fmt.Sprint("p", i/2*2-2), fmt.Sprint("p", i/2*2-1)}
}

func BenchmarkPlan10000(b *testing.B) {
	for _, s := range []struct {
		name string
		deps func(int) []string
	}{{"tree", tree}, {"chain", chain}, {"layers", layers}, {"ladder", ladder}} {
		f := shape(10_000, s.deps)
		for _, p := range f.Projects {
			p.Out = []flow.Output{{File: p.Name, Path: p.Name}}
			if len(p.Before) > 0 {
				p.In = []flow.Text{p.Before[0].Name}
			}
		}
		for _, artifacts := range []bool{false, true} {
			name := s.name
			if artifacts {
				name += "+artifacts"
			}
			b.Run(name, func(b *testing.B) {
				g := f
				if !artifacts {
					g = shape(10_000, s.deps)
				}
				b.ReportAllocs()
				for b.Loop() {
					if _, err := flow.NewPlan(g, flow.PlanOptions{}); err != nil {
						b.Fatal(err)
					}
				}
			})
		}
	}
}

// BenchmarkFile10000 is the way from bytes to a plan.
func BenchmarkFile10000(b *testing.B) {
	data := manyProjects(10_000)
	b.SetBytes(int64(len(data)))
	b.ReportAllocs()
	for b.Loop() {
		f, err := flow.Parse("jobs.yaml", data)
		if err != nil {
			b.Fatal(err)
		}
		if _, err := flow.NewPlan(f, flow.PlanOptions{}); err != nil {
			b.Fatal(err)
		}
	}
}

// Plans of files that are small for what they ask for are made, or refused,
// in little time and memory.
func TestPlanIsBounded(t *testing.T) {
	at := flow.Pos{Line: 1, Col: 1}
	host := flow.Host{Pos: at}
	hosts := func(n int) []flow.Host {
		list := make([]flow.Host, n)
		for i := range list {
			list[i] = host
		}
		return list
	}
	vars := func(prefix string, n int) []flow.Var {
		list := make([]flow.Var, n)
		for i := range list {
			list[i] = flow.Var{Name: fmt.Sprint(prefix, i), Value: "v", Pos: at}
		}
		return list
	}
	for _, tt := range []struct {
		name string
		make func() *flow.File
		want string // part of the error
	}{
		{"after entries that double", func() *flow.File {
			f := shape(5000, func(i int) []string { return nil })
			for i, p := range f.Projects[1:] {
				d := flow.Dep{Pos: at, Name: flow.Text{Value: f.Projects[i].Name, Pos: at}}
				p.After = []flow.Dep{d, d}
			}
			return f
		}, "more than 20000 jobs"},
		{"a ladder of diamonds", func() *flow.File { return shape(20_000, ladder) }, ""},
		{"one too many", func() *flow.File { return shape(20_001, chain) }, "more than 20000 jobs"},
		{"a chain of after entries", func() *flow.File {
			f := shape(20_000, func(int) []string { return nil })
			for i, p := range f.Projects[1:] {
				p.After = []flow.Dep{{Pos: at, Name: flow.Text{Value: f.Projects[i].Name, Pos: at}}}
			}
			return f
		}, ""},
		{"many who wait for many hosts and one more", func() *flow.File {
			f := shape(10_000, func(i int) []string {
				if i <= 5000 {
					return nil
				}
				return []string{"p0", fmt.Sprint("p", i-5000)}
			})
			f.Projects[0].Hosts = hosts(10_000)
			return f
		}, "wait for each other in more than"},
		{"many variables on many hosts", func() *flow.File {
			f := shape(1, chain)
			f.Projects[0].Vars = vars("A", 10_000)
			f.Projects[0].Hosts = hosts(10_000)
			for i := range f.Projects[0].Hosts {
				f.Projects[0].Hosts[i].Vars = vars("B", 1)
			}
			return f
		}, "variables"},
		{"many overrides of many hosts", func() *flow.File {
			f := shape(2, func(int) []string { return nil })
			f.Projects[0].Hosts = hosts(10_000)
			for i := range f.Projects[0].Hosts {
				f.Projects[0].Hosts[i].Action = flow.Text{Value: "same", Pos: at}
			}
			for i := range 10_000 {
				f.Projects[1].Before = append(f.Projects[1].Before, flow.Dep{Pos: at, Name: flow.Text{Value: "p0", Pos: at},
					Settings: flow.Settings{Action: flow.Text{Value: fmt.Sprint("a", i), Pos: at}}})
			}
			return f
		}, "more than 20000 jobs"},
		{"a cycle of all", func() *flow.File {
			f := shape(20_000, chain)
			f.Projects[0].Before = []flow.Dep{{Pos: at, Name: flow.Text{Value: "p19999", Pos: at}}}
			return f
		}, "p0 → p19999 → p19998"},
		{"all in cycles with all", func() *flow.File {
			return shape(400, func(int) []string {
				var names []string
				for i := range 400 {
					names = append(names, fmt.Sprint("p", i))
				}
				return names
			})
		}, "wait for each other"},
		{"artifacts that nobody makes", func() *flow.File {
			f := shape(10_000, chain)
			for _, p := range f.Projects {
				p.In = []flow.Text{{Value: "x" + p.Name, Pos: p.Pos}}
				p.Out = []flow.Output{{File: "y" + p.Name, Path: "y"}}
			}
			return f
		}, "no earlier producer"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			f := tt.make()
			var before, after runtime.MemStats
			runtime.ReadMemStats(&before)
			start := time.Now()
			_, err := flow.NewPlan(f, flow.PlanOptions{})
			took := time.Since(start)
			runtime.ReadMemStats(&after)
			switch {
			case tt.want == "" && err != nil:
				t.Error(err)
			case tt.want != "" && (err == nil || !strings.Contains(err.Error(), tt.want)):
				t.Errorf("error is %.200v, want %s", err, tt.want)
			}
			mib := (after.TotalAlloc - before.TotalAlloc) >> 20
			t.Logf("%v, %d MiB", took, mib)
			if took > 5*time.Second || mib > 200 {
				t.Errorf("took %v and %d MiB", took, mib)
			}
		})
	}
}
