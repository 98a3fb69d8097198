package flow

import (
	"fmt"
	"io"
	"strings"
)

// Paint says how a job is drawn in a graph: its conclusion, or "" while it
// has none. A nil Paint draws the plan without states.
type Paint func(*Job) Conclusion

// maxGraphLabels is how many host labels a drawn names; of more it gives the count.
const maxGraphLabels = 6

// drawn is an invocation as a graph shows it.
type drawn struct {
	id    string
	lines []string // its key, then its hosts
	state string   // a Conclusion, or "" for none
}

type edge struct {
	from, to int
	label    string // of an after edge: when it is followed; dashed
	after    bool
}

// drawing is a plan as nodes and edges, in the plan's order.
func (p *Plan) drawing(paint Paint) (nodes []drawn, edges []edge) {
	index := make(map[*Invocation]int, len(p.Invocations))
	for i, inv := range p.Invocations {
		index[inv] = i
		n := drawn{id: fmt.Sprintf("n%d", i), lines: []string{inv.Key}}
		if len(inv.Jobs) > maxGraphLabels {
			n.lines = append(n.lines, fmt.Sprintf("%d hosts", len(inv.Jobs)))
		} else {
			for _, j := range inv.Jobs {
				n.lines = append(n.lines, j.Label)
			}
		}
		if paint != nil {
			n.state = worst(inv.Jobs, paint)
		}
		nodes = append(nodes, n)
	}
	for i, inv := range p.Invocations {
		for _, b := range inv.Before {
			edges = append(edges, edge{from: index[b], to: i})
		}
		for _, a := range inv.After {
			edges = append(edges, edge{from: i, to: index[a.Invocation], label: string(a.When), after: true})
		}
	}
	return nodes, edges
}

// worst is the conclusion that stands for all jobs of an invocation.
func worst(jobs []*Job, paint Paint) string {
	has := make(map[Conclusion]bool)
	for _, j := range jobs {
		has[paint(j)] = true
	}
	for _, c := range []Conclusion{Failure, TimedOut, Cancelled, "", Skipped, Neutral} {
		if has[c] {
			return string(c)
		}
	}
	return string(Success)
}

// Mermaid returns the plan as a Mermaid flowchart, which GitHub renders.
// Paint may be nil.
func (p *Plan) Mermaid(paint Paint) string {
	nodes, edges := p.drawing(paint)
	var b strings.Builder
	b.WriteString("flowchart LR\n")
	for _, n := range nodes {
		text := make([]string, len(n.lines))
		for i, l := range n.lines {
			text[i] = mermaidText(l)
		}
		class := ""
		if n.state != "" {
			class = ":::" + n.state
		}
		fmt.Fprintf(&b, "  %s[\"%s\"]%s\n", n.id, strings.Join(text, "<br/>"), class)
	}
	for _, e := range edges {
		arrow := " --> "
		if e.after {
			arrow = " -. " + e.label + " .-> "
		}
		fmt.Fprintf(&b, "  %s%s%s\n", nodes[e.from].id, arrow, nodes[e.to].id)
	}
	if paint != nil {
		for _, c := range paints {
			fmt.Fprintf(&b, "  classDef %s fill:%s,stroke:%s,color:#fff\n", c.name, c.fill, c.fill)
		}
	}
	return b.String()
}

// paints are the colours of conclusions, dark enough for white text.
var paints = []struct{ name, fill string }{
	{"success", "#1a7f37"}, {"failure", "#cf222e"}, {"timed_out", "#bc4c00"},
	{"cancelled", "#6e7781"}, {"skipped", "#8c959f"}, {"neutral", "#57606a"},
}

// mermaidText writes as entities whatever is not plain, as a label may hold
// anything.
func mermaidText(s string) string {
	var b strings.Builder
	for _, r := range s {
		switch {
		case r == '-' || r == '_' || r == '.' || r == ':' || r == ' ' || r == '@' || r == '/',
			'0' <= r && r <= '9', 'A' <= r && r <= 'Z', 'a' <= r && r <= 'z', r > 0x9f:
			b.WriteRune(r)
		default:
			fmt.Fprintf(&b, "#%d;", r)
		}
	}
	return b.String()
}

// Dot returns the plan in the language of Graphviz. Paint may be nil.
func (p *Plan) Dot(paint Paint) string {
	nodes, edges := p.drawing(paint)
	var b strings.Builder
	b.WriteString("digraph flow {\n  rankdir=LR\n  node [shape=box style=rounded fontname=\"sans-serif\"]\n  edge [fontname=\"sans-serif\" fontsize=10]\n")
	for _, n := range nodes {
		text := make([]string, len(n.lines))
		for i, l := range n.lines {
			text[i] = strings.NewReplacer(`\`, `\\`, `"`, `\"`, "\n", " ").Replace(l)
		}
		color := ""
		for _, c := range paints {
			if c.name == n.state {
				color = fmt.Sprintf(" style=\"rounded,filled\" fillcolor=%q fontcolor=white", c.fill)
			}
		}
		fmt.Fprintf(&b, "  %s [label=\"%s\"%s]\n", n.id, strings.Join(text, `\n`), color)
	}
	for _, e := range edges {
		attr := ""
		if e.after {
			attr = fmt.Sprintf(" [style=dashed label=%q]", e.label)
		}
		fmt.Fprintf(&b, "  %s -> %s%s\n", nodes[e.from].id, nodes[e.to].id, attr)
	}
	b.WriteString("}\n")
	return b.String()
}

// WriteText writes the plan for people: stage by stage what starts when all
// above it has ended, and each job's host, actions, source and artifacts.
func (p *Plan) WriteText(w io.Writer) error {
	ranks := p.ranks()
	var b strings.Builder
	for stage := range len(ranks) {
		fmt.Fprintf(&b, "stage %d\n", stage+1)
		for _, inv := range ranks[stage] {
			fmt.Fprintf(&b, "  %s%s\n", inv.Key, inv.describe())
			for _, j := range inv.Jobs {
				fmt.Fprintf(&b, "    %s on %s: %s%s\n", j.Key, j.Host, strings.Join(j.Actions, " "), j.describe())
			}
		}
	}
	fmt.Fprintf(&b, "%d jobs of %d invocations\n", len(p.Jobs), len(p.Invocations))
	_, err := io.WriteString(w, b.String())
	return err
}

func (inv *Invocation) describe() string {
	var b strings.Builder
	if inv.Parent != nil {
		when := WhenSuccess
		for _, a := range inv.Parent.After {
			if a.Invocation == inv {
				when = a.When
			}
		}
		fmt.Fprintf(&b, " after %s (%s)", inv.Parent.Key, when)
	}
	for i, c := range inv.Before {
		sep := ", "
		if i == 0 {
			sep = " needs "
		}
		b.WriteString(sep + c.Key)
	}
	if len(inv.Jobs) > 0 {
		fmt.Fprintf(&b, ", from %s", inv.Jobs[0].Source)
	}
	if inv.IgnoreErrors {
		b.WriteString(", errors ignored")
	}
	return b.String()
}

func (j *Job) describe() string {
	var b strings.Builder
	if j.QueueID != "" {
		fmt.Fprintf(&b, ", queue-id %s", j.QueueID)
	}
	for _, in := range j.In {
		fmt.Fprintf(&b, ", takes %s from %s", in.File, in.From[0].Invocation.Key)
	}
	for _, out := range j.Out {
		fmt.Fprintf(&b, ", makes %s", out.File)
	}
	return b.String()
}

// String describes the source for people.
func (s Source) String() string {
	switch s.Kind {
	case SourceOwn:
		if s.Dir == "" {
			return "this repository"
		}
		return "this repository, folder " + s.Dir
	case SourceDir:
		return s.Dir + " on the host (not pinned)"
	}
	if s.Ref != "" {
		return s.URL + " at " + s.Ref
	}
	return s.URL
}

// ranks groups invocations by how many others must be complete before them.
func (p *Plan) ranks() [][]*Invocation {
	rank := make(map[*Invocation]int, len(p.Invocations))
	var ranks [][]*Invocation
	for _, inv := range p.Invocations { // those that it needs come first
		r := 0
		if inv.Parent != nil {
			r = rank[inv.Parent] + 1
		}
		for _, b := range inv.Before {
			r = max(r, lastRank(b, rank)+1)
		}
		rank[inv] = r
		for len(ranks) <= r {
			ranks = append(ranks, nil)
		}
		ranks[r] = append(ranks[r], inv)
	}
	return ranks
}

// lastRank is the rank at which an invocation is complete.
func lastRank(inv *Invocation, rank map[*Invocation]int) int {
	r := rank[inv]
	for _, a := range inv.After {
		r = max(r, lastRank(a.Invocation, rank))
	}
	return r
}
