package flow

import (
	"cmp"
	"math"
	"slices"
)

// The measures of a picture, in its pixels.
const (
	layerGap = 72 // between columns: room for an arrow and its word
	nodeGap  = 20 // between the nodes of a column
	lineGap  = 10 // between lines that pass through a column
	margin   = 16
	sweeps   = 12 // there and back; more change nothing that is seen
)

// box is a node of a layout, or the place where a long edge passes through a
// column: that has no height.
type box struct {
	x, y, w, h float64 // x and y are of the upper left corner
	layer      int
	passing    bool

	before, after []int // neighbours in the columns beside
}

func (b *box) alone() bool { return len(b.before)+len(b.after) == 0 }

func (b *box) middle() float64 { return b.y + b.h/2 }

// layout is a graph drawn in columns, from left to right.
type layout struct {
	boxes  []box
	layers [][]int // boxes, from the top down
	paths  [][]int // by edge: the boxes that it goes through
	w, h   float64
}

// newLayout places boxes, whose sizes and columns are given, so that edges
// cross seldom and are straight where they can be.
func newLayout(boxes []box, edges []graphEdge) *layout {
	l := &layout{boxes: boxes}
	for _, e := range edges {
		l.connect(e)
	}
	layers := 0
	for i := range l.boxes {
		layers = max(layers, l.boxes[i].layer+1)
	}
	l.layers = make([][]int, layers)
	for _, alone := range []bool{false, true} { // those that nothing leads to or from are last
		for i := range l.boxes {
			if b := &l.boxes[i]; b.alone() == alone {
				l.layers[b.layer] = append(l.layers[b.layer], i)
			}
		}
	}
	l.order()
	l.place()
	return l
}

// connect leads an edge through the columns between its ends.
func (l *layout) connect(e graphEdge) {
	path := []int{e.from}
	for layer := l.boxes[e.from].layer + 1; layer < l.boxes[e.to].layer; layer++ {
		path = append(path, len(l.boxes))
		l.boxes = append(l.boxes, box{layer: layer, passing: true})
	}
	path = append(path, e.to)
	for i := range path[1:] {
		a, b := path[i], path[i+1]
		l.boxes[a].after = append(l.boxes[a].after, b)
		l.boxes[b].before = append(l.boxes[b].before, a)
	}
	l.paths = append(l.paths, path)
}

// order sorts the columns by where their neighbours are, back and forth, and
// keeps the order with the fewest crossings.
func (l *layout) order() {
	best := slices.Clone(l.layers)
	fewest := -1
	for i := range sweeps {
		if n := l.crossings(); fewest < 0 || n < fewest {
			fewest = n
			for k := range l.layers {
				best[k] = slices.Clone(l.layers[k])
			}
		}
		if fewest == 0 {
			break
		}
		place := l.ranks()
		for k := range l.layers {
			neighbours := func(b *box) []int { return b.before }
			if i%2 == 1 {
				k = len(l.layers) - 1 - k
				neighbours = func(b *box) []int { return b.after }
			}
			l.sortLayer(k, place, neighbours)
		}
	}
	l.layers = best
}

// ranks returns the place of each box in its column.
func (l *layout) ranks() []float64 {
	place := make([]float64, len(l.boxes))
	for _, layer := range l.layers {
		for i, b := range layer {
			place[b] = float64(i)
		}
	}
	return place
}

// sortLayer sorts a column by the middle of each box's neighbours.
func (l *layout) sortLayer(layer int, place []float64, neighbours func(*box) []int) {
	want := make(map[int]float64)
	for _, b := range l.layers[layer] {
		want[b] = place[b]
		if l.boxes[b].alone() {
			want[b] = math.Inf(1)
		}
		if list := neighbours(&l.boxes[b]); len(list) > 0 {
			sum := 0.0
			for _, n := range list {
				sum += place[n]
			}
			want[b] = sum / float64(len(list))
		}
	}
	slices.SortStableFunc(l.layers[layer], func(a, b int) int { return cmp.Compare(want[a], want[b]) })
	for i, b := range l.layers[layer] {
		place[b] = float64(i)
	}
}

// crossings counts how often edges cross between neighbouring columns.
func (l *layout) crossings() int {
	place := l.ranks()
	total := 0
	for _, layer := range l.layers {
		var ends []float64 // of the edges, sorted by where they begin
		for _, b := range layer {
			from := len(ends)
			for _, n := range l.boxes[b].after {
				ends = append(ends, place[n])
			}
			slices.Sort(ends[from:])
		}
		var seen []float64 // sorted
		for _, e := range ends {
			i, _ := slices.BinarySearch(seen, e+0.5)
			total += len(seen) - i
			seen = slices.Insert(seen, i, e)
		}
	}
	return total
}

// place gives the boxes their coordinates.
func (l *layout) place() {
	x := float64(margin)
	for _, layer := range l.layers {
		w, y := 0.0, 0.0
		for _, b := range layer {
			w = max(w, l.boxes[b].w)
		}
		for i, b := range layer {
			if i > 0 {
				y += l.gap(layer[i-1], b)
			}
			l.boxes[b].x, l.boxes[b].w, l.boxes[b].y = x, w, y
			y += l.boxes[b].h
		}
		x += w + layerGap
	}
	l.w = x - layerGap + margin
	for i := range 2 * sweeps {
		for k := range l.layers {
			if i%2 == 1 {
				k = len(l.layers) - 1 - k
			}
			l.align(l.layers[k])
		}
	}
	top, bottom := 0.0, 0.0
	for i := range l.boxes {
		if b := &l.boxes[i]; i == 0 || b.y < top {
			top = b.y
		}
	}
	for i := range l.boxes {
		b := &l.boxes[i]
		b.y += margin - top
		bottom = max(bottom, b.y+b.h)
	}
	l.h = bottom + margin
}

func (l *layout) gap(a, b int) float64 {
	if l.boxes[a].passing || l.boxes[b].passing {
		return lineGap
	}
	return nodeGap
}

// align moves the boxes of a column as near as their order and the gaps allow
// to the middle of their neighbours: least squares, by merging those that
// would overlap into blocks.
func (l *layout) align(layer []int) {
	type block struct{ sum, weight, count float64 }
	var blocks []block
	offset := make([]float64, len(layer)) // of the top, if all were packed
	for i, b := range layer {
		if i > 0 {
			offset[i] = offset[i-1] + l.boxes[layer[i-1]].h + l.gap(layer[i-1], b)
		}
		want, weight := l.wanted(b)
		if i > 0 && l.boxes[b].alone() { // below the others
			want, weight = l.boxes[layer[i-1]].y+offset[i]-offset[i-1], 0.001
		}
		blocks = append(blocks, block{(want - offset[i]) * weight, weight, 1})
		for n := len(blocks); n > 1 && blocks[n-1].sum/blocks[n-1].weight < blocks[n-2].sum/blocks[n-2].weight; n-- {
			a, c := blocks[n-2], blocks[n-1]
			blocks = append(blocks[:n-2], block{a.sum + c.sum, a.weight + c.weight, a.count + c.count})
		}
	}
	i := 0
	for _, b := range blocks {
		for range int(b.count) {
			l.boxes[layer[i]].y = b.sum/b.weight + offset[i]
			i++
		}
	}
}

// wanted returns the best top of a box for its neighbours, and how much that
// matters: long edges are to be straight.
func (l *layout) wanted(i int) (y, weight float64) {
	b := &l.boxes[i]
	sum, total := 0.0, 0.0
	for _, list := range [][]int{b.before, b.after} {
		for _, n := range list {
			w := 1.0
			if b.passing && l.boxes[n].passing {
				w = 8
			}
			sum += w * l.boxes[n].middle()
			total += w
		}
	}
	if total == 0 {
		return b.y, 0.001
	}
	return sum/total - b.h/2, total
}
