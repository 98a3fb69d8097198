package tomtit

import (
	"fmt"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"unicode"
	"unicode/utf8"

	"github.com/cromt/cromt/flow"
)

// checkKind is what a line of a task.check asks for.
type checkKind int

const (
	checkPlain   checkKind = iota // text is part of a line
	checkAny                      // :any:
	checkIndex                    // :N:
	checkRegexp                   // regexp:, !regexp:, ~regexp:
	checkAssert                   // assert:
	checkNote                     // note:
	checkBegin                    // begin:
	checkBetween                  // between:
	checkWithin                   // within:
	checkEnd                      // end:
)

// check is one line of a task.check.
type check struct {
	kind   checkKind
	text   string // as it is shown
	re     *pattern
	index  int // line from 0, of :N:
	status bool
	negate bool
	soft   bool     // a failure is shown, and is none of the task
	from   boundary // of between
	to     boundary
}

// boundary of between is a regex, or a line when re is nil.
type boundary struct {
	re    *pattern
	index int
}

// The forms of lines, as Sparrow6 tells them apart.
var checkForms = sync.OnceValue(func() map[string]*regexp.Regexp {
	return map[string]*regexp.Regexp{
		"assert":  regexp.MustCompile(`^\s*assert:\s+(True|true|False|false|0|1)\s+(.*)`),
		"between": regexp.MustCompile(`^\s*between:\s+\{(.*?)\}\s+\{(.*?)\}$`),
		"within":  regexp.MustCompile(`^\s*within:\s+(.*?)\s*$`),
		"index":   regexp.MustCompile(`^:(\d+):$`),
		"bound":   regexp.MustCompile(`^\s*:(\d+):?\s*$`),
	}
})

// checkParser reads a task.check.
type checkParser struct {
	file    string
	checks  []check
	context checkKind // the block that is open; checkEnd: none
	line    int
	err     *flow.Error
}

// parseChecks parses the text of a task.check.
func parseChecks(file, src string) ([]check, error) {
	p := &checkParser{file: file, context: checkEnd}
	if !utf8.ValidString(src) {
		return nil, &flow.Error{File: file, Pos: flow.Pos{Line: 1, Col: 1}, Msg: "text is not valid UTF-8", Hint: "save the file as UTF-8"}
	}
	for line := range strings.Lines(src) {
		p.line++
		if p.line > MaxChecks {
			return nil, &flow.Error{File: file, Pos: flow.Pos{Line: p.line, Col: 1}, Msg: fmt.Sprintf("more than %d lines", MaxChecks)}
		}
		p.parseLine(strings.TrimSuffix(strings.TrimSuffix(line, "\n"), "\r"))
		if p.err != nil {
			return nil, p.err
		}
	}
	return p.checks, nil
}

func (p *checkParser) add(c check) { p.checks = append(p.checks, c) }

// fail reports what is wrong at an offset of the line.
func (p *checkParser) fail(off int, msg, hint string) {
	p.err = &flow.Error{File: p.file, Pos: flow.Pos{Line: p.line, Col: off + 1}, Msg: msg, Hint: hint}
}

func (p *checkParser) refuse(l *limit, off int, construct string) {
	p.err = l.error(p.file, flow.Pos{Line: p.line, Col: off + 1}, construct)
}

// parseLine parses one line. A # begins a comment, except in the quotes of a
// regex and in a note.
func (p *checkParser) parseLine(line string) {
	text := strings.TrimLeftFunc(line, unicode.IsSpace)
	off := len(line) - len(text)
	if text == "" || text[0] == '#' {
		return
	}
	if i := strings.IndexByte(text, 0); i >= 0 {
		p.fail(off+i, "a zero byte", "remove it")
		return
	}
	name, rest, ok := strings.Cut(text, ":")
	if !ok {
		name = ""
	}
	switch name {
	case "note":
		p.add(check{kind: checkNote, text: strings.TrimLeftFunc(rest, unicode.IsSpace)})
	case "code", "generator":
		p.refuse(limitCode, off, `"`+name+`:"`)
	case "source":
		p.refuse(limitSource, off, `"source:"`)
	case "regexp", "!regexp", "~regexp":
		rest = withoutComment(rest)
		re := strings.TrimSpace(rest)
		c := check{kind: checkRegexp, text: re, negate: name[0] == '!', soft: name[0] == '~'}
		c.re = p.pattern(re, off+len(name)+1+strings.Index(rest, re))
		if c.negate {
			c.text = "!" + re
		}
		p.add(c)
	case "begin", "end", "between", "within":
		p.block(name, strings.TrimRightFunc(withoutComment(text), unicode.IsSpace), off)
	default:
		p.plain(text)
	}
}

// withoutComment cuts a regex at the first # that is not in quotes.
func withoutComment(s string) string {
	quote := byte(0)
	for i := 0; i < len(s); i++ {
		switch c := s[i]; {
		case c == '\\':
			i++
		case quote != 0:
			if c == quote {
				quote = 0
			}
		case c == '\'' || c == '"':
			quote = c
		case c == '#':
			return s[:i]
		}
	}
	return s
}

// pattern translates a regex that stands at an offset of the line.
func (p *checkParser) pattern(src string, off int) *pattern {
	re, err := parsePattern(src)
	switch {
	case err == nil:
		if p.context == checkWithin && re.vague != "" && len(re.first) > 0 {
			p.refuse(limitCapture, off, strconv.Quote(re.vague))
		}
		return re
	case err.limit != nil:
		p.refuse(err.limit, off+err.off, err.msg)
	default:
		p.fail(off+err.off, err.msg, err.hint)
	}
	return nil
}

// plain parses a line that is looked for as it is.
func (p *checkParser) plain(text string) {
	text, _, _ = strings.Cut(text, "#")
	text = strings.TrimRightFunc(text, unicode.IsSpace)
	if m := checkForms()["assert"].FindStringSubmatch(text); m != nil {
		p.add(check{kind: checkAssert, text: m[2], status: strings.ToLower(m[1]) == "true" || m[1] == "1"})
		return
	}
	if text == ":any:" {
		p.add(check{kind: checkAny, text: text})
		return
	}
	if m := checkForms()["index"].FindStringSubmatch(text); m != nil {
		p.add(check{kind: checkIndex, text: text, index: lineIndex(m[1])})
		return
	}
	p.add(check{kind: checkPlain, text: text})
}

// lineIndex reads the number of a line; a line that no output has is one that
// is not found.
func lineIndex(digits string) int {
	n, err := strconv.Atoi(digits)
	if err != nil {
		return int(^uint(0) >> 1)
	}
	return n
}

// block parses a line that opens or closes a search context.
func (p *checkParser) block(name, text string, off int) {
	kind := map[string]checkKind{"begin": checkBegin, "end": checkEnd, "between": checkBetween, "within": checkWithin}[name]
	if kind != checkEnd && p.context != checkEnd {
		p.refuse(limitDirective, off, `"`+name+`:" inside of another block`)
		return
	}
	c := check{kind: kind, text: text}
	switch kind {
	case checkBegin, checkEnd:
		if text != name+":" {
			p.refuse(limitDirective, off, strconv.Quote(text))
			return
		}
	case checkBetween:
		m := checkForms()["between"].FindStringSubmatchIndex(text)
		if m == nil {
			p.refuse(limitDirective, off, strconv.Quote(text))
			return
		}
		c.from = p.boundary(text[m[2]:m[3]], off+m[2])
		if p.err == nil {
			c.to = p.boundary(text[m[4]:m[5]], off+m[4])
		}
		if p.err == nil && c.from.re != nil && c.to.re == nil {
			p.refuse(limitBetween, off, strconv.Quote(text))
		}
	case checkWithin:
		m := checkForms()["within"].FindStringSubmatchIndex(text)
		if m == nil || m[2] == m[3] {
			p.refuse(limitDirective, off, strconv.Quote(text))
			return
		}
		c.text = text[m[2]:m[3]]
		p.context = kind
		b := p.boundary(c.text, off+m[2])
		c.re, c.index = b.re, b.index
	}
	p.context = kind
	p.add(c)
}

// boundary parses a regex or :N:.
func (p *checkParser) boundary(src string, off int) boundary {
	if m := checkForms()["bound"].FindStringSubmatch(src); m != nil {
		return boundary{index: lineIndex(m[1])}
	}
	trimmed := strings.TrimLeftFunc(src, unicode.IsSpace)
	return boundary{re: p.pattern(trimmed, off+len(src)-len(trimmed))}
}
