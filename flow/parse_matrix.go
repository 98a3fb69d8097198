package flow

import (
	"fmt"
	"strings"

	"gopkg.in/yaml.v3"
)

// readMatrix reads a map from variables to lists of values, with include and
// exclude.
func readMatrix(p *parser, pr *Project, k, n *yaml.Node) {
	m := &Matrix{Pos: p.pos(k)}
	first := make(map[string]*yaml.Node, len(n.Content)/2)
	var include, exclude *yaml.Node
	p.each(n, false, func(k, v *yaml.Node, merged bool) {
		if at, dup := first[k.Value]; dup {
			if !merged {
				p.duplicate(k, at, `"matrix"`)
			}
			return
		}
		first[k.Value] = k
		switch {
		case v.Kind != yaml.SequenceNode:
			p.fail(p.pos(v), fmt.Sprintf("%s of the matrix must be a list", quote(k.Value)), fmt.Sprintf("write %s: [%s]", k.Value, scalarOr(v, "VALUE")))
		case len(v.Content) == 0:
			p.fail(p.pos(k), fmt.Sprintf("%s of the matrix is empty", quote(k.Value)), "remove it, or list at least one value")
		case k.Value == "include":
			include = v
		case k.Value == "exclude":
			exclude = v
		case !isEnvName(k.Value):
			p.fail(p.pos(k), quote(k.Value)+" is not a name for a variable", envNameHint(k.Value))
		default:
			m.Axes = append(m.Axes, Axis{k.Value, p.pos(k), p.axis(k, v)})
		}
	})
	if len(n.Content) == 0 {
		p.fail(m.Pos, `"matrix" is empty`, "write NAME: [VALUE, VALUE] below it, or remove it")
		return
	}
	m.Include = p.matrixEntries("include", include)
	m.Exclude = p.matrixEntries("exclude", exclude)
	if p.checkMatrix(m) {
		pr.Matrix = m
	}
}

// axis reads the values n of the variable k.
func (p *parser) axis(k, n *yaml.Node) []string {
	list := make([]string, 0, len(n.Content))
	seen := make(map[string]int, len(n.Content))
	for _, c := range n.Content {
		c = deref(c)
		if !p.isText(c, fmt.Sprintf("a value of %s", quote(k.Value)), "") {
			continue
		}
		if strings.Contains(c.Value, "\x00") {
			p.fail(p.pos(c), fmt.Sprintf("a value of %s contains a NUL character, which no environment can hold", quote(k.Value)), "")
			continue
		}
		if line, dup := seen[c.Value]; dup {
			p.fail(p.pos(c), fmt.Sprintf("%s is listed twice in %s (first at line %d)", quote(c.Value), quote(k.Value), line), "")
			continue
		}
		seen[c.Value] = c.Line
		list = append(list, c.Value)
	}
	return list
}

// matrixEntries reads the list n of include or exclude, nil when there is none.
func (p *parser) matrixEntries(key string, n *yaml.Node) [][]Var {
	if n == nil {
		return nil
	}
	what := "an entry of " + key
	if len(n.Content) > MaxMatrixEntries {
		p.fail(p.pos(n), fmt.Sprintf("%s of a matrix has more than %d entries", quote(key), MaxMatrixEntries), "")
		return nil
	}
	var entries [][]Var
	for _, c := range n.Content {
		pos := p.pos(c)
		c = deref(c)
		switch {
		case c.Kind != yaml.MappingNode:
			p.fail(pos, what+" must be a map", "write - {NAME: VALUE}")
		case len(c.Content) == 0:
			p.fail(pos, what+" is empty", "write - {NAME: VALUE}, or remove it")
		default:
			entries = append(entries, p.vars(c))
		}
	}
	return entries
}

// checkMatrix reports what is wrong with a matrix as a whole.
func (p *parser) checkMatrix(m *Matrix) bool {
	before := len(p.errs) + p.dropped
	names := make([]string, len(m.Axes))
	known := make(map[string]bool, len(m.Axes))
	for i, a := range m.Axes {
		names[i], known[a.Name] = a.Name, true
		if len(a.Values) == 0 {
			return false // its values are wrong, and said to be
		}
	}
	for _, entry := range m.Exclude {
		for _, v := range entry {
			if !known[v.Name] {
				p.fail(v.Pos, fmt.Sprintf("%s is not in the matrix, so it excludes nothing", quote(v.Name)), p.didYouMean(v.Name, names, ""))
			}
		}
	}
	if len(p.errs)+p.dropped > before {
		return false
	}
	combinations, ok := m.Combinations()
	switch {
	case !ok:
		p.fail(m.Pos, fmt.Sprintf("the matrix has more than %d combinations", MaxCombinations), "divide it over several projects")
	case len(combinations) == 0 && len(m.Axes) == 0: // they are wrong, and said to be
	case len(combinations) == 0:
		p.fail(m.Pos, "the matrix has no combination that is not excluded", "remove an entry of exclude")
	default:
		return true
	}
	return false
}
