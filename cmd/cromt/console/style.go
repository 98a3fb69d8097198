package console

import (
	"fmt"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/cromt/cromt/flow"
)

// style paints text, or leaves it alone.
type style struct{ color bool }

// The styles in use, as SGR parameters.
const (
	bold   = "1"
	dim    = "2"
	red    = "31"
	green  = "32"
	yellow = "33"
	cyan   = "36"
)

func (s style) paint(sgr, text string) string {
	if !s.color || sgr == "" || text == "" {
		return text
	}
	return "\x1b[" + sgr + "m" + text + "\x1b[0m"
}

// look is the symbol and colour of a conclusion.
func look(c flow.Conclusion) (symbol, sgr string) {
	switch c {
	case flow.Success:
		return "✓", green
	case flow.Failure, flow.TimedOut:
		return "✗", red
	case flow.Cancelled:
		return "✗", yellow
	case flow.Neutral:
		return "✓", yellow
	}
	return "–", dim
}

// word is a conclusion for people.
func word(c flow.Conclusion) string {
	switch c {
	case flow.TimedOut:
		return "timed out"
	case "":
		return "not finished"
	}
	return string(c)
}

// duration writes a time as people read it: 37ms, 0.4s, 12s, 3m05s, 2h07m.
func duration(d time.Duration) string {
	switch {
	case d < 100*time.Millisecond:
		return fmt.Sprintf("%dms", d.Milliseconds())
	case d < 9950*time.Millisecond:
		return fmt.Sprintf("%.1fs", d.Seconds())
	case d < time.Minute:
		return fmt.Sprintf("%ds", int(d.Seconds()))
	case d < time.Hour:
		return fmt.Sprintf("%dm%02ds", int(d.Minutes()), int(d.Seconds())%60)
	}
	return fmt.Sprintf("%dh%02dm", int(d.Hours()), int(d.Minutes())%60)
}

// width is how many columns plain text takes on a terminal.
func width(s string) int {
	n := 0
	for _, r := range s {
		n += runeWidth(r)
	}
	return n
}

func runeWidth(r rune) int {
	switch {
	case r < 0x300:
		return 1
	case unicode.In(r, unicode.Mn, unicode.Me, unicode.Cf):
		return 0
	case 0x1100 <= r && r <= 0x115f, 0x2e80 <= r && r <= 0x303e, 0x3041 <= r && r <= 0xa4cf,
		0xac00 <= r && r <= 0xd7a3, 0xf900 <= r && r <= 0xfaff, 0xfe30 <= r && r <= 0xfe6f,
		0xff00 <= r && r <= 0xff60, 0xffe0 <= r && r <= 0xffe6, 0x1f300 <= r && r <= 0x1faff, 0x20000 <= r && r <= 0x3fffd:
		return 2
	}
	return 1
}

// fit cuts plain text to n columns, the last one an ellipsis.
func fit(s string, n int) string {
	if n <= 0 {
		return ""
	}
	if len(s) <= n || width(s) <= n {
		return s
	}
	used := 0
	for i, r := range s {
		if used += runeWidth(r); used > n-1 {
			return s[:i] + "…"
		}
	}
	return s
}

// pad fills plain text with spaces to n columns.
func pad(s string, n int) string {
	if w := width(s); w < n {
		return s + strings.Repeat(" ", n-w)
	}
	return s
}

// oneLine makes one plain line of a message that may hold what a host said.
func oneLine(s string) string {
	return strings.Join(strings.Fields(flow.PlainText(s)), " ")
}

// cutLine returns where a line of more than limit bytes is cut, so that no
// character is.
func cutLine(b []byte, limit int) int {
	for i := limit; i > limit-utf8.UTFMax; i-- {
		if utf8.RuneStart(b[i]) {
			return i
		}
	}
	return limit
}
