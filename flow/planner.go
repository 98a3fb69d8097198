package flow

import (
	"fmt"
	"slices"
	"strings"
)

// LocalHost is the Sparky of the machine that the program runs on.
const LocalHost = "http://127.0.0.1:4000"

// PlanOptions says what of a file to plan, and where it runs.
type PlanOptions struct {
	Roots       []string                // projects to start; none: those that no other project names
	Repo        string                  // URL of the run's own repository; "" when there is none
	Folder      string                  // slash-separated folder of the file below the repository's root; "" is the root
	Vars        map[string]string       // values for vars that the file declares, wherever it does
	HostName    func(url string) string // name of a host; nil or "": its host and port
	DefaultHost string                  // of entries without url; "" is LocalHost
}

// NewPlan plans the run of a file. The error is an ErrorList with every
// cycle, artifact without a producer and unknown name.
func NewPlan(f *File, o PlanOptions) (*Plan, error) {
	if o.DefaultHost == "" {
		o.DefaultHost = LocalHost
	}
	b := &planner{
		file: f, o: o, plan: &Plan{File: f},
		projects: make(map[string]*Project, len(f.Projects)),
		shared:   make(map[string]*Invocation, len(f.Projects)),
		prints:   make(map[*Project]string),
		numbers:  make(map[string]int),
	}
	for _, p := range f.Projects {
		b.projects[p.Name] = p
	}
	roots := b.roots()
	if b.cycles(); len(b.errs) > 0 {
		b.errs.Sort()
		return nil, b.errs
	}
	for _, p := range roots {
		if inv := b.invoke(p, nil, nil); inv != nil {
			b.plan.Roots = append(b.plan.Roots, inv)
		}
	}
	if !b.full {
		b.plan.wire(b)
		b.setVars()
	}
	if len(b.errs) > 0 {
		b.errs.Sort()
		return nil, b.errs
	}
	return b.plan, nil
}

// planner is the state of NewPlan.
type planner struct {
	file     *File
	o        PlanOptions
	plan     *Plan
	projects map[string]*Project
	shared   map[string]*Invocation // root and before invocations by fingerprint
	prints   map[*Project]string    // fingerprints of projects without overrides
	numbers  map[string]int         // invocations of each project so far
	jobs     int
	full     bool
	errs     ErrorList
}

func (b *planner) fail(pos Pos, hint, format string, args ...any) {
	b.errs = append(b.errs, &Error{File: b.file.Name, Pos: pos, Msg: fmt.Sprintf(format, args...), Hint: hint})
}

// roots returns the projects to start.
func (b *planner) roots() []*Project {
	var roots []*Project
	if len(b.o.Roots) > 0 {
		for _, name := range b.o.Roots {
			p := b.projects[name]
			if p == nil {
				b.fail(Pos{}, b.meant(name, b.names()), "project %q is not defined", name)
			} else if !slices.Contains(roots, p) {
				roots = append(roots, p)
			}
		}
		return roots
	}
	named := make(map[string]bool)
	for _, p := range b.file.Projects {
		for d := range deps(p) {
			named[d.Name.Value] = true
		}
	}
	for _, p := range b.file.Projects {
		if !named[p.Name] {
			roots = append(roots, p)
		}
	}
	return roots
}

func (b *planner) names() []string {
	names := make([]string, len(b.file.Projects))
	for i, p := range b.file.Projects {
		names[i] = p.Name
	}
	return names
}

// meant is the hint for a name that is not known.
func (b *planner) meant(name string, known []string) string {
	if s := closest(name, known); s != "" {
		return fmt.Sprintf("did you mean %q?", s)
	}
	return ""
}

// deps iterates over the before, then the after entries of a project.
func deps(p *Project) func(func(*Dep) bool) {
	return func(yield func(*Dep) bool) {
		for _, list := range [2][]Dep{p.Before, p.After} {
			for i := range list {
				if !yield(&list[i]) {
					return
				}
			}
		}
	}
}

// cycles reports every way in which a project leads back to itself, once, at
// the dependency that closes it. It keeps its own stack: chains may be long.
func (b *planner) cycles() {
	type frame struct {
		p    *Project
		next int
	}
	const onPath, done = 1, 2
	state := make(map[*Project]int, len(b.projects))
	for _, start := range b.file.Projects {
		if state[start] != 0 {
			continue
		}
		stack := []frame{{p: start}}
		state[start] = onPath
		for len(stack) > 0 {
			top := &stack[len(stack)-1]
			d := nth(top.p, top.next)
			if d == nil {
				state[top.p] = done
				stack = stack[:len(stack)-1]
				continue
			}
			top.next++
			q := b.projects[d.Name.Value]
			switch {
			case q == nil: // the parser has said so
			case state[q] == 0:
				state[q] = onPath
				stack = append(stack, frame{p: q})
			case state[q] == onPath:
				var path []string
				for i := range stack {
					if stack[i].p == q || len(path) > 0 {
						path = append(path, stack[i].p.Name)
					}
				}
				b.cycle(d, append(path, q.Name))
			}
		}
	}
}

func nth(p *Project, i int) *Dep {
	if i < len(p.Before) {
		return &p.Before[i]
	}
	if i -= len(p.Before); i < len(p.After) {
		return &p.After[i]
	}
	return nil
}

func (b *planner) cycle(d *Dep, path []string) {
	pos := d.Name.Pos
	if !pos.IsSet() {
		pos = d.Pos
	}
	b.fail(pos, "remove one of these dependencies", "projects depend on each other in a circle: %s", strings.Join(path, " → "))
}

// invoke returns the invocation of a project as a root (d is nil), as a
// before (parent is nil) or as an after entry. Equal root and before
// invocations are one. Nil means that the plan has grown over its limit.
func (b *planner) invoke(p *Project, d *Dep, parent *Invocation) *Invocation {
	print := ""
	if parent == nil {
		print = b.fingerprint(p, d)
		if inv := b.shared[print]; inv != nil {
			return inv
		}
	}
	inv := b.newInvocation(p, d, parent)
	if inv == nil {
		return nil
	}
	if parent == nil {
		b.shared[print] = inv
	}
	for i := range p.Before {
		dep := &p.Before[i]
		c := b.invoke(b.projects[dep.Name.Value], dep, nil)
		if c == nil {
			return nil
		}
		if !slices.Contains(inv.Before, c) {
			inv.Before = append(inv.Before, c)
		}
	}
	b.plan.Invocations = append(b.plan.Invocations, inv)
	for i := range p.After {
		dep := &p.After[i]
		c := b.invoke(b.projects[dep.Name.Value], dep, inv)
		if c == nil {
			return nil
		}
		when := dep.When
		if when == "" {
			when = WhenSuccess
		}
		inv.After = append(inv.After, AfterEdge{Invocation: c, When: when})
	}
	return inv
}

func (b *planner) newInvocation(p *Project, d *Dep, parent *Invocation) *Invocation {
	m := merged(p, d)
	if b.full || b.jobs+max(1, len(m.hosts)) > MaxJobs {
		if !b.full {
			b.full = true
			pos := p.Pos
			if d != nil {
				pos = d.Name.Pos
			}
			b.fail(pos, "after entries run again for each project that names them: name fewer, or use before", "the file plans more than %d jobs; project %q is one too many", MaxJobs, p.Name)
		}
		return nil
	}
	b.numbers[p.Name]++
	inv := &Invocation{
		Key: p.Name, Project: p, Parent: parent, Timeout: p.Timeout, QueueTimeout: p.QueueTimeout,
		Retry: p.Retry, IgnoreErrors: p.IgnoreErrors, FailFast: p.FailFast,
	}
	if n := b.numbers[p.Name]; n > 1 {
		inv.Key = fmt.Sprintf("%s#%d", p.Name, n)
	}
	if d != nil && d.Timeout > 0 {
		inv.Timeout = d.Timeout
	}
	b.addJobs(inv, m)
	b.jobs += len(inv.Jobs)
	return inv
}

// wire gives every job its place: the jobs in order, what each needs, and
// where its artifacts come from.
func (p *Plan) wire(b *planner) {
	for _, inv := range p.Invocations {
		p.Jobs = append(p.Jobs, inv.Jobs...)
		var needs []*Job
		if inv.Parent != nil {
			needs = append(needs, inv.Parent.Jobs...)
		}
		for _, c := range inv.Before {
			needs = appendComplete(needs, c)
		}
		for _, j := range inv.Jobs {
			j.Needs = needs
		}
	}
	b.artifacts()
}

// appendComplete appends the jobs that end before an invocation is complete,
// without those that it waited for itself.
func appendComplete(jobs []*Job, inv *Invocation) []*Job {
	jobs = append(jobs, inv.Jobs...)
	for _, a := range inv.After {
		jobs = appendComplete(jobs, a.Invocation)
	}
	return jobs
}

// setVars puts the values of PlanOptions.Vars where the file declares them.
func (b *planner) setVars() {
	declared := make(map[string]bool)
	for _, j := range b.plan.Jobs {
		for i := range j.Vars {
			v := &j.Vars[i]
			declared[v.Name] = true
			if s, ok := b.o.Vars[v.Name]; ok {
				v.Value = s
			}
		}
	}
	known := make([]string, 0, len(declared))
	for name := range declared {
		known = append(known, name)
	}
	slices.Sort(known)
	names := make([]string, 0, len(b.o.Vars))
	for name := range b.o.Vars {
		names = append(names, name)
	}
	slices.Sort(names)
	for _, name := range names {
		if declared[name] {
			continue
		}
		hint := b.meant(name, known)
		if hint == "" {
			hint = "declare it under vars of the project that uses it"
		}
		b.fail(Pos{}, hint, "no project that runs declares the var %q", name)
	}
}
