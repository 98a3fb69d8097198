package flow

import (
	"maps"
	"slices"
	"strconv"
	"strings"
)

// entry is what one job of an invocation is made from.
type entry struct {
	host    *Host        // nil: there is no entry of hosts
	combo   *Combination // nil: there is no matrix
	worker  int          // from 1, of workers; 0: it is on no pool
	workers int
}

// poolOf returns how s uses a pool, nil when it does not: a dependency's hosts
// or url replace it.
func (p *planner) poolOf(s spec) *PoolUse {
	use := &p.nodes[s.node].project.Pool
	if !use.Name.IsSet() || s.dep != nil && (s.dep.Hosts != nil || s.dep.URL.IsSet()) {
		return nil
	}
	return use
}

// combinations returns those of the matrix of a project that the run is for:
// a value of the command line leaves those that have it.
func (p *planner) combinations(node int) []Combination {
	m := p.nodes[node].project.Matrix
	if m == nil {
		return nil
	}
	all, _ := m.Combinations() // the parser has checked their number
	list := slices.DeleteFunc(slices.Clone(all), func(c Combination) bool {
		return slices.ContainsFunc(c.Vars, func(v Var) bool {
			value, given := p.opts.Vars[v.Name]
			return given && value != v.Value
		})
	})
	if len(list) == 0 && len(all) > 0 {
		given := slices.DeleteFunc(m.names(), func(name string) bool { _, ok := p.opts.Vars[name]; return !ok })
		for i, name := range given {
			given[i] = name + "=" + p.opts.Vars[name]
		}
		p.fail(m.Pos, "give a value that is in it", "the matrix of %s has no combination with %s",
			quote(p.nodes[node].project.Name), strings.Join(given, " and "))
	}
	return list
}

// countCombinations returns how many times an invocation of the project is
// multiplied.
func (p *planner) countCombinations(node int) int {
	if p.nodes[node].project.Matrix == nil {
		return 1
	}
	if _, ok := p.sizes[node]; !ok {
		p.sizes[node] = len(p.combinations(node))
	}
	return p.sizes[node]
}

// names returns the variables that a matrix, which may be nil, sets, sorted.
func (m *Matrix) names() []string {
	if m == nil {
		return nil
	}
	set := make(map[string]bool)
	for _, a := range m.Axes {
		set[a.Name] = true
	}
	for _, entry := range m.Include {
		for _, v := range entry {
			set[v.Name] = true
		}
	}
	return slices.Sorted(maps.Keys(set))
}

// entries returns what the jobs of s are made from: for each combination the
// hosts or the workers.
func (p *planner) entries(s spec) []entry {
	hosts, use := p.hosts(s), p.poolOf(s)
	var each []entry
	switch {
	case use != nil:
		for w := range use.Count() {
			each = append(each, entry{worker: w + 1, workers: use.Count()})
		}
	case len(hosts) == 0:
		each = []entry{{}}
	default:
		for i := range hosts {
			each = append(each, entry{host: &hosts[i]})
		}
	}
	if p.nodes[s.node].project.Matrix == nil {
		return each
	}
	combos := p.combinations(s.node)
	all := make([]entry, 0, len(combos)*len(each))
	for i := range combos {
		for _, e := range each {
			e.combo = &combos[i]
			all = append(all, e)
		}
	}
	return all
}

// fixVars returns the variables of a job with those that its entry gives:
// they win over all others.
func (p *planner) fixVars(vars []Var, e *entry) []Var {
	var fixed []Var
	if e.combo != nil {
		fixed = slices.Clone(e.combo.Vars)
	}
	if e.worker > 0 {
		fixed = append(fixed, Var{Name: workerVar, Value: strconv.Itoa(e.worker)}, Var{Name: workersVar, Value: strconv.Itoa(e.workers)})
	}
	if !p.mayMerge(vars, fixed) {
		return vars
	}
	return overlayVars(vars, fixed)
}

// entryLabel returns the label of a job before it is made unique. It does not
// depend on where a job on a pool is placed.
func (p *planner) entryLabel(e *entry, hostURL string) string {
	worker := strconv.Itoa(e.worker)
	switch {
	case e.combo == nil && e.worker > 0:
		return worker
	case e.combo == nil:
		return p.label(e.host, hostURL)
	}
	label, end := e.combo.Label, ""
	if e.worker == 0 {
		label = p.label(e.host, hostURL) + "-" + label
	} else if e.workers > 1 {
		end = "-" + worker
	}
	if label = safeName(label, maxLabel-len(end), "."); label == "" {
		label = "combination"
	}
	return label + end
}

// planPool is a pool as the planner knows it.
type planPool struct {
	*Pool                 // nil: it is not defined
	fits  map[string]bool // by labels: some host has them
}

// checkPool reports a pool that does not exist, and labels that no host of it
// has. use may be nil.
func (p *planner) checkPool(use *PoolUse) {
	if use == nil {
		return
	}
	name := use.Name.Value
	known := p.opts.Pools
	if known == nil {
		known = p.plan.File.Pools
	}
	pool := p.pools[name]
	if pool == nil {
		pool = &planPool{fits: make(map[string]bool)}
		if i := slices.IndexFunc(known, func(k *Pool) bool { return k.Name == name }); i >= 0 {
			pool.Pool = known[i]
			p.plan.Pools = append(p.plan.Pools, known[i])
		}
		p.pools[name] = pool
	}
	if pool.Pool == nil {
		if len(known) > 0 || !p.opts.AnyPool {
			p.unknownPool(use, known)
		}
		return
	}
	key := strings.Join(use.Labels, " ")
	fits, ok := pool.fits[key]
	if !ok {
		fits = pool.Register || slices.ContainsFunc(pool.Hosts, func(h PoolHost) bool { return hasLabels(h.Labels, use.Labels) })
		pool.fits[key] = fits
	}
	if !fits {
		p.fail(use.LabelsPos, p.labelHint(pool.Pool, use.Labels), "no host of pool %s has the labels %s", quote(name), strings.Join(use.Labels, ", "))
	}
}

func (p *planner) unknownPool(use *PoolUse, known []*Pool) {
	if p.full() {
		return
	}
	names := make([]string, len(known))
	for i, k := range known {
		names[i] = k.Name
	}
	hint := didYouMean(use.Name.Value, names)
	if hint == "" && p.opts.Pools == nil && len(known) == 0 {
		hint = "write pools: and its hosts"
	}
	p.fail(use.Name.Pos, hint, "pool %s is not defined", quote(use.Name.Value))
}

// labelHint finds the label that may be misspelt.
func (p *planner) labelHint(pool *Pool, labels []string) string {
	if p.full() {
		return ""
	}
	all := make(map[string]bool)
	for _, h := range pool.Hosts {
		for _, l := range h.Labels {
			all[l] = true
		}
	}
	for _, l := range labels {
		if !all[l] {
			return didYouMean(l, slices.Sorted(maps.Keys(all)))
		}
	}
	return "each is on some host, but no host has them all"
}

func hasLabels(have, want []string) bool {
	for _, l := range want {
		if !slices.Contains(have, l) {
			return false
		}
	}
	return true
}
