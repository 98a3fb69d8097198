package trigger

import "strings"

// glob is a pattern by the rules of GitHub's workflow filters ("Filter pattern
// cheat sheet"): * is any text without a slash, ** any text, ? makes the
// character before it optional, + repeats it, [a-z] is one of these, \ takes
// the next character as it is. It matches a whole name. **/ at the start of a
// segment is any folders, or none.
type glob struct {
	prefix string // of plain characters, so that most names are soon done with
	rest   []token
}

type kind byte

const (
	char  kind = iota // the character
	class             // one of the set, which is no slash
	star              // any but a slash
	any               // any at all
)

// token matches one character, or as many as optional and repeated say.
type token struct {
	kind     kind
	char     rune
	set      []rune // what is between the brackets
	optional bool
	repeated bool
	folders  bool // ** before a slash: the slash may be missing as well
}

// parseGlob turns a pattern into a glob; not ok when it has no meaning.
func parseGlob(s string) (glob, bool) {
	if len(s) > MaxGlob {
		return glob{}, false
	}
	g, ok := tokens(s)
	if !ok {
		return glob{}, false
	}
	n := 0
	for n < len(g) && g[n].kind == char && !g[n].optional && !g[n].repeated {
		n++
	}
	prefix := make([]rune, n)
	for i := range prefix {
		prefix[i] = g[i].char
	}
	return glob{string(prefix), g[n:]}, true
}

func tokens(s string) (g []token, ok bool) {
	in := []rune(s)
	for i := 0; i < len(in); i++ {
		switch c := in[i]; {
		case c == '*':
			t := token{kind: star, optional: true, repeated: true}
			atStart := i == 0 || in[i-1] == '/'
			for i+1 < len(in) && in[i+1] == '*' {
				t.kind = any
				i++
			}
			t.folders = t.kind == any && atStart && i+1 < len(in) && in[i+1] == '/'
			g = append(g, t)
		case (c == '?' || c == '+') && len(g) == 0:
			return nil, false
		case c == '?':
			g[len(g)-1].optional = true
		case c == '+':
			g[len(g)-1].repeated = true
		case c == '[':
			end := classEnd(in, i+1)
			if end < 0 {
				return nil, false
			}
			g = append(g, token{kind: class, set: in[i+1 : end]})
			i = end
		case c == '\\' && i+1 == len(in):
			return nil, false
		case c == '\\':
			i++
			g = append(g, token{char: in[i]})
		default:
			g = append(g, token{char: c})
		}
	}
	return g, true
}

// classEnd returns where the ] of a class is that begins at i, or -1.
func classEnd(in []rune, i int) int {
	for ; i < len(in); i++ {
		switch in[i] {
		case '\\':
			i++
		case ']':
			return i
		}
	}
	return -1
}

func (t token) matches(c rune) bool {
	switch t.kind {
	case char:
		return c == t.char
	case class:
		return c != '/' && inSet(t.set, c)
	case star:
		return c != '/'
	}
	return true
}

// inSet reports whether c is in a set like a-z_, which ^ negates.
func inSet(in []rune, c rune) bool {
	negated := len(in) > 0 && in[0] == '^'
	if negated {
		in = in[1:]
	}
	found := false
	for i := 0; i < len(in); i++ {
		if in[i] == '\\' && i+1 < len(in) {
			i++
		}
		lo, hi := in[i], in[i]
		if i+2 < len(in) && in[i+1] == '-' {
			hi = in[i+2]
			i += 2
		}
		found = found || lo <= c && c <= hi
	}
	return found != negated
}

// matcher matches globs one after the other with a limit to all of its work.
// Its time is the product of the lengths of glob and name at worst.
type matcher struct {
	work      int // steps left
	now, next states
}

// states are the tokens at which the rest of a name may go on.
type states struct {
	list    []int
	present []bool // those in list
	entered []bool // those that nothing was matched by yet
}

func (s *states) reset(n int) {
	s.list = s.list[:0]
	if cap(s.present) < n {
		s.present, s.entered = make([]bool, n), make([]bool, n)
	}
	s.present, s.entered = s.present[:n], s.entered[:n]
	clear(s.present)
	clear(s.entered)
}

// before adds the state in front of token i, and those that come after it
// without a character. len(g) is the end.
func (s *states) before(g []token, i int) {
	for !s.entered[i] {
		s.entered[i] = true
		s.add(i)
		if i == len(g) {
			return
		}
		if g[i].folders {
			s.before(g, i+2)
		}
		if !g[i].optional {
			return
		}
		i++
	}
}

// within adds the state in which token i has matched and may do so again.
func (s *states) within(g []token, i int) {
	s.add(i)
	s.before(g, i+1)
}

func (s *states) add(i int) {
	if !s.present[i] {
		s.present[i] = true
		s.list = append(s.list, i)
	}
}

// match reports whether g matches name; done is false when the work is used up.
func (m *matcher) match(g glob, name string) (ok, done bool) {
	m.work--
	name, ok = strings.CutPrefix(name, g.prefix)
	if !ok || m.work < 0 {
		return false, m.work >= 0
	}
	m.now.reset(len(g.rest) + 1)
	m.now.before(g.rest, 0)
	for _, c := range name {
		m.work -= len(m.now.list) + len(g.rest)/8 // the latter for clearing the states
		if len(m.now.list) == 0 || m.work < 0 {
			break
		}
		m.step(g.rest, c)
	}
	return m.work >= 0 && m.now.present[len(g.rest)], m.work >= 0
}

// step goes from the states before the character c to those after it.
func (m *matcher) step(g []token, c rune) {
	m.next.reset(len(g) + 1)
	for _, i := range m.now.list {
		if i == len(g) {
			continue
		}
		m.work -= len(g[i].set) / 2
		switch {
		case !g[i].matches(c):
		case g[i].repeated:
			m.next.within(g, i)
		default:
			m.next.before(g, i+1)
		}
	}
	m.now, m.next = m.next, m.now
}
