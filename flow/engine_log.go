package flow

import (
	"io"
)

// attemptLog is where an Executor writes an attempt's log. Of an attempt that
// is taken up again it holds back what the earlier processes have written. One
// goroutine writes to it.
type attemptLog struct {
	tail  tailWriter
	out   io.Writer // nil: nowhere
	skip  int64     // bytes that out has already
	bytes int64     // of the whole log so far
	marks []Mark    // [0] is far enough from the end, unless it is the start; the others are not yet
}

// markEvery is how many bytes of log are between two marks at least.
const markEvery = LogTailLimit / 16

// openLog opens the log of an attempt, and says where in the host's log the
// Executor begins.
func (e *Engine) openLog(a *Attempt, mark Mark) *attemptLog {
	l := &attemptLog{tail: tailWriter{limit: LogTailLimit}}
	if e.Output != nil {
		l.out = e.Output(a.Job, a.Number)
	}
	have := mark.LogBytes // without an output nothing is missing there
	if l.out != nil {
		have = 0
		if a.Resumed && e.LogOffset != nil {
			have = e.LogOffset(a.Job, a.Number)
		}
	}
	if have < mark.LogBytes { // some of it was lost: from the beginning
		mark = Mark{}
	}
	a.LogOffset, l.bytes, l.skip = mark.LogOffset, mark.LogBytes, have-mark.LogBytes
	l.marks = []Mark{{LogOffset: mark.LogOffset, LogBytes: mark.LogBytes}}
	return l
}

// Write implements io.Writer.
func (l *attemptLog) Write(p []byte) (int, error) {
	_, _ = l.tail.Write(p) // it does not fail
	l.bytes += int64(len(p))
	n := min(l.skip, int64(len(p)))
	l.skip -= n
	if l.out == nil || int(n) == len(p) {
		return len(p), nil
	}
	m, err := l.out.Write(p[n:])
	return int(n) + m, err
}

// marked notes that one can begin at that offset of the host's log, too.
func (l *attemptLog) marked(offset int64) {
	if l.bytes >= l.marks[len(l.marks)-1].LogBytes+markEvery {
		l.marks = append(l.marks, Mark{LogOffset: offset, LogBytes: l.bytes})
	}
	n := 0
	for n+1 < len(l.marks) && l.bytes-l.marks[n+1].LogBytes > LogTailLimit {
		n++
	}
	l.marks = l.marks[n:]
}

// mark is where the next process begins.
func (l *attemptLog) mark() Mark { return l.marks[0] }

func (l *attemptLog) close() {
	if c, ok := l.out.(io.Closer); ok {
		_ = c.Close() // it is told of nothing that is lost by it
	}
}
