package flow

import (
	"cmp"
	"fmt"
	"html"
	"slices"
	"strings"
	"unicode/utf8"
)

// The measures of an SVG, in pixels.
const (
	svgLine   = 18 // height of a line of text
	svgChar   = 7.6
	svgPad    = 12
	svgGapX   = 70
	svgGapY   = 18
	svgMargin = 16
	svgMaxLen = 36 // characters of a line; longer ones end in …
)

type box struct{ x, y, w, h float64 }

// SVG draws the plan from left to right, a column for each stage, for light
// and dark pages. Paint may be nil.
func (p *Plan) SVG(paint Paint) []byte {
	nodes, edges := p.drawing(paint)
	boxes, width, height := p.layout(nodes, edges)
	var b strings.Builder
	fmt.Fprintf(&b, `<svg xmlns="http://www.w3.org/2000/svg" width="%.0f" height="%.0f" viewBox="0 0 %.0f %.0f" role="img" aria-label="graph of the jobs">`+"\n", width, height, width, height)
	b.WriteString(svgStyle())
	for _, e := range edges {
		b.WriteString(svgEdge(boxes[e.from], boxes[e.to], e))
	}
	for i, n := range nodes {
		r := boxes[i]
		fmt.Fprintf(&b, `<g class="n %s"><title>%s</title><rect x="%.1f" y="%.1f" width="%.1f" height="%.1f" rx="6"/>`,
			n.state, html.EscapeString(strings.Join(n.lines, ", ")), r.x, r.y, r.w, r.h)
		for k, l := range n.lines {
			class := "h"
			if k == 0 {
				class = "p"
			}
			fmt.Fprintf(&b, `<text class="%s" x="%.1f" y="%.1f">%s</text>`, class, r.x+svgPad, r.y+svgPad+13+float64(k*svgLine), html.EscapeString(clipLine(l)))
		}
		b.WriteString("</g>\n")
	}
	b.WriteString("</svg>\n")
	return []byte(b.String())
}

func svgStyle() string {
	var b strings.Builder
	b.WriteString(`<defs><marker id="a" viewBox="0 0 8 8" refX="8" refY="4" markerWidth="8" markerHeight="8" orient="auto"><path class="m" d="M0 0L8 4L0 8z"/></marker></defs>
<style>
text{font:13px ui-sans-serif,system-ui,"DejaVu Sans",sans-serif;fill:#1f2328}.p{font-weight:600}.h{fill:#59636e}
rect{fill:#f6f8fa;stroke:#8c959f}.e{fill:none;stroke:#8c959f;stroke-width:1.4;marker-end:url(#a)}.d{stroke-dasharray:5 4}.m{fill:#8c959f}.w{font-size:11px;fill:#59636e;text-anchor:middle}
@media(prefers-color-scheme:dark){text{fill:#f0f6fc}.h,.w{fill:#9198a1}rect{fill:#151b23;stroke:#6e7681}.e{stroke:#6e7681}.m{fill:#6e7681}}
`)
	for _, c := range paints {
		fmt.Fprintf(&b, ".%s rect{fill:%s;stroke:%s}.%s text{fill:#fff}\n", c.name, c.fill, c.fill, c.name)
	}
	b.WriteString("</style>\n")
	return b.String()
}

func svgEdge(from, to box, e edge) string {
	x1, y1, x2, y2 := from.x+from.w, from.y+from.h/2, to.x-1, to.y+to.h/2
	bend := max(svgGapX/2, (x2-x1)/2)
	class := "e"
	if e.after {
		class = "e d"
	}
	s := fmt.Sprintf(`<path class="%s" d="M%.1f %.1fC%.1f %.1f %.1f %.1f %.1f %.1f"/>`, class, x1, y1, x1+bend, y1, x2-bend, y2, x2, y2)
	if e.label != "" {
		s += fmt.Sprintf(`<text class="w" x="%.1f" y="%.1f">%s</text>`, (x1+x2)/2, (y1+y2)/2-5, html.EscapeString(e.label))
	}
	return s + "\n"
}

// layout places each stage in a column, and in a column each node near the
// middle of those that lead to it, which leaves few crossings.
func (p *Plan) layout(nodes []drawn, edges []edge) (boxes []box, width, height float64) {
	index := make(map[*Invocation]int, len(nodes))
	for i, inv := range p.Invocations {
		index[inv] = i
	}
	into := make([][]int, len(nodes))
	for _, e := range edges {
		into[e.to] = append(into[e.to], e.from)
	}
	boxes = make([]box, len(nodes))
	x, height := float64(svgMargin), 0.0
	for _, column := range p.ranks() {
		ids := make([]int, len(column))
		for i, inv := range column {
			ids[i] = index[inv]
		}
		centre := func(i int) float64 {
			if len(into[i]) == 0 {
				return 0
			}
			sum := 0.0
			for _, f := range into[i] {
				sum += boxes[f].y + boxes[f].h/2
			}
			return sum / float64(len(into[i]))
		}
		slices.SortStableFunc(ids, func(a, b int) int { return cmp.Compare(centre(a), centre(b)) })
		y, w := float64(svgMargin), 0.0
		for _, i := range ids {
			r := &boxes[i]
			r.x, r.h = x, float64(2*svgPad+len(nodes[i].lines)*svgLine-4)
			for _, l := range nodes[i].lines {
				w = max(w, 2*svgPad+svgChar*float64(utf8.RuneCountInString(clipLine(l))))
			}
			r.y = max(y, centre(i)-r.h/2)
			y = r.y + r.h + svgGapY
		}
		for _, i := range ids {
			boxes[i].w = w
		}
		height = max(height, y-svgGapY+svgMargin)
		x += w + svgGapX
	}
	return boxes, x - svgGapX + svgMargin, height
}

func clipLine(s string) string {
	if utf8.RuneCountInString(s) <= svgMaxLen {
		return s
	}
	return string([]rune(s)[:svgMaxLen-1]) + "…"
}
