package flow

import (
	"fmt"
	"path"
	"strings"
	"time"

	"gopkg.in/yaml.v3"
)

// checkTop reports what the file as a whole lacks.
func (p *parser) checkTop(root *yaml.Node) {
	found := false
	p.each(root, false, func(k, _ *yaml.Node, _ bool) { found = found || k.Value == p.top.keys[0].name })
	if !found {
		p.fail(p.pos(root), `"projects" is missing`, "write projects: and indent the projects below it")
	}
}

func readProjects(p *parser, f *File, k, n *yaml.Node) {
	first := make(map[string]*yaml.Node, len(n.Content)/2)
	p.each(n, false, func(k, v *yaml.Node, merged bool) {
		if at, dup := first[k.Value]; dup {
			if !merged {
				p.duplicate(k, at, "projects")
			}
			return
		}
		first[k.Value] = k
		if pr := p.readProject(k, v); pr != nil {
			f.Projects = append(f.Projects, pr)
		}
	})
	if len(n.Content) == 0 {
		p.fail(p.pos(k), `"projects" is empty`, "a flow needs at least one project, indented below it")
	}
}

func (p *parser) readProject(k, v *yaml.Node) *Project {
	pr := &Project{Name: k.Value, Pos: p.pos(k), QueueTimeout: DefaultQueueTimeout, Retry: defaultRetry()}
	if v.Kind != yaml.MappingNode && !isNull(v) {
		p.misplaced(k, v)
		return nil
	}
	if !isProjectName(k.Value) {
		p.fail(pr.Pos, quote(k.Value)+" is not a name for a project", projectNameRule)
	}
	if v.Kind == yaml.MappingNode {
		readMap(p, p.project, v, "project "+quote(k.Value), pr)
		p.checkPool(pr, v)
	}
	p.checkSecrets(&pr.Settings)
	p.checkFixed(pr)
	p.previous = k.Value
	if !p.aliased {
		v.Content = nil // of a large file, the tree takes more than all that is made of it
	}
	return pr
}

// misplaced reports a project that is no map: often it is a key of the
// project above, not indented enough.
func (p *parser) misplaced(k, v *yaml.Node) {
	is := "a string"
	hint := "write the project's keys below its name"
	if v.Kind == yaml.SequenceNode {
		is = "a list"
		hint += `, without "-"`
	}
	if _, ok := p.project.index[k.Value]; ok {
		hint = "indent it under the project's name"
		if p.previous != "" {
			hint = "indent it under " + quote(p.previous)
		}
	}
	p.fail(p.pos(k), fmt.Sprintf("%s is %s, a project is a map", quote(k.Value), is), hint)
}

func defaultRetry() Retry {
	return Retry{Delay: 10 * time.Second, Backoff: 2, MaxDelay: 5 * time.Minute, On: []string{"failure"}}
}

// readRetry reads a number of attempts, or a map.
func readRetry(p *parser, pr *Project, k, n *yaml.Node) {
	switch n.Kind {
	case yaml.ScalarNode:
		p.integer(k, n, 0, MaxRetries, &pr.Retry.Limit)
	case yaml.MappingNode:
		readMap(p, p.retry, n, `"retry"`, &pr.Retry)
		p.checkRetry(&pr.Retry, n)
	default:
		p.fail(p.pos(n), `"retry" must be a number or a map`, "write retry: 2, or retry: {limit: 2, delay: 30s}")
	}
}

// checkRetry makes the delays of the map n fit together: where only one of
// them is given, the default of the other gives way.
func (p *parser) checkRetry(r *Retry, n *yaml.Node) {
	longest := lookup(n, "max_delay")
	switch {
	case r.Delay <= r.MaxDelay:
	case longest == nil:
		r.MaxDelay = r.Delay
	case lookup(n, "delay") == nil:
		r.Delay = r.MaxDelay
	default:
		p.fail(p.pos(longest), `"max_delay" is shorter than "delay"`, "")
	}
}

// hostList reads a list of hosts. It is not nil.
func (p *parser) hostList(n *yaml.Node) []Host {
	hosts := make([]Host, 0, len(n.Content))
	for _, c := range n.Content {
		pos := p.pos(c)
		c = deref(c)
		switch {
		case isNull(c):
			p.fail(pos, "a host entry is empty", `write - url: https://hostA:4000, indent its keys under the "-", or remove the "-"`)
		case c.Kind != yaml.MappingNode:
			p.fail(pos, "a host entry must be a map", "write - url: "+scalarOr(c, "https://hostA:4000"))
		default:
			h := Host{Pos: pos}
			readMap(p, p.host, c, "a host entry", &h)
			p.checkSecrets(&h.Settings)
			hosts = append(hosts, h)
		}
	}
	if len(n.Content) == 0 {
		p.fail(p.pos(n), `"hosts" is empty`, "remove it, or list at least one host")
	}
	return hosts
}

func scalarOr(n *yaml.Node, example string) string {
	if n.Kind == yaml.ScalarNode {
		return flowText(n.Value)
	}
	return example
}

// depList reads the list n of before or after, as t says.
func (p *parser) depList(t *table[Dep], n *yaml.Node) []Dep {
	deps := make([]Dep, 0, len(n.Content))
	for _, c := range n.Content {
		pos := p.pos(c)
		c = deref(c)
		switch {
		case isNull(c):
			p.fail(pos, t.what+" is empty", `write - name: NAME, indent its keys under the "-", or remove the "-"`)
			continue
		case c.Kind != yaml.MappingNode:
			p.fail(pos, t.what+" must be a map", "write - name: "+scalarOr(c, "NAME"))
			continue
		}
		d := Dep{Pos: pos, When: WhenSuccess}
		readMap(p, t, c, t.what, &d)
		p.checkSecrets(&d.Settings)
		if d.When == "" {
			d.When = WhenSuccess
		}
		if d.Name.IsSet() {
			deps = append(deps, d)
		} else if lookup(c, "name") == nil {
			p.fail(pos, t.what+` has no "name"`, "write name: and the project to run")
		}
	}
	return deps
}

// vars reads a map of environment variables.
func (p *parser) vars(n *yaml.Node) []Var {
	vars := make([]Var, 0, len(n.Content)/2)
	first := make(map[string]*yaml.Node, len(n.Content)/2)
	p.each(n, false, func(k, v *yaml.Node, merged bool) {
		if at, dup := first[k.Value]; dup {
			if !merged {
				p.duplicate(k, at, "vars")
			}
			return
		}
		first[k.Value] = k
		what := "the value of variable " + quote(k.Value)
		switch {
		case !isEnvName(k.Value):
			p.fail(p.pos(k), quote(k.Value)+" is not a name for a variable", envNameHint(k.Value))
		case isNull(v):
			p.fail(p.pos(k), what+" is null", fmt.Sprintf(`write %s: "" for an empty value`, k.Value))
		case v.Kind != yaml.ScalarNode:
			p.fail(p.pos(v), what+" must be a string, a number, true or false", "quote a text that begins with a bracket or a brace")
		case strings.Contains(v.Value, "\x00"):
			p.fail(p.pos(v), what+" contains a NUL character, which no environment can hold", "")
		default:
			vars = append(vars, Var{k.Value, v.Value, p.pos(k)})
		}
	})
	return vars
}

// checkSecrets reports names that s has twice: which value a job gets would
// be a guess.
func (p *parser) checkSecrets(s *Settings) {
	if len(s.Secrets) == 0 {
		return
	}
	set := make(map[string]bool, len(s.Vars))
	for _, v := range s.Vars {
		set[v.Name] = true
	}
	for _, secret := range s.Secrets {
		if set[secret.Value] {
			p.fail(secret.Pos, fmt.Sprintf("%s is in vars and in secrets", quote(secret.Value)), "remove one")
		}
	}
}

// envNameHint offers the name that is allowed, where it is easy to see.
func envNameHint(s string) string {
	if fixed := strings.Map(func(r rune) rune {
		if strings.ContainsRune("-. ", r) {
			return '_'
		}
		return r
	}, s); isEnvName(fixed) {
		return "write " + fixed
	}
	return envNameRule
}

func readArtifacts(p *parser, pr *Project, _, n *yaml.Node) {
	readMap(p, p.art, n, `"artifacts"`, pr)
}

func readOutputs(p *parser, pr *Project, _, n *yaml.Node) {
	first := make(map[string]int, len(n.Content))
	for _, c := range n.Content {
		pos := p.pos(c)
		c = deref(c)
		if c.Kind != yaml.MappingNode {
			text := scalarOr(c, "NAME")
			if isNull(c) {
				text = "NAME"
			}
			p.fail(pos, "an entry of out must be a map", fmt.Sprintf("write - {file: %s, path: %s}", flowText(path.Base(text)), text))
			continue
		}
		o := Output{Pos: pos}
		readMap(p, p.out, c, "an entry of out", &o)
		for _, k := range p.out.keys {
			if lookup(c, k.name) == nil {
				p.fail(pos, fmt.Sprintf("an entry of out has no %s", quote(k.name)), "write - {file: NAME, path: PATH}")
			}
		}
		if line, dup := first[o.File]; dup && o.File != "" {
			p.fail(pos, fmt.Sprintf("artifact %s is made twice (first at line %d)", quote(o.File), line), "give it another name")
			continue
		}
		first[o.File] = pos.Line
		pr.Out = append(pr.Out, o)
	}
}

func readOutputFile(p *parser, o *Output, _, n *yaml.Node) {
	if !isArtifactName(n.Value) {
		p.fail(p.pos(n), quote(n.Value)+" is not a name for an artifact", artifactNameRule)
		return
	}
	o.File = n.Value
}

func readOutputPath(p *parser, o *Output, k, n *yaml.Node) {
	t, ok := p.text(k, n, false)
	if !ok {
		return
	}
	clean := path.Clean(t.Value)
	switch {
	case path.IsAbs(clean) || strings.HasPrefix(clean, "~"):
		p.fail(t.Pos, fmt.Sprintf("artifact path %s must be relative to the checkout", quote(t.Value)), "")
	case clean == ".." || strings.HasPrefix(clean, "../"):
		p.fail(t.Pos, fmt.Sprintf("artifact path %s leads out of the checkout", quote(t.Value)), "")
	case clean == "." || strings.HasSuffix(t.Value, "/"):
		p.fail(t.Pos, fmt.Sprintf("artifact path %s is a directory", quote(t.Value)), "name a file; pack a directory first, for example with tar")
	default:
		o.Path = clean
	}
}

// finish fills in the defaults that need the whole file, and checks what
// names other parts of it.
func finish(p *parser, f *File) {
	names := make([]string, len(f.Projects))
	known := make(map[string]bool, len(f.Projects))
	for i, pr := range f.Projects {
		names[i] = pr.Name
		known[pr.Name] = true
	}
	for _, pr := range f.Projects {
		if pr.Timeout == 0 {
			pr.Timeout = f.Timeout
		}
		for _, deps := range [][]Dep{pr.Before, pr.After} {
			for i := range deps {
				if name := deps[i].Name; !known[name.Value] {
					p.fail(name.Pos, fmt.Sprintf("project %s is not defined", quote(name.Value)), p.didYouMean(name.Value, names, pr.Name))
				}
			}
		}
	}
}
