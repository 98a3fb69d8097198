package flow

import (
	"maps"
	"math/bits"
	"slices"
)

// flowArtifacts finds for every artifact that an invocation takes who makes it.
func (p *planner) flowArtifacts() {
	a := newArtifacts(p.plan.Invocations)
	if len(a.ranges) == 0 {
		return
	}
	for _, inv := range p.plan.Invocations {
		a.visit(inv)
	}
	var all makers // found when a problem needs them
	for _, inv := range p.plan.Invocations {
		if len(inv.Project.In) == 0 {
			continue
		}
		inputs := make([]Input, 0, len(inv.Project.In))
		for _, in := range inv.Project.In {
			from, rival := a.producer(inv, in.Value)
			switch {
			case p.full():
			case from == nil:
				if all.of == nil {
					all = p.findMakers()
				}
				p.fail(in.Pos, all.hint(inv.Project, in.Value), "artifact %q has no earlier producer", in.Value)
			case rival != nil:
				p.fail(in.Pos, `let one of them name the other under "before", or give the files different names`,
					"artifact %q has two producers in no order: %q and %q", in.Value, rival.Key, from.Key)
			default:
				inputs = append(inputs, Input{File: in.Value, From: from.Jobs, Pos: in.Pos})
			}
		}
		p.checkPlaces(inputs)
		for _, j := range inv.Jobs {
			j.In = inputs
		}
	}
}

// checkPlaces reports a host's label that is also the name of an artifact:
// .artifacts/x cannot be both the file and the folder of host x.
func (p *planner) checkPlaces(inputs []Input) {
	names := make(map[string]Pos, len(inputs))
	for _, in := range inputs {
		names[in.File] = in.Pos
	}
	checked := make(map[*Job]bool)
	for _, in := range inputs {
		if checked[in.From[0]] {
			continue // several files of one invocation
		}
		checked[in.From[0]] = true
		for _, j := range in.From {
			if pos, ok := names[j.Label]; ok {
				p.fail(pos, "rename the artifact, or give the host another title",
					"artifact %q has the name of the host of %q, and both would be .artifacts/%s", j.Label, j.Key, j.Label)
			}
		}
	}
}

// artifacts knows which invocations that make an artifact come before which
// others, as sets of bits: one bit for each invocation and each file that it
// makes, those of one file side by side, in the order of the plan.
type artifacts struct {
	ranges map[string]bitRange // by file, of those that somebody takes
	makers []*Invocation       // by bit
	made   map[*Invocation][]int
	before []bitset // by place of the invocation: what has ended when it starts
	done   []bitset // what has ended when it is complete; nil: before and its own
}

type bitRange struct{ from, to int }

func newArtifacts(invocations []*Invocation) *artifacts {
	a := &artifacts{ranges: make(map[string]bitRange), made: make(map[*Invocation][]int)}
	makers := make(map[string][]*Invocation)
	for _, inv := range invocations {
		for _, in := range inv.Project.In {
			makers[in.Value] = nil
		}
	}
	if len(makers) == 0 {
		return a
	}
	var files []string
	for _, inv := range invocations {
		for _, out := range inv.Project.Out {
			list, wanted := makers[out.File]
			if !wanted || len(list) > 0 && list[len(list)-1] == inv {
				continue
			}
			if len(list) == 0 {
				files = append(files, out.File)
			}
			makers[out.File] = append(list, inv)
		}
	}
	for file := range makers {
		a.ranges[file] = bitRange{}
	}
	for _, file := range files {
		from := len(a.makers)
		for _, inv := range makers[file] {
			a.made[inv] = append(a.made[inv], len(a.makers))
			a.makers = append(a.makers, inv)
		}
		a.ranges[file] = bitRange{from, len(a.makers)}
	}
	a.before = make([]bitset, len(invocations))
	a.done = make([]bitset, len(invocations))
	return a
}

// visit finds what comes before inv. All that it waits for is visited.
func (a *artifacts) visit(inv *Invocation) {
	if parent := inv.Parent; len(inv.Before) == 0 && parent == nil {
		a.before[inv.order] = nil
	} else {
		set := newBitset(len(a.makers))
		if parent != nil {
			set.or(a.before[parent.order])
			set.set(a.made[parent])
		}
		for _, b := range inv.Before {
			a.addDone(set, b)
		}
		a.before[inv.order] = set
	}
}

// addDone adds to set what has ended when inv is complete. Its after
// invocations, and theirs, have been visited.
func (a *artifacts) addDone(set bitset, inv *Invocation) {
	if len(inv.After) == 0 {
		set.or(a.before[inv.order])
		set.set(a.made[inv])
		return
	}
	if a.done[inv.order] == nil {
		done := newBitset(len(a.makers))
		for todo := []*Invocation{inv}; len(todo) > 0; {
			i := todo[len(todo)-1]
			todo = todo[:len(todo)-1]
			done.or(a.before[i.order])
			done.set(a.made[i])
			for _, e := range i.After {
				todo = append(todo, e.Invocation)
			}
		}
		a.done[inv.order] = done
	}
	set.or(a.done[inv.order])
}

// producer returns the last of those that make file before inv: the one that
// all others come before. If some are in no order, rival is one of those.
func (a *artifacts) producer(inv *Invocation, file string) (last, rival *Invocation) {
	r := a.ranges[file]
	candidates := a.before[inv.order]
	bit := candidates.last(r.from, r.to, nil)
	if bit < 0 {
		return nil, nil
	}
	last = a.makers[bit]
	if bit = candidates.last(r.from, bit, a.before[last.order]); bit >= 0 {
		rival = a.makers[bit]
	}
	return last, rival
}

// bitset is a set of small numbers; the nil bitset is empty.
type bitset []uint64

func newBitset(n int) bitset { return make(bitset, (n+63)/64) }

func (b bitset) set(list []int) {
	for _, i := range list {
		b[i/64] |= 1 << (i % 64)
	}
}

func (b bitset) or(other bitset) {
	for i, w := range other {
		b[i] |= w
	}
}

// last returns the largest member from from up to, without, to that is not in
// except; -1 is none.
func (b bitset) last(from, to int, except bitset) int {
	if b == nil {
		return -1
	}
	for i := to - 1; i >= from; i -= i%64 + 1 {
		w := b[i/64]
		if except != nil {
			w &^= except[i/64]
		}
		if w <<= 63 - i%64; w != 0 { // the bits up to i, at the top
			if i -= bits.LeadingZeros64(w); i >= from {
				return i
			}
			return -1
		}
	}
	return -1
}

// makers says which projects of the file have an artifact under out,
// whatever the plan.
type makers struct {
	of    map[string][]*Project
	files []string // sorted
}

func (p *planner) findMakers() makers {
	m := makers{of: make(map[string][]*Project)}
	for i := range p.nodes {
		project := p.nodes[i].project
		for _, out := range project.Out {
			m.of[out.File] = append(m.of[out.File], project)
		}
	}
	m.files = slices.Sorted(maps.Keys(m.of))
	return m
}

// hint says how an invocation of project could come to the artifact that
// nobody makes before it.
func (m *makers) hint(project *Project, file string) string {
	candidates := m.of[file]
	if len(candidates) == 0 {
		similar := closest(file, m.files, nil)
		if similar == "" {
			return `no project has it under "out"`
		}
		return "did you mean " + quote(similar) + " from " + quote(m.of[similar][0].Name) + "?"
	}
	maker := candidates[0]
	if maker == project && len(candidates) > 1 {
		maker = candidates[1]
	}
	switch {
	case maker == project:
		return "only " + quote(project.Name) + " itself makes it"
	case slices.ContainsFunc(project.After, func(d Dep) bool { return d.Name.Value == maker.Name }):
		return quote(maker.Name) + " makes it, but runs after " + quote(project.Name) + `; name it under "before" instead`
	}
	return quote(maker.Name) + ` makes it; name it under "before" of ` + quote(project.Name)
}
