package tomtit

import (
	"bytes"
	"fmt"
	"io"
	"strings"
	"time"
	"unicode/utf8"
)

// printer prints as tom does: headers, and lines of tasks with the time.
type printer struct {
	out   io.Writer
	color bool
	times bool
	quiet bool
}

// say prints text as it is, and a newline.
func (p *printer) say(text string) error {
	_, err := io.WriteString(p.out, text+"\n")
	return err
}

// header prints [text].
func (p *printer) header(text string) error {
	switch {
	case p.quiet:
		return nil
	case p.color:
		return p.say("\x1b[1;36m[" + text + "]\x1b[0m")
	}
	return p.say("[" + text + "]")
}

// result prints a check that was done, or a note of a task.check.
func (p *printer) result(r checkResult) error {
	status, color := "True", "36"
	if !r.status || r.soft {
		status, color = "False", "31"
	}
	switch {
	case r.note && p.color:
		return p.say("\x1b[33m# " + r.text + "\x1b[0m")
	case r.note:
		return p.say(r.text)
	case !p.color:
		return p.say(r.text + " " + status)
	case r.soft:
		status = "~FAIL"
	}
	return p.say(r.text + " \x1b[" + color + "m" + status + "\x1b[0m")
}

// line prints a line of a task with the time of the host.
func (p *printer) line(text string) error {
	if !p.times {
		return p.say(text)
	}
	now := time.Now().Format(time.TimeOnly)
	if p.color {
		now = "\x1b[35m" + now + "\x1b[0m"
	}
	return p.say(now + " :: " + text)
}

// lines is a writer that prints what it gets line by line. Lines end at \n
// and at \r, so that \r\n gives an empty line more, as tom does it. Bytes that
// are not UTF-8 are shown as U+10FFFD, x and two digits.
type lines struct {
	print func(line string) error
	rest  []byte
}

func (l *lines) Write(b []byte) (int, error) {
	for i := 0; i < len(b); {
		end := i
		for end < len(b) && b[end] != '\n' && b[end] != '\r' {
			end++
		}
		l.rest = append(l.rest, b[i:end]...)
		for len(l.rest) > MaxLine {
			if err := l.flush(runeBoundary(l.rest, MaxLine)); err != nil {
				return 0, err
			}
		}
		if end < len(b) {
			if err := l.flush(len(l.rest)); err != nil {
				return 0, err
			}
		}
		i = end + 1
	}
	return len(b), nil
}

// flush prints the first n bytes of the rest as a line.
func (l *lines) flush(n int) error {
	err := l.print(readable(l.rest[:n]))
	l.rest = append(l.rest[:0], l.rest[n:]...)
	return err
}

// Close prints a last line that has no newline.
func (l *lines) Close() error {
	if len(l.rest) == 0 {
		return nil
	}
	return l.flush(len(l.rest))
}

// runeBoundary returns the last place up to n where b may be cut.
func runeBoundary(b []byte, n int) int {
	for i := n; i > n-utf8.UTFMax && i > 0; i-- {
		if utf8.RuneStart(b[i]) {
			return i
		}
	}
	return n
}

func readable(b []byte) string {
	if utf8.Valid(b) {
		return string(b)
	}
	var s strings.Builder
	for len(b) > 0 {
		r, n := utf8.DecodeRune(b)
		if r == utf8.RuneError && n == 1 {
			fmt.Fprintf(&s, "%cx%02X", notUTF8, b[0])
		} else {
			s.Write(b[:n])
		}
		b = b[n:]
	}
	return s.String()
}

// collector is a writer that keeps all of an output for checks.
type collector struct {
	buf  bytes.Buffer
	over bool
}

func (c *collector) Write(b []byte) (int, error) {
	if c.over = c.over || c.buf.Len()+len(b) > MaxChecked; !c.over {
		c.buf.Write(b)
	}
	return len(b), nil
}

// lines splits what was written as [lines] does. A byte that is not UTF-8 is
// one character for checks.
func (c *collector) lines() []string {
	var out []string
	text := c.buf.Bytes()
	for len(text) > 0 {
		end := bytes.IndexAny(text, "\n\r")
		if end < 0 {
			return append(out, matchable(text))
		}
		out = append(out, matchable(text[:end]))
		text = text[end+1:]
	}
	return out
}

func matchable(b []byte) string {
	if utf8.Valid(b) {
		return string(b)
	}
	var s strings.Builder
	for len(b) > 0 {
		r, n := utf8.DecodeRune(b)
		if r == utf8.RuneError && n == 1 {
			r = notUTF8
		}
		s.WriteRune(r)
		b = b[n:]
	}
	return s.String()
}

// notUTF8 is how Raku begins what stands for a byte that is not UTF-8.
const notUTF8 = '\U0010FFFD'

// tail is a writer that keeps the last MaxStderr bytes.
type tail struct {
	buf     []byte
	dropped int64
}

func (t *tail) Write(b []byte) (int, error) {
	t.buf = append(t.buf, b...)
	if over := len(t.buf) - MaxStderr; over > MaxStderr/2 {
		t.dropped += int64(over)
		t.buf = append(t.buf[:0], t.buf[over:]...)
	}
	return len(b), nil
}

// printTo prints what was kept under a header, if there is something.
func (t *tail) printTo(p *printer, header string) error {
	if len(t.buf) == 0 {
		return nil
	}
	if err := p.header(header); err != nil {
		return err
	}
	if t.dropped > 0 {
		if err := p.line(fmt.Sprintf("(%d bytes before this were dropped)", t.dropped)); err != nil {
			return err
		}
	}
	l := &lines{print: p.line}
	if _, err := l.Write(t.buf); err != nil {
		return err
	}
	return l.Close()
}
