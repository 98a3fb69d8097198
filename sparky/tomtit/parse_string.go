package tomtit

import (
	"strconv"
	"strings"
	"unicode/utf8"
)

// singleQuoted parses '…', where only \' and \\ are escapes.
func (p *parser) singleQuoted() *expr {
	e := &expr{op: opText, pos: p.at(p.off)}
	start := p.off
	var b strings.Builder
	for p.off++; p.off < len(p.src); p.off++ {
		switch c := p.src[p.off]; {
		case c == '\'':
			p.off++
			e.text = b.String()
			return e
		case c == '\\' && p.off+1 < len(p.src) && (p.src[p.off+1] == '\'' || p.src[p.off+1] == '\\'):
			p.off++
			b.WriteByte(p.src[p.off])
		default:
			b.WriteByte(c)
		}
	}
	p.off = start
	p.fail("string has no closing '", "")
	return e
}

// doubleQuoted parses "…" with its escapes and what it interpolates.
func (p *parser) doubleQuoted() *expr {
	e := &expr{op: opJoin, pos: p.at(p.off)}
	start := p.off
	var b strings.Builder
	flush := func() {
		if b.Len() > 0 || len(e.kids) == 0 {
			e.kids = append(e.kids, &expr{op: opText, text: b.String()})
			b.Reset()
		}
	}
	for p.off++; p.off < len(p.src) && p.err == nil; {
		switch c := p.src[p.off]; c {
		case '"':
			p.off++
			flush()
			return e
		case '\\':
			p.escape(&b)
		case '{':
			flush()
			p.off++
			e.kids = append(e.kids, p.expression())
			p.expect("}")
		case '$', '%', '@', '&':
			if kid := p.interpolated(); kid != nil {
				flush()
				e.kids = append(e.kids, kid)
			} else {
				b.WriteByte(c)
				p.off++
			}
		default:
			b.WriteByte(c)
			p.off++
		}
	}
	if p.err == nil {
		p.off = start
		p.fail(`string has no closing "`, "")
	}
	return e
}

// interpolated parses the variable of a string, if it is one: $x always, the
// other sigils only with a subscript.
func (p *parser) interpolated() *expr {
	start := p.off
	c := p.src[p.off]
	rest := p.src[p.off+1:]
	n := identLen(rest)
	next := byte(0)
	if n < len(rest) {
		next = rest[n]
	}
	switch {
	case c == '&':
		if n > 0 && next == '(' {
			p.refuse("&" + rest[:n] + "(")
		}
		return nil
	case p.has("%*ENV<") || p.has("%*ENV{"):
	case c != '$' && (n == 0 || next != '<' && next != '{' && next != '['):
		return nil
	case n == 0:
		p.dollar()
		return nil
	}
	e := p.subscripts(p.variable())
	if p.err == nil && p.has(".") {
		if m := identLen(p.src[p.off+1:]); m > 0 && strings.HasPrefix(p.src[p.off+1+m:], "(") {
			name := p.src[start : p.off+1+m]
			p.off = start
			p.refuse(name)
		}
	}
	return e
}

// dollar refuses a $ that is no variable of the scenario.
func (p *parser) dollar() {
	switch word := p.sigilWord(); word {
	case "$(", "${", "$":
		p.fail(`"`+word+`" in double quotes is not supported by the built-in runner`, `write \$ for the shell, or use single quotes; as Raku it `+needsHost)
	default:
		p.refuse(word)
	}
}

// escape parses a backslash sequence.
func (p *parser) escape(b *strings.Builder) {
	if p.off+1 >= len(p.src) {
		p.off = len(p.src)
		return
	}
	c := p.src[p.off+1]
	simple := strings.IndexByte("ntr0abef", c)
	switch {
	case simple >= 0:
		b.WriteByte("\n\t\r\x00\a\b\x1b\f"[simple])
		p.off += 2
	case c == 'x':
		p.hexEscape(b)
	case isAlpha(c) && c != '_' || isDigit(c):
		p.refuse(p.src[p.off : p.off+2])
	default:
		_, n := utf8.DecodeRuneInString(p.src[p.off+1:])
		b.WriteString(p.src[p.off+1 : p.off+1+n])
		p.off += 1 + n
	}
}

// hexEscape parses \x41 and \x[41].
func (p *parser) hexEscape(b *strings.Builder) {
	rest := p.src[p.off+2:]
	digits, used := "", 0
	if strings.HasPrefix(rest, "[") {
		end := strings.IndexByte(rest, ']')
		if end > 0 {
			digits, used = rest[1:end], end+1
		}
	} else {
		for used < len(rest) && used < 8 && strings.IndexByte("0123456789abcdefABCDEF", rest[used]) >= 0 {
			used++
		}
		digits = rest[:used]
	}
	n, err := strconv.ParseUint(digits, 16, 32)
	if err != nil || !utf8.ValidRune(rune(n)) || n == 0 {
		p.refuse(`\x`)
		return
	}
	b.WriteRune(rune(n))
	p.off += 2 + used
}
