package console

import (
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/cromt/cromt/flow"
)

// phase is how far a job is.
type phase int

const (
	waiting phase = iota // for other jobs, its turn in a queue, or another attempt
	sent                 // on its way to its host, or in the queue there
	running
	done
)

// liveJob is what the live view knows of a job.
type liveJob struct {
	*flow.Job
	phase      phase
	attempt    int
	since      time.Time // of the phase
	took       time.Duration
	conclusion flow.Conclusion
	reason     string
	host       string // where it is, or was last; "" when it is on no host yet
}

func (j *liveJob) where() string {
	if j.host != "" {
		return j.host
	}
	return j.Where()
}

// liveView draws the jobs at the bottom of the terminal, again and again.
// What is printed meanwhile scrolls above.
type liveView struct {
	o       Options
	st      style
	jobs    []*liveJob // in the order of the plan
	byJob   map[*flow.Job]*liveJob
	prefix  int
	began   time.Time
	screen  screen
	pending []string // lines to show above
	frame   int
	closed  bool
	quit    chan struct{}
	ended   chan struct{}
}

func newLiveView(plan *flow.Plan, o Options, st style, mu *sync.Mutex) *liveView {
	v := &liveView{
		o: o, st: st, began: time.Now(), byJob: make(map[*flow.Job]*liveJob, len(plan.Jobs)),
		screen: screen{out: o.Out}, quit: make(chan struct{}), ended: make(chan struct{}),
	}
	for _, j := range plan.Jobs {
		lj := &liveJob{Job: j}
		v.jobs = append(v.jobs, lj)
		v.byJob[j] = lj
		v.prefix = max(v.prefix, min(width(j.Key), maxPrefix))
	}
	go v.loop(mu)
	return v
}

// loop draws until close.
func (v *liveView) loop(mu *sync.Mutex) {
	defer close(v.ended)
	tick := time.NewTicker(frameTime)
	defer tick.Stop()
	for {
		select {
		case <-v.quit:
			return
		case <-tick.C:
			mu.Lock()
			if !v.closed {
				v.frame++
				v.draw()
			}
			mu.Unlock()
		}
	}
}

func (v *liveView) Event(ev *flow.Event) {
	if ev.Kind == flow.Note {
		v.Message("cromt: " + oneLine(ev.Message))
	}
	lj := v.byJob[ev.Job]
	if lj == nil {
		return
	}
	switch ev.Kind {
	case flow.JobWaiting:
		lj.phase, lj.since, lj.reason = waiting, time.Time{}, "for a host of pool "+lj.Pool
	case flow.JobQueued:
		lj.phase, lj.attempt, lj.since, lj.reason, lj.host = sent, ev.Attempt, ev.Time, "", ev.Host
	case flow.JobStarted:
		lj.phase, lj.attempt, lj.since = running, ev.Attempt, ev.Time
	case flow.AttemptCompleted:
		if !ev.RetryAt.IsZero() {
			lj.phase, lj.since = waiting, ev.RetryAt
			lj.reason = fmt.Sprintf("attempt %d: %s", ev.Attempt, oneLine(ev.Result.Error))
		}
	case flow.JobCompleted:
		if lj.phase == running {
			lj.took = ev.Time.Sub(lj.since)
		}
		lj.phase, lj.conclusion, lj.reason = done, ev.Result.Conclusion, oneLine(ev.Result.Error)
	}
}

func (v *liveView) Output(j *flow.Job, _ int, lines []string) {
	for _, line := range lines {
		if flow.IsProtocol(line) {
			continue
		}
		v.pending = append(v.pending, prefixed(v.st, j, v.prefix, "|", hostLine(v.st, line)))
	}
	if len(v.pending) > maxPending {
		v.draw()
	}
}

func (v *liveView) Message(line string) {
	if v.closed {
		fmt.Fprintln(v.o.Err, line)
		return
	}
	v.pending = append(v.pending, line)
}

// close removes the picture. The caller holds the lock that loop takes, so
// it is told to end and not waited for; closed keeps it from drawing.
func (v *liveView) Close() {
	if v.closed {
		return
	}
	v.closed = true
	close(v.quit)
	columns, _ := v.o.Size()
	v.screen.end(v.pending, columns)
	v.pending = nil
}

// draw shows the pending lines and the picture below them.
func (v *liveView) draw() {
	columns, rows := v.o.Size()
	v.screen.show(v.pending, v.picture(columns-1, max(rows-2, minRows+1)), columns)
	v.pending = nil
}

// picture is the jobs that fit, in the plan's order, and a line of counts.
func (v *liveView) picture(columns, rows int) []string {
	now := time.Now()
	var n [done + 1]int
	failed := 0
	for _, j := range v.jobs {
		n[j.phase]++
		if j.phase == done && !j.conclusion.Passed() && j.conclusion != flow.Skipped {
			failed++
		}
	}
	shown := v.jobs
	if len(shown) > rows-1 {
		shown = v.choose(rows - 2)
	}
	lines := make([]string, 0, len(shown)+2)
	for _, j := range shown {
		lines = append(lines, v.line(j, now, columns))
	}
	if hidden := len(v.jobs) - len(shown); hidden > 0 {
		lines = append(lines, v.st.paint(dim, fit(fmt.Sprintf("  … and %d more", hidden), columns)))
	}
	sum := fmt.Sprintf("%d/%d done, %d running", n[done], len(v.jobs), n[running]+n[sent])
	if failed > 0 {
		sum += fmt.Sprintf(", %d failed", failed)
	}
	sum += ", " + duration(now.Sub(v.began))
	return append(lines, v.st.paint(bold, fit(sum, columns)))
}

// choose returns the n jobs that are most worth a line: those that run, then
// failures, then what waits, then what is done; each in the plan's order.
func (v *liveView) choose(n int) []*liveJob {
	rank := func(j *liveJob) int {
		switch {
		case j.phase == running || j.phase == sent:
			return 0
		case j.phase == done && !j.conclusion.Passed() && j.conclusion != flow.Skipped:
			return 1
		case j.phase == waiting:
			return 2
		}
		return 3
	}
	var chosen []*liveJob
	for want := range 4 {
		for _, j := range v.jobs {
			if len(chosen) == n {
				break
			}
			if rank(j) == want {
				chosen = append(chosen, j)
			}
		}
	}
	index := make(map[*liveJob]int, len(v.jobs))
	for i, j := range v.jobs {
		index[j] = i
	}
	slices.SortFunc(chosen, func(a, b *liveJob) int { return index[a] - index[b] })
	return chosen
}

var spinner = [...]string{"⠋", "⠙", "⠹", "⠸", "⠼", "⠴", "⠦", "⠧", "⠇", "⠏"}

// line is one job: a symbol, its key, its state, how long, where.
func (v *liveView) line(j *liveJob, now time.Time, columns int) string {
	symbol, sgr, state, took := "·", dim, "waiting", ""
	rest := j.reason
	switch j.phase {
	case waiting:
		if !j.since.IsZero() {
			state, sgr = "retry", yellow
			took = duration(max(0, j.since.Sub(now)))
		} else if need := v.need(j); need != "" {
			rest = "for " + need
		}
	case sent:
		symbol, sgr, state, took, rest = spinner[v.frame%len(spinner)], cyan, "queued", duration(now.Sub(j.since)), "on "+j.where()
	case running:
		symbol, sgr, state, took, rest = spinner[v.frame%len(spinner)], cyan, "running", duration(now.Sub(j.since)), "on "+j.where()
	case done:
		symbol, sgr = look(j.conclusion)
		state = word(j.conclusion)
		if j.took > 0 {
			took = duration(j.took)
		}
		if rest == "" {
			rest = "on " + j.where()
		}
	}
	if j.attempt > 1 {
		rest = fmt.Sprintf("attempt %d, %s", j.attempt, rest)
	}
	head := fmt.Sprintf("%s %s  %-9s ", symbol, pad(j.Key, v.prefix), state)
	tail := fmt.Sprintf("%6s  %s", took, rest)
	head = fit(head, columns)
	return v.st.paint(sgr, head) + strings.TrimRight(fit(tail, columns-width(head)), " ")
}

// need is the first job that j waits for, and how many others.
func (v *liveView) need(j *liveJob) string {
	first, n := "", 0
	for _, d := range j.Needs {
		if s := v.byJob[d]; s != nil && s.phase != done {
			if n++; first == "" {
				first = d.Key
			}
		}
	}
	if n > 1 {
		return fmt.Sprintf("%s and %d more", first, n-1)
	}
	return first
}
