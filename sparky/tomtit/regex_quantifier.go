package tomtit

import (
	"fmt"
	"strconv"
	"strings"
)

// quantified parses the quantifier of an atom, if it has one.
func (p *regexParser) quantified(a atom, captures bool) (re string, found bool) {
	end := p.off
	p.space()
	count, ok := p.quantifier()
	if !ok {
		if !p.ratchet(a.group) {
			p.off = end
		}
		return a.re, false
	}
	if p.err == nil && a.anchor {
		p.off = end
		p.fail("a quantifier follows an anchor, which matches no text")
	}
	p.ratchet(true)
	lazy := ""
	if p.take("?") {
		lazy = "?"
	} else {
		p.take("!")
	}
	if captures && (count.low != 0 || count.high != 1) {
		p.vague = "a capture that is repeated"
	}
	if !a.single {
		a.re = "(?:" + a.re + ")"
	}
	return p.separated(a.re, count, lazy), true
}

// ratchet takes a : behind an atom, which allows no way back into it: most
// have one way only.
func (p *regexParser) ratchet(ways bool) bool {
	if !p.has(":") || len(p.src) > p.off+1 && (isAlpha(p.src[p.off+1]) || p.src[p.off+1] == '!') {
		return false
	}
	if ways {
		p.refuse(limitRegex, ":")
	}
	p.off++
	return true
}

// count is how often an atom is there; high is -1 without an upper limit.
type count struct{ low, high int }

func (c count) String() string {
	switch {
	case c == count{0, -1}:
		return "*"
	case c == count{1, -1}:
		return "+"
	case c == count{0, 1}:
		return "?"
	case c.high < 0:
		return fmt.Sprintf("{%d,}", c.low)
	}
	return fmt.Sprintf("{%d,%d}", c.low, c.high)
}

// quantifier parses * + ? and ** with its range. What makes it lazy stands
// after * + ?, and between ** and the range; the caller takes it, so that
// after ** it is put behind.
func (p *regexParser) quantifier() (count, bool) {
	switch {
	case p.has("**"):
		p.off += 2
		return p.counts(), true
	case p.take("*"):
		return count{0, -1}, true
	case p.take("+"):
		return count{1, -1}, true
	case p.take("?"):
		return count{0, 1}, true
	}
	return count{}, false
}

// counts parses the range of **: 3, 2..4, 2..*, 2^..^5, ^5.
func (p *regexParser) counts() count {
	start := p.off
	if c := p.peek(); c == '?' || c == '!' || c == ':' {
		p.refuse(limitRegex, "**"+string(c))
		return count{}
	}
	p.space()
	if p.take("^") {
		return p.checked(start, count{0, p.digits() - 1})
	}
	if c := p.peek(); c < '0' || c > '9' {
		if c == 0 {
			p.fail("** has no number")
		}
		p.refuse(limitRegex, "** "+p.word(p.off))
		return count{}
	}
	n := p.digits()
	c := count{n, n}
	switch {
	case p.take("^.."):
		c.low++
	case !p.take(".."):
		return p.checked(start, c)
	}
	switch {
	case p.take("*"):
		c.high = -1
	case p.take("^"):
		c.high = p.digits() - 1
	default:
		c.high = p.digits()
	}
	return p.checked(start, c)
}

// checked returns c if there is such a number.
func (p *regexParser) checked(start int, c count) count {
	if p.err == nil && c.high != -1 && c.high < c.low {
		p.off = start
		p.fail("a quantifier has an empty range")
	}
	if p.peek() == '_' {
		p.refuse(limitRegex, "** "+p.word(start))
	}
	if r := p.peek(); p.err == nil && (isRakuWord(r) || r == '*' || r == '+' || r == '?' || r == '!') {
		p.fail("%q follows the number of **", string(r))
	}
	end := p.off
	if p.space(); p.has("..") && p.off > end {
		p.fail("a range of ** has white space in it")
	}
	p.off = end
	return c
}

// maxDigitsOfCount of a number in a quantifier: larger ones Go's regexp refuses.
const maxDigitsOfCount = 6

func (p *regexParser) digits() int {
	end := p.off
	for end < len(p.src) && isDigit(p.src[end]) {
		end++
	}
	n, err := strconv.Atoi(p.src[p.off:end])
	if err != nil && end > p.off || end-p.off > maxDigitsOfCount {
		p.refuse(limitRegexSize, "** "+p.src[p.off:end])
		return 0
	}
	if err != nil {
		p.fail("a range of ** has no end")
	}
	p.off = end
	return n
}

// separated parses % and %% with what stands between the repeated atoms.
func (p *regexParser) separated(re string, c count, lazy string) string {
	end := p.off
	p.space()
	if !p.take("%") {
		p.off = end
		return re + c.String() + lazy
	}
	trailing := p.take("%")
	p.space()
	if p.err == nil && (p.off >= len(p.src) || strings.ContainsRune("|)]", p.peek())) {
		p.fail("%% is followed by nothing")
	}
	groups := p.groups
	sep := p.atom()
	if p.err != nil {
		return ""
	}
	if p.groups > groups {
		p.vague = "a capture that is repeated"
	}
	if sep.anchor || lazy != "" {
		p.refuse(limitRegex, "%")
	}
	if !sep.single {
		sep.re = "(?:" + sep.re + ")"
	}
	return joined(re, sep.re, c, trailing)
}

// joined repeats re with sep between, and behind if trailing.
func joined(re, sep string, c count, trailing bool) string {
	more := count{max(c.low-1, 0), -1}
	if c.high >= 0 {
		more.high = max(c.high-1, 0)
	}
	out := re + "(?:" + sep + re + ")" + more.String()
	if trailing {
		out += sep + "?"
	}
	switch {
	case c.high == 0:
		return ""
	case c.low == 0:
		return "(?:" + out + ")?"
	}
	return "(?:" + out + ")"
}
