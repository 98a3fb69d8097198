package agent

import (
	"bytes"
	"html"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"
)

// ansiHTML turns what a program prints for a terminal into HTML, piece by
// piece: colours become classes, other sequences and control characters
// disappear. What one piece leaves incomplete is kept for the next.
type ansiHTML struct {
	pending []byte
	bold    bool
	colour  int // 1 + the number of the colour; 0: none
}

// maxSequence of a terminal, in bytes: what is longer is none.
const maxSequence = 4096

// convert returns the HTML of the next piece. It stands by itself: no element
// is left open.
func (h *ansiHTML) convert(p []byte, last bool) string {
	data := slices.Concat(h.pending, p)
	h.pending = nil
	var b strings.Builder
	class := ""
	style := func(want string) {
		if class != "" && class != want {
			b.WriteString("</span>")
		}
		if want != "" && class != want {
			b.WriteString(`<span class="` + want + `">`)
		}
		class = want
	}
	for len(data) > 0 {
		n, text, whole := h.next(data)
		if !whole && !last {
			h.pending = bytes.Clone(data)
			break
		}
		if text != "" {
			style(h.class())
			b.WriteString(html.EscapeString(text))
		}
		data = data[max(1, n):]
	}
	style("")
	return b.String()
}

func (h *ansiHTML) class() string {
	var c string
	if h.bold {
		c = "b"
	}
	if h.colour > 0 {
		c = strings.TrimSpace(c + " c" + strconv.Itoa(h.colour-1))
	}
	return c
}

// next returns how many bytes of data belong together and what they print.
// They are not whole when more may follow.
func (h *ansiHTML) next(data []byte) (n int, text string, whole bool) {
	switch c := data[0]; {
	case c == 0x1b:
		n, whole = h.escape(data)
		return n, "", whole
	case c == '\r':
		if len(data) == 1 {
			return 1, "", false
		}
		if data[1] == '\n' {
			return 1, "", true
		}
		return 1, "\n", true // a line that is written over
	case c == '\n' || c == '\t':
		return 1, string(c), true
	case c < ' ' || c == 0x7f:
		return 1, "", true
	case c < utf8.RuneSelf:
		n = bytes.IndexFunc(data, func(r rune) bool { return r < ' ' || r >= 0x7f })
		if n < 0 {
			n = len(data)
		}
		return n, string(data[:n]), true
	}
	if !utf8.FullRune(data) {
		return len(data), "�", false
	}
	r, n := utf8.DecodeRune(data)
	return n, string(r), true
}

// escape reads a sequence that begins with ESC.
func (h *ansiHTML) escape(data []byte) (n int, whole bool) {
	if len(data) < 2 {
		return 1, false
	}
	switch data[1] {
	case '[':
		for i := 2; i < len(data); i++ {
			if c := data[i]; c >= 0x40 && c <= 0x7e {
				if c == 'm' {
					h.graphics(string(data[2:i]))
				}
				return i + 1, true
			} else if c < 0x20 || i > maxSequence {
				return i, true // it is none
			}
		}
		return 2, false
	case ']', 'P', '_', '^': // texts for the terminal
		for i := 2; i < len(data); i++ {
			if data[i] == 7 {
				return i + 1, true
			}
			if data[i] == 0x1b {
				return i, i+1 < len(data)
			}
			if i > maxSequence {
				return 2, true
			}
		}
		return 2, false
	}
	return 2, true
}

// graphics reads the parameters of a change of colour.
func (h *ansiHTML) graphics(list string) {
	codes := strings.Split(list, ";")
	for i := 0; i < len(codes); i++ {
		n, err := strconv.Atoi(codes[i])
		switch {
		case codes[i] == "" || err == nil && n == 0:
			h.bold, h.colour = false, 0
		case n == 1:
			h.bold = true
		case n == 22:
			h.bold = false
		case n == 39:
			h.colour = 0
		case n >= 30 && n <= 37:
			h.colour = n - 30 + 1
		case n >= 90 && n <= 97:
			h.colour = n - 90 + 8 + 1
		case n == 38 || n == 48: // colours beyond those have parameters of their own
			if i+1 < len(codes) && codes[i+1] == "5" {
				i += 2
			} else {
				i += 4
			}
		}
	}
}
