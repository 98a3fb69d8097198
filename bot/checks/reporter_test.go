package checks_test

import (
	"context"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/cromt/cromt/bot/checks"
	"github.com/cromt/cromt/bot/githubtest"
	"github.com/cromt/cromt/flow"
	"github.com/cromt/cromt/flow/flowtest"
)

func TestRunIsShown(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newScene(t, 2)
		s.config.Buttons = true
		s.config.RunURL = "https://runs.example/r1"
		s.config.JobURL = func(j *flow.Job) string { return "https://runs.example/r1/" + j.Label }
		s.script = func(a flow.Attempt) flowtest.Step {
			step := flowtest.Step{Run: time.Minute}
			if number(a.Job) == 1 {
				step.Result = failed
			}
			return step
		}
		go func() {
			time.Sleep(30 * time.Second)
			c := s.checkRun("cromt")
			if c.Status != "in_progress" || c.Title == "" || c.Summary == "" || c.ExternalID != "r1" || c.DetailsURL != s.config.RunURL {
				t.Errorf("aggregate of a run that goes on: %+v", c)
			}
			if len(c.Actions) != 1 || c.Actions[0].Identifier != checks.ActionCancel {
				t.Errorf("buttons of a run that goes on: %+v", c.Actions)
			}
			if c := s.checkRun("cromt / " + s.plan.Jobs[0].Key); c.Status != "in_progress" {
				t.Errorf("job that goes on: %s", c.Status)
			}
		}()
		s.play()
		s.noNotes()
		s.concluded(flow.Failure, 2)
		c := s.checkRun("cromt")
		if len(c.Actions) != 2 || c.Actions[0].Identifier != checks.ActionRerunFailed || c.Actions[1].Identifier != checks.ActionRerunAll {
			t.Errorf("buttons: %+v", c.Actions)
		}
		for i, want := range []string{"success", "failure"} {
			j := s.plan.Jobs[i]
			c := s.checkRun("cromt / " + j.Key)
			if c.Conclusion != want || c.ExternalID != "r1/"+j.Key+"/1" || c.DetailsURL != s.config.JobURL(j) || c.CompletedAt.Sub(c.StartedAt) != time.Minute {
				t.Errorf("%+v", c)
			}
		}
	})
}

func TestModes(t *testing.T) {
	for mode, want := range map[checks.Mode]int{checks.ModeOff: 0, "": 0, checks.ModeAggregate: 1, checks.ModePerHost: 4} {
		t.Run(string(mode), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := newScene(t, 3)
				s.config.Mode = mode
				if want == 0 {
					s.config.Client, s.config.Budget = nil, nil
				}
				s.play()
				s.noNotes()
				if n := len(s.repo.CheckRuns()); n != want {
					t.Errorf("%d check runs, want %d", n, want)
				}
				if v := s.rep.View(); v.Run.Conclusion != flow.Success {
					t.Errorf("view: %s", v.Run.Conclusion)
				}
			})
		})
	}
}

func TestAnnotations(t *testing.T) {
	for _, tt := range []struct {
		mode              checks.Mode
		jobs, each        int
		onJob, onRun      int
		notes             int
		requestsOfTheLast int
	}{
		{checks.ModePerHost, 2, 120, 120, 0, 0, 0},
		{checks.ModePerHost, 2, 500, 200, 0, 0, 0},
		{checks.ModePerHost, 30, 1, 1, 20, 0, 0},
		{checks.ModeAggregate, 2, 120, 0, 50, 0, 0},
		{checks.ModePerHost, 25, 200, -1, 0, -1, 0},
	} {
		t.Run(fmt.Sprintf("%s %d jobs %d each", tt.mode, tt.jobs, tt.each), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := newScene(t, tt.jobs)
				s.config.Mode = tt.mode
				s.config.Scan = func(*flow.Job) *checks.ScanOptions { return &checks.ScanOptions{Limit: 1000} }
				s.script = func(a flow.Attempt) flowtest.Step {
					var log strings.Builder
					for i := range tt.each {
						fmt.Fprintf(&log, "a.go:%d:1: error: broken\n", i+1)
					}
					step := flowtest.Step{Run: time.Minute, Log: log.String()}
					if number(a.Job)%3 == 0 {
						step.Result = failed
					}
					return step
				}
				s.play()
				if tt.notes == 0 {
					s.noNotes()
				} else if len(s.notes) == 0 {
					t.Error("no note about annotations that were left out")
				}
				for _, c := range s.repo.CheckRuns() {
					want := tt.onRun
					if c.Name != "cromt" {
						want = tt.onJob
					}
					if want >= 0 && len(c.Annotations) != want {
						t.Errorf("%s has %d annotations, want %d", c.Name, len(c.Annotations), want)
					}
				}
				most := 120
				if tt.jobs <= checks.MaxOwnChecks {
					most = 60
				}
				if n := len(s.writes()); n > most {
					t.Errorf("%d writes", n)
				}
			})
		})
	}
}

func TestInterruptedRunIsConcluded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newScene(t, 3)
		s.rep = checks.NewReporter(s.plan, s.config)
		job := s.plan.Jobs[0]
		report(t, s.rep, flow.Event{Kind: flow.RunStarted, Run: "r1", Commit: headSHA, Time: time.Now()},
			flow.Event{Kind: flow.JobQueued, Job: job, Attempt: 1, JobID: "j", Time: time.Now()},
			flow.Event{Kind: flow.JobStarted, Job: job, Attempt: 1, JobID: "j", Time: time.Now()})
		time.Sleep(time.Minute)
		if v := s.rep.View(); v.Run.Conclusion != "" || v.Run.Jobs[0].Status != flow.StatusInProgress {
			t.Errorf("view of a run that goes on: %+v", v.Run)
		}
		s.close(time.Minute)
		s.noNotes()
		s.concluded(flow.Cancelled, 3)
		if v := s.rep.View(); v.Run.Conclusion != flow.Cancelled || v.Run.Jobs[0].Conclusion != flow.Cancelled {
			t.Errorf("view of an interrupted run: %+v", v.Run)
		}
		s.close(time.Minute) // again
	})
}

func report(t *testing.T, rep *checks.Reporter, events ...flow.Event) {
	t.Helper()
	if err := rep.Report(context.Background(), events); err != nil {
		t.Fatal(err)
	}
}

// TestClocksOfHosts differ from ours; GitHub is not told of jobs that ended
// before they began.
func TestClocksOfHosts(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newScene(t, 1)
		s.rep = checks.NewReporter(s.plan, s.config)
		job, now := s.plan.Jobs[0], time.Now()
		res := flow.Result{Conclusion: flow.Success, StartedAt: now.Add(time.Hour), CompletedAt: now.Add(time.Minute)}
		report(t, s.rep, flow.Event{Kind: flow.RunStarted, Run: "r1", Commit: headSHA, Time: now},
			flow.Event{Kind: flow.JobQueued, Job: job, Attempt: 1, JobID: "j", Time: now},
			flow.Event{Kind: flow.JobStarted, Job: job, Attempt: 1, JobID: "j", Time: res.StartedAt},
			flow.Event{Kind: flow.AttemptCompleted, Job: job, Attempt: 1, JobID: "j", Result: &res, Time: res.CompletedAt},
			flow.Event{Kind: flow.JobCompleted, Job: job, Attempt: 1, Result: &res, Time: now},
			flow.Event{Kind: flow.RunCompleted, Conclusion: flow.Success, Time: now})
		s.close(time.Minute)
		s.noNotes()
		s.concluded(flow.Success, 1)
		for _, c := range s.repo.CheckRuns() {
			if c.CompletedAt.Before(c.StartedAt) {
				t.Errorf("%s began at %v and ended at %v", c.Name, c.StartedAt, c.CompletedAt)
			}
		}
	})
}

// TestResumedRun is one whose process died: the next one knows some of the
// check runs, finds the others, and creates none twice.
func TestResumedRun(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newScene(t, 4)
		first := checks.NewReporter(s.plan, s.config)
		j0, j1 := s.plan.Jobs[0], s.plan.Jobs[1]
		history := []flow.Event{
			{Kind: flow.RunStarted, Run: "r1", Commit: headSHA, Time: time.Now()},
			{Kind: flow.JobQueued, Job: j0, Attempt: 1, JobID: "j0", Time: time.Now()},
			{Kind: flow.JobQueued, Job: j1, Attempt: 1, JobID: "j1", Time: time.Now()},
			{Kind: flow.JobStarted, Job: j0, Attempt: 1, JobID: "j0", Time: time.Now()},
			{Kind: flow.JobStarted, Job: j1, Attempt: 1, JobID: "j1", Time: time.Now()},
		}
		report(t, first, history...)
		time.Sleep(time.Minute)
		known := first.Known()
		if len(known) != 3 {
			t.Fatalf("known: %v", known)
		}
		delete(known, "r1/"+j1.Key+"/1")
		// The process is gone: what it would still do fails.
		s.fault = func(*http.Request, int) *githubtest.Fault { return &githubtest.Fault{DropBefore: true} }
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		first.Close(ctx)
		s.fault = nil

		s.config.Known = known
		s.rep = checks.NewReporter(s.plan, s.config)
		done := flow.Result{Conclusion: flow.Success}
		events := history
		for i, j := range s.plan.Jobs {
			events = append(events, flow.Event{Kind: flow.JobCompleted, Job: j, Attempt: 1 + i%2, Result: &done, Time: time.Now()})
		}
		report(t, s.rep, append(events, flow.Event{Kind: flow.RunCompleted, Conclusion: flow.Success, Time: time.Now()})...)
		s.close(time.Minute)
		s.noNotes()
		s.concluded(flow.Success, 4)
	})
}

func TestHourOfCreatesIsNearlyUsedUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newScene(t, 20)
		s.config.Budget = checks.NewBudget(checks.Limits{CreatesPerHour: 10})
		s.script = func(flow.Attempt) flowtest.Step { return flowtest.Step{Run: time.Minute} }
		s.play()
		s.oneNote("an hour")
		s.concluded(flow.Success, 7) // of 10 a fifth is kept, one is the aggregate's
	})
}

func TestLongNames(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newScene(t, 2)
		s.config.Name = strings.Repeat("ä", 200)
		s.config.Run = strings.Repeat("r", 300)
		s.plan.Jobs[0].Key += strings.Repeat("x", 300)
		s.plan.Jobs[1].Key += strings.Repeat("x", 300)
		s.play()
		s.noNotes()
		names := map[string]bool{}
		for _, c := range s.repo.CheckRuns() {
			if len(c.Name) > 255 || len(c.ExternalID) > 255 {
				t.Errorf("name of %d bytes, external id of %d", len(c.Name), len(c.ExternalID))
			}
			names[c.Name] = true
		}
		if len(names) != 3 {
			t.Errorf("%d different names", len(names))
		}
	})
}
