package web

import (
	"bytes"
	"fmt"
	"html"
	"html/template"
	"strings"
	"unicode/utf8"

	terminal "github.com/buildkite/terminal-to-html/v3"

	"github.com/cromt/cromt/flow"
)

// logLines returns the lines of a log as HTML, the first of them with the
// number first. What is there is strangers' text: of all that terminals obey,
// colours and styles alone are left before the library sees it.
func logLines(first int, text []byte) template.HTML {
	text = bytes.TrimSuffix(text, []byte{'\n'})
	raw := bytes.Split(text, []byte{'\n'})
	lines := make([]string, len(raw))
	colours := false
	for i, line := range raw {
		line = lastReturn(line)
		cut := len(line) - maxLine
		if cut > 0 {
			line = line[:maxLine]
			for len(line) > 0 && !utf8.RuneStart(line[len(line)-1]) {
				line = line[:len(line)-1]
			}
		}
		lines[i] = flow.ColorText(string(line))
		if cut > 0 {
			lines[i] += fmt.Sprintf(" … and %d bytes more, which the download has", cut)
		}
		colours = colours || strings.Contains(lines[i], "\x1b")
	}
	shown := htmlOf(lines, colours)
	var b strings.Builder
	b.Grow(len(text) + 90*len(lines))
	for i, line := range shown {
		class := "l"
		if flow.IsProtocol(lines[i]) {
			class = "l proto"
		}
		n := first + i
		fmt.Fprintf(&b, `<div class="%s" id="L%d"><a class="n" href="#L%d" data-n="%d" tabindex="-1"></a><span class="t">%s</span></div>`+"\n", class, n, n, n, line)
	}
	return template.HTML(b.String()) //nolint:gosec // the lines are escaped
}

// htmlOf returns each line as HTML.
func htmlOf(lines []string, colours bool) []string {
	if colours {
		// As one text: a colour goes on until another one is set.
		screen, err := terminal.NewScreen(terminal.WithSize(maxLine*2, 1))
		if err == nil {
			screen.Timestamps = false
			_, err = screen.Write([]byte(strings.Join(lines, "\n") + "\x1b[0m."))
		}
		if err == nil {
			out := strings.Split(strings.TrimSuffix(screen.AsHTML(), "\n"), "\n")
			if len(out) == len(lines) {
				last := len(out) - 1
				out[last] = strings.TrimSuffix(out[last], ".") // which kept empty lines at the end
				for i := range out {
					if out[i] == "&nbsp;" {
						out[i] = ""
					}
				}
				return out
			}
		}
	}
	out := make([]string, len(lines))
	for i, line := range lines {
		out[i] = html.EscapeString(flow.PlainText(line))
	}
	return out
}
