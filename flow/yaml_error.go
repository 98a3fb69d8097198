package flow

import (
	"bytes"
	"fmt"
	"regexp"
	"sort"
	"strconv"
	"strings"
	"unicode/utf8"

	"gopkg.in/yaml.v3"
)

// lineIndex finds places in a text.
type lineIndex struct {
	data   []byte
	ascii  bool
	starts []int // offset of each line, made when it is first needed
}

func newLineIndex(data []byte) *lineIndex {
	ascii := true
	for _, c := range data {
		if c >= utf8.RuneSelf {
			ascii = false
			break
		}
	}
	return &lineIndex{data: data, ascii: ascii}
}

func (x *lineIndex) index() {
	if x.starts != nil {
		return
	}
	x.starts = []int{0}
	for i, c := range x.data {
		if c == '\n' {
			x.starts = append(x.starts, i+1)
		}
	}
}

// at returns the place of the byte at offset.
func (x *lineIndex) at(offset int) Pos {
	x.index()
	line := sort.SearchInts(x.starts, offset+1)
	return Pos{line, offset - x.starts[line-1] + 1}
}

// line returns the text of a line without its end, nil when there is none.
func (x *lineIndex) line(n int) []byte {
	x.index()
	if n < 1 || n > len(x.starts) {
		return nil
	}
	end := len(x.data)
	if n < len(x.starts) {
		end = x.starts[n]
	}
	return bytes.TrimRight(x.data[x.starts[n-1]:end], "\r\n")
}

// byteCol turns a column in characters, as the library counts them, into one
// in bytes. Lines over 4 KiB keep the library's: a file of one line would
// otherwise take quadratic time.
func (x *lineIndex) byteCol(line, col int) int {
	if x.ascii {
		return col
	}
	text := x.line(line)
	if line == 1 {
		text = bytes.TrimPrefix(text, []byte(utf8BOM))
	}
	if len(text) > 4<<10 {
		return col
	}
	off := 0
	for i := 1; i < col && off < len(text); i++ {
		_, n := utf8.DecodeRune(text[off:])
		off += n
	}
	return off + 1
}

// pos returns the place of n in the file.
func (p *parser) pos(n *yaml.Node) Pos {
	return Pos{n.Line, p.lines.byteCol(n.Line, n.Column)}
}

// syntaxError reports what the library says of data, with a better place: it
// names no column, and often the line where the surrounding block began.
func (p *parser) syntaxError(data []byte, err error) {
	msg := strings.TrimPrefix(err.Error(), "yaml: ")
	line := 0
	if m := regexp.MustCompile(`^line (\d+): `).FindStringSubmatch(msg); m != nil {
		line, _ = strconv.Atoi(m[1])
		msg = msg[len(m[0]):]
	}
	if name, ok := strings.CutPrefix(msg, "unknown anchor '"); ok {
		p.unknownAnchor(strings.TrimSuffix(name, "' referenced"))
		return
	}
	if n := failingLine(data, err.Error()); n > 0 {
		line = n
	}
	if line < 1 {
		line = 1
	}
	if tab, ok := p.tab(line); ok {
		p.fail(tab, "a tab cannot be used for indentation", "use spaces")
		return
	}
	for n := line; n > 0 && n > line-100; n-- {
		if bytes.HasPrefix(p.lines.line(n), []byte("<<<<<<< ")) {
			p.fail(Pos{n, 1}, "a merge conflict is not resolved", "choose one side, and remove the lines of <, = and >")
			return
		}
	}
	col, hint := explainSyntax(string(p.lines.line(line)), strings.TrimSpace(string(p.lines.line(line-1))), msg)
	p.fail(Pos{line, col}, "invalid YAML: "+msg, hint)
}

// failingLine returns the first line with which data fails as a whole does:
// the library reads from the start to the end, so that what is behind the
// problem does not matter. 0 for files too large to try.
func failingLine(data []byte, want string) int {
	const affordable = 256 << 10 // bytes parsed some ten times: 0.1 s
	if len(data) > affordable {
		return 0
	}
	ends := []int{}
	for i, c := range data {
		if c == '\n' {
			ends = append(ends, i+1)
		}
	}
	ends = append(ends, len(data))
	n := sort.Search(len(ends), func(i int) bool {
		_, err := decodeNodes(data[:ends[i]])
		return err != nil && err.Error() == want
	})
	return min(n+1, len(ends))
}

// tab finds a tab in the indentation of a line or of the one before it, which
// is where the library may have noticed it.
func (p *parser) tab(line int) (Pos, bool) {
	for _, n := range []int{line, line - 1, line + 1} {
		text := p.lines.line(n)
		indent := len(text) - len(bytes.TrimLeft(text, " \t-"))
		if i := bytes.IndexByte(text[:indent], '\t'); i >= 0 {
			return Pos{n, i + 1}, true
		}
	}
	return Pos{}, false
}

func (p *parser) unknownAnchor(name string) {
	pos := Pos{1, 1}
	if i := bytes.Index(p.lines.data, []byte("*"+name)); i >= 0 {
		pos = p.lines.at(i)
	}
	p.fail(pos, fmt.Sprintf("alias %s has no anchor above it", quote("*"+name)),
		fmt.Sprintf("write &%s before the value it stands for, or quote the text if it is not an alias", name))
}

// explainSyntax finds the likely culprit in the line of a syntax error, or in
// the one above it, which is without white space around it.
func explainSyntax(line, above, msg string) (col int, hint string) {
	indent := len(line) - len(strings.TrimLeft(line, " "))
	value := indent
	if i := strings.Index(line, ": "); i >= 0 {
		value = i + 2 + len(line[i+2:]) - len(strings.TrimLeft(line[i+2:], " "))
	} else if strings.HasPrefix(line[indent:], "- ") {
		value = indent + 2
	}
	first := byte(0)
	if value < len(line) {
		first = line[value]
	}
	says := func(s string) bool { return strings.Contains(msg, s) }
	switch {
	case first == '*' && says("alphabetic or numeric"):
		return value + 1, fmt.Sprintf("a text that begins with * must be quoted: %q", strings.TrimSpace(line[value:]))
	case first != 0 && says("cannot start any token") && strings.IndexByte("@`%", first) >= 0:
		return value + 1, fmt.Sprintf("a text that begins with %c must be quoted", first)
	case says("unknown escape"):
		return max(indent, strings.IndexByte(line, '\\')) + 1, `write \\ for a backslash, or use single quotes`
	case above == "-" && !strings.HasPrefix(line[indent:], "-"):
		return indent + 1, `indent the keys of an entry deeper than its "-"`
	case says("mapping values are not allowed"):
		if i := strings.LastIndex(line, ":"); i > value && value > indent {
			return i + 1, `quote a text that contains ": "`
		}
		if above != "" && !strings.Contains(above, ": ") && !strings.HasSuffix(above, ":") {
			return indent + 1, "the line above needs a colon, and a space after it"
		}
		return indent + 1, "check the indentation: the keys of one map stand below each other"
	case says("did not find expected key"), says("did not find expected '-'"):
		return indent + 1, "check the quotes, and the indentation: the keys of one map, and the dashes of one list, stand below each other"
	case says("did not find expected ',' or"), says("did not find expected node content"):
		return max(indent, strings.LastIndexAny(line, "[{")) + 1, "a bracket or brace is not closed, or a comma is missing"
	case says("found unexpected end of stream"):
		return max(indent, strings.LastIndexAny(line, `"'`)) + 1, "a quote is not closed"
	case says("incompatible YAML document"):
		return 1, "remove the line that begins with %YAML"
	}
	return indent + 1, ""
}
