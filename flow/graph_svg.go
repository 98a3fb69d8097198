package flow

import (
	"bytes"
	"fmt"
	"html"
	"strings"
	"unicode/utf8"
)

// A picture with more is one that nobody can follow, and takes long to make:
// then the stages are drawn.
const (
	maxDrawnNodes    = 300
	maxDrawnSegments = 4000 // of edges, one for each column that they cross
	maxDrawnStages   = 12
)

// The measures of the text in a node, in pixels.
const (
	lineHeight = 18
	padding    = 10
	dotSpace   = 16 // left of a host, for its state
	maxText    = 34 // characters of a line
)

// SVG returns the graph as a picture, for light and dark pages. State gives
// the colours; nil is none. Of a plan too large to be followed it shows the
// stages.
func (p *Plan) SVG(state StateFunc) []byte { return p.LinkedSVG(state, nil) }

// LinkedSVG is SVG with a link at each job that is shown as a line of its own,
// for a page that the picture is part of. link returns the address, which the
// caller has made safe; nil is none.
func (p *Plan) LinkedSVG(state StateFunc, link func(*Job) string) []byte {
	nodes, edges := p.graph(state)
	if link != nil {
		for i, inv := range p.Invocations {
			nodes[i].addLinks(inv, link)
		}
	}
	layers := p.layersOf()
	segments := 0
	for _, e := range edges {
		segments += layers[e.to] - layers[e.from]
	}
	if len(nodes) > maxDrawnNodes || segments > maxDrawnSegments {
		nodes, edges = stageNodes(p.stages(), state)
		layers = make([]int, len(nodes))
		for i := range layers {
			layers[i] = i
		}
	}
	boxes := make([]box, len(nodes))
	for i := range nodes {
		boxes[i] = nodes[i].size()
		boxes[i].layer = layers[i]
	}
	l := newLayout(boxes, edges)
	var b bytes.Buffer
	fmt.Fprintf(&b, `<svg xmlns="http://www.w3.org/2000/svg" class="cromt-graph" role="img" viewBox="0 0 %.0f %.0f" width="%.0f" height="%.0f">`+"\n", l.w, l.h, l.w, l.h)
	fmt.Fprintf(&b, "<title>%s in %s</title>\n<style>%s</style>\n", count(len(p.Jobs), "job"), count(len(p.Invocations), "project"), graphStyle())
	fmt.Fprintf(&b, `<rect class="page" width="%.0f" height="%.0f" rx="6"/>`+"\n", l.w, l.h)
	for i, e := range edges {
		l.drawEdge(&b, e, l.paths[i])
	}
	for i := range nodes {
		nodes[i].draw(&b, &l.boxes[i])
	}
	b.WriteString("</svg>\n")
	return b.Bytes()
}

// layersOf returns the column of each invocation.
func (p *Plan) layersOf() []int {
	layer := make(map[*Invocation]int, len(p.Invocations))
	for i, stage := range p.stages() {
		for _, inv := range stage {
			layer[inv] = i
		}
	}
	layers := make([]int, len(p.Invocations))
	for i, inv := range p.Invocations {
		layers[i] = layer[inv]
	}
	return layers
}

// stageNodes returns the stages as nodes, the last ones as one.
func stageNodes(stages [][]*Invocation, state StateFunc) (nodes []graphNode, edges []graphEdge) {
	for i := 0; i < len(stages); i++ {
		name, from := fmt.Sprint("stage ", i+1), i
		if i == maxDrawnStages-1 && len(stages) > maxDrawnStages {
			name, i = fmt.Sprintf("stages %d to %d", i+1, len(stages)), len(stages)-1
		}
		var jobs []*Job
		projects := 0
		for _, stage := range stages[from : i+1] {
			projects += len(stage)
			for _, inv := range stage {
				jobs = append(jobs, inv.Jobs...)
			}
		}
		n := graphNode{name: name, hosts: []graphHost{
			{label: count(projects, "project"), plain: true}, {label: count(len(jobs), "job"), plain: true},
		}}
		n.hosts = append(n.hosts, jobCounts(jobs, state)...)
		if state != nil {
			n.state = worstState(jobs, state)
		}
		if len(nodes) > 0 {
			edges = append(edges, graphEdge{from: len(nodes) - 1, to: len(nodes)})
		}
		nodes = append(nodes, n)
	}
	return nodes, edges
}

// size returns a box that has room for the node.
func (n *graphNode) size() box {
	w := 0.0
	for i, line := range n.lines() {
		w = max(w, textWidth(line, i == 0))
	}
	for _, h := range n.hosts {
		w = max(w, dotSpace+textWidth(h.label, false))
	}
	return box{w: max(w+2*padding, 90), h: float64(len(n.lines())+len(n.hosts))*lineHeight + 2*padding}
}

// lines returns what is above the hosts.
func (n *graphNode) lines() []string {
	if n.title != "" {
		return []string{n.title, n.name}
	}
	return []string{n.name}
}

func (n *graphNode) draw(b *bytes.Buffer, at *box) {
	fmt.Fprintf(b, `<g class="%s"><title>%s</title>`, strings.TrimSpace("node "+n.state), svgText(strings.Join(n.lines(), "\n")))
	fmt.Fprintf(b, `<rect x="%.1f" y="%.1f" width="%.1f" height="%.1f" rx="6"/>`, at.x, at.y, at.w, at.h)
	y := at.y + padding + 13
	for i, line := range n.lines() {
		class := "name"
		if i > 0 {
			class = "more"
		}
		fmt.Fprintf(b, `<text class="%s" x="%.1f" y="%.1f">%s</text>`, class, at.x+padding, y, svgText(shorten(line)))
		y += lineHeight
	}
	for _, h := range n.hosts {
		x := at.x + padding
		if h.link != "" {
			fmt.Fprintf(b, `<a href="%s">`, html.EscapeString(h.link))
		}
		if !h.plain {
			drawState(b, h.state, x+5, y-4.5)
			x += dotSpace
		}
		fmt.Fprintf(b, `<text x="%.1f" y="%.1f">%s</text>`, x, y, svgText(shorten(h.label)))
		if h.link != "" {
			b.WriteString("</a>")
		}
		y += lineHeight
	}
	b.WriteString("</g>\n")
}

// drawState draws a sign of its own for each state: colours are not seen by
// everyone.
func drawState(b *bytes.Buffer, state string, x, y float64) {
	var sign string
	switch state {
	case string(Success):
		sign = "M-4,0L-1,3L4,-3"
	case string(Failure), string(TimedOut):
		sign = "M-3.5,-3.5L3.5,3.5M-3.5,3.5L3.5,-3.5"
	case string(StatusInProgress):
		sign = "M0,-4A4,4,0,1,1,-4,0"
	case string(Skipped), string(Cancelled):
		sign = "M-4,4L4,-4M4,0A4,4,0,1,1,-4,0A4,4,0,1,1,4,0"
	case string(Neutral):
		sign = "M-4,0L4,0"
	default:
		sign = "M3,0A3,3,0,1,1,-3,0A3,3,0,1,1,3,0"
	}
	fmt.Fprintf(b, `<path class="%s" transform="translate(%.1f,%.1f)" d="%s"/>`, strings.TrimSpace("sign "+state), x, y, sign)
}

// drawEdge draws a line through the boxes of path, with an arrow at its end.
func (l *layout) drawEdge(b *bytes.Buffer, e graphEdge, path []int) {
	class := "edge"
	if e.when != "" {
		class = "edge after"
	}
	first, last := &l.boxes[path[0]], &l.boxes[path[len(path)-1]]
	x, y := first.x+first.w, first.middle()
	fmt.Fprintf(b, `<path class="%s" d="M%.1f,%.1f`, class, x, y)
	for _, i := range path[1:] {
		next := &l.boxes[i]
		end := next.x
		if next == last {
			end -= 7 // the arrow
		}
		bend := (end - x) / 2
		fmt.Fprintf(b, `C%.1f,%.1f,%.1f,%.1f,%.1f,%.1f`, x+bend, y, end-bend, next.middle(), end, next.middle())
		if x, y = next.x+next.w, next.middle(); next.passing {
			fmt.Fprintf(b, `H%.1f`, x)
		}
	}
	fmt.Fprintf(b, `"/><path class="arrow" d="M%.1f,%.1fl-8,-4v8z"/>`, last.x, last.middle())
	if e.when != "" {
		y := last.middle() - 5 // beside the line, which comes from below
		if before := path[len(path)-2]; l.boxes[before].middle() < last.middle()-1 {
			y = last.middle() + 13
		}
		fmt.Fprintf(b, `<text class="when" x="%.1f" y="%.1f">%s</text>`, last.x-12, y, e.when)
	}
	b.WriteByte('\n')
}

// graphStyle returns the style sheet. Its rules are for this picture alone,
// also where it is part of a page.
func graphStyle() string {
	var b strings.Builder
	rule := func(selector, property string) {
		fmt.Fprintf(&b, ".cromt-graph %s{%s}", selector, property)
	}
	rule("text", "font:12px ui-sans-serif,system-ui,-apple-system,'Segoe UI','Noto Sans',Helvetica,Arial,sans-serif")
	rule("text.name", "font-size:13px;font-weight:600")
	rule("text.when", "font-size:11px;text-anchor:end")
	rule("path", "fill:none;stroke-width:1.5;stroke-linecap:round;stroke-linejoin:round")
	rule(".after", "stroke-dasharray:5,4")
	rule("path.arrow", "stroke:none")
	rule("path.sign", "stroke-width:1.8")
	for _, dark := range []bool{false, true} {
		pick := func(light, dark_ string) string {
			if dark {
				return dark_
			}
			return light
		}
		if dark {
			b.WriteString("@media (prefers-color-scheme:dark){")
		}
		rule(".page", "fill:"+pick("#ffffff", "#0d1117"))
		rule(".node rect", "fill:"+pick("#f6f8fa", "#151b23")+";stroke:"+pick("#d1d9e0", "#3d444d"))
		rule("text", "fill:"+pick("#1f2328", "#f0f6fc"))
		rule("text.more,.cromt-graph text.when", "fill:"+pick("#59636e", "#9198a1"))
		rule(".edge", "stroke:"+pick("#818b98", "#656c76"))
		rule(".arrow", "fill:"+pick("#818b98", "#656c76"))
		rule(".sign", "stroke:"+pick("#818b98", "#656c76"))
		for _, s := range graphStates() {
			c := stateColour(s)
			rule("."+s+" rect,.cromt-graph .sign."+s, "stroke:"+pick(c.light, c.dark))
		}
		if dark {
			b.WriteString("}")
		}
	}
	return b.String()
}

// svgText returns s as text of an XML document.
func svgText(s string) string {
	lines := strings.Split(strings.ToValidUTF8(s, "�"), "\n")
	for i := range lines {
		lines[i] = html.EscapeString(printable(lines[i]))
	}
	return strings.Join(lines, "\n")
}

// shorten cuts a line to what a node has room for.
func shorten(s string) string {
	if utf8.RuneCountInString(s) <= maxText {
		return s
	}
	return string([]rune(s)[:maxText-1]) + "…"
}

// textWidth estimates the width of a line, rather too wide: fonts differ.
func textWidth(s string, bold bool) float64 {
	w := 0.0
	for _, r := range shorten(s) {
		switch {
		case strings.ContainsRune("iljtfrI.,:;'|!()[] -", r):
			w += 4.6
		case strings.ContainsRune("mwMW@%", r):
			w += 11
		case r >= 0x1100:
			w += 13
		case 'A' <= r && r <= 'Z':
			w += 8.6
		default:
			w += 7.2
		}
	}
	if bold {
		w *= 1.14
	}
	return w
}
