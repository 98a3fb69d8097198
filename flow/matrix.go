package flow

import (
	"slices"
	"strings"
)

// Combination is one combination of a matrix.
type Combination struct {
	Vars  []Var
	Label string // its values, joined by dashes; not made safe, not unique
}

// Combinations returns those of the matrix, the values of the first variable
// changing last. As in GitHub's workflows, an entry of exclude removes every
// combination that has all its values. An entry of include is added to every
// combination of which it changes no value of the matrix itself; if there is
// none, it is a combination of its own. Not ok: there are more than
// MaxCombinations.
func (m *Matrix) Combinations() (list []Combination, ok bool) {
	product := 0
	for i, a := range m.Axes {
		if i == 0 {
			product = 1
		}
		if product *= len(a.Values); product > MaxCombinations {
			return nil, false
		}
	}
	for i := range product {
		vars := make([]Var, len(m.Axes))
		for k := len(m.Axes) - 1; k >= 0; k-- {
			a := &m.Axes[k]
			vars[k] = Var{Name: a.Name, Value: a.Values[i%len(a.Values)], Pos: a.Pos}
			i /= len(a.Values)
		}
		if !slices.ContainsFunc(m.Exclude, func(entry []Var) bool { return hasVars(vars, entry) }) {
			list = append(list, Combination{Vars: vars, Label: valuesLabel(vars)})
		}
	}
	own := len(list) // the others are of include, and nothing is added to them
	for _, entry := range m.Include {
		added := false
		for i := range list[:own] {
			if c := &list[i]; !changes(c.Vars[:len(m.Axes)], entry) {
				c.Vars, added = setVars(c.Vars, entry), true
			}
		}
		if !added {
			list = append(list, Combination{Vars: slices.Clone(entry), Label: valuesLabel(entry)})
		}
	}
	return list, len(list) <= MaxCombinations
}

// hasVars reports whether vars have all values of the entry.
func hasVars(vars, entry []Var) bool {
	for _, e := range entry {
		if !slices.ContainsFunc(vars, func(v Var) bool { return v.Name == e.Name && v.Value == e.Value }) {
			return false
		}
	}
	return true
}

// changes reports whether the entry has other values for some of vars.
func changes(vars, entry []Var) bool {
	for _, e := range entry {
		if slices.ContainsFunc(vars, func(v Var) bool { return v.Name == e.Name && v.Value != e.Value }) {
			return true
		}
	}
	return false
}

// setVars returns vars with those of the entry, which replace others.
func setVars(vars, entry []Var) []Var {
	vars = slices.Clone(vars)
	for _, e := range entry {
		if i := slices.IndexFunc(vars, func(v Var) bool { return v.Name == e.Name }); i >= 0 {
			vars[i] = e
		} else {
			vars = append(vars, e)
		}
	}
	return vars
}

func valuesLabel(vars []Var) string {
	list := make([]string, len(vars))
	for i, v := range vars {
		list[i] = v.Value
	}
	return strings.Join(list, "-")
}
