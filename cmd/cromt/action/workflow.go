package action

import (
	"bytes"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/cromt/cromt/cmd/cromt/console"
	"github.com/cromt/cromt/flow"
)

// Log shows a run in a workflow's log, what each attempt prints in a group of
// its own. Groups cannot be mixed: of the attempts that run at once, the one
// that started first is shown as it goes on, the others when they have ended,
// between which the first one's group is continued. It implements
// [console.View].
type Log struct {
	c     *Commands
	dir   string // for what waits, "" is the system's
	runs  []*attemptLog
	open  *attemptLog // whose group is open
	fence func()      // ends that of open
}

// attemptLog is what an attempt that goes on has printed.
type attemptLog struct {
	job     *flow.Job
	number  int
	where   string    // its host
	since   time.Time // its start
	opened  bool      // its group has been shown once
	held    bytes.Buffer
	file    *os.File // what did not fit into held
	dropped int64    // bytes that could not be kept
}

// NewLog returns a Log. What waits to be shown and does not fit into memory is
// kept below dir.
func NewLog(c *Commands, dir string) *Log { return &Log{c: c, dir: dir} }

// Event implements [console.View].
func (l *Log) Event(ev *flow.Event) {
	switch ev.Kind {
	case flow.Note:
		l.Message("cromt: " + ev.Message)
	case flow.JobStarted:
		a := l.attempt(ev.Job, ev.Attempt)
		a.since, a.where = ev.Time, ev.Where()
	case flow.AttemptCompleted:
		a := l.attempt(ev.Job, ev.Attempt)
		l.complete(a)
		if !ev.RetryAt.IsZero() {
			l.say(ev, a.since)
		}
	case flow.JobCompleted:
		l.say(ev, time.Time{})
	}
}

// Output implements [console.View].
func (l *Log) Output(j *flow.Job, attempt int, lines []string) {
	a := l.attempt(j, attempt)
	var b strings.Builder
	for _, line := range lines {
		if text, show := console.HostLine(line); show {
			b.WriteString(quiet(text) + "\n")
		}
	}
	if b.Len() == 0 {
		return
	}
	if l.runs[0] != a {
		l.hold(a, b.String())
		return
	}
	l.enter(a)
	_, _ = io.WriteString(l.c.out, b.String())
}

// Message implements [console.View]: lines of cromt itself, which are in no
// group, where nobody would see them.
func (l *Log) Message(line string) {
	l.leave()
	l.c.Line(flow.PlainText(line))
}

// Close implements [console.View]. It shows what attempts that have not ended
// had printed.
func (l *Log) Close() {
	for len(l.runs) > 0 {
		l.complete(l.runs[0])
	}
}

// attempt returns the log of an attempt that goes on.
func (l *Log) attempt(j *flow.Job, number int) *attemptLog {
	for _, a := range l.runs {
		if a.job == j && a.number == number {
			return a
		}
	}
	a := &attemptLog{job: j, number: number, where: j.Where()}
	l.runs = append(l.runs, a)
	return a
}

// complete shows all of an attempt that has ended.
func (l *Log) complete(a *attemptLog) {
	l.release(a)
	l.leave()
	i := slices.Index(l.runs, a)
	l.runs = slices.Delete(l.runs, i, i+1)
	if i == 0 && len(l.runs) > 0 { // the next one is shown as it goes on
		l.release(l.runs[0])
	}
}

// release shows what an attempt had to hold back.
func (l *Log) release(a *attemptLog) {
	if a.held.Len() == 0 && a.file == nil {
		return
	}
	l.enter(a)
	_, _ = a.held.WriteTo(l.c.out)
	a.held = bytes.Buffer{}
	if a.file != nil {
		_, err := a.file.Seek(0, io.SeekStart)
		if err == nil {
			_, err = io.Copy(l.c.out, a.file)
		}
		if err != nil {
			fmt.Fprintf(l.c.out, "cromt: part of this log is missing: %v\n", err)
		}
		_ = a.file.Close()
		a.file = nil
	}
	if a.dropped > 0 {
		fmt.Fprintf(l.c.out, "cromt: %d bytes of this log are missing: no room to keep them\n", a.dropped)
	}
}

// hold keeps text until the attempt's turn.
func (l *Log) hold(a *attemptLog, text string) {
	if a.file == nil {
		if a.held.Len()+len(text) <= spoolMemory {
			a.held.WriteString(text)
			return
		}
		f, err := os.CreateTemp(l.dir, "log-*")
		if err != nil {
			a.dropped += int64(len(text))
			return
		}
		_ = os.Remove(f.Name()) // it lives as long as it is open; Windows keeps it to the end
		a.file = f
	}
	n, _ := a.file.WriteString(text)
	a.dropped += int64(len(text) - n)
}

// enter opens the group of an attempt.
func (l *Log) enter(a *attemptLog) {
	if l.open == a {
		return
	}
	l.leave()
	title := a.job.Key + " on " + a.where
	if a.number > 1 {
		title += fmt.Sprintf(", attempt %d", a.number)
	}
	if a.opened {
		title += " (continued)"
	}
	l.c.Group(title)
	l.open, l.fence, a.opened = a, l.c.Fence(), true
}

// leave closes the group that is open.
func (l *Log) leave() {
	if l.open == nil {
		return
	}
	l.fence()
	l.c.EndGroup()
	l.open, l.fence = nil, nil
}

// say tells how an attempt or a job ended.
func (l *Log) say(ev *flow.Event, since time.Time) {
	l.leave()
	l.c.Line(ev.Job.Key + " " + console.Ended(ev, since, true))
}
