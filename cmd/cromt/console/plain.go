package console

import (
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/cromt/cromt/flow"
)

// plainView writes complete lines, each after the name of its job: what the
// job prints after "|", what becomes of it after "*".
type plainView struct {
	out, err io.Writer
	st       style
	prefix   int                     // columns of the names
	since    map[*flow.Job]time.Time // start of the attempt that runs
	waited   map[string]bool         // pools for which a job has been said to wait; thousands may
}

func newPlainView(plan *flow.Plan, out, err io.Writer, st style) *plainView {
	v := &plainView{out: out, err: err, st: st, since: map[*flow.Job]time.Time{}, waited: map[string]bool{}}
	for _, j := range plan.Jobs {
		v.prefix = max(v.prefix, min(width(j.Key), maxPrefix))
	}
	return v
}

func (v *plainView) Event(ev *flow.Event) {
	if ev.Kind == flow.Note {
		v.Message("cromt: " + oneLine(ev.Message))
	}
	if ev.Job == nil {
		return
	}
	switch ev.Kind {
	case flow.JobWaiting:
		if pool := ev.Job.Pool; !v.waited[pool] {
			v.waited[pool] = true
			v.say(ev.Job, "waits for a host of pool "+pool)
		}
	case flow.JobStarted:
		v.since[ev.Job] = ev.Time
		text := "started on " + ev.Where()
		if ev.Attempt > 1 {
			text += fmt.Sprintf(", attempt %d", ev.Attempt)
		}
		v.say(ev.Job, text)
	case flow.AttemptCompleted:
		if !ev.RetryAt.IsZero() {
			v.say(ev.Job, ended(v.st, ev, v.since[ev.Job]))
			delete(v.since, ev.Job)
		}
	case flow.JobCompleted:
		v.say(ev.Job, ended(v.st, ev, v.since[ev.Job]))
		delete(v.since, ev.Job)
	}
}

func (v *plainView) say(j *flow.Job, text string) {
	fmt.Fprintln(v.out, prefixed(v.st, j, v.prefix, "*", text))
}

func (v *plainView) Output(j *flow.Job, _ int, lines []string) {
	var b strings.Builder
	for _, line := range lines {
		if flow.IsProtocol(line) {
			continue
		}
		b.WriteString(prefixed(v.st, j, v.prefix, "|", hostLine(v.st, line)) + "\n")
	}
	_, _ = io.WriteString(v.out, b.String())
}

func (v *plainView) Message(line string) { fmt.Fprintln(v.err, line) }

func (v *plainView) Close() {}

// prefixed puts the job's name and a mark before a line.
func prefixed(st style, j *flow.Job, columns int, mark, text string) string {
	return st.paint(cyan, pad(j.Key, columns)+" "+mark) + " " + text
}

// HostLine is a line that a host printed, as a colour terminal may have it,
// and whether it is for people at all.
func HostLine(line string) (text string, show bool) {
	return hostLine(style{color: true}, line), !flow.IsProtocol(line)
}

// hostLine cleans a line that a host printed; its colours end with it.
func hostLine(st style, line string) string {
	if !st.color {
		return flow.PlainText(line)
	}
	line = flow.ColorText(line)
	if strings.Contains(line, "\x1b[") {
		line += "\x1b[0m"
	}
	return line
}
