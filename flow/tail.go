package flow

import (
	"strings"
	"unicode/utf8"
)

// tailWriter keeps the last limit bytes that are written to it.
type tailWriter struct {
	limit int
	buf   []byte
	cut   bool
}

func (t *tailWriter) Write(p []byte) (int, error) {
	n := len(p)
	if n > t.limit {
		p = p[n-t.limit:]
		t.cut = true
	}
	// The buffer may grow to twice the limit, so that moving its end to its
	// start costs no more than the writes did.
	if len(t.buf)+len(p) > 2*t.limit {
		t.buf = append(t.buf[:0], t.buf[len(t.buf)-t.limit:]...)
		t.cut = true
	}
	t.buf = append(t.buf, p...)
	return n, nil
}

// String returns what is kept, from the start of a line if something was cut.
func (t *tailWriter) String() string {
	b, cut := t.buf, t.cut
	if len(b) > t.limit {
		b, cut = b[len(b)-t.limit:], true
	}
	s := string(b)
	if !cut {
		return s
	}
	if i := strings.IndexByte(s, '\n'); i >= 0 && i < len(s)-1 {
		return s[i+1:]
	}
	for len(s) > 0 && !utf8.RuneStart(s[0]) {
		s = s[1:]
	}
	return s
}
