package console

import (
	"context"
	"fmt"
	"io"
	"sync"
	"time"

	"github.com/cromt/cromt/flow"
)

// Options says where and how a run is shown.
type Options struct {
	Out, Err io.Writer
	// JSON writes events, one object a line, to Out, and nothing else there.
	JSON bool
	// Live draws what runs on the terminal that Out is, again and again.
	Live bool
	// Color paints, and lets the colours of jobs through.
	Color bool
	// Verbose shows what jobs print in the live view too, which without it
	// shows only their state. The other forms always show it.
	Verbose bool
	// View, when not nil, shows the run instead of the forms above.
	View View
	// Size of the terminal, asked before each picture of the live view.
	Size func() (columns, rows int)
}

// Console shows one run. Its methods may be called from several goroutines.
type Console struct {
	o    Options
	mu   sync.Mutex // of view and logs
	view View
	logs map[*flow.Job]*jobLog
}

// jobLog holds what an attempt prints until its start has been told: events
// come by another way than logs, and a little later.
type jobLog struct {
	started int // attempt whose lines go through
	held    []string
}

// View is one way to show a run. Console calls it under its lock. The lines of
// an attempt come after its JobStarted, if it has one, and before its
// AttemptCompleted.
type View interface {
	Event(ev *flow.Event)
	Output(j *flow.Job, attempt int, lines []string)
	Message(line string)
	Close()
}

// New returns a Console for a run of the plan. Close ends it.
func New(plan *flow.Plan, o Options) *Console {
	c := &Console{o: o, logs: map[*flow.Job]*jobLog{}}
	st := style{o.Color}
	switch {
	case o.View != nil:
		c.view = o.View
	case o.JSON:
		c.view = newJSONView(o.Out, o.Err)
	case o.Live:
		c.view = newLiveView(plan, o, st, &c.mu)
	default:
		c.view = newPlainView(plan, o.Out, o.Err, st)
	}
	return c
}

// Report implements flow.Reporter. What cannot be written is lost: a closed
// pipe does not end a run.
func (c *Console) Report(_ context.Context, events []flow.Event) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	for i := range events {
		ev := &events[i]
		switch ev.Kind {
		case flow.JobStarted:
			c.view.Event(ev)
			c.release(ev.Job, ev.Attempt)
			continue
		case flow.AttemptCompleted: // it may have ended before it was seen to run
			c.release(ev.Job, ev.Attempt)
		case flow.JobCompleted:
			delete(c.logs, ev.Job)
		}
		c.view.Event(ev)
	}
	return nil
}

// Output returns where an attempt's log goes; the engine closes it.
func (c *Console) Output(j *flow.Job, attempt int) io.Writer {
	if c.o.Live && !c.o.Verbose && c.o.View == nil {
		return io.Discard
	}
	return &lineWriter{emit: func(lines []string) {
		c.mu.Lock()
		defer c.mu.Unlock()
		l := c.log(j)
		if l.started < attempt {
			if l.held = append(l.held, lines...); len(l.held) < maxPending {
				return
			}
			c.release(j, attempt)
			return
		}
		c.view.Output(j, attempt, lines)
	}}
}

func (c *Console) log(j *flow.Job) *jobLog {
	l := c.logs[j]
	if l == nil {
		l = &jobLog{}
		c.logs[j] = l
	}
	return l
}

// release lets the lines of an attempt through.
func (c *Console) release(j *flow.Job, attempt int) {
	l := c.log(j)
	if l.started < attempt {
		l.started = attempt
	}
	if len(l.held) > 0 {
		c.view.Output(j, attempt, l.held)
		l.held = nil
	}
}

// Messagef tells people something: one line on Err, or above the live view.
func (c *Console) Messagef(format string, args ...any) {
	line := "cromt: " + oneLine(fmt.Sprintf(format, args...))
	c.mu.Lock()
	defer c.mu.Unlock()
	c.view.Message(line)
}

// Write makes a Console the writer of a log: each line is a message.
func (c *Console) Write(p []byte) (int, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.view.Message(oneLine(string(p)))
	return len(p), nil
}

// Close ends the live view and leaves the terminal as it was.
func (c *Console) Close() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.view.Close()
}

// Ended is the line that says how an attempt or a job ended, of an
// AttemptCompleted or JobCompleted event. since is when it was seen to start.
func Ended(ev *flow.Event, since time.Time, color bool) string {
	return ended(style{color}, ev, since)
}

func ended(st style, ev *flow.Event, since time.Time) string {
	r := ev.Result
	symbol, sgr := look(r.Conclusion)
	text := st.paint(sgr, symbol+" "+word(r.Conclusion))
	if since.IsZero() {
		since = r.StartedAt
	}
	if !since.IsZero() && !r.CompletedAt.IsZero() && !r.CompletedAt.Before(since) {
		text += " in " + duration(r.CompletedAt.Sub(since))
	}
	if r.Error != "" {
		text += ": " + oneLine(r.Error)
	}
	if ev.Kind == flow.JobCompleted && ev.Attempt > 1 {
		text += fmt.Sprintf(" (attempt %d)", ev.Attempt)
	}
	if !ev.RetryAt.IsZero() {
		text += fmt.Sprintf("; attempt %d in %s", ev.Attempt+1, duration(max(0, ev.RetryAt.Sub(ev.Time))))
	}
	return text
}
