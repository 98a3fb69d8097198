package action_test

import (
	"bytes"
	"fmt"
	"regexp"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/cromt/cromt/cmd/cromt/action"
	"github.com/cromt/cromt/cmd/cromt/console"
	"github.com/cromt/cromt/flow"
)

// show returns a console on a workflow's log for jobs a@a and b@b.
func show(t *testing.T) (*bytes.Buffer, *console.Console, []*flow.Job) {
	t.Helper()
	file, err := flow.Parse("jobs.yaml", []byte("projects:\n  a: {path: /x, hosts: [{url: 'http://a'}]}\n  b: {path: /x, hosts: [{url: 'http://b'}]}\n"))
	if err != nil {
		t.Fatal(err)
	}
	plan, err := flow.NewPlan(file, flow.PlanOptions{})
	if err != nil {
		t.Fatal(err)
	}
	var out bytes.Buffer
	c := action.NewCommands(&out, env(nil))
	return &out, console.New(plan, console.Options{View: action.NewLog(c, t.TempDir()), Color: true}), plan.Jobs
}

func started(t *testing.T, c *console.Console, j *flow.Job) {
	t.Helper()
	if err := c.Report(t.Context(), []flow.Event{{Kind: flow.JobStarted, Job: j, Attempt: 1, Time: time.Unix(100, 0)}}); err != nil {
		t.Fatal(err)
	}
}

func ended(t *testing.T, c *console.Console, j *flow.Job, conclusion flow.Conclusion, text string) {
	t.Helper()
	res := &flow.Result{Conclusion: conclusion, Error: text, StartedAt: time.Unix(100, 0), CompletedAt: time.Unix(102, 0)}
	events := []flow.Event{
		{Kind: flow.AttemptCompleted, Job: j, Attempt: 1, Result: res, Time: time.Unix(102, 0)},
		{Kind: flow.JobCompleted, Job: j, Attempt: 1, Result: res, Time: time.Unix(102, 0)},
	}
	if err := c.Report(t.Context(), events); err != nil {
		t.Fatal(err)
	}
}

// tokens replaces the random words of fences, and checks that each is ended.
func tokens(t *testing.T, log string) string {
	t.Helper()
	seen := map[string]int{}
	for _, m := range regexp.MustCompile(`(?m)^::stop-commands::(cromt-\w+)$`).FindAllStringSubmatch(log, -1) {
		if seen[m[1]]++; seen[m[1]] > 1 {
			t.Errorf("fence %s is used twice", m[1])
		}
		if n := strings.Count(log, "\n::"+m[1]+"::\n"); n != 1 {
			t.Errorf("fence %s is ended %d times", m[1], n)
		}
		log = strings.ReplaceAll(log, m[1], "TOKEN")
	}
	return regexp.MustCompile("\x1b\\[[0-9;]*m").ReplaceAllString(log, "")
}

// Of two jobs at once, the first is shown as it goes on and continued after
// the second, which is shown when it has ended.
func TestLogGroups(t *testing.T) {
	out, c, jobs := show(t)
	a, b := c.Output(jobs[0], 1), c.Output(jobs[1], 1)
	started(t, c, jobs[0])
	started(t, c, jobs[1])
	fmt.Fprintln(a, "a1\nmeta: step=1")
	fmt.Fprintln(b, "b1")
	fmt.Fprintln(a, "a2")
	if got := out.String(); strings.Contains(got, "b1") || !strings.Contains(got, "a2") {
		t.Errorf("while both run:\n%s", got)
	}
	ended(t, c, jobs[1], flow.Failure, "exit status 1")
	fmt.Fprintln(a, "a3")
	ended(t, c, jobs[0], flow.Success, "")
	c.Close()
	want := `::group::a@a on http://a
::stop-commands::TOKEN
a1
a2
::TOKEN::
::endgroup::
::group::b@b on http://b
::stop-commands::TOKEN
b1
::TOKEN::
::endgroup::
b@b ✗ failure in 2.0s: exit status 1
::group::a@a on http://a (continued)
::stop-commands::TOKEN
a3
::TOKEN::
::endgroup::
a@a ✓ success in 2.0s
`
	if got := tokens(t, out.String()); got != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
}

// When the first job ends, the next one is shown as it goes on, with all that
// it had printed; what has no newline yet is not lost.
func TestLogTakesOver(t *testing.T) {
	out, c, jobs := show(t)
	a, b := c.Output(jobs[0], 1), c.Output(jobs[1], 1)
	started(t, c, jobs[0])
	started(t, c, jobs[1])
	fmt.Fprintln(a, "a1")
	long := strings.Repeat("0123456789abcdef\n", 20_000) // more than is kept in memory
	fmt.Fprint(b, long)
	ended(t, c, jobs[0], flow.Success, "")
	if n := strings.Count(out.String(), "0123456789abcdef"); n != 20_000 {
		t.Errorf("%d of 20000 lines are shown", n)
	}
	fmt.Fprintln(b, "b2")
	if !strings.HasSuffix(out.String(), "b2\n") {
		t.Error("b is not shown as it goes on")
	}
	c.Close()
	tokens(t, out.String())
}

// What waits for its turn is not kept in memory, however much it is.
func TestLogMemory(t *testing.T) {
	const blocks = 512 // of 64 KiB
	out, c, jobs := show(t)
	a, b := c.Output(jobs[0], 1), c.Output(jobs[1], 1)
	started(t, c, jobs[0])
	started(t, c, jobs[1])
	fmt.Fprintln(a, "a1")
	block := []byte(strings.Repeat("0123456789abcde\n", 4096))
	var before, held runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&before)
	for range blocks {
		if _, err := b.Write(block); err != nil {
			t.Fatal(err)
		}
	}
	runtime.GC()
	runtime.ReadMemStats(&held)
	if grown := int64(held.HeapAlloc) - int64(before.HeapAlloc); grown > 4<<20 {
		t.Errorf("%d bytes are kept of %d that wait", grown, blocks*len(block))
	}
	ended(t, c, jobs[0], flow.Success, "")
	if n := bytes.Count(out.Bytes(), []byte("0123456789abcde\n")); n != blocks*4096 {
		t.Errorf("%d of %d lines are shown", n, blocks*4096)
	}
	c.Close()
}

// What hosts say is no command, wherever it is shown.
func TestLogInjection(t *testing.T) {
	out, c, jobs := show(t)
	w := c.Output(jobs[0], 1)
	started(t, c, jobs[0])
	fmt.Fprint(w, "::error::no\n  ::add-mask::x\n\u00a0::error::no\n##[group]no\nx ##[error]no\n\x1b]0;title\x07\x1b[2Jcls\n::stop-commands::mine\n::mine::\n")
	c.Messagef("::error::host said ##[error]so")
	ended(t, c, jobs[0], flow.Failure, "::error::no ##[error]no")
	c.Close()
	log := tokens(t, strings.ReplaceAll(out.String(), "::stop-commands::mine", ""))
	fenced := false
	for line := range strings.Lines(log) {
		line = strings.TrimRight(line, "\n")
		switch {
		case strings.Contains(line, "##["):
			t.Errorf("a command of the old form: %q", line)
		case strings.HasPrefix(line, "::stop-commands::TOKEN"):
			fenced = true
		case line == "::TOKEN::":
			fenced = false
		case strings.HasPrefix(line, "::group::") || line == "::endgroup::":
			if fenced {
				t.Errorf("fenced: %q", line)
			}
		case strings.HasPrefix(strings.TrimSpace(line), "::"):
			t.Errorf("a command: %q", line)
		case strings.ContainsAny(line, "\x1b\x07"):
			t.Errorf("a control character: %q", line)
		}
	}
}

func TestMask(t *testing.T) {
	var out bytes.Buffer
	action.NewCommands(&out, env(nil)).Mask("a%b\r\n\n  \nc")
	if want := "::add-mask::a%25b\n::add-mask::c\n"; out.String() != want {
		t.Errorf("%q, want %q", out.String(), want)
	}
}
