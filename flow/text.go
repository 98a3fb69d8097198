package flow

import (
	"fmt"
	"strings"
	"unicode/utf8"
)

// PlainText returns what a host printed as text that is safe to show:
// without escape sequences and control characters (tab and newline stay),
// invalid UTF-8 replaced by U+FFFD, and characters that change the direction
// of text written as \u202e, so that they are seen rather than obeyed.
func PlainText(s string) string { return cleanText(s, false) }

// ColorText is PlainText, except that colours and styles (SGR) stay. The
// caller resets them at the end of the line.
func ColorText(s string) string { return cleanText(s, true) }

func cleanText(s string, sgr bool) string {
	if isClean(s) {
		return s
	}
	var b strings.Builder
	b.Grow(len(s))
	for i := 0; i < len(s); {
		r, n := utf8.DecodeRuneInString(s[i:])
		switch {
		case r == 0x1b || 0x80 <= r && r <= 0x9f:
			end, keep := escapeEnd(s, i, r, n)
			if keep && sgr {
				b.WriteString(s[i:end])
			}
			i = end
			continue
		case r == '\n' || r == '\t':
			b.WriteRune(r)
		case r < 0x20 || r == 0x7f:
		case isDirectional(r):
			fmt.Fprintf(&b, `\u%04x`, r)
		default: // an invalid byte is decoded to U+FFFD
			b.WriteRune(r)
		}
		i += n
	}
	return b.String()
}

// isClean is the short way for what nearly every line is: printable ASCII.
func isClean(s string) bool {
	for i := range len(s) {
		if c := s[i]; c != '\n' && c != '\t' && (c < 0x20 || c > 0x7e) {
			return false
		}
	}
	return true
}

// escapeEnd returns the index after the escape sequence that begins at i with
// the rune r of n bytes, and whether the sequence is a colour or style in its
// seven-bit form. One that does not end takes the rest of its line with it.
func escapeEnd(s string, i int, r rune, n int) (end int, sgr bool) {
	kind, j := r-0x40, i+n // the eight-bit form of ESC [ is U+009B, and so on
	if r == 0x1b {
		for j < len(s) && 0x20 <= s[j] && s[j] <= 0x2f {
			j++
		}
		if j == len(s) || s[j] < 0x30 || s[j] > 0x7e {
			return j, false
		}
		kind = rune(s[j])
		if j > i+1 { // ESC with intermediate bytes: its final byte ends it
			return j + 1, false
		}
		j++
	}
	switch kind {
	case '[':
		for j < len(s) && 0x20 <= s[j] && s[j] <= 0x3f {
			j++
		}
		if j == len(s) || s[j] < 0x40 || s[j] > 0x7e {
			return j, false
		}
		return j + 1, r == 0x1b && s[j] == 'm' && strings.Trim(s[i+2:j], "0123456789;:") == ""
	case ']', 'P', 'X', '^', '_': // strings, up to ST or BEL
		for j < len(s) && s[j] != '\n' {
			switch {
			case s[j] == 0x07:
				return j + 1, false
			case strings.HasPrefix(s[j:], "\x1b\\"), strings.HasPrefix(s[j:], "\u009c"):
				return j + 2, false
			}
			j++
		}
	}
	return j, false
}

// isDirectional reports whether r changes the order in which text is shown,
// or is one of Unicode's own line ends.
func isDirectional(r rune) bool {
	return 0x202a <= r && r <= 0x202e || 0x2066 <= r && r <= 0x2069 ||
		r == 0x200e || r == 0x200f || r == 0x061c || r == 0x2028 || r == 0x2029
}

// IsProtocol reports whether a line of a job's log is what the host's side of
// cromt says to this one, and not what the job says to people.
func IsProtocol(line string) bool {
	rest, ok := strings.CutPrefix(line, "meta: ")
	if !ok {
		return false
	}
	key, _, _ := strings.Cut(rest, "=")
	switch key {
	case "step", "commit", "result", "in", "out", "cancelled":
		return true
	}
	return false
}
