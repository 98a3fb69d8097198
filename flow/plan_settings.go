package flow

import (
	"cmp"
	"slices"
	"strings"
	"time"
)

// overlay returns the settings of far with those of near over them. Vars are
// sorted by name when those of far are.
func overlay(far, near *Settings) Settings {
	s := *far
	for _, t := range []struct{ to, from *Text }{
		{&s.URL, &near.URL}, {&s.Action, &near.Action}, {&s.Options, &near.Options},
		{&s.QueueID, &near.QueueID}, {&s.Title, &near.Title},
	} {
		if t.from.IsSet() {
			*t.to = *t.from
		}
	}
	s.Vars = overlayVars(far.Vars, near.Vars)
	if near.Secrets != nil {
		s.Secrets = near.Secrets
	}
	s.Sparrowdo = overlayOptions(far.Sparrowdo, near.Sparrowdo)
	return s
}

// overlay is [overlay] within the limit of variables.
func (p *planner) overlay(far, near *Settings) Settings {
	if !p.mayMerge(far.Vars, near.Vars) {
		return *far
	}
	return overlay(far, near)
}

// mayMerge counts the variables that merging makes, and reports too many.
func (p *planner) mayMerge(far, near []Var) bool {
	if len(near) == 0 {
		return true
	}
	if p.vars += len(far) + len(near); p.vars > MaxMergedVars {
		p.exceed(near[0].Pos, "set fewer of them on projects with many jobs",
			"the plan has more than %d variables", MaxMergedVars)
		return false
	}
	return true
}

// settings returns those of an invocation, its hosts' aside.
func (p *planner) settings(s spec) Settings {
	own := p.overlay(&Settings{}, &p.nodes[s.node].project.Settings)
	if s.dep != nil {
		own = p.overlay(&own, &s.dep.Settings)
	}
	return own
}

// timeout returns how long the jobs of s may take together.
func (p *planner) timeout(s spec) time.Duration {
	if s.dep != nil && s.dep.Timeout > 0 {
		return s.dep.Timeout
	}
	return cmp.Or(p.nodes[s.node].project.Timeout, p.plan.File.Timeout, DefaultTimeout)
}

// overlayVars returns the variables of both, sorted by name, near winning.
func overlayVars(far, near []Var) []Var {
	if len(near) == 0 {
		return far
	}
	if len(far) == 0 && inOrder(near) {
		return slices.Clip(near)
	}
	vars := slices.Concat(far, near)
	slices.SortStableFunc(vars, func(a, b Var) int { return strings.Compare(a.Name, b.Name) })
	n := 0
	for i := range vars {
		if i+1 < len(vars) && vars[i+1].Name == vars[i].Name {
			continue // the next one is nearer
		}
		vars[n] = vars[i]
		n++
	}
	return vars[:n:n]
}

// inOrder reports whether variables are sorted by name, each name there once.
func inOrder(vars []Var) bool {
	for i := 1; i < len(vars); i++ {
		if vars[i-1].Name >= vars[i].Name {
			return false
		}
	}
	return true
}

// overlayOptions returns the sparrowdo keys of both, sorted by name, near
// winning. A key that says where or as whom the job runs drops the farther
// ones that say something else.
func overlayOptions(far, near []Option) []Option {
	if len(near) == 0 {
		return far
	}
	rivals := map[string][]string{
		"localhost": {"host", "docker"},
		"host":      {"localhost", "docker"},
		"docker":    {"localhost", "host"},
		"sudo":      {"no_sudo"},
		"no_sudo":   {"sudo"},
	}
	drop := make(map[string]bool)
	for _, o := range near {
		drop[o.Name] = true
		if o.Value == false || o.Value == "" {
			continue // "localhost: false" says nothing about the others
		}
		for _, r := range rivals[o.Name] {
			drop[r] = true
		}
	}
	options := slices.Clone(near)
	for _, o := range far {
		if !drop[o.Name] {
			options = append(options, o)
		}
	}
	if hasOption(near, "sudo") {
		options = slices.DeleteFunc(options, func(o Option) bool { return o.Name == "no_sudo" })
	}
	slices.SortStableFunc(options, func(a, b Option) int { return strings.Compare(a.Name, b.Name) })
	return options
}

// hasOption reports whether the bool option is true.
func hasOption(options []Option, name string) bool {
	return slices.ContainsFunc(options, func(o Option) bool { return o.Name == name && o.Value == true })
}

// overrideVars replaces the values that the command line gives.
func (p *planner) overrideVars(vars []Var) []Var {
	if len(p.opts.Vars) == 0 {
		return vars
	}
	own := false
	for i, v := range vars {
		value, ok := p.opts.Vars[v.Name]
		if !ok {
			continue
		}
		if !own {
			vars, own = slices.Clone(vars), true
		}
		vars[i] = Var{Name: v.Name, Value: value}
	}
	return vars
}

// splitter splits actions and options, each text once: hosts often share one,
// through an anchor or from their project.
type splitter struct{ actions, options map[string][]string }

func (s *splitter) action(t Text) []string {
	text := t.Or("default")
	words, ok := s.actions[text]
	if !ok {
		if words = strings.Fields(text); len(words) == 0 {
			words = []string{"default"}
		}
		if s.actions == nil {
			s.actions = make(map[string][]string)
		}
		s.actions[text] = words
	}
	return words
}

func (s *splitter) option(t Text) ([]string, error) {
	text := t.Or("--verbose")
	words, ok := s.options[text]
	if !ok {
		var err error
		if words, err = SplitWords(text); err != nil {
			return nil, err
		}
		if s.options == nil {
			s.options = make(map[string][]string)
		}
		s.options[text] = words
	}
	return words, nil
}

// sourceOf returns where the scenarios of a project are.
func (p *planner) sourceOf(project *Project) Source {
	at := project.Path.Value
	switch {
	case at == "" || at == "." || strings.HasPrefix(at, "./"):
		dir, ok := ownFolder(p.opts.Folder, at)
		if !ok {
			p.fail(project.Path.Pos, "name a folder inside it", "path %q leads out of the repository", at)
		}
		return Source{Kind: SourceOwn, Dir: dir}
	case at[0] == '/' || at[0] == '~':
		return Source{Kind: SourceDir, Dir: at}
	case !isRepoURL(at):
		p.fail(project.Path.Pos, "write ./"+at, "path %q is neither a URL nor a directory", at)
	case p.repo != "" && !project.Branch.IsSet() && NormalizeRepo(at) == p.repo:
		return Source{Kind: SourceOwn}
	}
	return Source{Kind: SourceGit, URL: at, Ref: project.Branch.Value}
}
