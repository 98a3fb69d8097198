package console

import (
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"github.com/cromt/cromt/flow"
)

// plainView writes complete lines, each after the name of its job: what the
// job prints after "|", what becomes of it after "*".
type plainView struct {
	out, err io.Writer
	st       style
	prefix   int // columns of the names
	jobs     map[*flow.Job]*plainJob
}

type plainJob struct {
	announced int // attempt whose start is told already
	since     time.Time
}

func newPlainView(plan *flow.Plan, out, err io.Writer, st style) *plainView {
	v := &plainView{out: out, err: err, st: st, jobs: make(map[*flow.Job]*plainJob, len(plan.Jobs))}
	for _, j := range plan.Jobs {
		v.jobs[j] = &plainJob{}
		v.prefix = max(v.prefix, min(width(j.Key), maxPrefix))
	}
	return v
}

func (v *plainView) job(j *flow.Job) *plainJob {
	if p := v.jobs[j]; p != nil {
		return p
	}
	p := &plainJob{}
	v.jobs[j] = p
	return p
}

func (v *plainView) event(ev *flow.Event) {
	if ev.Kind == flow.Note {
		v.message("cromt: " + oneLine(ev.Message))
	}
	if ev.Job == nil {
		return
	}
	p := v.job(ev.Job)
	switch ev.Kind {
	case flow.JobStarted:
		p.since = ev.Time
		v.announce(ev.Job, ev.Attempt)
	case flow.AttemptCompleted:
		if !ev.RetryAt.IsZero() {
			v.say(ev.Job, ended(v.st, ev, p.since))
			p.since = time.Time{}
		}
	case flow.JobCompleted:
		v.say(ev.Job, ended(v.st, ev, p.since))
	}
}

// announce tells the start of an attempt, once: by its event or by the first
// line that it prints, whichever comes first.
func (v *plainView) announce(j *flow.Job, attempt int) {
	p := v.job(j)
	if p.announced >= attempt {
		return
	}
	p.announced = attempt
	text := "started on " + j.Host
	if attempt > 1 {
		text += fmt.Sprintf(", attempt %d", attempt)
	}
	v.say(j, text)
}

func (v *plainView) say(j *flow.Job, text string) {
	fmt.Fprintln(v.out, prefixed(v.st, j, v.prefix, "*", text))
}

func (v *plainView) output(j *flow.Job, attempt int, lines []string) {
	v.announce(j, attempt)
	var b strings.Builder
	for _, line := range lines {
		if isProtocol(line) {
			continue
		}
		b.WriteString(prefixed(v.st, j, v.prefix, "|", hostLine(v.st, line)) + "\n")
	}
	_, _ = io.WriteString(v.out, b.String())
}

func (v *plainView) message(line string) { fmt.Fprintln(v.err, line) }

func (v *plainView) close() {}

// prefixed puts the job's name and a mark before a line.
func prefixed(st style, j *flow.Job, columns int, mark, text string) string {
	return st.paint(cyan, pad(j.Key, columns)+" "+mark) + " " + text
}

// isProtocol reports whether a line is what the host's side of cromt says to
// this one, and not what the job says to people.
func isProtocol(line string) bool {
	rest, ok := strings.CutPrefix(line, "meta: ")
	if !ok {
		return false
	}
	key, _, ok := strings.Cut(rest, "=")
	return ok && slices.Contains([]string{"step", "commit", "result", "in", "out"}, key)
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
