package tomtit

import (
	"strings"
	"unicode"
	"unicode/utf8"
)

// angle parses what begins with <: a set of characters, or a rule with a name.
func (p *regexParser) angle() atom {
	start := p.off
	p.off++
	rest := p.src[p.off:]
	if rest != "" && strings.IndexByte("[-+:", rest[0]) >= 0 {
		return p.charset(start)
	}
	name := strings.TrimPrefix(rest, ".")
	name = name[:identLen(name)]
	end := p.off + len(rest) - len(strings.TrimPrefix(rest, ".")) + len(name)
	set, ok := namedClasses()[name]
	if ok && end < len(p.src) && p.src[end] == '>' {
		p.off = end + 1
		return p.set(set)
	}
	p.off = start
	word := p.word(start)
	if strings.HasPrefix(p.src[start+len(word):], ">") {
		word += ">"
	}
	p.refuse(limitRegex, word)
	return atom{}
}

// charset parses <[…]>, <-[…]>, <+alpha-[…]>, <:Lu> and sums of those.
func (p *regexParser) charset(start int) atom {
	var set runeSet
	for first := true; p.err == nil; first = false {
		p.space()
		sign := byte(0)
		if c := p.peek(); c == '+' || c == '-' {
			sign = byte(c)
			p.off++
			p.space()
		}
		switch {
		case p.take(">") && !first && sign == 0:
			return p.set(set)
		case !first && sign == 0:
			p.off = start
			p.refuse(limitRegex, p.word(start))
			return atom{}
		}
		term := p.charTerm(start)
		switch {
		case sign == '-' && first:
			set = term.not()
		case sign == '-':
			set = set.without(term)
		default:
			set = set.with(term)
		}
	}
	return atom{}
}

// charTerm parses a set of a sum: […], a name, or :Lu.
func (p *regexParser) charTerm(start int) runeSet {
	if p.take("[") {
		return p.enumeration()
	}
	if p.take(":") {
		negate := p.take("!")
		n := identLen(p.src[p.off:])
		if table, ok := unicode.Categories[p.src[p.off:p.off+n]]; ok && n <= 2 {
			p.off += n
			if set := tableSet(table); !negate {
				return set
			}
			return tableSet(table).not()
		}
	}
	if n := identLen(p.src[p.off:]); n > 0 {
		if set, ok := namedClasses()[p.src[p.off:p.off+n]]; ok {
			p.off += n
			return set
		}
	}
	p.off = start
	p.refuse(limitRegex, p.word(start))
	return nil
}

// enumeration parses the characters of […], in which white space means
// nothing and a..z is a range.
func (p *regexParser) enumeration() runeSet {
	var pairs []rune
	for p.err == nil {
		p.space()
		switch {
		case p.off >= len(p.src):
			p.fail("a <[ has no ]>")
		case p.take("]"):
			return setOf(pairs...)
		case p.take(".."):
			p.fail("a range in <[…]> has no start")
		}
		if p.err != nil {
			break
		}
		if p.has("-") {
			p.off++
			p.space()
			if !p.has("]") && len(pairs) > 0 { // first or last, it stands for itself
				p.off--
				p.fail("%q is no range in <[…]>; write a..z", "-")
				break
			}
			pairs = append(pairs, '-', '-')
			continue
		}
		set, lo, ok := p.member()
		if !ok {
			pairs = append(pairs, set...)
			continue
		}
		end := p.off
		p.space()
		if !p.take("..") {
			p.off = end
			pairs = append(pairs, lo, lo)
			continue
		}
		p.space()
		_, hi, ok := p.member()
		if p.err == nil && (!ok || hi < lo) {
			p.fail("a range in <[…]> has no end, or one before its start")
		}
		pairs = append(pairs, lo, hi)
	}
	return nil
}

// member parses a character, or a set that has a letter.
func (p *regexParser) member() (set runeSet, r rune, isRune bool) {
	if p.off >= len(p.src) || p.peek() == ']' {
		p.fail("a range in <[…]> has no end")
		return nil, 0, false
	}
	start := p.off
	r = p.peek()
	p.off += utf8.RuneLen(r)
	if r != '\\' {
		if unicode.Is(unicode.M, r) {
			p.off = start
			p.refuse(limitRegex, "a combining character in <[…]>")
		}
		return nil, r, true
	}
	if p.off >= len(p.src) {
		p.fail("a <[ has no ]>")
		return nil, 0, false
	}
	if r = p.peek(); !isRakuWord(r) {
		p.off += utf8.RuneLen(r)
		return nil, r, true
	}
	if set, ok := p.classEscape(); ok {
		return set, 0, false
	}
	if r, ok := p.charEscape(); ok {
		return nil, r, true
	}
	if r == 'b' {
		p.refuse(limitRegex, `\b`)
	}
	p.badEscape(start)
	return nil, 0, false
}

// quotes of Raku, open and close.
var quotes = map[rune]rune{'\'': '\'', '"': '"', '‘': '’', '“': '”', '｢': '｣'}

// quote parses text in quotes. In double quotes Raku would replace variables,
// which it refuses in a regex that it reads from a file.
func (p *regexParser) quote(open rune) atom {
	start := p.off
	p.off += utf8.RuneLen(open)
	if open != '\'' && open != '"' {
		p.off = start
		p.refuse(limitRegex, string(open))
		return atom{}
	}
	var b strings.Builder
	for p.err == nil {
		r := p.peek()
		if r == 0 && p.off >= len(p.src) {
			p.off = start
			p.fail("a %c has no closing %c", open, quotes[open])
			break
		}
		p.off += utf8.RuneLen(r)
		switch {
		case r == quotes[open]:
			if b.Len() == 0 {
				return atom{re: "(?:)", single: true, plain: true}
			}
			return p.literal(b.String())
		case r == '\\':
			b.WriteString(p.quotedEscape(open))
		case open == '"' && strings.ContainsRune("$@%&{", r):
			p.off--
			p.fail("%q in double quotes is code of Raku, which a regex of a file may not have", string(r))
			p.err.hint = "write it in single quotes"
		default:
			b.WriteRune(r)
		}
	}
	return atom{}
}

// quotedEscape parses what follows a backslash in quotes.
func (p *regexParser) quotedEscape(open rune) string {
	start := p.off - 1
	if p.off >= len(p.src) {
		p.fail("a %c has no closing %c", open, quotes[open])
		return ""
	}
	r := p.peek()
	if open == '\'' {
		if r == '\\' || r == '\'' {
			p.off++
			return string(r)
		}
		return `\`
	}
	if !isRakuWord(r) {
		p.off += utf8.RuneLen(r)
		return string(r)
	}
	if i := strings.IndexRune("ntrfeab0", r); i >= 0 {
		if c, ok := p.charEscape(); r == '0' {
			if !ok {
				p.badEscape(start)
			}
			return string(c)
		}
		p.off++
		return "\n\t\r\f\x1b\a\b"[i : i+1]
	}
	if c, ok := p.charEscape(); ok {
		return string(c)
	}
	p.badEscape(start)
	return ""
}
