package flow

import (
	"cmp"
	"encoding/binary"
	"slices"
	"strconv"
)

// building is an invocation that is being built: its before entries first,
// then its jobs, then its after entries.
type building struct {
	spec
	inv  *Invocation
	next int // dependency
	made bool
}

// build makes the invocations, dependencies first, and their jobs.
func (p *planner) build(roots []int) {
	invocations := make(map[sharedKey]*Invocation, len(p.shared.specs))
	var stack []building // not recursion: a chain may be as long as there are jobs
	begin := func(s spec, parent *Invocation) *Invocation {
		inv := p.newInvocation(s, parent)
		stack = append(stack, building{spec: s, inv: inv})
		return inv
	}
	shared := func(s spec) *Invocation {
		key := p.key(s)
		if invocations[key] == nil {
			invocations[key] = begin(s, nil)
		}
		return invocations[key]
	}
	for _, r := range roots {
		p.plan.Roots = append(p.plan.Roots, shared(spec{node: r}))
		for len(stack) > 0 && !p.exceeded && !p.full() {
			b := &stack[len(stack)-1]
			n := &p.nodes[b.node]
			before := len(n.project.Before)
			if b.next == before && !b.made {
				b.made = true
				p.finish(b.spec, b.inv)
			}
			if b.next == len(n.targets) {
				stack = stack[:len(stack)-1]
				continue
			}
			k, inv := b.next, b.inv
			b.next++ // b is not valid once the stack grows
			s := spec{n.targets[k], n.dep(k)}
			if k < before {
				inv.Before = append(inv.Before, shared(s))
			} else {
				inv.After = append(inv.After, AfterEdge{begin(s, inv), cmp.Or(s.dep.When, WhenSuccess)})
			}
		}
	}
}

func (p *planner) newInvocation(s spec, parent *Invocation) *Invocation {
	project := p.nodes[s.node].project
	return &Invocation{
		Project:      project,
		Parent:       parent,
		Timeout:      p.timeout(s),
		QueueTimeout: cmp.Or(project.QueueTimeout, DefaultQueueTimeout),
		Retry:        project.Retry,
		IgnoreErrors: project.IgnoreErrors,
		FailFast:     project.FailFast,
	}
}

// finish gives inv, whose before invocations are all in the plan, its place
// and its jobs.
func (p *planner) finish(s spec, inv *Invocation) {
	inv.order = len(p.plan.Invocations)
	p.plan.Invocations = append(p.plan.Invocations, inv)
	inv.Before = p.needs.distinct(inv)

	inv.Key = inv.Project.Name
	p.keys[inv.Key]++
	if n := p.keys[inv.Key]; n > 1 {
		inv.Key += "#" + strconv.Itoa(n)
	}
	needs, ok := p.needs.of(inv)
	if !ok {
		p.exceed(inv.Project.Pos, "put a project with one job between those with many hosts",
			"the jobs of the plan wait for each other in more than %d ways", MaxNeeds)
		return
	}
	p.makeJobs(s, inv, needs)
	p.plan.Jobs = append(p.plan.Jobs, inv.Jobs...)
}

// needs finds the jobs that an invocation's jobs wait for. Invocations that
// wait for the same share one slice: a thousand projects after a thousand
// others would be a million entries.
type needs struct {
	sets  map[string][]*Job // by the places of the invocations waited for
	total int
	seen  []int // by place of an invocation, who named it last, counted from 1
	buf   []byte
}

// distinct returns the invocations before inv, each once.
func (n *needs) distinct(inv *Invocation) []*Invocation {
	for len(n.seen) <= inv.order {
		n.seen = append(n.seen, 0)
	}
	return slices.DeleteFunc(inv.Before, func(b *Invocation) bool {
		twice := n.seen[b.order] == inv.order+1
		n.seen[b.order] = inv.order + 1
		return twice
	})
}

// of returns the jobs that must have ended before those of inv start: of what
// is before it, complete, and of its parent. Not ok: there are too many.
func (n *needs) of(inv *Invocation) (jobs []*Job, ok bool) {
	switch {
	case len(inv.Before) == 0 && inv.Parent == nil:
		return nil, true
	case len(inv.Before) == 0:
		return slices.Clip(inv.Parent.Jobs), true
	case len(inv.Before) == 1 && inv.Parent == nil && len(inv.Before[0].After) == 0:
		return slices.Clip(inv.Before[0].Jobs), true
	}
	n.buf = n.buf[:0]
	for _, b := range inv.Before {
		n.buf = binary.AppendUvarint(n.buf, uint64(b.order)+1)
	}
	if inv.Parent != nil {
		n.buf = binary.AppendUvarint(append(n.buf, 0), uint64(inv.Parent.order))
	}
	if jobs, ok := n.sets[string(n.buf)]; ok {
		return jobs, true
	}
	if inv.Parent != nil {
		jobs = append(jobs, inv.Parent.Jobs...)
	}
	todo := slices.Clone(inv.Before)
	slices.Reverse(todo)
	for len(todo) > 0 && n.total+len(jobs) <= MaxNeeds {
		b := todo[len(todo)-1]
		todo = todo[:len(todo)-1]
		jobs = append(jobs, b.Jobs...)
		for i := len(b.After) - 1; i >= 0; i-- {
			todo = append(todo, b.After[i].Invocation)
		}
	}
	if n.total += len(jobs); n.total > MaxNeeds {
		return nil, false
	}
	if n.sets == nil {
		n.sets = make(map[string][]*Job)
	}
	jobs = slices.Clip(jobs)
	n.sets[string(n.buf)] = jobs
	return jobs, true
}
