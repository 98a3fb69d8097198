package web

import (
	"bytes"
	"context"
	"fmt"
	"strings"

	"github.com/cromt/cromt/bot/store"
	"github.com/cromt/cromt/flow"
)

// logFile is an attempt's log, read piece by piece: it may have 16 MiB.
//
// Where its middle was cut out there is one line that says so, so that lines
// have the same numbers on the page and in a download.
type logFile struct {
	s       *store.Store
	run     string
	job     string
	attempt int
	pieces  []logPiece
	size    int64 // of what was printed
}

// logPiece is a part of the log: of the database, or the note about the cut.
type logPiece struct {
	store.LogPiece
	before int // line ends before it
	note   string
}

func (p *pages) openLog(ctx context.Context, run, job string, attempt int) (*logFile, error) {
	l := &logFile{s: p.Store, run: run, job: job, attempt: attempt}
	pieces, err := p.Store.LogPieces(ctx, run, job, attempt)
	if err != nil {
		return nil, err
	}
	lines := 0
	for _, piece := range pieces {
		if gap := piece.Offset - l.size; gap > 0 {
			note := fmt.Sprintf("\n… %s were cut out here: the log is too long …\n", size(gap))
			l.pieces = append(l.pieces, logPiece{LogPiece: store.LogPiece{Offset: l.size, Bytes: gap, Lines: 2}, before: lines, note: note})
			lines += 2
		}
		l.pieces = append(l.pieces, logPiece{LogPiece: piece, before: lines})
		lines += piece.Lines
		l.size = piece.Offset + piece.Bytes
	}
	return l, nil
}

// ends is how many line ends the log has.
func (l *logFile) ends() int {
	if n := len(l.pieces); n > 0 {
		return l.pieces[n-1].before + l.pieces[n-1].Lines
	}
	return 0
}

// each reads the log from a piece on, until f has enough.
func (l *logFile) each(ctx context.Context, from int, f func(data []byte) (more bool, err error)) error {
	for _, piece := range l.pieces[min(from, len(l.pieces)):] {
		if piece.note != "" {
			if more, err := f([]byte(piece.note)); err != nil || !more {
				return err
			}
			continue
		}
		for at, end := piece.Offset, piece.Offset+piece.Bytes; at < end; {
			got, err := l.s.ReadLog(ctx, l.run, l.job, l.attempt, at, int(min(end-at, store.MaxLogRead)))
			if err != nil {
				return err
			}
			if len(got.Data) == 0 || got.Offset != at { // it was cut meanwhile
				return nil
			}
			if more, err := f(got.Data); err != nil || !more {
				return err
			}
			at = got.Next()
		}
	}
	return nil
}

// window is some lines of a log.
type window struct {
	first int    // number of its first line, from 1
	text  []byte // without what is before the first and after the last line
	lines int
	next  int64 // offset of what follows it
	whole bool  // it reaches the end of what there is
}

// from returns the lines from a number on.
func (l *logFile) from(ctx context.Context, line int) (window, error) {
	w := window{first: min(max(line, 1), l.ends()+1)}
	at := 0 // the last piece that begins before the line does
	for i, piece := range l.pieces {
		if piece.before < w.first-1 {
			at = i
		}
	}
	if len(l.pieces) == 0 {
		w.whole = true
		return w, nil
	}
	skip := w.first - 1 - l.pieces[at].before // line ends to go
	w.next = l.pieces[at].Offset
	err := l.each(ctx, at, func(data []byte) (bool, error) {
		for skip > 0 {
			i := bytes.IndexByte(data, '\n')
			if i < 0 {
				w.next += int64(len(data))
				return true, nil
			}
			data, skip, w.next = data[i+1:], skip-1, w.next+int64(i)+1
		}
		w.text = append(w.text, data...)
		return len(w.text) < windowBytes && bytes.Count(w.text, []byte{'\n'}) < windowLines, nil
	})
	w.cut()
	w.whole = w.first+w.lines > l.ends() && !w.longer(l)
	return w, err
}

// longer reports whether the log goes on after the last line end of w.
func (w *window) longer(l *logFile) bool {
	return w.lines == 0 && len(w.text) >= windowBytes && l.size > 0
}

// cut leaves windowLines lines and windowBytes at most.
func (w *window) cut() {
	w.text = w.text[:min(len(w.text), windowBytes)]
	w.lines = 0
	for i, c := range w.text {
		if c != '\n' {
			continue
		}
		if w.lines++; w.lines == windowLines {
			w.text = w.text[:i+1]
			break
		}
	}
	if i := bytes.LastIndexByte(w.text, '\n'); len(w.text) == windowBytes && i >= 0 {
		w.text = w.text[:i+1]
	}
	w.next += int64(len(w.text))
}

// tail returns the last lines, at most most bytes of them.
func (l *logFile) tail(ctx context.Context, most int) (window, error) {
	at, room := len(l.pieces), int64(most)
	for at > 0 && room > 0 {
		at--
		room -= l.pieces[at].Bytes
		if l.pieces[at].note != "" {
			break
		}
	}
	w := window{first: 1, whole: true, next: l.size}
	if at < len(l.pieces) {
		w.first = l.pieces[at].before + 1
	}
	err := l.each(ctx, at, func(data []byte) (bool, error) {
		w.text = append(w.text, data...)
		return true, nil
	})
	// The first line may have begun before: it is only shown if it is all there is.
	drop := max(len(w.text)-most, 0)
	if at > 0 || drop > 0 {
		if i := bytes.IndexByte(w.text[max(drop-1, 0):], '\n'); i >= 0 {
			drop = max(drop-1, 0) + i + 1
		}
	}
	for ends := bytes.Count(w.text[drop:], []byte{'\n'}); ends > windowLines; ends-- {
		drop += bytes.IndexByte(w.text[drop:], '\n') + 1
	}
	w.first += bytes.Count(w.text[:drop], []byte{'\n'})
	w.text = w.text[drop:]
	w.lines = bytes.Count(w.text, []byte{'\n'})
	return w, err
}

// match is a line that a search has found.
type match struct {
	Line int
	Text string
}

// search returns the lines that have a text, in whatever case, and whether
// there are more than maxMatches.
func (l *logFile) search(ctx context.Context, text string) (found []match, more bool, err error) {
	text = strings.ToLower(text)
	line, rest := 0, []byte(nil)
	look := func(data []byte) bool {
		line++
		if len(data) > maxLine {
			data = data[:maxLine]
		}
		plain := flow.PlainText(string(lastReturn(data)))
		if strings.Contains(strings.ToLower(plain), text) {
			if len(found) == maxMatches {
				more = true
				return false
			}
			found = append(found, match{line, plain})
		}
		return true
	}
	err = l.each(ctx, 0, func(data []byte) (bool, error) {
		for {
			i := bytes.IndexByte(data, '\n')
			if i < 0 {
				if len(rest) < maxLine {
					rest = append(rest, data...)
				}
				return true, nil
			}
			if len(rest) > 0 {
				rest = append(rest, data[:min(i, maxLine)]...)
				if !look(rest) {
					return false, nil
				}
				rest = rest[:0]
			} else if !look(data[:i]) {
				return false, nil
			}
			data = data[i+1:]
		}
	})
	if err == nil && !more && len(rest) > 0 {
		look(rest)
	}
	return found, more, err
}

// lastReturn is what a line looks like in the end: programs that show how far
// they are go back to its beginning and write it anew.
func lastReturn(line []byte) []byte {
	line = bytes.TrimRight(line, "\r")
	return line[bytes.LastIndexByte(line, '\r')+1:]
}
