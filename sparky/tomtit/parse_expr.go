package tomtit

import (
	"fmt"
	"strings"

	"github.com/cromt/cromt/flow"
)

// enter counts a level of nesting, and reports whether there may be another one.
func (p *parser) enter() bool {
	p.depth++
	if p.depth > MaxNesting {
		p.fail(fmt.Sprintf("more than %d levels of nesting", MaxNesting), "")
	}
	return p.err == nil
}

func (p *parser) leave() { p.depth-- }

// none stands for what could not be parsed.
func (p *parser) none() *expr { return &expr{op: opValue, pos: p.at(min(p.off, len(p.src)))} }

// expression parses a value: the loosest operator is ?? !!.
func (p *parser) expression() *expr {
	if !p.enter() {
		return p.none()
	}
	defer p.leave()
	e := p.alternatives()
	p.space()
	if p.take("??") {
		yes := p.expression()
		p.expect("!!")
		no := p.expression()
		e = &expr{op: opIf, pos: e.pos, kids: []*expr{e, yes, no}}
	}
	return e
}

// alternatives parses a // b || c. As in Raku, both bind alike.
func (p *parser) alternatives() *expr {
	e := p.joined()
	defer func(depth int) { p.depth = depth }(p.depth)
	for p.space(); p.enter(); p.space() {
		kind := opDefined
		switch {
		case p.has("///") || p.has("|||") || p.has("//=") || p.has("||="):
			return e
		case p.take("//"):
		case p.take("||"):
			kind = opOr
		default:
			return e
		}
		e = &expr{op: kind, pos: e.pos, kids: []*expr{e, p.joined()}}
	}
	return e
}

func (p *parser) joined() *expr {
	e := p.term()
	for p.space(); p.err == nil && p.has("~") && !p.has("~~") && !p.has("~="); p.space() {
		p.off++
		if e.op != opJoin {
			e = &expr{op: opJoin, pos: e.pos, kids: []*expr{e}}
		}
		e.kids = append(e.kids, p.term())
	}
	return e
}

// term parses a value with its subscripts.
func (p *parser) term() *expr {
	p.space()
	pos, start := p.at(p.off), p.off
	var e *expr
	switch c := p.peek(); {
	case p.err != nil:
		return p.none()
	case c == '"':
		e = p.doubleQuoted()
	case c == '\'':
		e = p.singleQuoted()
	case c == '<':
		e = p.words()
	case isDigit(c), (c == '.' || c == '-' || c == '+') && p.off+1 < len(p.src) && (isDigit(p.src[p.off+1]) || p.src[p.off+1] == '.'):
		return p.number()
	case p.take("%("):
		e = p.hash(")")
	case p.take("{"):
		e = p.hash("}")
	case p.take("("):
		e = p.parenthesised()
	case p.take("["):
		items, comma := p.items("]")
		p.expect("]")
		e = arrayOf(pos, items, comma)
	case c == '$' || c == '%' || c == '@':
		e = p.variable()
	case isAlpha(c):
		e = p.word()
	default:
		p.unsupported()
		return p.none()
	}
	e.pos = pos
	e = p.subscripts(e)
	if p.err == nil && p.has(".") {
		p.off++
		name := p.src[start:p.off] + p.ident()
		p.off = start
		p.refuse(name)
	}
	return e
}

// subscripts parses <key>, {key} and [0] that follow e at once.
func (p *parser) subscripts(e *expr) *expr {
	defer func(depth int) { p.depth = depth }(p.depth)
	for p.enter() {
		sub := &expr{op: opKey, pos: e.pos}
		switch p.peek() {
		case '<':
			key := p.words()
			if p.err == nil && key.op == opList {
				p.fail("a slice of several keys is not supported by the built-in runner", needsHost)
			}
			sub.kids = []*expr{e, key}
		case '{':
			p.off++
			sub.kids = []*expr{e, p.expression()}
			p.expect("}")
		case '[':
			p.off++
			sub.op = opIndex
			sub.kids = []*expr{e, p.number()}
			p.expect("]")
		default:
			return e
		}
		e = sub
	}
	return e
}

// number parses a literal.
func (p *parser) number() *expr {
	p.space()
	start := p.off
	if p.has("-") || p.has("+") {
		p.off++
	}
	for c := p.peek(); isAlpha(c) || isDigit(c) || c == '.' || (c == '-' || c == '+') && strings.ContainsRune("eE", rune(p.src[p.off-1])) && !p.isHex(start); c = p.peek() {
		p.off++
	}
	n, ok := parseNumber(p.src[start:p.off])
	if !ok {
		literal := p.src[start:p.off]
		p.off = start
		if literal == "" {
			p.unsupported()
		} else {
			p.refuse(literal)
		}
	}
	return &expr{op: opValue, pos: p.at(start), value: n}
}

func (p *parser) isHex(start int) bool {
	return strings.HasPrefix(strings.TrimLeft(p.src[start:], "+-"), "0x")
}

// words parses <a b c>: one word is a string, several are a list.
func (p *parser) words() *expr {
	pos := p.at(p.off)
	end := strings.IndexByte(p.src[p.off:], '>')
	if end < 0 || p.has("<<") || strings.ContainsAny(p.src[p.off+1:p.off+end], "<\\") {
		p.unsupported()
		return p.none()
	}
	fields := strings.Fields(p.src[p.off+1 : p.off+end])
	p.off += end + 1
	e := &expr{op: opList, pos: pos}
	for _, w := range fields {
		e.kids = append(e.kids, &expr{op: opValue, pos: pos, value: textValue(w)})
	}
	if len(fields) != 1 {
		return e
	}
	if v, ok := e.kids[0].value.(allomorph); ok && strings.Contains(fields[0], "/") {
		e.kids[0].value = v.num // <1/3> is how Raku writes a fraction
	}
	return e.kids[0]
}

// parenthesised parses what follows "(": one value, or a list.
func (p *parser) parenthesised() *expr {
	pos := p.at(p.off)
	items, comma := p.items(")")
	p.expect(")")
	if len(items) == 1 && !comma && items[0].op != opPair {
		return items[0]
	}
	return &expr{op: opList, pos: pos, kids: items}
}

// arrayOf returns [items]: a single list without a comma is its own items, as
// Raku's single argument rule has it.
func arrayOf(pos flow.Pos, items []*expr, comma bool) *expr {
	e := &expr{op: opArray, pos: pos, kids: items}
	if len(items) == 1 && !comma {
		e.text = "single"
	}
	return e
}

// items parses values and pairs, separated by commas, up to end, which is not
// taken; "" is the end of the statement. comma tells of a last comma.
func (p *parser) items(end string) (items []*expr, comma bool) {
	if !p.enter() {
		return nil, false
	}
	defer p.leave()
	for p.space(); p.err == nil && !p.atEnd(end); p.space() {
		items = append(items, p.item())
		comma = false
		p.space()
		if !p.take(",") {
			break
		}
		comma = true
	}
	return items, comma
}

func (p *parser) atEnd(end string) bool {
	if end == "" {
		return p.off >= len(p.src) || p.has(";")
	}
	return p.has(end)
}

// item parses a value or a pair.
func (p *parser) item() *expr {
	start := p.off
	pos := p.at(start)
	if p.has(":") {
		return p.colonPair()
	}
	if p.has("|%") || p.has("|$") {
		p.off++
		return &expr{op: opHash, pos: pos, kids: []*expr{p.term()}}
	}
	if name := p.ident(); name != "" {
		p.space()
		if p.take("=>") {
			return &expr{op: opPair, pos: pos, kids: []*expr{{op: opText, pos: pos, text: name}, p.expression()}}
		}
		p.off = start
	}
	e := p.expression()
	p.space()
	if p.take("=>") {
		e = &expr{op: opPair, pos: pos, kids: []*expr{e, p.expression()}}
	}
	return e
}

// colonPair parses :key<v>, :key("v"), :key[…], :key{…}, :key, :!key and :$key.
func (p *parser) colonPair() *expr {
	start := p.off
	pos := p.at(start)
	p.off++
	if c := p.peek(); c == '$' || c == '%' || c == '@' {
		v := p.variable()
		return &expr{op: opPair, pos: pos, kids: []*expr{{op: opText, text: strings.TrimLeft(v.text, "$%@")}, v}}
	}
	not := p.take("!")
	name := p.ident()
	if name == "" {
		p.off = start
		p.unsupported()
		return p.none()
	}
	value := &expr{op: opValue, pos: pos, value: !not}
	switch c := p.peek(); {
	case not:
	case c == '<' || c == '{' || c == '[' || c == '(':
		value = p.bracketed()
	}
	return &expr{op: opPair, pos: pos, kids: []*expr{{op: opText, text: name}, value}}
}

// bracketed parses the value of a colon pair.
func (p *parser) bracketed() *expr {
	pos := p.at(p.off)
	switch {
	case p.has("<"):
		return p.words()
	case p.take("{"):
		return p.hash("}")
	case p.take("["):
		items, comma := p.items("]")
		p.expect("]")
		return arrayOf(pos, items, comma)
	}
	p.off++
	return p.parenthesised()
}

// hash parses pairs and hashes up to end, and takes that. A single list in
// parentheses gives up its items.
func (p *parser) hash(end string) *expr {
	e := &expr{op: opHash, pos: p.at(p.off)}
	e.kids, _ = p.items(end)
	if end != "" {
		p.expect(end)
	}
	if len(e.kids) == 1 && e.kids[0].op == opList {
		e.kids = e.kids[0].kids
	}
	for _, k := range e.kids {
		if p.err == nil && k.op != opPair && !mayBeHash(k) {
			p.err = &flow.Error{File: p.file, Pos: k.pos, Msg: "this is not a pair of key and value", Hint: "write key => value; a block of code " + needsHost}
		}
	}
	return e
}

// variable parses $x, @x, %x and %*ENV.
func (p *parser) variable() *expr {
	start := p.off
	if p.take("%*ENV") {
		if c := p.peek(); c == '<' || c == '{' {
			return &expr{op: opEnv, pos: p.at(start)}
		}
		p.off = start
		p.refuse("%*ENV")
		return p.none()
	}
	p.off++
	name := p.ident()
	if name == "" {
		p.off = start
		p.refuse(p.sigilWord())
		return p.none()
	}
	name = p.src[start:p.off]
	if !p.vars[name] {
		p.off = start
		p.undeclared(name)
	}
	return &expr{op: opVar, pos: p.at(start), text: name}
}

// sigilWord returns a special variable, like $*CWD or $!.
func (p *parser) sigilWord() string {
	end := p.off + 1
	for end < len(p.src) && (strings.ContainsRune("*!.?^:/({", rune(p.src[end])) || isAlpha(p.src[end]) || isDigit(p.src[end])) && end < p.off+40 {
		end++
		if strings.ContainsRune("({", rune(p.src[end-1])) {
			break
		}
	}
	return p.src[p.off:end]
}

func (p *parser) undeclared(name string) {
	p.fail("variable "+name+" is not declared", `write \`+name+` in double quotes when the shell shall see it`)
}

// word parses True, False, Nil, config and tags.
func (p *parser) word() *expr {
	start := p.off
	pos := p.at(start)
	name := p.ident()
	var e *expr
	switch name {
	case "True", "False":
		return &expr{op: opValue, pos: pos, value: name == "True"}
	case "Nil", "Any":
		return &expr{op: opValue, pos: pos}
	case "config":
		e = &expr{op: opConfig, pos: pos}
	case "tags":
		e = &expr{op: opTags, pos: pos}
	default:
		p.off = start
		p.unsupported()
		return p.none()
	}
	if p.take("(") {
		p.expect(")")
	}
	return e
}
