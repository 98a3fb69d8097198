package tomtit

import (
	"slices"
	"sort"
	"strings"
	"unicode/utf8"

	"github.com/cromt/cromt/flow"
)

// parser reads the supported part of Raku. The first thing that is outside of
// it is kept in err, and everything returns from there.
type parser struct {
	file  string
	src   string
	off   int
	depth int
	vars  map[string]bool // declared so far, with sigils
	err   *flow.Error
	lines []int // offsets at which lines begin
}

func newParser(file, src string) *parser {
	p := &parser{file: file, src: strings.TrimPrefix(src, "\ufeff"), vars: make(map[string]bool), lines: []int{0}}
	for i := range len(p.src) {
		if p.src[i] == '\n' {
			p.lines = append(p.lines, i+1)
		}
	}
	p.checkText()
	return p
}

// parseScenario parses the text of a scenario. The error is a *flow.Error.
func parseScenario(file, src string) (*scenario, error) {
	p := newParser(file, src)
	sc := &scenario{file: file}
	for p.space(); p.err == nil && p.off < len(p.src); p.space() {
		if p.take(";") {
			continue
		}
		s, keep := p.statement()
		if keep {
			sc.stmts = append(sc.stmts, s)
		}
		p.endStatement()
	}
	if p.err != nil {
		return nil, p.err
	}
	return sc, nil
}

// parseConfig parses a configuration file, which is one hash.
func parseConfig(file, src string) (*expr, error) {
	p := newParser(file, src)
	e := p.hash("")
	p.endStatement()
	p.space()
	if p.err == nil && p.off < len(p.src) {
		p.unsupported()
	}
	if p.err != nil {
		return nil, p.err
	}
	return e, nil
}

func (p *parser) checkText() {
	if !utf8.ValidString(p.src) {
		p.fail("text is not valid UTF-8", "save the file as UTF-8")
	}
	if i := strings.IndexByte(p.src, 0); i >= 0 {
		p.off = i
		p.fail("a zero byte", "remove it")
	}
}

// at returns the place of an offset.
func (p *parser) at(off int) flow.Pos {
	line := sort.SearchInts(p.lines, off+1)
	return flow.Pos{Line: line, Col: off - p.lines[line-1] + 1}
}

func (p *parser) fail(msg, hint string) {
	if p.err == nil {
		p.err = &flow.Error{File: p.file, Pos: p.at(p.off), Msg: msg, Hint: hint}
	}
}

// unsupported refuses what is at the current place, quoting it.
func (p *parser) unsupported() { p.refuse(p.construct()) }

func (p *parser) refuse(construct string) {
	if construct == "" {
		p.fail("scenario ends too early", "close what is open before")
		return
	}
	p.refuseAs(limitSyntax, construct)
}

// refuseAs refuses a construct at the current place.
func (p *parser) refuseAs(l *limit, construct string) {
	if p.err == nil {
		p.err = l.error(p.file, p.at(p.off), `"`+construct+`"`)
	}
}

// construct returns the word, number or run of signs at the current place.
func (p *parser) construct() string {
	rest := p.src[p.off:]
	if n := identLen(rest); n > 0 {
		return rest[:min(n, 40)]
	}
	if c := p.peek(); c == '$' || c == '@' || c == '%' {
		return rest[:1+min(identLen(rest[1:]), 40)]
	}
	for i, r := range rest {
		if i > 0 && (r <= ' ' || isWord(r) || i >= 8 || strings.ContainsRune("\"'()[]{};,", r)) {
			return rest[:i]
		}
	}
	return rest
}

func isWord(r rune) bool {
	return r == '_' || r >= '0' && r <= '9' || r >= 'A' && r <= 'Z' || r >= 'a' && r <= 'z' || r >= utf8.RuneSelf
}

func isAlpha(c byte) bool {
	return c == '_' || c >= 'A' && c <= 'Z' || c >= 'a' && c <= 'z'
}

func isDigit(c byte) bool { return c >= '0' && c <= '9' }

// identLen returns the length of the identifier that s begins with: letters,
// digits, and single - or ' before a letter.
func identLen(s string) int {
	n := 0
	for n < len(s) {
		c := s[n]
		switch {
		case isAlpha(c), n > 0 && isDigit(c):
		case n > 0 && (c == '-' || c == '\'') && n+1 < len(s) && isAlpha(s[n+1]):
		default:
			return n
		}
		n++
	}
	return n
}

func (p *parser) peek() byte {
	if p.off < len(p.src) {
		return p.src[p.off]
	}
	return 0
}

func (p *parser) has(s string) bool { return strings.HasPrefix(p.src[p.off:], s) }

func (p *parser) take(s string) bool {
	if p.err != nil || !p.has(s) {
		return false
	}
	p.off += len(s)
	return true
}

func (p *parser) ident() string {
	n := identLen(p.src[p.off:])
	p.off += n
	return p.src[p.off-n : p.off]
}

// expect takes s after white space, or refuses what is there.
func (p *parser) expect(s string) {
	p.space()
	if !p.take(s) {
		p.unsupported()
	}
}

// space skips white space, comments and pod.
func (p *parser) space() {
	for p.err == nil && p.off < len(p.src) {
		switch c := p.src[p.off]; {
		case c == ' ' || c == '\t' || c == '\r' || c == '\n' || c == '\f':
			p.off++
		case c == '#' && p.bracketComment():
			p.refuse(p.src[p.off : p.off+3])
		case c == '#':
			p.skipLine()
		case c == '=' && (p.off == 0 || p.src[p.off-1] == '\n') && p.off+1 < len(p.src) && isAlpha(p.src[p.off+1]):
			p.pod()
		default:
			return
		}
	}
}

// bracketComment reports whether a comment with brackets, like #`(…), begins here.
func (p *parser) bracketComment() bool {
	rest := p.src[p.off:]
	return len(rest) > 2 && strings.IndexByte("`|=", rest[1]) >= 0 && strings.IndexByte("([{<", rest[2]) >= 0
}

func (p *parser) skipLine() {
	if i := strings.IndexByte(p.src[p.off:], '\n'); i >= 0 {
		p.off += i + 1
	} else {
		p.off = len(p.src)
	}
}

// pod skips =begin NAME … =end NAME.
func (p *parser) pod() {
	line, _, _ := strings.Cut(p.src[p.off:], "\n")
	words := strings.Fields(line)
	if len(words) < 2 || words[0] != "=begin" {
		p.refuse(words[0])
		return
	}
	start := p.off
	for p.off < len(p.src) {
		p.skipLine()
		line, _, _ := strings.Cut(p.src[p.off:], "\n")
		if end := strings.Fields(line); len(end) == 2 && end[0] == "=end" && end[1] == words[1] {
			p.skipLine()
			return
		}
	}
	p.off = start
	p.fail("=begin "+words[1]+" has no =end "+words[1], "")
}

func (p *parser) endStatement() {
	p.space()
	if p.err == nil && p.off < len(p.src) && !p.take(";") {
		p.unsupported()
	}
}

// statement parses one statement; keep is false for those without effect.
func (p *parser) statement() (s stmt, keep bool) {
	start := p.off
	s.pos = p.at(start)
	word := p.ident()
	switch word {
	case "use":
		p.use()
		return s, false
	case "my":
		p.declare(&s)
		return s, true
	case callTask, callBash, callDirectory, callSay, "directory-create":
		if strings.HasPrefix(word, callDirectory) {
			word = callDirectory
		}
		s.call = word
		s.args = p.args(word)
		p.checkCall(start, &s)
		return s, true
	}
	if p.off = start; slices.Contains(dslFunctions, word) {
		p.refuseAs(limitPlugin, word)
	}
	p.unsupported()
	return s, false
}

// dslFunctions of Sparrow6 run plugins of its repository, the built-in ones aside.
var dslFunctions = []string{
	"cpan-package", "cpan-package-install", "directory-delete", "file", "file-create", "file-delete", "git-scm",
	"group", "group-create", "group-delete", "http-ok", "package-install", "proc-exists", "proc-exists-by-footprint", "proc-exists-by-pid", "scp",
	"service-disable", "service-enable", "service-restart", "service-start", "service-stop", "ssh", "systemd-service", "template", "template-create",
	"template6", "user", "user-create", "user-delete", "zef",
}

// use accepts what changes nothing here.
func (p *parser) use() {
	p.space()
	start := p.off
	for p.off < len(p.src) && p.src[p.off] != ';' && p.src[p.off] > ' ' {
		p.off++
	}
	switch name := p.src[start:p.off]; {
	case name == "v6" || strings.HasPrefix(name, "v6."):
	case name == "Sparrow6::DSL" || name == "strict":
	default:
		p.off = start
		p.refuseAs(limitModule, "use "+name)
	}
}

// declare parses what follows "my".
func (p *parser) declare(s *stmt) {
	p.space()
	start := p.off
	sigil := p.peek()
	if sigil != '$' && sigil != '@' && sigil != '%' {
		p.unsupported()
		return
	}
	p.off++
	if name := p.ident(); name == "" {
		p.off = start
		p.unsupported()
		return
	}
	s.name = p.src[start:p.off]
	p.expect("=")
	if p.has("=") || p.has(">") {
		p.unsupported()
	}
	p.space()
	if word := p.src[p.off:][:identLen(p.src[p.off:])]; word == callTask && sigil != '@' {
		at := p.off
		p.off += len(word)
		s.call, s.args = word, p.args(word)
		p.checkCall(at, s)
	} else {
		s.args = []*expr{p.assigned(sigil)}
	}
	p.vars[s.name] = true
}

// assigned parses the right side of an assignment.
func (p *parser) assigned(sigil byte) *expr {
	switch sigil {
	case '%':
		return p.hash("")
	case '@':
		items, comma := p.items("")
		return arrayOf(p.at(p.off), items, comma)
	}
	return p.expression()
}

// args parses the arguments of a call, with or without parentheses.
func (p *parser) args(name string) []*expr {
	if p.take("(") {
		items, _ := p.items(")")
		p.expect(")")
		return items
	}
	if c := p.peek(); c > ' ' && c != '#' && c != ';' && p.off < len(p.src) {
		p.off -= len(name)
		end := p.off + len(name)
		for end < len(p.src) && p.src[end] > ' ' && p.src[end] != ';' && end-p.off < 40 {
			end++
		}
		p.refuse(strings.ToValidUTF8(p.src[p.off:end], ""))
		return nil
	}
	items, _ := p.items("")
	return items
}

// checkCall refuses the forms of a call that have another meaning in Raku or
// Sparrow; its arguments are args.
func (p *parser) checkCall(start int, s *stmt) {
	if p.err != nil {
		return
	}
	end := p.off
	p.off = start
	for _, a := range s.args {
		if a.op == opPair {
			p.refuseAs(limitArguments, s.call+" with named arguments")
		}
	}
	switch n := len(s.args); {
	case n == 0:
		p.refuse(s.call + " without arguments")
	case s.call == callSay:
	case s.call == callDirectory && n > 1:
		p.refuseAs(limitArguments, "directory with options")
	case s.call == callTask && n == 2 && !mayBeHash(s.args[1]) || s.call == callTask && n > 2:
		p.refuseAs(limitPlugin, "task-run with a plugin")
	case s.call == callBash && n == 2 && !mayBeHash(s.args[1]):
		p.refuseAs(limitArguments, "bash with a user")
	case n > 2:
		p.refuseAs(limitArguments, s.call+" with more than two arguments")
	}
	p.off = end
}

// mayBeHash reports whether e can be a hash of parameters; what it is in the
// end is looked at when it has its value.
func mayBeHash(e *expr) bool {
	switch e.op {
	case opHash, opConfig, opTags, opKey, opDefined, opOr, opIf, opIndex:
		return true
	case opVar:
		return e.text[0] != '@'
	}
	return false
}
