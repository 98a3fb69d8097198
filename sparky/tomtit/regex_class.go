package tomtit

import (
	"fmt"
	"regexp"
	"slices"
	"strings"
	"sync"
	"unicode"
	"unicode/utf8"
)

// runeSet is a set of characters: ranges in order, first and last of each,
// that neither overlap nor touch.
type runeSet []rune

// setOf makes a set of ranges in any order.
func setOf(pairs ...rune) runeSet {
	ranges := make([][2]rune, 0, len(pairs)/2)
	for i := 0; i+1 < len(pairs); i += 2 {
		ranges = append(ranges, [2]rune{pairs[i], pairs[i+1]})
	}
	slices.SortFunc(ranges, func(a, b [2]rune) int { return int(a[0] - b[0]) })
	var set runeSet
	for _, r := range ranges {
		if n := len(set); n > 0 && r[0] <= set[n-1]+1 {
			set[n-1] = max(set[n-1], r[1])
			continue
		}
		set = append(set, r[0], r[1])
	}
	return set
}

// tableSet makes a set of tables of Unicode.
func tableSet(tables ...*unicode.RangeTable) runeSet {
	var pairs []rune
	add := func(lo, hi, stride rune) {
		if stride == 1 {
			pairs = append(pairs, lo, hi)
			return
		}
		for r := lo; r <= hi; r += stride {
			pairs = append(pairs, r, r)
		}
	}
	for _, t := range tables {
		for _, r := range t.R16 {
			add(rune(r.Lo), rune(r.Hi), rune(r.Stride))
		}
		for _, r := range t.R32 {
			add(rune(r.Lo), rune(r.Hi), rune(r.Stride))
		}
	}
	return setOf(pairs...)
}

func (s runeSet) with(t runeSet) runeSet { return setOf(append(slices.Clone(s), t...)...) }

func (s runeSet) not() runeSet {
	var out runeSet
	next := rune(0)
	for i := 0; i < len(s); i += 2 {
		if s[i] > next {
			out = append(out, next, s[i]-1)
		}
		next = s[i+1] + 1
	}
	if next <= unicode.MaxRune {
		out = append(out, next, unicode.MaxRune)
	}
	return out
}

func (s runeSet) without(t runeSet) runeSet { return s.not().with(t).not() }

// regexp writes the set as a class of Go's regexp.
func (s runeSet) regexp() string {
	if len(s) == 0 {
		return `[^\x{0}-\x{10FFFF}]`
	}
	var b strings.Builder
	b.WriteByte('[')
	for i := 0; i < len(s); i += 2 {
		fmt.Fprintf(&b, `\x{%X}`, s[i])
		if s[i+1] > s[i] {
			fmt.Fprintf(&b, `-\x{%X}`, s[i+1])
		}
	}
	b.WriteByte(']')
	return b.String()
}

// classes are the sets that have a letter, as in \d; the large letter is for
// what is not in it.
var classes = sync.OnceValue(func() map[byte]runeSet {
	blank := setOf('\t', '\t', ' ', ' ', 0xA0, 0xA0, 0x1680, 0x1680, 0x180E, 0x180E, 0x2000, 0x200A, 0x202F, 0x202F, 0x205F, 0x205F, 0x3000, 0x3000)
	line := setOf('\n', '\r', 0x85, 0x85, 0x2028, 0x2029)
	return map[byte]runeSet{
		'd': tableSet(unicode.Nd),
		'w': tableSet(unicode.L, unicode.Nd).with(setOf('_', '_')),
		's': tableSet(unicode.White_Space),
		'h': blank, 'v': line, 'n': line,
		't': setOf('\t', '\t'), 'r': setOf('\r', '\r'), 'f': setOf('\f', '\f'), 'e': setOf(0x1B, 0x1B),
	}
})

// namedClasses are the sets that have a name, as in <alpha>.
var namedClasses = sync.OnceValue(func() map[string]runeSet {
	letters := tableSet(unicode.L).with(setOf('_', '_'))
	return map[string]runeSet{
		"alpha":  letters,
		"digit":  classes()['d'],
		"alnum":  classes()['w'],
		"upper":  tableSet(unicode.Lu),
		"lower":  tableSet(unicode.Ll),
		"space":  classes()['s'],
		"blank":  classes()['h'].without(setOf(0x180E, 0x180E)),
		"cntrl":  tableSet(unicode.Cc),
		"punct":  tableSet(unicode.P),
		"xdigit": setOf('0', '9', 'A', 'F', 'a', 'f'),
	}
})

// set makes an atom of a set.
func (p *regexParser) set(s runeSet) atom {
	if p.fold {
		return atom{re: "(?i:" + s.regexp() + ")", single: true}
	}
	return atom{re: s.regexp(), single: true}
}

// escape parses what follows a backslash outside of quotes.
func (p *regexParser) escape() atom {
	start := p.off
	p.off++
	if p.off >= len(p.src) {
		p.fail("a backslash is the last character")
		return atom{}
	}
	if r := p.peek(); !isRakuWord(r) {
		if unicode.IsSpace(r) || r == '#' {
			p.fail("a backslash before %q", string(r))
		}
		p.off += utf8.RuneLen(r)
		return p.literal(string(r))
	}
	if set, ok := p.classEscape(); ok {
		return p.set(set)
	}
	if r, ok := p.charEscape(); ok {
		// Raku takes it as it is, :i or not.
		return atom{re: regexp.QuoteMeta(string(r)), single: true, text: string(r), plain: true}
	}
	p.badEscape(start)
	return atom{}
}

// badEscape reports a backslash and what follows, which is not known.
func (p *regexParser) badEscape(start int) {
	p.off = start
	c := byte(0)
	if start+1 < len(p.src) {
		c = p.src[start+1]
	}
	if strings.IndexByte("cCoOX0", c) >= 0 && c != 0 {
		p.refuse(limitRegex, p.src[start:start+2])
		return
	}
	p.fail("%q is no escape of Raku", p.word(start))
}

// classEscape takes the letter of a set.
func (p *regexParser) classEscape() (runeSet, bool) {
	c := p.src[p.off]
	set, ok := classes()[c|0x20]
	if !ok {
		return nil, false
	}
	p.off++
	if c >= 'A' && c <= 'Z' {
		set = set.not()
	}
	return set, true
}

// charEscape takes x41, x[41] or a 0 without digits behind it.
func (p *regexParser) charEscape() (rune, bool) {
	rest := p.src[p.off:]
	if rest[0] == '0' && (len(rest) == 1 || !isDigit(rest[1])) {
		p.off++
		return 0, true
	}
	if rest[0] != 'x' {
		return 0, false
	}
	digits := rest[1:]
	if strings.HasPrefix(digits, "[") {
		end := strings.IndexByte(digits, ']')
		if end < 0 {
			return 0, false
		}
		digits = digits[1:end]
		rest = rest[end+2:]
	} else {
		digits = digits[:hexLen(digits)]
		rest = rest[1+len(digits):]
	}
	r := rune(0)
	for i := range len(digits) {
		r = r<<4 | hexValue(digits[i])
	}
	if n := len(digits); n == 0 || n > 6 || hexLen(digits) != n || !utf8.ValidRune(r) {
		return 0, false
	}
	p.off = len(p.src) - len(rest)
	return r, true
}

func hexLen(s string) int {
	n := 0
	for n < len(s) && hexValue(s[n]) >= 0 {
		n++
	}
	return n
}

// hexValue returns the value of a hexadecimal digit, -1 if c is none.
func hexValue(c byte) rune {
	switch {
	case isDigit(c):
		return rune(c - '0')
	case c|0x20 >= 'a' && c|0x20 <= 'f':
		return rune(c|0x20-'a') + 10
	}
	return -1
}

// isRakuWord reports whether r stands for itself in a regex, and is a \w.
func isRakuWord(r rune) bool {
	if r < utf8.RuneSelf {
		return r != 0 && (isAlpha(byte(r)) || isDigit(byte(r)))
	}
	return unicode.IsLetter(r) || unicode.Is(unicode.Nd, r)
}
