package flow_test

import (
	"bytes"
	"encoding/xml"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/cromt/cromt/flow"
)

// sampleRun has a job of every outcome.
func sampleRun() *flow.Run {
	at := func(s int) time.Time { return time.Date(2026, 1, 2, 3, 4, s, 0, time.UTC) }
	attempt := func(from, to int, c flow.Conclusion, cause flow.Cause, e, log string) flow.AttemptReport {
		return flow.AttemptReport{
			JobID: "r-1", Status: flow.StatusCompleted, Conclusion: c, Cause: cause,
			QueuedAt: at(from), StartedAt: at(from), CompletedAt: at(to), Error: e, Log: log,
		}
	}
	job := func(project, label string, c flow.Conclusion, cause flow.Cause, needs []string, a ...flow.AttemptReport) flow.JobReport {
		return flow.JobReport{
			Key: project + "@" + label, Project: project, Label: label, Host: "https://" + label + ":4000",
			Needs: needs, Status: flow.StatusCompleted, Conclusion: c, Cause: cause, Attempts: a,
		}
	}
	return &flow.Run{
		Schema: 1, ID: "r-1", Conclusion: flow.Failure, StartedAt: at(0), CompletedAt: at(20), Roots: []string{"a"},
		Jobs: []flow.JobReport{
			job("build", "h1", flow.Success, "", nil,
				attempt(0, 1, flow.Failure, flow.CauseInfrastructure, "connection refused", ""),
				attempt(2, 5, flow.Success, "", "", "built\n")),
			job("build", "h2", flow.Failure, flow.CauseTask, nil,
				attempt(0, 2, flow.Failure, flow.CauseTask, "exit status 2",
					"\x1b[31m<a> & \"b\"\x1b[0m\x00\x0b\ufffe\xff ]]>\nmain.c:1:2: error: bad\ntask exit status: 2\n")),
			job("lint", "h1", flow.Neutral, flow.CauseTask, nil, attempt(0, 1, flow.Neutral, flow.CauseTask, "exit status 1", "lint\n")),
			job("net", "h3", flow.Failure, flow.CauseInfrastructure, nil, attempt(0, 1, flow.Failure, flow.CauseInfrastructure, "no route", "")),
			job("slow", "h3", flow.TimedOut, flow.CauseTimeout, nil, attempt(0, 9, flow.TimedOut, flow.CauseTimeout, "timed out after 9s", "...\n")),
			job("long", "h3", flow.Cancelled, flow.CauseCancelled, nil, attempt(0, 9, flow.Cancelled, flow.CauseCancelled, "cancelled", "")),
			job("test", "h1", flow.Skipped, flow.CauseDependency, []string{"build@h1", "build@h2"}),
			job("ship", "h1", flow.Skipped, flow.CauseDependency, []string{"lint@h1", "test@h1"}),
		},
	}
}

func TestReason(t *testing.T) {
	r := sampleRun()
	want := []string{
		"", "exit status 2", "exit status 1", "no route", "timed out after 9s", "cancelled",
		"because build@h2 failed", "because build@h2 failed",
	}
	for i := range r.Jobs {
		if got := r.Reason(&r.Jobs[i]); got != want[i] {
			t.Errorf("%s: %q, want %q", r.Jobs[i].Key, got, want[i])
		}
	}
}

func TestCountAndDuration(t *testing.T) {
	r := sampleRun()
	if got, want := r.Count().String(), "1 succeeded, 3 failed, 1 cancelled, 2 skipped, 1 neutral"; got != want {
		t.Errorf("counts %q, want %q", got, want)
	}
	if got := r.Jobs[0].Duration(); got != 5*time.Second {
		t.Errorf("duration %v", got)
	}
	if got := r.Jobs[7].Duration(); got != 0 {
		t.Errorf("duration of a skipped job %v", got)
	}
}

func TestTail(t *testing.T) {
	if got := strings.Join(flow.Tail("1\r\n2\n3\n\n", 2), "|"); got != "2|3" {
		t.Errorf("got %q", got)
	}
	if got := flow.Tail("\n", 5); got != nil {
		t.Errorf("got %q", got)
	}
}

func TestWriteJUnit(t *testing.T) {
	var b bytes.Buffer
	if err := flow.WriteJUnit(&b, sampleRun()); err != nil {
		t.Fatal(err)
	}
	want, err := os.ReadFile("testdata/junit.xml")
	if err != nil {
		t.Fatal(err)
	}
	if b.String() != string(want) {
		t.Errorf("got\n%s", b.String())
	}
}

func FuzzWriteJUnit(f *testing.F) {
	f.Add("job\x00", "<&>\x1b[1m\ufffe\xff")
	f.Fuzz(func(t *testing.T, name, log string) {
		r := sampleRun()
		j := &r.Jobs[1]
		j.Key, j.Project, j.Attempts[0].Log, j.Attempts[0].Error = name, name, log, log
		var b bytes.Buffer
		if err := flow.WriteJUnit(&b, r); err != nil {
			t.Fatal(err)
		}
		d := xml.NewDecoder(&b)
		for {
			_, err := d.Token()
			if err != nil {
				if err.Error() != "EOF" {
					t.Fatal(err)
				}
				return
			}
		}
	})
}
