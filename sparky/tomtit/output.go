package tomtit

import (
	"bytes"
	"fmt"
	"io"
	"time"
	"unicode/utf8"
)

// lineWriter prints a task's output as tom does: line by line, with the time,
// ended by \n, \r or both alike, bytes that are not UTF-8 made visible.
type lineWriter struct {
	w      io.Writer
	prefix func() string
	line   []byte
	out    []byte
}

func (l *lineWriter) Write(p []byte) (int, error) {
	n := len(p)
	for len(p) > 0 {
		i := bytes.IndexAny(p, "\n\r")
		if i < 0 {
			l.line = append(l.line, p...)
			for len(l.line) >= MaxLine {
				rest := append([]byte(nil), l.line[MaxLine:]...)
				l.line = l.line[:MaxLine]
				l.end()
				l.line = rest
			}
			break
		}
		l.line = append(l.line, p[:i]...)
		l.end()
		p = p[i+1:]
	}
	return n, l.send()
}

func (l *lineWriter) end() {
	l.out = append(l.out, l.prefix()...)
	for s := l.line; len(s) > 0; {
		r, n := utf8.DecodeRune(s)
		if r == utf8.RuneError && n == 1 {
			l.out = append(l.out, "\U0010FFFD"...)
			l.out = fmt.Appendf(l.out, "x%02X", s[0])
		} else {
			l.out = append(l.out, s[:n]...)
		}
		s = s[n:]
	}
	l.out = append(l.out, '\n')
	l.line = l.line[:0]
}

func (l *lineWriter) send() error {
	if len(l.out) == 0 {
		return nil
	}
	_, err := l.w.Write(l.out)
	l.out = l.out[:0]
	return err
}

// close prints a last line without an end.
func (l *lineWriter) close() {
	if len(l.line) > 0 {
		l.end()
	}
	_ = l.send()
}

// capped keeps the first bytes that are written to it.
type capped struct {
	bytes.Buffer
	cut bool
}

func (c *capped) Write(p []byte) (int, error) {
	if room := MaxStderr - c.Len(); room < len(p) {
		c.cut = true
		c.Buffer.Write(p[:max(0, room)])
	} else {
		c.Buffer.Write(p)
	}
	return len(p), nil
}

func (o options) stamp() string {
	switch {
	case !o.stamps:
		return ""
	case o.color:
		return "\x1b[35m" + time.Now().Format("15:04:05") + "\x1b[0m :: "
	}
	return time.Now().Format("15:04:05") + " :: "
}

// header prints [text] unless tom is quiet.
func (o options) header(w io.Writer, text string) {
	switch {
	case o.quiet:
	case o.color:
		fmt.Fprintf(w, "\x1b[1;36m[%s]\x1b[0m\n", text)
	default:
		fmt.Fprintf(w, "[%s]\n", text)
	}
}
