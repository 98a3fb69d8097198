package console

import (
	"bytes"
	"sync"
)

// lineWriter makes lines of what one attempt prints, and hands each complete
// one on. A lone carriage return begins the line anew, as on a terminal, so
// that of a progress bar its last state is left.
type lineWriter struct {
	mu   sync.Mutex
	buf  []byte
	emit func(lines []string)
}

// Write implements io.Writer; it does not fail.
func (w *lineWriter) Write(p []byte) (int, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	var lines []string
	rest := p
	for {
		i := bytes.IndexByte(rest, '\n')
		if i < 0 {
			break
		}
		lines = append(lines, w.take(rest[:i])...)
		rest = rest[i+1:]
	}
	w.buf = append(w.buf, rest...)
	for len(w.buf) > maxLine {
		if i := bytes.LastIndexByte(w.buf[:len(w.buf)-1], '\r'); i >= 0 {
			w.buf = append(w.buf[:0], w.buf[i+1:]...)
			continue
		}
		n := cutLine(w.buf, maxLine)
		lines = append(lines, string(w.buf[:n]))
		w.buf = append(w.buf[:0], w.buf[n:]...)
	}
	if len(lines) > 0 {
		w.emit(lines)
	}
	return len(p), nil
}

// take ends the line at hand with its last bytes.
func (w *lineWriter) take(last []byte) []string {
	w.buf = append(w.buf, last...)
	line := bytes.TrimRight(w.buf, "\r")
	w.buf = w.buf[:0] // what is in line is copied below, before anything is appended
	if i := bytes.LastIndexByte(line, '\r'); i >= 0 {
		line = line[i+1:]
	}
	var lines []string
	for len(line) > maxLine {
		n := cutLine(line, maxLine)
		lines = append(lines, string(line[:n]))
		line = line[n:]
	}
	return append(lines, string(line))
}

// Close hands on what is left without a newline.
func (w *lineWriter) Close() error {
	w.mu.Lock()
	defer w.mu.Unlock()
	if len(w.buf) > 0 {
		w.emit(w.take(nil))
	}
	return nil
}
