package flow

import (
	"fmt"
	"sort"
	"strings"
)

// Pos is a place in a file. Line and Col count from 1, Col in bytes. The zero
// Pos means that the value was not in the file.
type Pos struct{ Line, Col int }

// IsSet reports whether p is a place in a file.
func (p Pos) IsSet() bool { return p.Line > 0 }

// Error is one problem of a file. Its text is FILE:LINE:COL: message, with
// the hint after a semicolon.
type Error struct {
	File string
	Pos  Pos
	Msg  string // what is wrong: lower case, no full stop
	Hint string // what to do about it, may be empty
}

func (e *Error) Error() string {
	var b strings.Builder
	b.WriteString(e.File)
	if e.Pos.IsSet() {
		fmt.Fprintf(&b, ":%d:%d", e.Pos.Line, e.Pos.Col)
	}
	b.WriteString(": ")
	b.WriteString(e.Msg)
	if e.Hint != "" {
		b.WriteString("; ")
		b.WriteString(e.Hint)
	}
	return b.String()
}

// ErrorList is every problem found in a file, in the order of the file.
type ErrorList []*Error

func (l ErrorList) Error() string {
	lines := make([]string, len(l))
	for i, e := range l {
		lines[i] = e.Error()
	}
	return strings.Join(lines, "\n")
}

// Sort orders the list by place in the file; problems of one place keep
// their order.
func (l ErrorList) Sort() {
	sort.SliceStable(l, func(i, j int) bool {
		a, b := l[i].Pos, l[j].Pos
		if a.Line != b.Line {
			return a.Line < b.Line
		}
		return a.Col < b.Col
	})
}
