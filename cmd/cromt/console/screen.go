package console

import (
	"io"
	"strconv"
	"strings"

	"github.com/cromt/cromt/flow"
)

// screen keeps a few lines at the bottom of a terminal up to date. Each
// picture is one write, so that nothing flickers.
type screen struct {
	out   io.Writer
	lines []string // as they are on the terminal now
	begun bool
}

// show prints the lines above the picture and draws the picture anew.
func (s *screen) show(above, picture []string, columns int) {
	var b strings.Builder
	if !s.begun {
		b.WriteString("\x1b[?25l") // the cursor is hidden until end
		s.begun = true
	}
	b.WriteString("\x1b[?2026h") // terminals that know it show the rest at once
	s.up(&b, columns)
	if len(above) > 0 {
		b.WriteString("\x1b[J")
		for _, line := range above {
			b.WriteString(line + "\n")
		}
	}
	for _, line := range picture {
		b.WriteString(line + "\x1b[K\n")
	}
	b.WriteString("\x1b[J\x1b[?2026l")
	_, _ = io.WriteString(s.out, b.String())
	s.lines = picture
}

// end removes the picture, prints the last lines and gives the cursor back.
func (s *screen) end(above []string, columns int) {
	var b strings.Builder
	if s.begun {
		s.up(&b, columns)
		b.WriteString("\x1b[J\x1b[?25h")
	}
	for _, line := range above {
		b.WriteString(line + "\n")
	}
	_, _ = io.WriteString(s.out, b.String())
	s.lines, s.begun = nil, false
}

// up moves the cursor to the first line of the picture. On a terminal that
// has become narrower, what was one line takes several rows.
func (s *screen) up(b *strings.Builder, columns int) {
	columns = max(columns, 1)
	rows := 0
	for _, line := range s.lines {
		rows++
		if w := width(flow.PlainText(line)); w > columns {
			rows += (w - 1) / columns
		}
	}
	if rows > 0 {
		b.WriteString("\r\x1b[" + strconv.Itoa(rows) + "A")
	}
}
