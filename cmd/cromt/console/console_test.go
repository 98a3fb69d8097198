package console_test

import (
	"bytes"
	"encoding/json"
	"io"
	"os"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/cromt/cromt/cmd/cromt/console"
	"github.com/cromt/cromt/flow"
)

// world is a plan of three jobs, b needing a, and a console that shows it.
type world struct {
	plan     *flow.Plan
	a, b, c  *flow.Job
	out, err buffer
	con      *console.Console
}

// buffer is what two goroutines write and read.
type buffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (b *buffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.Write(p)
}

func (b *buffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.String()
}

func (b *buffer) Reset() {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.b.Reset()
}

func newWorld(o console.Options) *world {
	w := &world{}
	job := func(project, label string) *flow.Job {
		return &flow.Job{
			Key: project + "@" + label, Label: label, Host: "https://" + label + ":4000",
			Invocation: &flow.Invocation{Project: &flow.Project{Name: project}}, Work: &flow.Work{},
		}
	}
	w.a, w.b, w.c = job("build", "h1"), job("test", "host2"), job("lint", "h3")
	w.b.Needs = []*flow.Job{w.a}
	w.plan = &flow.Plan{Jobs: []*flow.Job{w.a, w.b, w.c}}
	o.Out, o.Err = &w.out, &w.err
	w.con = console.New(w.plan, o)
	return w
}

func (w *world) report(t *testing.T, evs ...flow.Event) {
	t.Helper()
	for i := range evs {
		if evs[i].Time.IsZero() {
			evs[i].Time = time.Now()
		}
	}
	if err := w.con.Report(t.Context(), evs); err != nil {
		t.Fatal(err)
	}
}

func (w *world) print(t *testing.T, j *flow.Job, attempt int, parts ...string) {
	t.Helper()
	out := w.con.Output(j, attempt)
	for _, p := range parts {
		if _, err := io.WriteString(out, p); err != nil {
			t.Fatal(err)
		}
	}
	if c, ok := out.(io.Closer); ok {
		if err := c.Close(); err != nil {
			t.Fatal(err)
		}
	}
}

func ended(kind flow.EventKind, j *flow.Job, attempt int, c flow.Conclusion, msg string) flow.Event {
	return flow.Event{Kind: kind, Job: j, Attempt: attempt, Result: &flow.Result{
		Conclusion: c, Error: msg, StartedAt: time.Now().Add(-2 * time.Second), CompletedAt: time.Now(),
	}}
}

func TestPlain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(console.Options{})
		w.report(t, flow.Event{Kind: flow.RunStarted}, flow.Event{Kind: flow.JobQueued, Job: w.a, Attempt: 1})
		w.print(t, w.a, 1, "meta: step=clone\nfirst li", "ne\r\n10%\r20%\r30%\nred \x1b[31mx\x1b[0m\x1b]0;t\x07 \u202eabc\nno newline")
		if got := w.out.String(); got != "" {
			t.Errorf("before its start was told: %q", got)
		}
		w.report(t, flow.Event{Kind: flow.JobStarted, Job: w.a, Attempt: 1})
		time.Sleep(2 * time.Second)
		retry := ended(flow.AttemptCompleted, w.a, 1, flow.Failure, "host\x1b[2J gone")
		retry.RetryAt = time.Now().Add(6 * time.Second)
		w.report(t, retry)
		w.print(t, w.a, 2, "never seen to run\n")
		w.report(t, ended(flow.AttemptCompleted, w.a, 2, flow.Success, ""), ended(flow.JobCompleted, w.a, 2, flow.Success, ""))
		w.report(t, ended(flow.JobCompleted, w.b, 0, flow.Skipped, "because"), flow.Event{Kind: flow.Note, Message: "two\nlines"})
		w.con.Messagef("hello %s", "you")
		w.con.Close()
		want := `build@h1   * started on https://h1:4000
build@h1   | first line
build@h1   | 30%
build@h1   | red x \u202eabc
build@h1   | no newline
build@h1   * ✗ failure in 2.0s: host gone; attempt 2 in 6.0s
build@h1   | never seen to run
build@h1   * ✓ success in 2.0s (attempt 2)
test@host2 * – skipped in 2.0s: because
`
		if got := w.out.String(); got != want {
			t.Errorf("got\n%s\nwant\n%s", got, want)
		}
		if got := w.err.String(); got != "cromt: two lines\ncromt: hello you\n" {
			t.Errorf("messages %q", got)
		}
	})
}

func TestColor(t *testing.T) {
	w := newWorld(console.Options{Color: true})
	w.report(t, flow.Event{Kind: flow.JobStarted, Job: w.a, Attempt: 1})
	w.out.Reset()
	w.print(t, w.a, 1, "\x1b[31mred, \x1b[2Jnot reset\n")
	if got, want := w.out.String(), "\x1b[36mbuild@h1   |\x1b[0m \x1b[31mred, not reset\x1b[0m\n"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
}

func TestLongLines(t *testing.T) {
	w := newWorld(console.Options{})
	w.report(t, flow.Event{Kind: flow.JobStarted, Job: w.c, Attempt: 1})
	w.out.Reset()
	w.print(t, w.c, 1, strings.Repeat("é", 20_000), strings.Repeat("x", 30_000)+"\nend\n")
	long := 0
	for line := range strings.Lines(w.out.String()) {
		if len(line) > 17<<10 || strings.Contains(line, "\ufffd") {
			t.Errorf("line of %d bytes", len(line))
		}
		long += strings.Count(line, "é") + strings.Count(line, "x")
	}
	if long != 50_000 || !strings.HasSuffix(w.out.String(), "lint@h3    | end\n") {
		t.Errorf("%d characters came through", long)
	}
}

func TestJSON(t *testing.T) {
	w := newWorld(console.Options{JSON: true})
	w.print(t, w.a, 1, "<hello>\x1b[31m\x00\xff\n")
	started := flow.Event{Kind: flow.JobStarted, Run: "r", Job: w.a, Attempt: 1, JobID: "id"}
	w.report(t, flow.Event{Kind: flow.RunStarted, Run: "r", Message: "digest"}, started,
		ended(flow.JobCompleted, w.a, 1, flow.Failure, "bad"), flow.Event{Kind: flow.RunCompleted, Run: "r", Conclusion: flow.Failure})
	w.con.Messagef("not json")
	var kinds []string
	dec := json.NewDecoder(strings.NewReader(w.out.String()))
	for dec.More() {
		var e console.Event
		if err := dec.Decode(&e); err != nil {
			t.Fatal(err)
		}
		kinds = append(kinds, e.Event)
		switch e.Event {
		case "log":
			if *e.Line != "<hello>\ufffd" || e.Job != "build@h1" || e.Project != "build" || e.Attempt != 1 {
				t.Errorf("log %+v %q", e, *e.Line)
			}
		case "job_completed":
			if e.Conclusion != flow.Failure || e.Error != "bad" || e.Host != "https://h1:4000" {
				t.Errorf("job_completed %+v", e)
			}
		}
	}
	if got := strings.Join(kinds, " "); got != "run_started job_started log job_completed run_completed" {
		t.Errorf("events %s", got)
	}
	if w.err.String() != "cromt: not json\n" {
		t.Errorf("messages %q", w.err.String())
	}
}

func TestWriteReport(t *testing.T) {
	at := func(s int) time.Time { return time.Unix(int64(1000+s), 0) }
	job := func(key string, c flow.Conclusion, cause flow.Cause, msg, log string, attempts int) flow.JobReport {
		j := flow.JobReport{Key: key, Host: "https://" + key + ":4000", Conclusion: c, Cause: cause, Error: msg}
		for range attempts {
			j.Attempts = append(j.Attempts, flow.AttemptReport{StartedAt: at(0), CompletedAt: at(75), Log: log})
		}
		return j
	}
	run := &flow.Run{ID: "r-1", Conclusion: flow.Failure, StartedAt: at(0), CompletedAt: at(7200), Notes: []string{"a\x1b[2J note"}, Jobs: []flow.JobReport{
		job("ok@a", flow.Success, "", "", "fine\n", 3),
		job("bad@bb", flow.Failure, flow.CauseTask, "exit code 2", "meta: step=x\none\n\x1b[31merror: it\x1b[0m is bad\rerror: it is worse\n", 1),
		job("lost@c", flow.Failure, flow.CauseInfrastructure, "lost: no answer", "", 1),
		job("down@d", flow.Failure, flow.CauseInfrastructure, "ask host: connection refused", "", 4),
		job("token@e", flow.Failure, flow.CauseInfrastructure, "HTTP 403; set the token", "", 1),
		job("skip@f", flow.Skipped, flow.CauseDependency, "", "", 0),
	}}
	run.Jobs[5].Needs = []string{"ok@a", "bad@bb"}
	var b bytes.Buffer
	if err := console.WriteReport(&b, run, false); err != nil {
		t.Fatal(err)
	}
	want, err := os.ReadFile("testdata/report.txt")
	if err != nil {
		t.Fatal(err)
	}
	if b.String() != string(want) {
		t.Errorf("got\n%s", b.String())
	}
}

func TestReportIsBounded(t *testing.T) {
	run := &flow.Run{ID: "r", Conclusion: flow.Failure}
	for range 25 {
		run.Jobs = append(run.Jobs, flow.JobReport{Key: "k", Conclusion: flow.Failure, Cause: flow.CauseTask, Error: "e"})
	}
	var b bytes.Buffer
	if err := console.WriteReport(&b, run, false); err != nil {
		t.Fatal(err)
	}
	if got := strings.Count(b.String(), "\nk on "); got != 10 || !strings.Contains(b.String(), "… and 15 more failed jobs") {
		t.Errorf("%d told in full:\n%s", got, b.String())
	}
}
