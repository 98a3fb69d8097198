package tomtit

import (
	"fmt"
	"regexp"
	"regexp/syntax"
	"slices"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"
)

// pattern is a regex of Raku that Go's regexp runs: in time that grows with
// the text only, whatever the regex is.
type pattern struct {
	re    *regexp.Regexp
	size  int    // instructions of its program: what a character of text costs at most
	first []int  // the groups that are $0 in Raku; of alternatives, each has one
	vague string // why the captures may differ from Raku's, "" for the same ones
}

// regexError is a part of a regex that is wrong or not supported.
type regexError struct {
	off   int // bytes into the regex
	msg   string
	limit *limit // nil: the regex is wrong in Raku as well
	hint  string
}

// regexParser translates the part of Raku's regexes that Go's regexp has. As
// in Raku, letters, digits and _ stand for themselves, white space for
// nothing, and everything else is a sign or in quotes.
type regexParser struct {
	src    string
	off    int
	depth  int
	fold   bool // :i is on
	inside int  // capture groups that are open
	groups int  // groups of Go so far
	number int  // what $ of Raku the next group is
	first  []int
	vague  string
	err    *regexError
}

// atom is a part that a quantifier may follow.
type atom struct {
	re     string
	single bool // one character or a group: a quantifier may follow re as it is
	text   string
	plain  bool // stands for text alone
	anchor bool // matches no text, so that Raku takes no quantifier for it
	group  bool // may be matched in more than one way
}

// parsePattern translates a regex.
func parsePattern(src string) (*pattern, *regexError) {
	p := &regexParser{src: src}
	if len(src) > MaxPattern {
		return nil, &regexError{msg: fmt.Sprintf("regex has more than %d bytes", MaxPattern), limit: limitRegexSize}
	}
	if !utf8.ValidString(src) {
		return nil, &regexError{msg: "regex is not valid UTF-8"}
	}
	re := p.alternatives()
	if p.err == nil && p.off < len(src) {
		p.fail("%q closes nothing in the regex", src[p.off:p.off+1])
	}
	if p.err != nil {
		return nil, p.err
	}
	size, ok := programSize(re)
	if !ok || size > MaxProgram {
		return nil, &regexError{msg: "a regex that repeats this much", limit: limitRegexSize}
	}
	compiled, err := regexp.Compile(re)
	if err != nil {
		return nil, &regexError{msg: "this regex", limit: limitRegexSize}
	}
	return &pattern{re: compiled, size: size, first: p.first, vague: p.vague}, nil
}

// programSize returns how many instructions a Go regexp has.
func programSize(re string) (int, bool) {
	parsed, err := syntax.Parse(re, syntax.Perl)
	if err != nil {
		return 0, false
	}
	prog, err := syntax.Compile(parsed.Simplify())
	if err != nil {
		return 0, false
	}
	return len(prog.Inst), true
}

// fail reports a regex that Raku does not take either.
func (p *regexParser) fail(format string, args ...any) {
	if p.err == nil {
		p.err = &regexError{off: p.off, msg: fmt.Sprintf(format, args...)}
	}
}

// sign reports a character that would have to be in quotes.
func (p *regexParser) sign(r rune) {
	if p.err == nil {
		p.err = &regexError{off: p.off, msg: fmt.Sprintf("%q is a sign in a regex of Raku", string(r)), hint: "quote what stands for itself, as in 'a-b: c'"}
	}
}

// refuse reports what Raku takes and the built-in runner does not.
func (p *regexParser) refuse(l *limit, construct string) {
	if p.err == nil {
		p.err = &regexError{off: p.off, msg: strconv.Quote(construct), limit: l}
	}
}

func (p *regexParser) has(s string) bool { return strings.HasPrefix(p.src[p.off:], s) }

func (p *regexParser) take(s string) bool {
	if p.err != nil || !p.has(s) {
		return false
	}
	p.off += len(s)
	return true
}

// peek returns the next character, 0 at the end.
func (p *regexParser) peek() rune {
	if p.off >= len(p.src) {
		return 0
	}
	r, _ := utf8.DecodeRuneInString(p.src[p.off:])
	return r
}

func (p *regexParser) space() {
	for p.off < len(p.src) && unicode.IsSpace(p.peek()) {
		p.off += utf8.RuneLen(p.peek())
	}
}

// word returns the letters, digits, _, - and : that come next: what to call a
// construct by.
func (p *regexParser) word(from int) string {
	end := from
	for end < len(p.src) && end-from < 20 && !strings.ContainsRune(" \t)]>|'\"", rune(p.src[end])) {
		end++
	}
	return strings.ToValidUTF8(p.src[from:max(end, min(from+1, len(p.src)))], "")
}

// enter counts brackets that are open.
func (p *regexParser) enter() bool {
	if p.depth++; p.depth > MaxNesting {
		p.refuse(limitRegexSize, "brackets inside of each other")
	}
	return p.err == nil
}

// alternatives parses up to a closing bracket or the end: parts between ||,
// which are tried in order, of parts between |, of which Raku tries the
// longest first.
func (p *regexParser) alternatives() string {
	defer func(fold bool, depth int) { p.fold, p.depth = fold, depth }(p.fold, p.depth)
	if !p.enter() {
		return ""
	}
	p.space()
	if !p.take("||") {
		p.take("|") // before the first one, it means nothing
	}
	base, most := p.number, p.number
	var all, longest []string
	var texts []string // of the parts between |, while all of them are plain
	plain := true
	flush := func() {
		if len(longest) > 1 && !plain {
			p.vague = "|"
		} else if len(longest) > 1 {
			order := make([]int, len(longest))
			for i := range order {
				order[i] = i
			}
			slices.SortStableFunc(order, func(a, b int) int { return len(texts[b]) - len(texts[a]) })
			for _, n := range order {
				all = append(all, longest[n])
			}
			longest = nil
		}
		all = append(all, longest...)
		longest, texts, plain = nil, nil, true
	}
	for p.err == nil {
		p.number = base
		re, text, isPlain := p.sequence()
		most = max(most, p.number)
		longest, texts, plain = append(longest, re), append(texts, text), plain && isPlain
		if p.take("||") {
			flush()
			p.space()
			continue
		}
		if !p.take("|") {
			break
		}
	}
	flush()
	p.number = most
	return strings.Join(all, "|")
}

// sequence parses parts that follow each other, of which there must be one.
func (p *regexParser) sequence() (re, text string, plain bool) {
	var b, t strings.Builder
	plain = true
	n := 0
	for p.space(); p.err == nil && p.off < len(p.src) && !strings.ContainsRune("|)]", p.peek()); p.space() {
		if p.modifier() {
			plain = false
			continue
		}
		groups := p.groups
		a := p.atom()
		if p.err != nil {
			break
		}
		re, quantified := p.quantified(a, p.groups > groups)
		plain = plain && a.plain && !quantified && !p.fold
		t.WriteString(a.text)
		b.WriteString(re)
		n++
	}
	if n == 0 {
		p.fail("a regex, or a part of it, is empty")
	}
	return b.String(), t.String(), plain
}

// modifier takes :i, for the rest of the group.
func (p *regexParser) modifier() bool {
	rest := p.src[p.off:]
	if len(rest) < 2 || rest[0] != ':' {
		return false
	}
	word := rest[1:]
	word, off := strings.CutPrefix(word, "!")
	name := word[:identLen(word)]
	switch name {
	case "i", "ignorecase":
		if len(word) > len(name) && word[len(name)] == '(' {
			p.refuse(limitRegex, ":"+name+"(")
		}
		p.fold = !off
	case "":
		return false
	default:
		p.refuse(limitRegex, ":"+name)
	}
	p.off = len(p.src) - len(word) + len(name)
	return true
}

// atom parses one part without its quantifier.
func (p *regexParser) atom() atom {
	r := p.peek()
	switch {
	case isRakuWord(r):
		p.off += utf8.RuneLen(r)
		return p.literal(string(r))
	case strings.ContainsRune(`'"‘“｢`, r):
		return p.quote(r)
	}
	switch r {
	case '.':
		p.off++
		return atom{re: "(?s:.)", single: true}
	case '^', '$':
		return p.anchor(r)
	case '\\':
		return p.escape()
	case '(', '[':
		return p.bracket(r)
	case '<':
		return p.angle()
	case '«', '»', '~', '@', '{', '&':
		p.refuse(limitRegex, p.word(p.off))
	case '>':
		if p.has(">>") {
			p.refuse(limitRegex, ">>")
		}
		p.sign(r)
	case '*', '+', '?':
		p.fail("%q follows nothing that it could repeat", string(r))
	default:
		p.sign(r)
	}
	return atom{}
}

// literal makes an atom of text that stands for itself.
func (p *regexParser) literal(text string) atom {
	a := atom{re: regexp.QuoteMeta(text), single: utf8.RuneCountInString(text) == 1, text: text, plain: true}
	if !p.fold {
		return a
	}
	for i, r := range text {
		if unfoldable(r) {
			p.off += i - len(text)
			p.refuse(limitRegex, ":i "+string(r))
		}
	}
	return atom{re: "(?i:" + a.re + ")", single: true, text: text, plain: true}
}

// unfoldable reports whether r has another number of letters in upper case,
// which Raku knows and Go's regexp does not.
func unfoldable(r rune) bool {
	return r == 'ß' || r == 'ẞ' || r == 'İ' || r == 'ŉ' || r == 'ǰ' || r == 'ΐ' || r == 'ΰ' || r == 'և' ||
		r >= 0x1E96 && r <= 0x1E9A || r >= 0x1F50 && r <= 0x1FFC || r >= 0xFB00 && r <= 0xFB17
}

// anchor parses ^ ^^ $ $$, which are the same in a text of one line, and
// $<name>= before an atom.
func (p *regexParser) anchor(r rune) atom {
	start := p.off
	p.off++
	if r == '^' {
		p.take("^")
		return atom{re: `\A`, anchor: true}
	}
	if p.take("<") {
		n := identLen(p.src[p.off:])
		p.off += n
		ok := n > 0 && p.take(">")
		p.space()
		if ok && p.take("=") {
			return p.named()
		}
		p.off = start
		p.refuse(limitRegex, p.word(start))
		return atom{}
	}
	p.take("$")
	if next := p.peek(); isRakuWord(next) || strings.ContainsRune("!*.?^{(<|", next) && next != 0 {
		p.off = start
		p.refuse(limitRegex, p.word(start))
	}
	return atom{re: `\z`, anchor: true}
}

// named parses the atom after $<name>=. Groups inside of its parentheses are
// its own, and none of it has a number.
func (p *regexParser) named() atom {
	p.space()
	if p.peek() == '(' {
		p.off++
		return p.inner()
	}
	if p.off >= len(p.src) || strings.ContainsRune("|)]", p.peek()) {
		p.fail("$<name>= names nothing")
		return atom{}
	}
	return p.atom()
}

// inner parses what a parenthesis holds, as a group without a number.
func (p *regexParser) inner() atom {
	number := p.number
	p.inside++
	re := p.alternatives()
	p.inside--
	p.number = number
	if p.err == nil && !p.take(")") {
		p.fail("a ( has no )")
	}
	return atom{re: "(?:" + re + ")", single: true, group: true}
}

// bracket parses ( ) and [ ].
func (p *regexParser) bracket(r rune) atom {
	p.off++
	if r == '(' {
		if p.inside > 0 {
			return p.inner()
		}
		p.groups++
		if p.number == 0 {
			p.first = append(p.first, p.groups)
		}
		p.number++
		a := p.inner()
		return atom{re: "(" + a.re + ")", single: true, group: true}
	}
	re := p.alternatives()
	if p.err == nil && !p.take("]") {
		p.fail("a [ has no ]")
	}
	return atom{re: "(?:" + re + ")", single: true, group: true}
}
