package flow

import (
	"fmt"
	"io"
	"maps"
	"slices"
	"strconv"
	"strings"
	"unicode"
)

// stages returns the invocations by the stage in which they can start at the
// earliest, if all jobs took equally long.
func (p *Plan) stages() [][]*Invocation {
	stage := make(map[*Invocation]int, len(p.Invocations)) // from 1
	complete := make(map[*Invocation]int)
	var stages [][]*Invocation
	for _, inv := range p.Invocations {
		at := 1
		if inv.Parent != nil {
			at = stage[inv.Parent] + 1
		}
		for _, b := range inv.Before {
			if complete[b] == 0 {
				complete[b] = stage[b]
				walkAfter(b, func(a *Invocation) { complete[b] = max(complete[b], stage[a]) })
			}
			at = max(at, complete[b]+1)
		}
		stage[inv] = at
		if at > len(stages) {
			stages = append(stages, nil)
		}
		stages[at-1] = append(stages[at-1], inv)
	}
	return stages
}

// walkAfter calls visit for the after invocations of inv, and for theirs.
func walkAfter(inv *Invocation, visit func(*Invocation)) {
	for todo := slices.Clone(inv.After); len(todo) > 0; {
		a := todo[len(todo)-1].Invocation
		todo = append(todo[:len(todo)-1], a.After...)
		visit(a)
	}
}

// WriteText writes what would run, where and in which order, for people.
func (p *Plan) WriteText(w io.Writer) error {
	t := textWriter{new(strings.Builder)}
	stages := p.stages()
	fmt.Fprintf(t.Builder, "%s of %s on %s, in %s\n", count(len(p.Jobs), "job"), count(len(p.Invocations), "project"),
		p.whereText(), count(len(stages), "stage"))
	for i, stage := range stages {
		fmt.Fprintf(t.Builder, "\nstage %d\n", i+1)
		for _, inv := range stage {
			t.invocation(inv)
		}
	}
	t.pools(p.Pools)
	_, err := io.WriteString(w, t.String())
	return err
}

// pools writes which hosts jobs are placed on.
func (t textWriter) pools(pools []*Pool) {
	if len(pools) > 0 {
		t.WriteString("\npools\n")
	}
	for _, pool := range pools {
		fmt.Fprintf(t.Builder, "  %s\n", pool.Name)
		t.line("hosts", listed(pool.Hosts, func(h PoolHost) string {
			return fmt.Sprintf("%s (%s)", h.URL, strings.Join(append([]string{count(h.Slots, "slot")}, h.Labels...), ", "))
		}))
		if pool.Register {
			t.line("register", "hosts that announce themselves")
		}
	}
}

// whereText counts the hosts that the plan names itself, and its pools.
func (p *Plan) whereText() string {
	hosts, pools := make(map[string]bool), make(map[string]bool)
	for _, j := range p.Jobs {
		if j.Pool != "" {
			pools[j.Pool] = true
		} else {
			hosts[j.Host] = true
		}
	}
	switch {
	case len(pools) == 0:
		return count(len(hosts), "host")
	case len(hosts) == 0:
		return count(len(pools), "pool")
	}
	return count(len(hosts), "host") + " and " + count(len(pools), "pool")
}

func count(n int, what string) string {
	if n == 1 {
		return "1 " + what
	}
	return fmt.Sprintf("%d %ss", n, what)
}

type textWriter struct{ *strings.Builder }

// line writes one property; an empty value is none.
func (t textWriter) line(name, value string) {
	if value != "" {
		fmt.Fprintf(t.Builder, "    %-9s %s\n", name, printable(value))
	}
}

func (t textWriter) invocation(inv *Invocation) {
	fmt.Fprintf(t.Builder, "  %s\n", inv.Key)
	t.line("title", inv.Title)
	if inv.Parent != nil {
		t.line("after", inv.Parent.Key+whenText(inv))
	}
	if len(inv.Before) > 0 {
		t.line("needs", listed(inv.Before, func(b *Invocation) string { return b.Key }))
	}
	if len(inv.Jobs) == 0 {
		return
	}
	first := inv.Jobs[0]
	t.line("source", first.Source.String())
	var own []func(*Job) (name, value string) // what is not the same on all hosts
	for _, property := range []func(*Job) (name, value string){
		func(j *Job) (string, string) { return "action", strings.Join(j.Actions, " ") },
		func(j *Job) (string, string) { return "options", joined(j.Options) },
		func(j *Job) (string, string) {
			return "vars", listed(j.Vars, func(v Var) string { return v.Name + "=" + v.Value })
		},
		func(j *Job) (string, string) { return "secrets", strings.Join(j.Secrets, ", ") },
		func(j *Job) (string, string) { return "sparrowdo", sparrowdoText(j.Sparrowdo) },
		func(j *Job) (string, string) { return "queue-id", j.QueueID },
		func(j *Job) (string, string) { return "labels", strings.Join(j.PoolLabels, ", ") },
	} {
		name, value := property(first)
		if slices.ContainsFunc(inv.Jobs, func(j *Job) bool { _, v := property(j); return v != value }) {
			own = append(own, property)
		} else {
			t.line(name, value)
		}
	}
	for _, in := range first.In {
		t.line("takes", in.File+" from "+listed(in.From, func(j *Job) string { return j.Key }))
	}
	for _, out := range first.Out {
		t.line("makes", out.File+" from "+out.Path)
	}
	for _, j := range inv.Jobs {
		t.line("job", j.Key+" on "+j.Where())
		for _, property := range own {
			if name, value := property(j); value != "" {
				t.line("", "  "+name+" "+value)
			}
		}
	}
}

// whenText says on what outcome of its parent inv runs.
func whenText(inv *Invocation) string {
	i := slices.IndexFunc(inv.Parent.After, func(e AfterEdge) bool { return e.Invocation == inv })
	if i < 0 {
		return ""
	}
	switch inv.Parent.After[i].When {
	case WhenFailure:
		return ", when it failed"
	case WhenAlways:
		return ", whether it succeeded or not"
	}
	return ""
}

// String describes the source for people.
func (s Source) String() string {
	switch s.Kind {
	case SourceDir:
		return s.Dir + " on the host, not pinned"
	case SourceOwn:
		if s.Dir == "" {
			return "this repository"
		}
		return "this repository, folder " + s.Dir
	}
	if s.Ref == "" {
		return s.URL + " at its default branch"
	}
	return s.URL + " at " + s.Ref
}

// sparrowdoText returns the keys in order; true goes without saying.
func sparrowdoText(options map[string]any) string {
	var words []string
	for _, name := range slices.Sorted(maps.Keys(options)) {
		if value := options[name]; value == true {
			words = append(words, name)
		} else {
			words = append(words, fmt.Sprint(name, "=", value))
		}
	}
	return strings.Join(words, ", ")
}

// joined joins words by blanks.
func joined(words []string) string {
	quoted := make([]string, len(words))
	for i, w := range words {
		quoted[i] = quoteWord(w)
	}
	return strings.Join(quoted, " ")
}

// quoteWord quotes a word in which blanks could be taken for its ends.
func quoteWord(s string) string {
	if s == "" || strings.ContainsAny(s, " \t\n\"'") {
		return strconv.Quote(s)
	}
	return s
}

// listed joins the names of a list, the first ones if it is long.
func listed[T any](list []T, name func(T) string) string {
	const most = 12
	var names []string
	for _, e := range list[:min(len(list), most)] {
		names = append(names, name(e))
	}
	s := strings.Join(names, ", ")
	if len(list) > most {
		s += fmt.Sprintf(" and %d more", len(list)-most)
	}
	return s
}

// printable returns s for a terminal or a picture: what is not shown, or
// could rewrite what is around it, becomes spaces.
func printable(s string) string {
	return strings.Map(func(r rune) rune {
		if unicode.IsPrint(r) {
			return r
		}
		return ' '
	}, s)
}
