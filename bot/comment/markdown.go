package comment

import (
	"slices"
	"strings"
)

// kind is what Markdown makes of a line, as far as a command at its very
// beginning is concerned.
type kind int

const (
	visible kind = iota // text
	hidden              // code, quote, HTML, or nothing
	unclear             // it takes a whole Markdown parser to say
)

// blocks goes through the lines of a comment by the rules of GitHub Flavored
// Markdown for blocks. Only lines without indentation can be commands, so the
// inside of lists matters little: such a line ends it. Where lists, quotes or
// HTML make it doubtful what a line opens or closes, what follows is unclear.
type blocks struct {
	fence  string   // the backticks or tildes of the code block that is open
	ends   []string // what ends the HTML block that is open; nil for none
	list   bool     // a list may be open
	blank  bool     // the line above is blank, or there is none
	quote  bool     // a quote or HTML since the last blank line: text may continue it
	html   bool     // HTML since the last blank line
	doubts bool     // all from here on is unclear
}

// classify returns the kind of each line.
func classify(lines []string) []kind {
	b := blocks{blank: true}
	kinds := make([]kind, len(lines))
	for i, line := range lines {
		kinds[i] = b.next(line)
		if kinds[i] == visible && isCommand(line) {
			kinds[i] = inline(lines, kinds, i)
		}
	}
	return kinds
}

func (b *blocks) next(line string) kind {
	text := strings.TrimLeft(line, " \t")
	indent := len(line) - len(text)
	if strings.Contains(line[:indent], "\t") {
		indent = 4
	}
	switch {
	case b.doubts:
		return unclear
	case b.fence != "":
		if run := fence(text); indent <= 3 && strings.HasPrefix(run, b.fence) && strings.Trim(text[len(run):], " \t") == "" {
			b.fence = ""
		}
		return hidden
	case b.ends != nil:
		b.endHTML(line)
		return hidden
	case text == "":
		b.blank, b.quote, b.html = true, false, false
		return hidden
	}
	content, marked := cutMarkers(text)
	if indent == 0 && b.blank && !marked {
		b.list = false
	}
	b.blank = false
	b.list = b.list || marked
	found := b.open(content, indent, marked || indent > 0 && b.list)
	if b.fence == "" && b.ends == nil && leavesOpen(line) {
		b.doubts = true
	}
	return found
}

// open takes a line outside of code and HTML; content is what is after its
// indentation and the markers of lists, and nested if it may be within one.
func (b *blocks) open(content string, indent int, nested bool) kind {
	run := fence(content)
	switch {
	case run != "" && (nested || b.html):
		b.doubts = true
		return unclear
	case indent > 3: // code, or the text above goes on
		return hidden
	case run != "":
		b.fence, b.quote = run, false
		return hidden
	case content[0] == '>':
		b.quote = true
		return hidden
	case content[0] == '<':
		return b.openHTML(content, nested)
	case b.quote:
		return unclear
	}
	return visible
}

// openHTML takes a line that begins with "<": by the rules for blocks of HTML,
// of which some end with a text and others with a blank line.
func (b *blocks) openHTML(content string, nested bool) kind {
	content = strings.ToLower(content)
	rest := content[1:]
	name, _, _ := strings.Cut(strings.ReplaceAll(rest, "\t", " ")+" ", " ")
	name, _, _ = strings.Cut(name, ">")
	switch {
	case slices.Contains([]string{"pre", "script", "style", "textarea"}, name):
		b.ends = []string{"</pre>", "</script>", "</style>", "</textarea>"}
	case strings.HasPrefix(rest, "!--"):
		b.ends = []string{"-->"}
	case strings.HasPrefix(rest, "![cdata["):
		b.ends = []string{"]]>"}
	case strings.HasPrefix(rest, "?"):
		b.ends = []string{"?>"}
	case strings.HasPrefix(rest, "!") && len(rest) > 1 && rest[1] >= 'a' && rest[1] <= 'z':
		b.ends = []string{">"}
	default:
		b.quote, b.html = true, true
		return hidden
	}
	b.endHTML(content)
	b.doubts = b.ends != nil && nested
	return hidden
}

// endHTML ends the block of HTML if line does.
func (b *blocks) endHTML(line string) {
	line = strings.ToLower(line)
	if slices.ContainsFunc(b.ends, func(end string) bool { return strings.Contains(line, end) }) {
		b.ends = nil
		b.doubts = leavesOpen(line)
	}
}

// leavesOpen says whether line opens a comment or code of HTML that it does
// not end. In a browser that goes on, whatever Markdown makes of what follows.
func leavesOpen(line string) bool {
	line = strings.ToLower(line)
	for _, pair := range [][2]string{{"<!--", "-->"}, {"<pre", "</pre"}, {"<code", "</code"}} {
		if at := strings.LastIndex(line, pair[0]); at >= 0 && !strings.Contains(line[at:], pair[1]) {
			return true
		}
	}
	return false
}

// fence returns the three or more backticks or tildes that text begins with,
// "" if it is no fence: a line of backticks has none behind them.
func fence(text string) string {
	for _, c := range []string{"`", "~"} {
		rest := strings.TrimLeft(text, c)
		if n := len(text) - len(rest); n >= 3 && (c == "~" || !strings.Contains(rest, c)) {
			return text[:n]
		}
	}
	return ""
}

// cutMarkers cuts the markers of list entries, "- " or "1. ", off text, which
// may be one without anything behind it.
func cutMarkers(text string) (content string, marked bool) {
	for {
		rest := strings.TrimLeft(text, "0123456789")
		marks := "-+*"
		if len(rest) < len(text) {
			marks = ".)"
		}
		if rest == "" || !strings.Contains(marks, rest[:1]) {
			return text, marked
		}
		entry := strings.TrimLeft(rest[1:], " \t")
		switch {
		case entry == "":
			return text, true
		case entry == rest[1:]:
			return text, marked
		}
		text, marked = entry, true
	}
}

// inline says whether the text line i begins within inline code that is open
// since a line above. Where its paragraph begins is not certain, above may be
// a heading or a list: it is unclear if another beginning makes it code.
func inline(lines []string, kinds []kind, i int) kind {
	first, last := i, i
	for first > 0 && kinds[first-1] == visible {
		first--
	}
	if i-first > maxParagraph {
		return unclear
	}
	for last < len(lines) && strings.Trim(lines[last], " \t") != "" {
		last++
	}
	text := strings.Join(lines[first:last], "\n")
	at := len(strings.Join(append(slices.Clone(lines[first:i]), ""), "\n"))
	if inSpan(text, at) {
		return hidden
	}
	for _, line := range lines[first:i] {
		text, at = text[len(line)+1:], at-len(line)-1
		if inSpan(text, at) {
			return unclear
		}
	}
	return visible
}

// inSpan says whether the position at, a line's beginning, is in inline code.
func inSpan(text string, at int) bool {
	i := 0
	for i < at {
		n := 1
		switch {
		case text[i] == '\\':
			n = 2 // what is escaped opens nothing
		case text[i] == '`':
			n = spanLength(text[i:])
		case strings.HasPrefix(text[i:], "<!--"):
			if end := strings.Index(text[i+2:], "-->"); end >= 0 {
				n = 2 + end + 3
			}
		}
		i += n
	}
	return i > at
}

// spanLength returns the length of the inline code that text begins with, or
// of its backticks if as many do not follow.
func spanLength(text string) int {
	opener := backticks(text)
	for i := opener; i < len(text); {
		n := backticks(text[i:])
		if n == opener {
			return i + n
		}
		i += max(n, 1)
	}
	return opener
}

func backticks(text string) int { return len(text) - len(strings.TrimLeft(text, "`")) }
