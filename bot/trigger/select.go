package trigger

import (
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/cromt/cromt/flow"
)

// Selection is what an event starts.
type Selection struct {
	Projects []string // in the order of the file; none: nothing to run
	// Reasons says of every other project why it was not selected, in plain
	// text that quotes names of branches: escape it where it is shown.
	Reasons map[string]string
}

// Select returns the projects whose trigger wants the event. Without branches,
// a push must be to the project's branch (which may be a tag), a pull request
// or merge group must go into it; that is the default branch where the file
// names none, and where the branch is of another repository's path. A list of
// globs is read in order, as GitHub does: ! takes out what was in, a later one
// puts it back in. Unlike there, a list of nothing but ! begins with all.
func Select(f *flow.File, ev Event) Selection {
	s := selector{ev: ev, globs: map[string]glob{}, m: matcher{work: MaxWork}}
	sel := Selection{Reasons: map[string]string{}}
	for _, p := range f.Projects {
		if why := s.against(p); why != "" {
			sel.Reasons[p.Name] = why
		} else {
			sel.Projects = append(sel.Projects, p.Name)
		}
	}
	return sel
}

// WantsPaths reports whether Select would look at the changed files of an
// event of that name.
func WantsPaths(f *flow.File, name string) bool {
	for _, p := range f.Projects {
		for _, t := range p.Trigger.Events {
			if t.Name == name && len(t.Paths) > 0 {
				return true
			}
		}
	}
	return false
}

// selector looks at one event for all projects.
type selector struct {
	ev    Event
	globs map[string]glob // zero for those without a meaning
	m     matcher
}

// against returns what speaks against running p, "" for nothing.
func (s *selector) against(p *flow.Project) string {
	if len(p.Trigger.Events) == 0 {
		return "it has no trigger"
	}
	i := slices.IndexFunc(p.Trigger.Events, func(t flow.TriggerEvent) bool { return t.Name == s.ev.Name })
	if i < 0 {
		return "its trigger does not list " + s.ev.Name
	}
	t := p.Trigger.Events[i]
	if why := s.againstBranch(p, t.Branches); why != "" {
		return why
	}
	if len(t.Paths) > 0 && s.ev.PathsKnown && !s.anyPasses(t.Paths) {
		return "no changed file matches the paths of its trigger"
	}
	return ""
}

// againstBranch compares the event's branch with globs, or where there are
// none with the branch of p itself.
func (s *selector) againstBranch(p *flow.Project, globs []string) string {
	switch {
	case len(globs) == 0:
		return s.againstOwnBranch(p)
	case s.ev.Branch == "":
		return "its trigger is for branches, not for tags"
	case !s.passes(globs, s.ev.Branch):
		return fmt.Sprintf("the branches of its trigger leave out %s", strconv.Quote(s.ev.Branch))
	}
	return ""
}

func (s *selector) againstOwnBranch(p *flow.Project) string {
	want := s.ev.DefaultBranch
	if p.Branch.IsSet() && !isForeign(p, s.ev.Repo) {
		want = p.Branch.Value
		if tag := strings.TrimPrefix(want, "refs/tags/"); s.ev.Tag != "" && s.ev.Tag == tag {
			return ""
		}
		want = strings.TrimPrefix(want, "refs/heads/")
	}
	switch {
	case want == "":
		return "the default branch is not known"
	case s.ev.Branch == "":
		return "its trigger is for branches, not for tags"
	case s.ev.Branch != want:
		return fmt.Sprintf("its trigger is for %s, not for %s", strconv.Quote(want), strconv.Quote(s.ev.Branch))
	}
	return ""
}

// anyPasses reports whether one of the changed files passes the globs.
func (s *selector) anyPasses(globs []string) bool {
	return slices.ContainsFunc(s.ev.Paths, func(name string) bool { return s.passes(globs, name) })
}

// passes reports whether globs let name through: the last that matches it
// decides. When the work is used up, everything passes.
func (s *selector) passes(globs []string, name string) bool {
	in := !slices.ContainsFunc(globs, func(g string) bool { return !strings.HasPrefix(g, "!") })
	for _, g := range globs {
		pattern, negated := strings.CutPrefix(g, "!")
		if in != negated {
			continue // it would change nothing
		}
		ok, done := s.m.match(s.glob(pattern), name)
		if !done {
			return true
		}
		if ok {
			in = !negated
		}
	}
	return in
}

// glob parses a pattern once. One without a meaning matches no name.
func (s *selector) glob(pattern string) glob {
	g, ok := s.globs[pattern]
	if !ok {
		g, _ = parseGlob(pattern)
		s.globs[pattern] = g
	}
	return g
}

// isForeign reports whether the path of p is a git repository other than repo.
func isForeign(p *flow.Project, repo string) bool {
	at := p.Path.Value
	if at == "" || strings.ContainsRune("./~", rune(at[0])) {
		return false
	}
	return flow.NormalizeRepo(at) != flow.NormalizeRepo(repo)
}

// Notices are what may surprise in the triggers of a file in repo, a URL:
// those of projects whose path is another repository, which Sparky itself
// would watch, and globs that match nothing.
func Notices(f *flow.File, repo string) flow.ErrorList {
	var list flow.ErrorList
	for _, p := range f.Projects {
		if len(p.Trigger.Events) > 0 && isForeign(p, repo) {
			list = append(list, &flow.Error{File: f.Name, Pos: p.Trigger.Pos,
				Msg:  fmt.Sprintf("the trigger of %q is about this repository, and its path is another one", p.Name),
				Hint: "put a jobs.yaml into that repository to run on its pushes, or install this one on a host with cromt apply"})
		}
		for _, t := range p.Trigger.Events {
			for _, g := range slices.Concat(t.Branches, t.Paths) {
				if _, ok := parseGlob(strings.TrimPrefix(g, "!")); !ok {
					list = append(list, &flow.Error{File: f.Name, Pos: p.Trigger.Pos,
						Msg: fmt.Sprintf("%.80q in the trigger of %q matches nothing", g, p.Name), Hint: `? and + are about the character before them; write \? or \+ for the characters`})
				}
			}
		}
	}
	list.Sort()
	return list
}
