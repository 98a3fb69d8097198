package console

import (
	"bufio"
	"fmt"
	"io"
	"strings"

	"github.com/cromt/cromt/flow"
)

// WriteReport writes how a run ended: a line for each job, then what is known
// of those that failed, then the result.
func WriteReport(w io.Writer, r *flow.Run, color bool) error {
	rep := report{b: bufio.NewWriter(w), st: style{color}, run: r}
	rep.table()
	rep.failures()
	for _, n := range r.Notes {
		fmt.Fprintf(rep.b, "note: %s\n", oneLine(n))
	}
	_, sgr := look(r.Conclusion)
	fmt.Fprintf(rep.b, "%s: %s in %s (run %s)\n",
		rep.st.paint(bold+";"+sgr, word(r.Conclusion)), r.Count(), duration(max(0, r.CompletedAt.Sub(r.StartedAt))), r.ID)
	return rep.b.Flush()
}

type report struct {
	b   *bufio.Writer // the first error stays until Flush
	st  style
	run *flow.Run
}

// table writes a line for each job: result, key, host, duration, attempts and
// the reason.
func (r *report) table() {
	keys, hosts, words := 0, 0, 0
	for i := range r.run.Jobs {
		j := &r.run.Jobs[i]
		keys, hosts = max(keys, width(j.Key)), max(hosts, width(j.Where()))
		words = max(words, width(word(j.Conclusion)))
	}
	for i := range r.run.Jobs {
		j := &r.run.Jobs[i]
		symbol, sgr := look(j.Conclusion)
		took := "-"
		if len(j.Attempts) > 0 {
			took = duration(j.Duration())
		}
		line := fmt.Sprintf("%s  %s  %s  %6s", r.st.paint(sgr, symbol+" "+pad(word(j.Conclusion), words)), pad(j.Key, keys), pad(j.Where(), hosts), took)
		if n := len(j.Attempts); n > 1 {
			line += fmt.Sprintf("  %d attempts", n)
		}
		if why := oneLine(r.run.Reason(j)); why != "" {
			line += "  " + why
		}
		fmt.Fprintln(r.b, line)
	}
}

// failures tells of the jobs that failed by themselves: the line that says
// why, the end of the log, and what can be done.
func (r *report) failures() {
	told, more := 0, 0
	for i := range r.run.Jobs {
		j := &r.run.Jobs[i]
		ignored := j.Conclusion == flow.Neutral && j.Cause != "" // it failed, and its errors are ignored
		if j.Conclusion != flow.Failure && j.Conclusion != flow.TimedOut && !ignored {
			continue
		}
		if told == maxDetails {
			more++
			continue
		}
		told++
		r.failure(j)
	}
	if more > 0 {
		fmt.Fprintf(r.b, "\n… and %d more failed jobs; --report and --junit have them all\n", more)
	}
	if told > 0 {
		fmt.Fprintln(r.b)
	}
}

func (r *report) failure(j *flow.JobReport) {
	fmt.Fprintf(r.b, "\n%s on %s: %s\n", r.st.paint(bold, j.Key), j.Where(), oneLine(r.run.Reason(j)))
	log := j.Log()
	if line, _ := flow.FirstFailure(log); line != "" {
		fmt.Fprintf(r.b, "  %s\n", r.st.paint(red, oneLine(line)))
	}
	if tail := flow.Tail(log, tailLines); len(tail) > 0 {
		fmt.Fprintln(r.b, "  the end of its log:")
		for _, line := range tail {
			if i := strings.LastIndexByte(line, '\r'); i >= 0 {
				line = line[i+1:]
			}
			if flow.IsProtocol(line) {
				continue
			}
			fmt.Fprintf(r.b, "    %s %s\n", r.st.paint(dim, "|"), hostLine(r.st, line))
		}
	}
	if j.Cause == flow.CauseInfrastructure {
		if h := hint(j); h != "" {
			fmt.Fprintf(r.b, "  hint: %s\n", h)
		}
	}
}

// hint says what to look at when a host failed rather than a job. An error
// that has a hint of its own, after its semicolon, needs none.
func hint(j *flow.JobReport) string {
	e := strings.ToLower(j.Error)
	if a := j.Last(); e == "" && a != nil {
		e = strings.ToLower(a.Error)
	}
	switch {
	case strings.Contains(e, "lost"):
		return "the job may have run; look at the host, and give retry.on: [lost] if it can be run twice"
	case strings.Contains(e, ";"):
		return ""
	case strings.Contains(e, "no such host"):
		return "is the host's name in " + j.Where() + " right? cromt run --local tries a flow without its hosts"
	case strings.Contains(e, "connection refused"), strings.Contains(e, "no route"), strings.Contains(e, "no answer"),
		strings.Contains(e, "timeout"), strings.Contains(e, "deadline"), strings.Contains(e, "unreachable"):
		return "does a Sparky or cromt agent listen at " + j.Where() + ", and does a firewall let it through?"
	}
	return ""
}
