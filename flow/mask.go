package flow

import (
	"io"
	"strings"
)

// MaskText is what a secret is replaced by.
const MaskText = "***"

// Mask finds secrets in text, in the forms in which programs usually print
// them: as they are, base64 (standard and URL alphabet, padded or not, at any
// offset within a longer encoded text), URL-encoded, JSON-escaped, and line by
// line. It is built once and may be used by several goroutines. The nil Mask
// masks nothing.
type Mask struct {
	nodes []maskNode // an Aho-Corasick automaton; node 0 is its root
	root  [256]int32 // the root's children by byte
}

// maskNode is one state: the text read last that begins a pattern.
type maskNode struct {
	next, sibling int32 // first child; next child of the same parent
	fail          int32 // the longest proper suffix that begins a pattern
	depth         int32 // length of the text of this state
	match         int32 // length of the longest pattern that ends here, or 0
	char          byte  // the byte that leads here from the parent
}

// NewMask returns a Mask for the secrets. Those that are empty or white space
// are left out; nil is returned when none remains.
func NewMask(secrets []string) *Mask {
	patterns := maskPatterns(secrets)
	if len(patterns) == 0 {
		return nil
	}
	m := &Mask{nodes: make([]maskNode, 1)}
	for _, p := range patterns {
		m.add(p)
	}
	m.link()
	return m
}

// MaskString returns s with every occurrence of a secret replaced. For many
// texts, build a [Mask] once.
func MaskString(s string, secrets []string) string { return NewMask(secrets).String(s) }

// String returns s with every occurrence of a secret replaced.
func (m *Mask) String(s string) string {
	if m == nil || s == "" {
		return s
	}
	var b strings.Builder
	w := m.Writer(&b)
	_, _ = io.WriteString(w, s) // a strings.Builder does not fail
	_ = w.Flush()
	return b.String()
}

// Writer returns a Masker that writes to w.
func (m *Mask) Writer(w io.Writer) *Masker { return &Masker{w: w, mask: m} }

func (m *Mask) child(node int32, c byte) int32 {
	if node == 0 {
		return m.root[c]
	}
	for n := m.nodes[node].next; n != 0; n = m.nodes[n].sibling {
		if m.nodes[n].char == c {
			return n
		}
	}
	return 0
}

func (m *Mask) add(pattern string) {
	node := int32(0)
	for i := range len(pattern) {
		c := pattern[i]
		n := m.child(node, c)
		if n == 0 {
			n = int32(len(m.nodes))
			m.nodes = append(m.nodes, maskNode{char: c, depth: int32(i + 1), sibling: m.nodes[node].next})
			m.nodes[node].next = n
			if node == 0 {
				m.root[c] = n
			}
		}
		node = n
	}
	m.nodes[node].match = int32(len(pattern))
}

// link sets the fail links, in breadth-first order: those of shorter texts first.
func (m *Mask) link() {
	queue := make([]int32, 0, len(m.nodes))
	for n := m.nodes[0].next; n != 0; n = m.nodes[n].sibling {
		queue = append(queue, n)
	}
	for i := 0; i < len(queue); i++ {
		parent := queue[i]
		for n := m.nodes[parent].next; n != 0; n = m.nodes[n].sibling {
			fail := m.step(m.nodes[parent].fail, m.nodes[n].char)
			m.nodes[n].fail = fail
			m.nodes[n].match = max(m.nodes[n].match, m.nodes[fail].match)
			queue = append(queue, n)
		}
	}
}

func (m *Mask) step(node int32, c byte) int32 {
	for {
		if n := m.child(node, c); n != 0 {
			return n
		}
		if node == 0 {
			return 0
		}
		node = m.nodes[node].fail
	}
}

// Masker is a writer that replaces secrets in what passes through it, however
// they are split over writes. It holds back only what may be the beginning of
// a secret; Flush lets that go. It is not for several goroutines at once.
type Masker struct {
	w    io.Writer
	mask *Mask

	node   int32
	held   []byte // read and not written yet
	spans  []span // of held, to be masked: in order, not touching
	within bool   // what was written last is the mask of a span that may go on at held[0]
	out    []byte
}

// span is a half-open range of bytes.
type span struct{ from, to int }

// NewMasker returns a Masker that writes to w and replaces the secrets by
// [MaskText]. Without secrets it passes everything on at once.
func NewMasker(w io.Writer, secrets []string) *Masker { return NewMask(secrets).Writer(w) }

// Write masks p. It returns len(p) and the error of the underlying writer,
// which is called at most once.
func (k *Masker) Write(p []byte) (int, error) {
	if k.mask == nil {
		return k.w.Write(p)
	}
	for i := 0; i < len(p); i++ {
		if k.node == 0 { // nothing is held: pass on what begins no secret
			n := i
			for n < len(p) && k.mask.root[p[n]] == 0 {
				n++
			}
			if n > i {
				k.out, k.within = append(k.out, p[i:n]...), false
				i = n
				if i == len(p) {
					break
				}
			}
		}
		k.held = append(k.held, p[i])
		k.node = k.mask.step(k.node, p[i])
		node := &k.mask.nodes[k.node]
		if node.match > 0 {
			k.cover(len(k.held) - int(node.match))
		}
		if free := len(k.held) - int(node.depth); free > 0 && (k.node == 0 || free >= len(k.held)/2) {
			k.release(free)
		}
	}
	k.release(len(k.held) - int(k.mask.nodes[k.node].depth))
	return len(p), k.send()
}

// cover marks held[from:] as secret, joining spans that overlap it.
func (k *Masker) cover(from int) {
	for n := len(k.spans); n > 0 && k.spans[n-1].to >= from; n-- {
		from = min(from, k.spans[n-1].from)
		k.spans = k.spans[:n-1]
	}
	k.spans = append(k.spans, span{from, len(k.held)})
}

// release moves the first n held bytes to out.
func (k *Masker) release(n int) {
	if n <= 0 {
		return
	}
	at, used := 0, 0
	for i := range k.spans {
		s := &k.spans[i]
		if s.from >= n {
			break
		}
		if s.from > at {
			k.out, k.within = append(k.out, k.held[at:s.from]...), false
		}
		if !k.within {
			k.out, k.within = append(k.out, MaskText...), true
		}
		if s.to > n {
			s.from, at = n, n
			break
		}
		at = s.to
		used++
	}
	if at < n {
		k.out, k.within = append(k.out, k.held[at:n]...), false
	}
	k.spans = append(k.spans[:0], k.spans[used:]...)
	for i := range k.spans {
		k.spans[i].from -= n
		k.spans[i].to -= n
	}
	k.held = append(k.held[:0], k.held[n:]...)
}

func (k *Masker) send() error {
	if len(k.out) == 0 {
		return nil
	}
	_, err := k.w.Write(k.out)
	k.out = k.out[:0]
	return err
}

// Holds reports whether something of what was written is held back, since it
// may be the beginning of a secret.
func (k *Masker) Holds() bool { return len(k.held) > 0 || k.within }

// Flush writes what is held back. A secret that continues after it is not
// recognized.
func (k *Masker) Flush() error {
	if k.mask == nil {
		return nil
	}
	k.release(len(k.held))
	k.node, k.within = 0, false
	return k.send()
}
