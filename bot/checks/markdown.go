package checks

import (
	"fmt"
	"html"
	"net/url"
	"strings"
	"unicode/utf8"

	"github.com/cromt/cromt/flow"
)

// Text from strangers reaches a page in one of four forms, each of which can
// hold anything: plain (escaped words), code (a code span), codeHTML (the same
// where Markdown is not read) and fence (a block). Whatever is a name or was
// printed by a program is code: GitHub looks for no mention, reference, link
// or emoji in it, and it reads as it was.

// zeroWidth is put between the two characters that would make a mention, a
// reference, a link or an emoji of a text. GitHub looks for mentions and
// references in the rendered page, so that neither a backslash nor a character
// code hides them; a comment (@<!-- -->name) does, but shows inside code. A
// zero-width space survives both, and is written as a character code to be
// seen by who reads the source.
const zeroWidth = "&#8203;"

// oneLine returns s as plain text on one line of at most limit characters.
func oneLine(s string, limit int) string {
	if len(s) > 16*limit {
		s = strings.ToValidUTF8(s[:16*limit], "") // the rest could not be shown
	}
	return clip(strings.Join(strings.Fields(flow.PlainText(s)), " "), limit)
}

// clip cuts s to at most limit characters, the last of them an ellipsis.
func clip(s string, limit int) string {
	if len(s) <= limit {
		return s
	}
	n := 0
	for i := range s {
		if n == limit-1 && utf8.RuneCountInString(s[i:]) > 1 {
			return strings.TrimRight(s[:i], " ") + "…"
		}
		n++
	}
	return s
}

// plain returns s, one line, as text that means nothing to Markdown, HTML
// and GitHub, in a table as well as outside. It must not begin a line.
func plain(s string) string {
	var b strings.Builder
	for i, r := range s {
		switch {
		case r == '$': // formulas
			b.WriteString("&#36;" + zeroWidth)
		case strings.ContainsRune("&<>|\\`*_[]~", r):
			fmt.Fprintf(&b, "&#%d;", r)
		case r == '@':
			b.WriteString("@" + zeroWidth)
		case r == '#':
			b.WriteString("&#35;" + zeroWidth)
		case r == ':' && i+1 < len(s) && s[i+1] != ' ': // links and emoji
			b.WriteString(":" + zeroWidth)
		case r == '.' && i >= 3 && strings.EqualFold(s[i-3:i], "www"):
			b.WriteString(zeroWidth + ".")
		case r == '-' && i >= 2 && strings.EqualFold(s[i-2:i], "gh"):
			b.WriteString("-" + zeroWidth)
		default:
			b.WriteRune(r)
		}
	}
	return b.String()
}

// code returns s, one line, as a code span that can stand in a table's cell.
func code(s string) string {
	if s == "" {
		return ""
	}
	s = strings.ReplaceAll(s, `\|`, "\\\u200b|") // a backslash would escape the one below
	s = strings.ReplaceAll(s, "|", `\|`)
	ticks := strings.Repeat("`", longestRun(s, '`')+1)
	if s[0] == '`' || s[len(s)-1] == '`' {
		s = " " + s + " " // exactly these are dropped again
	}
	return ticks + s + ticks
}

// codeHTML is code inside a block of HTML, such as a summary tag.
func codeHTML(s string) string { return "<code>" + html.EscapeString(s) + "</code>" }

// fence returns lines as a code block, which no line can end.
func fence(info string, lines []string) string {
	ticks := 3
	for _, l := range lines {
		ticks = max(ticks, longestRun(l, '`')+1)
	}
	mark := strings.Repeat("`", ticks)
	var b strings.Builder
	b.WriteString(mark + info + "\n")
	for _, l := range lines {
		b.WriteString(l)
		b.WriteByte('\n')
	}
	b.WriteString(mark + "\n")
	return b.String()
}

// longestRun returns how often c follows itself in s at most.
func longestRun(s string, c byte) int {
	longest, run := 0, 0
	for i := range len(s) {
		if s[i] != c {
			run = 0
			continue
		}
		run++
		longest = max(longest, run)
	}
	return longest
}

// link returns text, which is Markdown already, as a link; only text when the
// address is not one of the web.
func link(text, address string) string {
	if address = webAddress(address); address == "" {
		return text
	}
	return "[" + text + "](" + address + ")"
}

// webAddress returns an http or https URL with every character that could end
// a link or a cell written as its code; "" for anything else.
func webAddress(s string) string {
	u, err := url.Parse(s)
	if err != nil || u.Scheme != "https" && u.Scheme != "http" || u.Host == "" {
		return ""
	}
	var b strings.Builder
	for i := range len(s) {
		c := s[i]
		switch {
		case c == '&':
			b.WriteString("&amp;")
		case 'a' <= c && c <= 'z', 'A' <= c && c <= 'Z', '0' <= c && c <= '9', strings.IndexByte("-._~:/?#@+,;=%", c) >= 0:
			b.WriteByte(c)
		default:
			fmt.Fprintf(&b, "%%%02X", c)
		}
		if b.Len() > maxLink {
			return ""
		}
	}
	return b.String()
}

// row returns a table's row of cells, which are Markdown already.
func row(cells ...string) string {
	return "| " + strings.Join(cells, " | ") + " |\n"
}

// tableHead returns a table's first two lines.
func tableHead(names ...string) string {
	return row(names...) + strings.Repeat("| --- ", len(names)) + "|\n"
}

// many is "1 host" or "3 hosts".
func many(n int, word string) string {
	if n == 1 {
		return "1 " + word
	}
	return fmt.Sprintf("%d %ss", n, word)
}
