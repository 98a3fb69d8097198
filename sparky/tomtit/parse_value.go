package tomtit

import "strings"

// value reads a value with its ~ and // behind it.
func (p *scanner) value(vars map[string]bool) expr {
	p.depth++
	defer func() { p.depth-- }()
	if p.depth > MaxNesting {
		p.refuseAs(p.at, "a value nested this deeply")
	}
	e := p.term(vars)
	for {
		at := p.at
		p.space()
		switch {
		case strings.HasPrefix(p.src[p.at:], "~~"):
			p.refuse(p.at)
		case p.take("~"):
			p.space()
			e = expr{kind: exprJoin, items: []expr{e, p.term(vars)}}
		case p.take("//"):
			p.space()
			e = expr{kind: exprOr, items: []expr{e, p.term(vars)}}
		default:
			p.at = at
			return e
		}
	}
}

func (p *scanner) term(vars map[string]bool) expr {
	start := p.at
	rest := p.src[p.at:]
	switch c := p.peek(); {
	case c == '"' || c == '\'':
		return p.quoted(vars)
	case strings.HasPrefix(rest, "%("):
		p.at += 2
		return p.hash(vars, ")")
	case c == '{':
		p.at++
		return p.hash(vars, "}")
	case c == '[':
		p.at++
		return expr{kind: exprList, items: p.list(vars, "]")}
	case c == '(':
		p.at++
		return expr{kind: exprList, items: p.list(vars, ")")}
	case c == '<':
		return p.words()
	case strings.HasPrefix(rest, "%*ENV"):
		p.at += len("%*ENV")
		keys := p.subscripts(vars)
		if len(keys) != 1 {
			p.refuse(start)
		}
		return expr{kind: exprEnv, items: keys}
	case c == '$' || c == '@' || c == '%':
		return p.variable(vars)
	case '0' <= c && c <= '9' || (c == '-' || c == '+') && len(rest) > 1 && '0' <= rest[1] && rest[1] <= '9':
		return p.number()
	}
	switch p.word() {
	case "True":
		return expr{kind: exprBool, flag: true}
	case "False":
		return expr{kind: exprBool}
	case "config":
		p.take("()")
		return expr{kind: exprConfig, items: p.subscripts(vars)}
	case "tags":
		if p.take("()") {
			return expr{kind: exprTags, items: p.subscripts(vars)}
		}
	}
	p.refuse(start)
	return expr{}
}

func (p *scanner) variable(vars map[string]bool) expr {
	start := p.at
	p.at++
	name := p.src[start:start+1] + p.word()
	if !vars[name] {
		p.refuse(start)
	}
	return expr{kind: exprVar, text: name, items: p.subscripts(vars)}
}

func (p *scanner) number() expr {
	start := p.at
	if c := p.peek(); c == '-' || c == '+' {
		p.at++
	}
	for isWord(p.peek()) || p.peek() == '.' && p.at+1 < len(p.src) && '0' <= p.src[p.at+1] && p.src[p.at+1] <= '9' {
		p.at++
	}
	n, ok := parseNumeric(p.src[start:p.at])
	if !ok {
		p.refuse(start)
	}
	return expr{kind: exprNum, num: n}
}

// subscripts reads <key> and {"key"} behind a value.
func (p *scanner) subscripts(vars map[string]bool) []expr {
	var keys []expr
	for {
		switch p.peek() {
		case '<':
			at := p.at
			k := p.words()
			if k.kind != exprText {
				p.refuse(at)
			}
			keys = append(keys, k)
		case '{':
			at := p.at
			p.at++
			p.space()
			if c := p.peek(); c != '"' && c != '\'' {
				p.at = at
				return keys
			}
			k := p.quoted(vars)
			p.space()
			if !p.take("}") {
				p.refuse(at)
			}
			keys = append(keys, k)
		default:
			return keys
		}
	}
}

// quoted reads '…' or "…".
func (p *scanner) quoted(vars map[string]bool) expr {
	start := p.at
	quote := p.src[p.at]
	p.at++
	var parts []expr
	var text strings.Builder
	flush := func() {
		if text.Len() > 0 {
			parts = append(parts, expr{text: text.String()})
			text.Reset()
		}
	}
	for {
		if p.at >= len(p.src) {
			p.refuseAs(start, "a string that does not end")
		}
		c := p.src[p.at]
		switch {
		case c == quote:
			p.at++
			flush()
			switch {
			case len(parts) == 0:
				return expr{}
			case len(parts) == 1 && parts[0].kind == exprText:
				return parts[0]
			}
			return expr{kind: exprJoin, items: parts}
		case c == '\\':
			p.escape(quote, &text)
		case quote == '"' && c == '{':
			flush()
			p.at++
			p.space()
			parts = append(parts, p.value(vars))
			if p.space(); !p.take("}") {
				p.refuse(p.at)
			}
		case quote == '"' && p.interpolates():
			flush()
			parts = append(parts, p.term(vars))
		case quote == '"' && (c == '@' || c == '%' || c == '&') && p.at+1 < len(p.src) && isLetter(p.src[p.at+1]) && p.closes():
			p.refuse(p.at) // interpolates in Raku
		default:
			text.WriteByte(c)
			p.at++
		}
	}
}

func isLetter(c byte) bool { return isWord(c) && (c < '0' || c > '9') }

// interpolates reports whether a scalar or an environment variable follows.
func (p *scanner) interpolates() bool {
	rest := p.src[p.at:]
	return strings.HasPrefix(rest, "%*ENV<") || strings.HasPrefix(rest, "%*ENV{") || rest[0] == '$' && len(rest) > 1 && isLetter(rest[1])
}

// closes reports whether the name at hand is followed by a subscript or a
// call, without which Raku takes it as text.
func (p *scanner) closes() bool {
	i := p.at + 1
	for i < len(p.src) && (isWord(p.src[i]) || p.src[i] == '-') {
		i++
	}
	return i < len(p.src) && strings.IndexByte("<[({", p.src[i]) >= 0
}

func (p *scanner) escape(quote byte, text *strings.Builder) {
	start := p.at
	p.at++
	c := p.peek()
	p.at++
	if quote == '\'' {
		if c != '\'' && c != '\\' {
			text.WriteByte('\\')
		}
		if c == 0 {
			p.refuseAs(start, "a string that does not end")
		}
		text.WriteByte(c)
		return
	}
	switch c {
	case 'n':
		text.WriteByte('\n')
	case 't':
		text.WriteByte('\t')
	case 'r':
		text.WriteByte('\r')
	case '0':
		p.refuse(start)
	default:
		if isWord(c) || c == 0 {
			p.refuse(start) // \x, \c and the like
		}
		text.WriteByte(c)
	}
}
