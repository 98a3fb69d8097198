package flow

import (
	"crypto/sha256"
	"hash"
	"strconv"
	"strings"
)

// spec is what an invocation is made from: a project, and the dependency that
// invokes it, nil for a root.
type spec struct {
	node int
	dep  *Dep
}

// digest identifies settings. The zero digest is that of a project's own.
type digest [sha256.Size]byte

// sharedKey identifies an invocation that others may share: those of one
// project with equal effective settings are the same.
type sharedKey struct {
	node     int
	settings digest
}

// sharing finds the invocations that several others wait for.
type sharing struct {
	keys     map[*Dep]sharedKey // of the dependencies that override something
	specs    map[sharedKey]bool
	raw      map[sharedKey]digest // from the overrides to the effective settings
	base     map[int]digest       // effective settings of a project alone
	compared int                  // host entries
}

// hosts returns the host entries of s; none stands for the one that has no
// entry.
func (p *planner) hosts(s spec) []Host {
	if s.dep != nil && s.dep.Hosts != nil {
		return s.dep.Hosts
	}
	return p.nodes[s.node].project.Hosts
}

// countJobs returns how many jobs an invocation has.
func (p *planner) countJobs(s spec) int {
	n := max(1, len(p.hosts(s)))
	if use := p.poolOf(s); use != nil {
		n = use.Count()
	}
	return n * p.countCombinations(s.node)
}

// share finds which roots and before entries are the same invocation, and
// checks how many jobs the plan will have, before any is made: after entries
// are never shared, so a short file can ask for any number.
func (p *planner) share(roots, order []int, reached []bool) {
	p.shared = &sharing{
		keys:  make(map[*Dep]sharedKey),
		specs: make(map[sharedKey]bool, len(roots)),
		raw:   make(map[sharedKey]digest),
		base:  make(map[int]digest),
	}
	after := p.countAfter(order, reached)
	total, most := 0, 0
	var largest Pos
	count := func(s spec, pos Pos) {
		key := p.key(s)
		if !p.shared.specs[key] {
			p.shared.specs[key] = true
			n := p.countJobs(s) + after[s.node]
			if total += n; n > most {
				most, largest = n, pos
			}
		}
		if total > MaxJobs || p.shared.compared > MaxComparedHosts {
			p.exceed(largest, "every host, worker and combination is a job, and an after entry is run anew for every project that leads to it",
				"the plan has more than %d jobs", MaxJobs)
		}
	}
	for _, r := range roots {
		count(spec{node: r}, p.nodes[r].project.Pos)
	}
	for i := range p.nodes {
		if !reached[i] {
			continue
		}
		n := &p.nodes[i]
		for k := 0; k < len(n.project.Before) && !p.exceeded; k++ {
			count(spec{n.targets[k], n.dep(k)}, n.dep(k).Name.Pos)
		}
	}
}

// countAfter returns for each project how many jobs its after entries make,
// those of their own after entries included; MaxJobs+1 stands for more.
func (p *planner) countAfter(order []int, reached []bool) []int {
	after := make([]int, len(p.nodes))
	for _, i := range order { // what a project names comes before it
		if !reached[i] {
			continue
		}
		n := &p.nodes[i]
		for k := len(n.project.Before); k < len(n.targets); k++ {
			s := spec{n.targets[k], n.dep(k)}
			after[i] = min(MaxJobs+1, after[i]+p.countJobs(s)+after[s.node])
		}
	}
	return after
}

// key returns which shared invocation s is.
func (p *planner) key(s spec) sharedKey {
	key := sharedKey{node: s.node}
	if s.dep == nil || !overrides(s.dep) {
		return key
	}
	if key, ok := p.shared.keys[s.dep]; ok {
		return key
	}
	raw := sharedKey{s.node, rawDigest(s.dep)}
	d, ok := p.shared.raw[raw]
	if !ok {
		base, ok := p.shared.base[s.node]
		if !ok {
			base = p.digest(spec{node: s.node})
			p.shared.base[s.node] = base
		}
		if d = p.digest(s); d == base {
			d = digest{}
		}
		p.shared.raw[raw] = d
	}
	key.settings = d
	p.shared.keys[s.dep] = key
	return key
}

// overrides reports whether the entry changes more than the title.
func overrides(d *Dep) bool {
	return d.URL.IsSet() || d.Action.IsSet() || d.Options.IsSet() || d.QueueID.IsSet() ||
		len(d.Vars) > 0 || d.Secrets != nil || len(d.Sparrowdo) > 0 || d.Hosts != nil || d.Timeout != 0
}

// digest returns that of the effective settings of all jobs of s.
func (p *planner) digest(s spec) digest {
	own := p.settings(s)
	w := digestWriter{h: sha256.New()}
	w.number(int64(p.timeout(s)))
	hosts := p.hosts(s)
	p.shared.compared += 1 + len(hosts)
	w.flag(p.poolOf(s) != nil)
	w.number(int64(max(1, len(hosts))))
	if len(hosts) == 0 {
		p.writeSettings(&w, own)
	}
	for i := range hosts {
		p.writeSettings(&w, p.overlay(&own, &hosts[i].Settings))
	}
	return w.sum()
}

// writeSettings writes what jobs with the settings s have in common.
func (p *planner) writeSettings(w *digestWriter, s Settings) {
	w.text(strings.TrimRight(s.URL.Or(p.opts.DefaultHost), "/"))
	w.texts(p.split.action(s.Action))
	w.text(s.Options.Or("--verbose"))
	w.text(s.QueueID.Value)
	s.Vars = p.overrideVars(s.Vars)
	w.lists(&s)
}

// rawDigest returns that of an entry's overrides as they are written.
func rawDigest(d *Dep) digest {
	w := digestWriter{h: sha256.New()}
	w.number(int64(d.Timeout))
	w.raw(&d.Settings)
	w.flag(d.Hosts != nil)
	w.number(int64(len(d.Hosts)))
	for i := range d.Hosts {
		w.raw(&d.Hosts[i].Settings)
	}
	return w.sum()
}

// digestWriter writes values so that different ones never look the same.
type digestWriter struct {
	h   hash.Hash
	buf []byte
}

func (w *digestWriter) sum() (d digest) {
	w.h.Write(w.buf)
	w.h.Sum(d[:0])
	return d
}

func (w *digestWriter) number(n int64) {
	w.buf = append(strconv.AppendInt(w.buf, n, 10), ':')
	if len(w.buf) > 4096 {
		w.h.Write(w.buf)
		w.buf = w.buf[:0]
	}
}

func (w *digestWriter) flag(on bool) {
	if on {
		w.number(1)
	} else {
		w.number(0)
	}
}

func (w *digestWriter) text(s string) {
	w.number(int64(len(s)))
	w.buf = append(w.buf, s...)
}

func (w *digestWriter) texts(list []string) {
	w.number(int64(len(list)))
	for _, s := range list {
		w.text(s)
	}
}

// raw writes the settings of one level, the title aside.
func (w *digestWriter) raw(s *Settings) {
	for _, t := range []Text{s.URL, s.Action, s.Options, s.QueueID} {
		w.flag(t.IsSet())
		w.text(t.Value)
	}
	w.flag(s.Secrets != nil)
	w.lists(s)
}

func (w *digestWriter) lists(s *Settings) {
	w.number(int64(len(s.Vars)))
	for _, v := range s.Vars {
		w.text(v.Name)
		w.text(v.Value)
	}
	w.number(int64(len(s.Secrets)))
	for _, t := range s.Secrets {
		w.text(t.Value)
	}
	w.number(int64(len(s.Sparrowdo)))
	for _, o := range s.Sparrowdo {
		w.text(o.Name)
		text, ok := o.Value.(string)
		w.flag(ok)
		w.text(text)
		w.flag(o.Value == true)
	}
}
