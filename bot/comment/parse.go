package comment

import (
	"fmt"
	"strconv"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"
)

// lineParser reads one command.
type lineParser struct {
	command Command
	verb    *verb
	rest    string // of the line
	errs    []Error
}

func (p *lineParser) fail(msg, hint string) {
	p.errs = append(p.errs, Error{Msg: msg, Hint: hint})
}

// parseLine reads a line that begins as a command does.
func parseLine(line string) (Command, []Error) {
	p := &lineParser{command: Command{Text: strings.TrimRight(line, " \t")}, rest: line[len("/cromt"):]}
	switch {
	case len(line) > MaxLine:
		p.fail(fmt.Sprintf("the command is longer than %d bytes", MaxLine), "")
	case !utf8.ValidString(line) || strings.ContainsFunc(strings.ReplaceAll(line, "\t", ""), unicode.IsControl):
		p.fail("the command has a control character", "remove it")
	case p.readVerb():
		for p.skip(); p.rest != "" && len(p.errs) == 0; p.skip() {
			p.readWord()
		}
		p.checkArgs()
	}
	return p.command, p.errs
}

// skip goes over white space.
func (p *lineParser) skip() { p.rest = strings.TrimLeft(p.rest, " \t") }

// word takes the text up to the next white space.
func (p *lineParser) word() string {
	end := strings.IndexAny(p.rest, " \t")
	if end < 0 {
		end = len(p.rest)
	}
	word := p.rest[:end]
	p.rest = p.rest[end:]
	return word
}

func (p *lineParser) readVerb() bool {
	p.skip()
	word := p.word()
	if word == "" {
		p.fail("the command has no verb", "write /cromt help to see them")
		return false
	}
	for i, v := range verbs() {
		if asciiLower(word) == v.name {
			p.command.Verb, p.verb = v.name, &verbs()[i]
			return true
		}
	}
	p.fail("unknown verb "+show(word), didYouMean(asciiLower(word)))
	return false
}

func (p *lineParser) readWord() {
	if strings.HasPrefix(p.rest, "-") {
		p.readFlag(p.word())
		return
	}
	end := strings.IndexAny(p.rest, " \t=\"'")
	if end >= 0 && p.rest[end] == '=' {
		p.readVar(p.rest[:end], end+1)
		return
	}
	word := p.word()
	switch {
	case p.verb.args == argCommit && !isCommit(word):
		p.fail(show(word)+" is not a commit", "write all 40 digits of its SHA")
	case !isName(word):
		p.fail(show(word)+" is not the name of a project or host", "use letters, digits, dots, dashes and underscores, beginning with a letter or a digit")
	default:
		p.command.Args = append(p.command.Args, word)
	}
}

// readVar reads KEY=value, of which the value is at from in the rest.
func (p *lineParser) readVar(name string, from int) {
	var value string
	if p.rest = p.rest[from:]; strings.HasPrefix(p.rest, `"`) {
		var ok bool
		if value, ok = p.quoted(); !ok {
			return
		}
	} else if value = p.word(); strings.ContainsAny(value, `"'`) {
		p.fail("the value of "+show(name)+" has a quote in it", `write KEY="value", and \" for a quote within`)
		return
	}
	switch {
	case !isVarName(name):
		p.fail(show(name)+" is not the name of a variable", "use letters, digits and underscores, not beginning with a digit")
	case !p.verb.vars:
		p.fail(p.verb.name+" takes no variables", "only run and plan do")
	}
	for _, v := range p.command.Vars {
		if v.Name == name {
			p.fail("variable "+show(name)+" is set twice", "remove one")
			return
		}
	}
	p.command.Vars = append(p.command.Vars, Var{name, value})
}

// quoted takes a text in double quotes, in which \" and \\ are a quote and a
// backslash, and a backslash before anything else is itself.
func (p *lineParser) quoted() (string, bool) {
	var value strings.Builder
	for i := 1; i < len(p.rest); i++ {
		c := p.rest[i]
		switch {
		case c == '"':
			if p.rest = p.rest[i+1:]; p.rest != "" && p.rest[0] != ' ' && p.rest[0] != '\t' {
				p.fail("no space after a closing quote", `write \" for a quote within the value`)
				return "", false
			}
			return value.String(), true
		case c == '\\' && i+1 < len(p.rest) && (p.rest[i+1] == '"' || p.rest[i+1] == '\\'):
			i++
			c = p.rest[i]
		}
		value.WriteByte(c)
	}
	p.fail("a quote is not closed", `end the value with "`)
	return "", false
}

// readFlag reads --fail-fast, --timeout D or --timeout=D.
func (p *lineParser) readFlag(word string) {
	name, value, has := strings.Cut(word, "=")
	switch {
	case name != "--fail-fast" && name != "--timeout":
		p.fail("unknown flag "+show(name), "there are --fail-fast and --timeout 30m")
		return
	case !p.verb.flags:
		p.fail(p.verb.name+" takes no flags", "only run and retry do")
		return
	case name == "--fail-fast" && has:
		p.fail("--fail-fast takes no value", "")
		return
	case name == "--fail-fast":
		value = "true"
	default:
		if !has {
			p.skip()
			value = p.word()
		}
		if d, err := time.ParseDuration(value); err != nil || d <= 0 || d > MaxTimeout {
			p.fail(show(value)+" is not a timeout", fmt.Sprintf("write --timeout 30m, at most %.0fh", MaxTimeout.Hours()))
			return
		}
	}
	if _, ok := p.command.Flags[name]; ok {
		p.fail("flag "+name+" is given twice", "remove one")
		return
	}
	if p.command.Flags == nil {
		p.command.Flags = map[string]string{}
	}
	p.command.Flags[name] = value
}

// checkArgs compares the number of arguments with what the verb takes.
func (p *lineParser) checkArgs() {
	n := len(p.command.Args)
	if len(p.errs) == 0 && (n < p.verb.least || p.verb.most >= 0 && n > p.verb.most) {
		p.fail(fmt.Sprintf("wrong number of arguments for %s: %d", p.verb.name, n), "write "+p.verb.example)
	}
}

// show quotes a word of a stranger for an error.
func show(word string) string {
	if len(word) <= maxShown {
		return strconv.QuoteToASCII(word)
	}
	end := maxShown
	for !utf8.RuneStart(word[end]) {
		end--
	}
	return strconv.QuoteToASCII(word[:end]) + "..."
}

// asciiLower leaves all other letters alone: some have an ASCII lower case.
func asciiLower(s string) string {
	return strings.Map(func(r rune) rune {
		if r >= 'A' && r <= 'Z' {
			return r + 'a' - 'A'
		}
		return r
	}, s)
}

// isName says whether s may be a project or a host by the rules of jobs.yaml.
func isName(s string) bool {
	return s != "" && len(s) <= MaxName && isAlnum(s[0]) && only(s, func(c byte) bool { return isAlnum(c) || strings.IndexByte("._-", c) >= 0 })
}

// isVarName says so of a variable.
func isVarName(s string) bool {
	return s != "" && len(s) <= MaxName && (s[0] < '0' || s[0] > '9') && only(s, func(c byte) bool { return isAlnum(c) || c == '_' })
}

// isCommit wants the whole SHA: others with the same first digits can be made.
func isCommit(s string) bool {
	return (len(s) == 40 || len(s) == 64) && strings.Trim(s, "0123456789abcdef") == ""
}

func only(s string, may func(byte) bool) bool {
	for i := range len(s) {
		if !may(s[i]) {
			return false
		}
	}
	return true
}

func isAlnum(c byte) bool {
	return c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9'
}
