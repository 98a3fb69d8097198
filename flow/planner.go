package flow

import (
	"fmt"
	"maps"
	"path"
	"slices"
)

// PlanOptions say for which run a [File] is planned.
type PlanOptions struct {
	Roots  []string // projects to start; empty: those that no other project names
	Repo   string   // URL of the run's own repository, "" when there is none
	Folder string   // slash-separated folder of jobs.yaml below the repository's root, "" is the root
	// Vars replace the values of variables in all jobs that have them. A name
	// that no job has is an error.
	Vars map[string]string
	// HostName returns the name that the hosts file gives a URL, or "". Nil
	// gives none.
	HostName func(url string) string
	// DefaultHost is the URL of jobs that name none, DefaultHostURL when empty.
	DefaultHost string
	// RequireHost makes a job that names no URL an error.
	RequireHost bool
	// Pools are those that jobs can be placed on, instead of the file's, which
	// then count for nothing. Nil: those of the file.
	Pools []*Pool
	// AnyPool lets jobs name pools that a file without any does not define:
	// whoever runs it does.
	AnyPool bool
}

// DefaultHostURL is localhost: where a job without a URL runs.
const DefaultHostURL = "http://127.0.0.1:4000"

// NewPlan resolves f into what will run. The error is an [ErrorList] of all
// that is wrong: roots and projects that do not exist, cycles, variables that
// nobody has, artifacts without a producer. File and Plan share memory, and so
// do the slices and maps of a Plan's jobs: treat both as read-only.
func NewPlan(f *File, o PlanOptions) (*Plan, error) {
	p := newPlanner(f, o)
	p.resolve()
	roots := p.roots()
	if p.failed() {
		return nil, p.err()
	}
	order := p.cycles()
	if p.failed() {
		return nil, p.err()
	}
	reached := p.reach(roots)
	p.checkVars(reached)
	p.share(roots, order, reached)
	if p.failed() {
		return nil, p.err()
	}
	p.build(roots)
	if !p.failed() {
		p.flowArtifacts()
	}
	if p.failed() {
		return nil, p.err()
	}
	return p.plan, nil
}

// planner holds what making one plan needs.
type planner struct {
	opts  PlanOptions
	repo  string // opts.Repo, normalised
	nodes []node // the file's projects, in its order
	index map[string]int

	shared *sharing
	split  splitter
	needs  needs
	vars   int // made by merging so far
	pools  map[string]*planPool
	sizes  map[int]int    // combinations of a project's matrix, by its place
	keys   map[string]int // invocations of each project so far

	plan     *Plan
	errs     ErrorList
	reported map[Error]bool
	exceeded bool // a limit: there is no use in going on
}

// node is a project in the graph of projects.
type node struct {
	project *Project
	targets []int // of Before, then of After; -1 is unknown
}

// dep returns the k-th dependency, those of Before first.
func (n *node) dep(k int) *Dep {
	if k < len(n.project.Before) {
		return &n.project.Before[k]
	}
	return &n.project.After[k-len(n.project.Before)]
}

func newPlanner(f *File, o PlanOptions) *planner {
	if o.DefaultHost == "" {
		o.DefaultHost = DefaultHostURL
	}
	if o.Folder = path.Clean("/" + o.Folder)[1:]; o.HostName == nil {
		o.HostName = func(string) string { return "" }
	}
	return &planner{
		opts:     o,
		repo:     NormalizeRepo(o.Repo),
		index:    make(map[string]int, len(f.Projects)),
		keys:     make(map[string]int, len(f.Projects)),
		pools:    make(map[string]*planPool),
		sizes:    make(map[int]int),
		plan:     &Plan{File: f},
		reported: make(map[Error]bool),
	}
}

// fail reports a problem, once.
func (p *planner) fail(pos Pos, hint, format string, args ...any) {
	e := Error{File: p.plan.File.Name, Pos: pos, Msg: fmt.Sprintf(format, args...), Hint: hint}
	if p.reported[e] || p.full() {
		return
	}
	p.reported[e] = true
	p.errs = append(p.errs, &e)
}

// exceed reports that the plan is beyond a limit.
func (p *planner) exceed(pos Pos, hint, format string, args ...any) {
	if !p.exceeded {
		p.fail(pos, hint, format, args...)
	}
	p.exceeded = true
}

// full reports whether no more problems are listed, nor hints worth finding.
func (p *planner) full() bool { return len(p.errs) >= MaxPlanErrors }

func (p *planner) failed() bool { return len(p.errs) > 0 }

func (p *planner) err() error {
	p.errs.Sort()
	return p.errs
}

// resolve finds the projects that the dependencies name.
func (p *planner) resolve() {
	f := p.plan.File
	total := 0
	for i, project := range f.Projects {
		p.index[project.Name] = i
		total += len(project.Before) + len(project.After)
	}
	p.nodes = make([]node, len(f.Projects))
	all := make([]int, 0, total)
	for i, project := range f.Projects {
		from := len(all)
		for _, deps := range [][]Dep{project.Before, project.After} {
			for k := range deps {
				all = append(all, p.lookup(deps[k].Name.Value, deps[k].Name.Pos))
			}
		}
		p.nodes[i] = node{project: project, targets: all[from:len(all):len(all)]}
	}
}

// lookup returns the place of the project of that name; it reports one that
// does not exist and returns -1.
func (p *planner) lookup(name string, pos Pos) int {
	if i, ok := p.index[name]; ok {
		return i
	}
	if p.full() {
		return -1
	}
	p.fail(pos, didYouMean(name, slices.Sorted(maps.Keys(p.index))), "project %s is not defined", quote(name))
	return -1
}

// roots returns the projects that the run starts with, in the order asked for.
func (p *planner) roots() []int {
	var roots []int
	if len(p.opts.Roots) == 0 {
		named := make([]bool, len(p.nodes))
		for i := range p.nodes {
			for _, t := range p.nodes[i].targets {
				if t >= 0 && t != i {
					named[t] = true
				}
			}
		}
		for i := range p.nodes {
			if !named[i] {
				roots = append(roots, i)
			}
		}
		return roots
	}
	for _, name := range p.opts.Roots {
		if i := p.lookup(name, Pos{}); i >= 0 && !slices.Contains(roots, i) {
			roots = append(roots, i)
		}
	}
	return roots
}

// checkVars reports variables of the command line that nothing in the plan has.
func (p *planner) checkVars(reached []bool) {
	if len(p.opts.Vars) == 0 {
		return
	}
	declared := make(map[string]bool)
	declare := func(s *Settings, hosts []Host) {
		for _, v := range s.Vars {
			declared[v.Name] = true
		}
		for i := range hosts {
			for _, v := range hosts[i].Vars {
				declared[v.Name] = true
			}
		}
	}
	for i := range p.nodes {
		if !reached[i] {
			continue
		}
		n := &p.nodes[i]
		declare(&n.project.Settings, n.project.Hosts)
		for _, name := range n.project.Matrix.names() {
			declared[name] = true
		}
		for k := range n.targets {
			declare(&n.dep(k).Settings, n.dep(k).Hosts)
		}
	}
	for _, name := range slices.Sorted(maps.Keys(p.opts.Vars)) {
		if !declared[name] {
			p.fail(Pos{}, didYouMean(name, slices.Sorted(maps.Keys(declared))), "no job of the plan has a variable %s", quote(name))
		}
	}
}

// didYouMean suggests the one of names that is closest to s, if one is close.
func didYouMean(s string, names []string) string {
	if name := closest(s, names, nil); name != "" {
		return "did you mean " + quote(name) + "?"
	}
	return ""
}
