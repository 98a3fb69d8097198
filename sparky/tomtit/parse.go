package tomtit

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"unicode"
	"unicode/utf8"
)

// program is a scenario as it was read.
type program struct {
	file  string // below the project folder
	stmts []stmt
}

// stmt is one statement: a call of name with its arguments, or "my" with the
// variable's name.
type stmt struct {
	name      string
	variable  string
	args      []expr
	line, col int
}

// expr is a value before it is known.
type expr struct {
	kind  exprKind
	text  string  // literal text, variable or environment name
	items []expr  // of lists, joins, alternatives; keys and values of hashes in turn
	num   numeric // of numbers
	flag  bool
}

type exprKind int

const (
	exprText exprKind = iota
	exprNum
	exprBool
	exprVar
	exprEnv
	exprConfig // items: the keys
	exprTags
	exprHash
	exprList
	exprJoin // strings put together
	exprOr   // the first that is defined
)

func (r *Runner) parse(path string) (*program, error) {
	st, err := os.Stat(path)
	if err != nil {
		return nil, err
	}
	name, err := filepath.Rel(r.Dir, path)
	if err != nil {
		name = path
	}
	if st.Size() > MaxScenario {
		return nil, fmt.Errorf("%s: larger than %d bytes", name, MaxScenario)
	}
	src, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	return parseScenario(name, string(src))
}

// parseScenario reads a scenario. The error is an *Unsupported.
func parseScenario(file, src string) (prog *program, err error) {
	p := &scanner{file: file, src: src}
	defer p.recover(&err)
	prog = &program{file: file}
	vars := map[string]bool{}
	for p.space(); p.at < len(p.src); p.space() {
		if p.take(";") {
			continue
		}
		s := p.statement(vars)
		if s.name != "use" {
			prog.stmts = append(prog.stmts, s)
		}
		if p.space(); p.at < len(p.src) && !p.take(";") {
			p.refuse(p.at)
		}
	}
	return prog, nil
}

// parseValue reads a file that holds one value.
func parseValue(file, src string) (e expr, err error) {
	p := &scanner{file: file, src: src}
	defer p.recover(&err)
	p.space()
	e = p.value(map[string]bool{})
	p.space()
	p.take(";")
	if p.space(); p.at < len(p.src) {
		p.refuse(p.at)
	}
	return e, nil
}

type scanner struct {
	file, src string
	at        int
	depth     int
}

func (p *scanner) recover(err *error) {
	switch e := recover().(type) {
	case nil:
	case *Unsupported:
		*err = e
	default:
		panic(e)
	}
}

func (p *scanner) place(at int) (line, col int) {
	before := p.src[:at]
	return strings.Count(before, "\n") + 1, at - strings.LastIndexByte(before, '\n')
}

// refuse ends the parse at a place, naming what is there.
func (p *scanner) refuse(at int) {
	what := p.src[at:]
	if i := strings.IndexByte(what, '\n'); i >= 0 {
		what = what[:i]
	}
	if what = strings.TrimSpace(what); len(what) > 60 {
		what = strings.ToValidUTF8(what[:60], "") + "…"
	}
	if what == "" {
		what = "this"
	}
	p.refuseAs(at, fmt.Sprintf("%q", what))
}

func (p *scanner) refuseAs(at int, what string) {
	line, col := p.place(at)
	panic(&Unsupported{File: p.file, Line: line, Col: col, What: what})
}

// space skips white space, comments and documentation.
func (p *scanner) space() {
	for p.at < len(p.src) {
		rest := p.src[p.at:]
		r, n := utf8.DecodeRuneInString(rest)
		switch {
		case unicode.IsSpace(r):
			p.at += n
		case strings.HasPrefix(rest, "#`("):
			end := strings.Index(rest, ")")
			if end < 0 {
				p.refuseAs(p.at, "a comment that does not end")
			}
			p.at += end + 1
		case r == '#':
			p.line()
		case r == '=' && (p.at == 0 || p.src[p.at-1] == '\n') && strings.HasPrefix(rest, "=begin"):
			end := strings.Index(rest, "\n=end")
			if end < 0 {
				p.at = len(p.src)
				return
			}
			p.at += end + 1
			p.line()
		default:
			return
		}
	}
}

func (p *scanner) line() {
	if i := strings.IndexByte(p.src[p.at:], '\n'); i >= 0 {
		p.at += i
	} else {
		p.at = len(p.src)
	}
}

func (p *scanner) take(s string) bool {
	if strings.HasPrefix(p.src[p.at:], s) {
		p.at += len(s)
		return true
	}
	return false
}

func (p *scanner) peek() byte {
	if p.at < len(p.src) {
		return p.src[p.at]
	}
	return 0
}

func isWord(c byte) bool {
	return c == '_' || '0' <= c && c <= '9' || 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z'
}

// word takes an identifier, which in Raku may have - and ' between letters.
func (p *scanner) word() string {
	start := p.at
	for p.at < len(p.src) {
		c := p.src[p.at]
		inner := c == '-' && p.at > start && p.at+1 < len(p.src) && isWord(p.src[p.at+1]) && (p.src[p.at+1] < '0' || p.src[p.at+1] > '9')
		if !isWord(c) && !inner {
			break
		}
		p.at++
	}
	return p.src[start:p.at]
}

// statement reads one statement, without its end.
func (p *scanner) statement(vars map[string]bool) stmt {
	start := p.at
	s := stmt{}
	s.line, s.col = p.place(start)
	s.name = p.word()
	switch s.name {
	case "use":
		p.space()
		if w := p.word(); w != "v6" {
			p.refuse(start)
		}
		for p.peek() == '.' || isWord(p.peek()) {
			p.at++
		}
		return s
	case "my":
		p.space()
		if !strings.ContainsRune("$%@", rune(p.peek())) || p.peek() == 0 {
			p.refuse(start)
		}
		sigil := p.src[p.at : p.at+1]
		p.at++
		s.variable = sigil + p.word()
		p.space()
		if len(s.variable) < 2 || !p.take("=") || p.peek() == '=' {
			p.refuse(start)
		}
		p.space()
		s.args = []expr{p.value(vars)}
		vars[s.variable] = true
		return s
	case "task-run", "bash", "directory", "say":
	default:
		p.refuse(start)
	}
	p.space()
	if p.peek() == '(' { // a call with its arguments in parentheses
		p.at++
		s.args = p.list(vars, ")")
	} else {
		s.args = p.arguments(vars)
	}
	p.arity(s, start)
	return s
}

func (p *scanner) arity(s stmt, start int) {
	switch s.name {
	case "say":
		return
	case "directory":
		if len(s.args) != 1 {
			p.refuse(start)
		}
	default:
		if len(s.args) < 1 || len(s.args) > 2 || len(s.args) == 2 && s.args[1].kind != exprHash && s.args[1].kind != exprVar {
			p.refuse(start) // a plugin by its title, or positional parameters
		}
	}
}

// arguments reads values up to the end of the statement. Pairs without
// %( ) around them make one hash.
func (p *scanner) arguments(vars map[string]bool) []expr {
	var list, pairs []expr
	for {
		p.space()
		if p.at >= len(p.src) || p.peek() == ';' {
			break
		}
		if k, v, ok := p.pair(vars); ok {
			pairs = append(pairs, k, v)
		} else {
			list = append(list, p.value(vars))
		}
		p.space()
		if !p.take(",") {
			break
		}
	}
	if len(pairs) > 0 {
		list = append(list, expr{kind: exprHash, items: pairs})
	}
	return list
}

// list reads values up to a closing bracket.
func (p *scanner) list(vars map[string]bool, end string) []expr {
	var list, pairs []expr
	for {
		p.space()
		if p.take(end) {
			break
		}
		if k, v, ok := p.pair(vars); ok {
			pairs = append(pairs, k, v)
		} else {
			list = append(list, p.value(vars))
		}
		p.space()
		if !p.take(",") {
			if p.take(end) {
				break
			}
			p.refuse(p.at)
		}
	}
	if len(pairs) > 0 {
		list = append(list, expr{kind: exprHash, items: pairs})
	}
	return list
}

// hash reads pairs up to a closing bracket.
func (p *scanner) hash(vars map[string]bool, end string) expr {
	e := expr{kind: exprHash}
	for {
		p.space()
		if p.take(end) {
			return e
		}
		at := p.at
		k, v, ok := p.pair(vars)
		if !ok {
			p.refuse(at)
		}
		e.items = append(e.items, k, v)
		p.space()
		if !p.take(",") && p.peek() != end[0] {
			p.refuse(p.at)
		}
	}
}

// pair reads key => value or one of the colon forms, if that is what comes.
func (p *scanner) pair(vars map[string]bool) (key, value expr, ok bool) {
	start := p.at
	if p.peek() == ':' {
		p.at++
		no := p.take("!")
		name := p.word()
		if name == "" {
			p.refuse(start)
		}
		key = expr{text: name}
		switch {
		case no:
			return key, expr{kind: exprBool}, true
		case p.take("("):
			p.space()
			value = p.value(vars)
			p.space()
			if !p.take(")") {
				p.refuse(start)
			}
			return key, value, true
		case p.peek() == '<':
			return key, p.words(), true
		}
		return key, expr{kind: exprBool, flag: true}, true
	}
	switch c := p.peek(); {
	case c == '"' || c == '\'':
		key = p.quoted(vars)
	case isWord(c):
		key = expr{text: p.word()}
	default:
		return key, value, false
	}
	p.space()
	if !p.take("=>") {
		p.at = start
		return key, value, false
	}
	p.space()
	return key, p.value(vars), true
}

// words reads <a b c>: one word is a string, several are a list.
func (p *scanner) words() expr {
	start := p.at
	end := strings.IndexByte(p.src[p.at:], '>')
	if end < 0 {
		p.refuse(start)
	}
	f := strings.Fields(p.src[p.at+1 : p.at+end])
	p.at += end + 1
	if len(f) == 1 {
		return expr{text: f[0]}
	}
	e := expr{kind: exprList}
	for _, w := range f {
		e.items = append(e.items, expr{text: w})
	}
	return e
}
