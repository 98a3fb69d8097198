package flow

import (
	"fmt"
	"slices"
	"strings"

	"gopkg.in/yaml.v3"
)

// The variables that each copy of a job on a pool has.
const (
	workerVar  = "WORKER"
	workersVar = "WORKERS"
)

const labelRule = projectNameRule

func isLabel(s string) bool { return isFileName(s, 100) }

func poolKeys() []key[Pool] {
	return []key[Pool]{
		{"hosts", "The hosts of the pool.", typeMembers(),
			func(p *parser, t *Pool, k, n *yaml.Node) { t.Hosts = p.poolHosts(k, n) }},
		boolKey("register", "Hosts that announce themselves to the App are in the pool.", func(t *Pool) *bool { return &t.Register }),
	}
}

func poolHostKeys() []key[PoolHost] {
	return []key[PoolHost]{
		{"url", "The Sparky host, like https://hostA:4000.", typeURL(), func(p *parser, h *PoolHost, k, n *yaml.Node) {
			if t, ok := p.text(k, n, false); ok && checkURL(p, k, t) {
				h.URL = strings.TrimRight(t.Value, "/")
			}
		}},
		{"slots", "How many jobs it may have at once. Default 1.", typeInt(1, MaxSlots),
			func(p *parser, h *PoolHost, k, n *yaml.Node) { p.integer(k, n, 1, MaxSlots, &h.Slots) }},
		{"labels", "What jobs can ask for.", typeNames("label", projectNamePattern, true),
			func(p *parser, h *PoolHost, k, n *yaml.Node) { h.Labels = values(p.names(k, n, isLabel, labelRule)) }},
	}
}

func readPools(p *parser, f *File, k, n *yaml.Node) {
	first := make(map[string]*yaml.Node, len(n.Content)/2)
	p.each(n, false, func(k, v *yaml.Node, merged bool) {
		if at, dup := first[k.Value]; dup {
			if !merged {
				p.duplicate(k, at, "pools")
			}
			return
		}
		first[k.Value] = k
		f.Pools = append(f.Pools, p.readPool(k, v))
	})
	if len(n.Content) == 0 {
		p.fail(p.pos(k), `"pools" is empty`, "remove it, or name a pool below it")
	}
}

func (p *parser) readPool(k, v *yaml.Node) *Pool {
	pool := &Pool{Name: k.Value, Pos: p.pos(k)}
	if !isProjectName(k.Value) {
		p.fail(pool.Pos, quote(k.Value)+" is not a name for a pool", projectNameRule)
	}
	const example = "write hosts: [{url: https://hostA:4000}], or register: true"
	if v.Kind != yaml.MappingNode {
		p.fail(pool.Pos, fmt.Sprintf("pool %s must be a map", quote(k.Value)), example)
		return pool
	}
	readMap(p, p.pool, v, "pool "+quote(k.Value), pool)
	if !pool.Register && lookup(v, "hosts") == nil && len(pool.Hosts) == 0 {
		p.fail(pool.Pos, fmt.Sprintf("pool %s has no hosts", quote(k.Value)), example)
	}
	return pool
}

// poolHosts reads the list n, the value of k.
func (p *parser) poolHosts(k, n *yaml.Node) []PoolHost {
	if len(n.Content) > MaxPoolHosts {
		p.fail(p.pos(k), fmt.Sprintf("a pool has more than %d hosts", MaxPoolHosts), "divide it")
		return nil
	}
	hosts := make([]PoolHost, 0, len(n.Content))
	first := make(map[string]int, len(n.Content))
	for _, c := range n.Content {
		h := PoolHost{Pos: p.pos(c), Slots: 1}
		c = deref(c)
		switch {
		case isNull(c):
			p.fail(h.Pos, "a host of a pool is empty", `write - url: https://hostA:4000, or remove the "-"`)
			continue
		case c.Kind != yaml.MappingNode:
			p.fail(h.Pos, "a host of a pool must be a map", "write - url: "+scalarOr(c, "https://hostA:4000"))
			continue
		}
		readMap(p, p.member, c, "a host of a pool", &h)
		if lookup(c, "url") == nil && h.URL == "" {
			p.fail(h.Pos, `a host of a pool has no "url"`, "write url: https://hostA:4000")
		}
		p.unique(h.Pos, "url", strings.ToLower(h.URL), first)
		hosts = append(hosts, h)
	}
	if len(n.Content) == 0 {
		p.fail(p.pos(k), `"hosts" is empty`, "remove it, or list at least one host")
	}
	return hosts
}

func checkPoolName(p *parser, _ *yaml.Node, t Text) bool {
	if !isProjectName(t.Value) {
		p.fail(t.Pos, quote(t.Value)+" is not a name for a pool", projectNameRule)
		return false
	}
	return true
}

// checkPool reports keys of the project n that do not go together.
func (p *parser) checkPool(pr *Project, n *yaml.Node) {
	use := &pr.Pool
	if !use.Name.IsSet() {
		if lookup(n, "pool") != nil {
			return // it is wrong, and said to be
		}
		const hint = "write pool: and the name of the pool"
		if use.LabelsPos.IsSet() {
			p.fail(use.LabelsPos, `"labels" needs "pool"`, hint)
		}
		if use.WorkersPos.IsSet() {
			p.fail(use.WorkersPos, `"workers" needs "pool"`, hint)
		}
		return
	}
	for _, other := range []struct {
		key   string
		given bool
	}{{"hosts", pr.Hosts != nil}, {"url", pr.URL.IsSet()}} {
		if other.given {
			p.fail(use.Name.Pos, fmt.Sprintf(`"pool" and %q exclude each other`, other.key), "remove one")
		}
	}
}

// checkFixed reports variables of a project whose values its matrix or its
// pool gives.
func (p *parser) checkFixed(pr *Project) {
	from := make(map[string]string)
	if pr.Matrix != nil {
		for _, a := range pr.Matrix.Axes {
			from[a.Name] = `"matrix"`
		}
		for _, entry := range pr.Matrix.Include {
			for _, v := range entry {
				from[v.Name] = `"matrix"`
			}
		}
	}
	if pr.Pool.Name.IsSet() {
		for _, name := range []string{workerVar, workersVar} {
			if from[name] != "" {
				p.fail(pr.Matrix.Pos, fmt.Sprintf("%s is in the matrix, and every job on a pool has one already", quote(name)), "give it another name")
			}
			from[name] = `"pool"`
		}
	}
	if len(from) == 0 {
		return
	}
	given := make([]Text, 0, len(pr.Vars)+len(pr.Secrets))
	for _, v := range pr.Vars {
		given = append(given, Text{v.Name, v.Pos})
	}
	for _, t := range slices.Concat(given, pr.Secrets) {
		if key := from[t.Value]; key != "" {
			p.fail(t.Pos, fmt.Sprintf("%s has its value from %s already", quote(t.Value), key), "remove it, or give it another name")
		}
	}
}
