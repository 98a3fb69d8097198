package flow

import (
	"fmt"
	"strings"
)

// StateFunc says how far a job is, for the colours of a graph. The conclusion
// matters when the status is [StatusCompleted].
type StateFunc func(*Job) (Status, Conclusion)

// graphNode is an invocation in a picture, or a stage when there are too many.
type graphNode struct {
	name  string // the key of the invocation
	title string // the user's, "" when there is none
	state string // a status or a conclusion; "" is no colour
	hosts []graphHost
}

// graphHost is one line of a node.
type graphHost struct {
	label, state string
	plain        bool   // no host, but something about all of them
	link         string // where its job is told about; "" is nowhere
}

// graphEdge joins nodes by their places in the list. When is of after edges.
type graphEdge struct {
	from, to int
	when     When
}

// graph returns the invocations as nodes, in the order of the plan.
func (p *Plan) graph(state StateFunc) ([]graphNode, []graphEdge) {
	nodes := make([]graphNode, len(p.Invocations))
	place := make(map[*Invocation]int, len(p.Invocations))
	var edges []graphEdge
	for i, inv := range p.Invocations {
		place[inv] = i
		for _, b := range inv.Before {
			edges = append(edges, graphEdge{from: place[b], to: i})
		}
		nodes[i] = graphNode{name: inv.Key, title: inv.Title, hosts: graphHosts(inv, state)}
		if state != nil {
			nodes[i].state = worstState(inv.Jobs, state)
		}
	}
	for i, inv := range p.Invocations {
		for _, e := range inv.After {
			edges = append(edges, graphEdge{from: i, to: place[e.Invocation], when: e.When})
		}
	}
	return nodes, edges
}

// graphHosts returns the jobs of a node, by their hosts' names; of many only
// how many there are. Workers have nothing but a number, so that a pool has
// its own line.
func graphHosts(inv *Invocation, state StateFunc) []graphHost {
	const most = 6 // lines that a node may have and still be one of many
	var hosts []graphHost
	noun := "host"
	if len(inv.Jobs) > 0 && inv.Jobs[0].Pool != "" {
		hosts = append(hosts, graphHost{label: "pool " + inv.Jobs[0].Pool, plain: true})
		noun = "job"
	}
	if inv.Project != nil && inv.Project.Matrix != nil {
		noun = "job"
	}
	if len(hosts)+len(inv.Jobs) <= most {
		for _, j := range inv.Jobs {
			h := graphHost{label: j.Label}
			if state != nil {
				h.state = stateIn(j, state)
			}
			hosts = append(hosts, h)
		}
		return hosts
	}
	hosts = append(hosts, graphHost{label: count(len(inv.Jobs), noun), plain: true})
	return append(hosts, jobCounts(inv.Jobs, state)...)
}

// addLinks adds where each job is told about, if the node shows them.
func (n *graphNode) addLinks(inv *Invocation, link func(*Job) string) {
	for i := range n.hosts {
		if !n.hosts[i].plain && len(n.hosts) == len(inv.Jobs) {
			n.hosts[i].link = link(inv.Jobs[i])
		}
	}
}

// jobCounts says how many jobs are in each state.
func jobCounts(jobs []*Job, state StateFunc) []graphHost {
	if state == nil {
		return nil
	}
	var lines []graphHost
	number := make(map[string]int)
	for _, j := range jobs {
		number[stateIn(j, state)]++
	}
	for _, s := range graphStates() {
		if number[s] > 0 {
			lines = append(lines, graphHost{label: fmt.Sprintf("%d %s", number[s], strings.ReplaceAll(s, "_", " ")), state: s})
		}
	}
	return lines
}

// graphStates are those with a colour, the one to notice first.
func graphStates() []string {
	return []string{
		string(Failure), string(TimedOut), string(Cancelled), string(StatusInProgress), string(StatusQueued),
		string(Neutral), string(Success), string(Skipped),
	}
}

func stateIn(j *Job, state StateFunc) string {
	status, conclusion := state(j)
	if status == StatusCompleted {
		return string(conclusion)
	}
	return string(status)
}

// worstState returns the state of an invocation: that of the job to notice
// first. Some of its jobs queued and others done is in progress.
func worstState(jobs []*Job, state StateFunc) string {
	has := make(map[string]bool)
	for _, j := range jobs {
		has[stateIn(j, state)] = true
	}
	for _, s := range graphStates() {
		if has[s] && s == string(StatusQueued) && len(has) > 1 {
			return string(StatusInProgress)
		}
		if has[s] {
			return s
		}
	}
	return ""
}

// Mermaid returns the graph as a Mermaid flowchart, which GitHub shows in a
// code block named mermaid, if it has at most 500 edges and 50,000 bytes.
// State gives the colours; nil is none.
func (p *Plan) Mermaid(state StateFunc) string {
	nodes, edges := p.graph(state)
	var b strings.Builder
	b.WriteString("flowchart LR\n")
	classes := make(map[string][]string)
	for i, n := range nodes {
		id := fmt.Sprint("n", i)
		lines := []string{"<b>" + mermaidText(n.name) + "</b>"}
		if n.title != "" {
			lines = []string{"<b>" + mermaidText(n.title) + "</b>", mermaidText(n.name)}
		}
		for _, h := range n.hosts {
			lines = append(lines, mermaidText(h.label))
		}
		fmt.Fprintf(&b, "  %s(\"%s\")\n", id, strings.Join(lines, "<br/>"))
		classes[n.state] = append(classes[n.state], id)
	}
	for _, e := range edges {
		if e.when == "" {
			fmt.Fprintf(&b, "  n%d --> n%d\n", e.from, e.to)
		} else {
			fmt.Fprintf(&b, "  n%d -. %s .-> n%d\n", e.from, e.when, e.to)
		}
	}
	for _, s := range graphStates() {
		if len(classes[s]) > 0 {
			c := stateColour(s)
			fmt.Fprintf(&b, "  classDef %s stroke:%s,stroke-width:2px\n  class %s %s\n", s, c.light, strings.Join(classes[s], ","), s)
		}
	}
	return b.String()
}

// mermaidText writes as a character code whatever could mean something to
// Mermaid, HTML or Markdown.
func mermaidText(s string) string {
	var b strings.Builder
	for _, r := range printable(s) {
		if r >= 0x80 || 'a' <= r && r <= 'z' || 'A' <= r && r <= 'Z' || '0' <= r && r <= '9' || strings.ContainsRune(" .-", r) {
			b.WriteRune(r)
		} else {
			fmt.Fprintf(&b, "#%d;", r)
		}
	}
	return b.String()
}

// Dot returns the graph in the language of Graphviz.
func (p *Plan) Dot() string {
	nodes, edges := p.graph(nil)
	var b strings.Builder
	b.WriteString("digraph cromt {\n  rankdir=LR\n  node [shape=box, style=rounded, fontname=\"sans-serif\"]\n  edge [fontname=\"sans-serif\", fontsize=10]\n")
	for i, n := range nodes {
		label := dotText(n.name)
		if n.title != "" {
			label = dotText(n.title) + `\n` + label
		}
		for _, h := range n.hosts {
			label += `\n` + dotText(h.label)
		}
		fmt.Fprintf(&b, "  n%d [label=\"%s\"]\n", i, label)
	}
	for _, e := range edges {
		if e.when == "" {
			fmt.Fprintf(&b, "  n%d -> n%d\n", e.from, e.to)
		} else {
			fmt.Fprintf(&b, "  n%d -> n%d [style=dashed, label=\"%s\"]\n", e.from, e.to, e.when)
		}
	}
	b.WriteString("}\n")
	return b.String()
}

func dotText(s string) string {
	return strings.NewReplacer(`\`, `\\`, `"`, `\"`, "&", "&amp;", "<", "&lt;", ">", "&gt;").Replace(printable(s))
}

// colour is one on a light and on a dark page.
type colour struct{ light, dark string }

// stateColour returns the colour of a state, of enough contrast for text.
func stateColour(state string) colour {
	switch state {
	case string(Success):
		return colour{"#1a7f37", "#3fb950"}
	case string(Failure), string(TimedOut):
		return colour{"#cf222e", "#f85149"}
	case string(StatusInProgress):
		return colour{"#9a6700", "#d29922"}
	}
	return colour{"#59636e", "#9198a1"}
}
