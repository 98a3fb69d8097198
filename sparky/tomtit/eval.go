package tomtit

import (
	"maps"
	"slices"
	"strconv"
	"strings"
)

// scope is what the expressions of a scenario see.
type scope struct {
	env    map[string]string
	config map[string]any
	tags   map[string]any
	vars   map[string]any
	left   int // bytes that values may still take; negative: too much
}

// eval returns the value of e. When values get too large it returns nil, and
// s.left is negative.
func (s *scope) eval(e *expr) any {
	s.left -= 16
	if s.left < 0 {
		return nil
	}
	switch e.op {
	case opText:
		s.left -= len(e.text)
		return e.text
	case opValue:
		return e.value
	case opVar:
		return s.use(s.vars[e.text])
	case opConfig:
		return s.use(s.config)
	case opTags:
		return s.use(s.tags)
	case opKey:
		return s.key(e)
	case opIndex:
		return s.index(e)
	case opJoin:
		return s.join(e)
	case opDefined:
		v := s.eval(e.kids[0])
		if _, undefined := v.(typeObject); v != nil && !undefined {
			return v
		}
		return s.eval(e.kids[1])
	case opOr:
		if v := s.eval(e.kids[0]); truth(v) {
			return v
		}
		return s.eval(e.kids[1])
	case opIf:
		if truth(s.eval(e.kids[0])) {
			return s.eval(e.kids[1])
		}
		return s.eval(e.kids[2])
	case opList, opArray:
		return s.list(e)
	case opHash:
		return s.hash(e)
	case opPair:
		return pair{text(s.eval(e.kids[0])), s.eval(e.kids[1])}
	}
	return nil
}

func (s *scope) hash(e *expr) any {
	m := make(map[string]any, len(e.kids))
	for _, k := range e.kids {
		switch v := s.eval(k).(type) {
		case pair:
			m[v.key] = v.value
		case map[string]any:
			maps.Copy(m, v)
		}
	}
	return m
}

// use counts the size of a value that gets another place.
func (s *scope) use(v any) any {
	s.left -= 16
	switch v := v.(type) {
	case string:
		s.left -= len(v)
	case allomorph:
		s.left -= len(v.text)
	case list:
		for _, item := range v.items {
			if s.left >= 0 {
				s.use(item)
			}
		}
	case pair:
		s.use(v.hash())
	case map[string]any:
		for k, item := range v {
			if s.left -= len(k); s.left >= 0 {
				s.use(item)
			}
		}
	}
	if s.left < 0 {
		return nil
	}
	return v
}

func (s *scope) key(e *expr) any {
	key := text(s.eval(e.kids[1]))
	if e.kids[0].op == opEnv {
		v, ok := s.env[key]
		if !ok {
			return nil
		}
		s.left -= len(v)
		return textValue(v)
	}
	switch v := s.eval(e.kids[0]).(type) {
	case pair:
		return v.hash()[key]
	case map[string]any:
		return v[key]
	}
	return nil
}

func (s *scope) index(e *expr) any {
	l, _ := s.eval(e.kids[0]).(list)
	i, err := strconv.Atoi(text(s.eval(e.kids[1])))
	if err != nil || i < 0 || i >= len(l.items) {
		return nil
	}
	return l.items[i]
}

func (s *scope) join(e *expr) any {
	var b strings.Builder
	for _, k := range e.kids {
		v := s.eval(k)
		if s.left < 0 {
			return nil
		}
		writeText(&b, v)
	}
	s.left -= b.Len()
	return b.String()
}

func (s *scope) list(e *expr) any {
	l := list{array: e.op == opArray}
	if l.array && e.text == "single" && flattens(e.kids[0]) {
		return s.flat(s.eval(e.kids[0]))
	}
	for _, k := range e.kids {
		l.items = append(l.items, s.eval(k))
	}
	return l
}

// flat returns the array that the only value between its brackets makes.
func (s *scope) flat(v any) list {
	switch v := v.(type) {
	case list:
		return list{v.items, true}
	case map[string]any:
		l := list{array: true}
		for _, k := range slices.Sorted(maps.Keys(v)) {
			l.items = append(l.items, pair{k, v[k]})
		}
		return l
	}
	return list{[]any{v}, true}
}

// flattens reports whether what e stands for gives up its items to the array
// around it: what is in a $ variable or in a hash does not.
func flattens(e *expr) bool {
	switch e.op {
	case opList, opArray, opHash, opConfig, opTags:
		return true
	case opVar:
		return e.text[0] != '$'
	}
	return false
}

// assign sets a variable as its sigil has it.
func (s *scope) assign(name string, v any) {
	if l, ok := v.(list); ok && name[0] == '@' {
		l.array = true
		v = l
	}
	s.vars[name] = v
}
