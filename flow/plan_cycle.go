package flow

import "strings"

// cycles reports the cycles of the projects and returns them in an order in
// which each comes after all that it names. Every edge that closes a cycle on
// the way through the graph is reported: without these there is none.
func (p *planner) cycles() []int {
	const (
		unseen = iota
		open
		done
	)
	type frame struct{ node, next int }
	state := make([]uint8, len(p.nodes))
	order := make([]int, 0, len(p.nodes))
	var stack []frame // not recursion: a chain may be tens of thousands long
	for root := range p.nodes {
		if state[root] != unseen {
			continue
		}
		state[root] = open
		stack = append(stack, frame{node: root})
		for len(stack) > 0 {
			f := &stack[len(stack)-1]
			n := &p.nodes[f.node]
			if f.next == len(n.targets) {
				state[f.node] = done
				order = append(order, f.node)
				stack = stack[:len(stack)-1]
				continue
			}
			k := f.next
			f.next++
			switch t := n.targets[k]; state[t] {
			case unseen:
				state[t] = open
				stack = append(stack, frame{node: t})
			case open:
				if p.full() {
					continue
				}
				names := []string{p.nodes[t].project.Name}
				for i := len(stack) - 1; stack[i].node != t; i-- {
					names = append(names, p.nodes[stack[i].node].project.Name)
				}
				p.cycle(n.dep(k), names)
			}
		}
	}
	return order
}

// cycle reports one, which dep closes. names are its projects: the one that
// dep names, then the others from the end back.
func (p *planner) cycle(dep *Dep, names []string) {
	var b strings.Builder
	b.WriteString(names[0])
	for i := len(names) - 1; i >= 0; i-- {
		b.WriteString(" → ")
		b.WriteString(names[i])
	}
	p.fail(dep.Name.Pos, `remove one of these entries from "before" or "after"`, "projects wait for each other: %s", b.String())
}

// reach returns which projects the roots lead to.
func (p *planner) reach(roots []int) []bool {
	reached := make([]bool, len(p.nodes))
	todo := make([]int, 0, len(roots))
	visit := func(i int) {
		if !reached[i] {
			reached[i] = true
			todo = append(todo, i)
		}
	}
	for _, r := range roots {
		visit(r)
	}
	for len(todo) > 0 {
		i := todo[len(todo)-1]
		todo = todo[:len(todo)-1]
		for _, t := range p.nodes[i].targets {
			visit(t)
		}
	}
	return reached
}
