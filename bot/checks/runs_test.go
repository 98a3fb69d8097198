package checks_test

import (
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/cromt/cromt/bot/checks"
	"github.com/cromt/cromt/flow"
)

var update = flag.Bool("update", false, "write the golden files of testdata/golden/checks")

func goldenPath(name string) string {
	return filepath.Join("..", "..", "testdata", "golden", "checks", name)
}

// golden compares got with a file, which -update writes.
func golden(t *testing.T, name, got string) {
	t.Helper()
	if *update {
		if err := os.WriteFile(goldenPath(name), []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(goldenPath(name))
	if err != nil {
		t.Fatal(err)
	}
	if got != string(want) {
		t.Errorf("%s: got\n%s", name, got)
	}
}

// at is the time some seconds after the run's start.
func at(s int) time.Time {
	return time.Date(2026, 1, 2, 3, 4, 0, 0, time.UTC).Add(time.Duration(s) * time.Second)
}

const sha = "0123456789abcdef0123456789abcdef01234567"

// newView returns the plan of jobs.yaml with a run of it in which nothing has
// begun.
func newView(t testing.TB) checks.View {
	t.Helper()
	data, err := os.ReadFile(goldenPath("jobs.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	file, err := flow.Parse("jobs.yaml", data)
	if err != nil {
		t.Fatal(err)
	}
	plan, err := flow.NewPlan(file, flow.PlanOptions{Repo: "https://github.com/example/app"})
	if err != nil {
		t.Fatal(err)
	}
	r := &flow.Run{Schema: flow.ReportSchema, ID: "r-20260102-1", StartedAt: at(0), Repo: "https://github.com/example/app", SHA: sha}
	for _, j := range plan.Jobs {
		rep := flow.JobReport{
			Key: j.Key, Project: j.Invocation.Project.Name, Title: j.Title, Host: j.Host, Label: j.Label, Queue: j.Queue,
			Status: flow.StatusQueued,
		}
		for _, n := range j.Needs {
			rep.Needs = append(rep.Needs, n.Key)
		}
		r.Jobs = append(r.Jobs, rep)
	}
	return checks.View{
		Run: r, Plan: plan, Now: at(125), RunURL: "https://cromt.example.com/runs/r-20260102-1",
		JobURL: func(key string) string { return "https://cromt.example.com/runs/r-20260102-1/jobs/" + key },
	}
}

func job(t testing.TB, v checks.View, key string) *flow.JobReport {
	t.Helper()
	for i := range v.Run.Jobs {
		if v.Run.Jobs[i].Key == key {
			return &v.Run.Jobs[i]
		}
	}
	t.Fatalf("no job %s", key)
	return nil
}

// attempt adds an attempt to a job, whose end becomes the job's own. One
// without conclusion is running.
func attempt(j *flow.JobReport, from, to int, c flow.Conclusion, cause flow.Cause, text, log string) {
	a := flow.AttemptReport{
		JobID: fmt.Sprintf("r-20260102-1-%s-%d", j.Key, len(j.Attempts)+1), Status: flow.StatusInProgress, Conclusion: c,
		Cause: cause, QueuedAt: at(from), StartedAt: at(from), Error: text, Log: log,
	}
	j.Status, j.Conclusion, j.Cause, j.Error, j.SHA = flow.StatusInProgress, c, cause, text, sha
	if c != "" {
		a.Status, j.Status, a.CompletedAt = flow.StatusCompleted, flow.StatusCompleted, at(to)
	}
	if cause == flow.CauseTask {
		a.ExitCode = 2
	}
	j.Attempts = append(j.Attempts, a)
}

func skip(j *flow.JobReport, text string) {
	j.Status, j.Conclusion, j.Cause, j.Error = flow.StatusCompleted, flow.Skipped, flow.CauseDependency, text
}

func end(v checks.View, c flow.Conclusion) checks.View {
	v.Run.Conclusion, v.Run.CompletedAt = c, at(125)
	return v
}

func artifact(j *flow.JobReport) {
	j.Artifacts = []flow.Artifact{{
		File: "rakudo.tar.gz", SHA256: "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08", Bytes: 18_874_368,
		Host: j.Host, Queue: j.Queue, JobID: j.Attempts[len(j.Attempts)-1].JobID,
	}}
}

const buildLog = `22:34:18 :: [task run: task.bash - tasks/build]
22:34:18 :: [task stdout]
22:34:18 :: configuring for x86_64
22:34:19 :: cc -O2 -c src/main.c
22:34:19 :: [task stderr]
22:34:19 :: src/main.c:3:1: warning: unused variable 'n'
22:34:19 :: src/main.c:12:5: error: 'x' undeclared (first use in this function)
22:34:19 :: make: *** [Makefile:12: build] Error 2
22:34:19 :: task exit status: 2
22:34:19 :: task tasks/build FAILED
`

func passing(t testing.TB) checks.View {
	v := newView(t)
	for i := range v.Run.Jobs {
		attempt(&v.Run.Jobs[i], 10*i, 10*i+9, flow.Success, "", "", "done\n")
	}
	artifact(job(t, v, "build@hostA"))
	return end(v, flow.Success)
}

func failing(t testing.TB) checks.View {
	v := newView(t)
	a := job(t, v, "build@hostA")
	attempt(a, 0, 1, flow.Failure, flow.CauseInfrastructure, "connection refused", "")
	attempt(a, 3, 15, flow.Success, "", "", "built\n")
	artifact(a)
	b := job(t, v, "build@hostB")
	attempt(b, 0, 4, flow.Failure, flow.CauseTask, "exit status 2", buildLog)
	attempt(b, 9, 21, flow.Failure, flow.CauseTask, "exit status 2", buildLog)
	for _, key := range []string{"test@hostC", "test@hostD", "publish@hostA"} {
		skip(job(t, v, key), "because build@hostB failed")
	}
	attempt(job(t, v, "clean@hostA"), 21, 125, flow.TimedOut, flow.CauseTimeout, "timed out after 1m44s", "removing containers\n")
	v.Notes = []string{"the check run of build@hostB could not be posted: 403 Resource not accessible by integration; give the workflow checks: write"}
	return end(v, flow.Failure)
}

func cancelled(t testing.TB) checks.View {
	v := newView(t)
	attempt(job(t, v, "build@hostA"), 0, 9, flow.Success, "", "", "built\n")
	attempt(job(t, v, "build@hostB"), 0, 30, flow.Cancelled, flow.CauseCancelled, "cancelled by interrupt; confirmed by the host", "half built\n")
	for _, key := range []string{"test@hostC", "test@hostD", "publish@hostA", "clean@hostA"} {
		j := job(t, v, key)
		j.Status, j.Conclusion, j.Cause, j.Error = flow.StatusCompleted, flow.Cancelled, flow.CauseCancelled, "cancelled by interrupt"
	}
	return end(v, flow.Cancelled)
}

func running(t testing.TB) checks.View {
	v := newView(t)
	attempt(job(t, v, "build@hostA"), 0, 15, flow.Success, "", "", "built\n")
	attempt(job(t, v, "build@hostB"), 0, 21, flow.Success, "", "", "built\n")
	attempt(job(t, v, "test@hostC"), 22, 60, flow.Failure, flow.CauseTask, "exit status 1",
		"t/01.t ..... ok\nnot ok 3 - addition\n#   Failed test 'addition'\n#   at t/02.t line 7.\n")
	attempt(job(t, v, "test@hostD"), 22, 0, "", "", "", "t/01.t .....\n")
	return v
}

// truncated has more than fits: 1,200 jobs with long logs, 60 of them failed.
func truncated(t testing.TB) checks.View {
	v := newView(t)
	v.Run.Jobs, v.Plan = nil, nil
	for i := range 1200 {
		j := flow.JobReport{
			Key: fmt.Sprintf("job%d@host%d", i%4, i), Project: fmt.Sprintf("job%d", i%4),
			Label: fmt.Sprintf("host%d", i), Host: fmt.Sprintf("https://host%d:4000", i),
		}
		if i%20 == 7 {
			attempt(&j, i/20, i/20+9, flow.Failure, flow.CauseTask, "exit status 1",
				strings.Repeat("a line of what the scenario printed before it failed, as long as they are\n", 200)+"error: disk full\n")
		} else {
			attempt(&j, i/20, i/20+4, flow.Success, "", "", "ok\n")
			artifact(&j)
		}
		v.Run.Jobs = append(v.Run.Jobs, j)
	}
	return end(v, flow.Failure)
}
