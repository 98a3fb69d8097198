package checks_test

import (
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/cromt/cromt/bot/checks"
	"github.com/cromt/cromt/flow"
	"github.com/cromt/cromt/flow/flowtest"
)

// shapes are how a run goes: how long each job waits and runs.
var shapes = []struct {
	name string
	step func(n, jobs int) flowtest.Step
}{
	{"spread", func(n, jobs int) flowtest.Step { // 100 at a time, 300 s altogether
		return flowtest.Step{Queue: time.Duration(n) * 270 * time.Second / time.Duration(jobs), Run: 30 * time.Second}
	}},
	{"instant", func(int, int) flowtest.Step { return flowtest.Step{Run: 90 * time.Second} }},
	{"at once", func(int, int) flowtest.Step { return flowtest.Step{} }},
	{"hour", func(n, jobs int) flowtest.Step { // never quiet, and a common end
		return flowtest.Step{Queue: time.Duration(n) * 3400 * time.Second / time.Duration(jobs), Run: 3500*time.Second - time.Duration(n)*3400*time.Second/time.Duration(jobs)}
	}},
}

// TestCost holds runs to what they may write, and to when.
func TestCost(t *testing.T) {
	for _, jobs := range []int{1, 25, 26, 100, 300, 1000} {
		for _, percent := range []int{0, 5, 100} {
			for _, shape := range shapes {
				t.Run(fmt.Sprintf("%d jobs, %d%% fail, %s", jobs, percent, shape.name), func(t *testing.T) {
					synctest.Test(t, func(t *testing.T) {
						s := newScene(t, jobs)
						fails := (jobs*percent + 99) / 100
						s.script = func(a flow.Attempt) flowtest.Step {
							step := shape.step(number(a.Job), jobs)
							if number(a.Job) < fails {
								step.Result = failed
							}
							return step
						}
						s.play()
						s.noNotes()
						others, most := jobs, 60
						if jobs > checks.MaxOwnChecks {
							others, most = min(fails, checks.MaxFailedChecks), 120
						}
						want := flow.Success
						if fails > 0 {
							want = flow.Failure
						}
						s.concluded(want, others)
						s.cheap(most)
					})
				})
			}
		}
	}
}

// cheap fails the test if the run wrote more than it may, more in a minute
// than anyone may, its last words too late, or what GitHub's limits refused.
func (s *scene) cheap(most int) {
	s.t.Helper()
	all := s.writes()
	aggregate := s.checkRun("cromt").CompletedAt
	late := all[len(all)-1].Time.Sub(s.ended)
	peak := s.gh.Writes(time.Minute)
	// As attributes, for the table of figures.
	s.t.Attr("writes", strconv.Itoa(len(all)))
	s.t.Attr("writes-a-minute", strconv.Itoa(peak))
	s.t.Attr("late", late.Round(time.Millisecond).String())
	for _, r := range s.gh.Requests() {
		if r.Status == http.StatusForbidden || r.Status == http.StatusTooManyRequests {
			s.t.Errorf("%s %s was refused with %d", r.Method, r.Path, r.Status)
		}
	}
	if len(all) > most {
		s.t.Errorf("%d writes, %d are allowed", len(all), most)
	}
	if peak > checks.WritesPerMinute {
		s.t.Errorf("%d writes in a minute", peak)
	}
	if late > 2*time.Second {
		s.t.Errorf("last write %v after the end", late)
	}
	if aggregate.Sub(s.ended) > time.Second {
		s.t.Errorf("aggregate concluded %v after the end", aggregate.Sub(s.ended))
	}
}

func TestProgressOfAnHour(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newScene(t, 300)
		s.script = func(a flow.Attempt) flowtest.Step { return shapes[3].step(number(a.Job), 300) }
		s.play()
		all := s.writes()
		last := all[0].Time
		for i, w := range all[1:] {
			gap := w.Time.Sub(last)
			if w.Time.Before(s.ended) && gap < 5*time.Second {
				t.Errorf("update %d after %v", i, gap)
			}
			if gap > 15*time.Minute {
				t.Errorf("nothing was shown for %v", gap)
			}
			last = w.Time
		}
	})
}

func TestNothingNewNothingWritten(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newScene(t, 1)
		s.config.Mode = checks.ModeAggregate
		s.script = func(flow.Attempt) flowtest.Step { return flowtest.Step{Run: time.Hour - time.Minute} }
		s.play()
		s.concluded(flow.Success, 0)
		// Created, started, concluded; and its job's end, if that is told first.
		if n := len(s.writes()); n > 4 {
			t.Errorf("%d writes", n)
		}
	})
}

func TestRunsShareABudget(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newScene(t, 300)
		budget := checks.NewBudget(checks.Limits{})
		done := make(chan *scene)
		for i := range 3 {
			o := *s
			o.config.Budget, o.config.Run, o.config.Name = budget, fmt.Sprintf("r%d", i), fmt.Sprintf("cromt %d", i)
			o.script = func(a flow.Attempt) flowtest.Step {
				return flowtest.Step{Queue: time.Duration(number(a.Job)) * time.Second / 4, Run: 10 * time.Second, Result: failed}
			}
			go func() {
				o.start()
				o.close(10 * time.Minute)
				done <- &o
			}()
		}
		for range 3 {
			o := <-done
			o.noNotes()
			if c := o.checkRun(o.config.Name); c.Conclusion != "failure" || c.CompletedAt.Sub(o.ended) > time.Second {
				t.Errorf("%s: %s %v after the end", c.Name, c.Conclusion, c.CompletedAt.Sub(o.ended))
			}
		}
		if n := len(s.repo.CheckRuns()); n != 3*(1+checks.MaxFailedChecks) {
			t.Errorf("%d check runs", n)
		}
		if peak := s.gh.Writes(time.Minute); peak > checks.WritesPerMinute {
			t.Errorf("%d writes in a minute", peak)
		}
	})
}

// with has other runs reported beside s, from the same budget; they go on.
func (s *scene) with(runs int, budget *checks.Budget, script func(flow.Attempt) flowtest.Step) (wait func()) {
	done := make(chan bool)
	for i := range runs {
		o := *s
		o.config.Budget, o.config.Run, o.config.Name, o.script = budget, fmt.Sprintf("other%d", i), fmt.Sprintf("other %d", i), script
		go func() {
			o.start()
			o.close(10 * time.Minute)
			done <- true
		}()
	}
	return func() {
		for range runs {
			<-done
		}
	}
}

// TestProgressLeavesRoomForEnds: the progress of others does not make the end
// of a run late.
func TestProgressLeavesRoomForEnds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newScene(t, 60)
		wait := s.with(4, s.config.Budget, func(a flow.Attempt) flowtest.Step {
			return flowtest.Step{Run: time.Duration(number(a.Job)) * 4 * time.Second}
		})
		s.script = func(flow.Attempt) flowtest.Step { return flowtest.Step{Run: 100 * time.Second, Result: failed} }
		s.play()
		s.noNotes()
		if late := time.Since(s.ended); late > 3*time.Second {
			t.Errorf("the end was shown after %v", late)
		}
		for _, c := range s.repo.CheckRuns() {
			if strings.HasPrefix(c.Name, "other") && c.Updates < 2 {
				t.Errorf("%s has been updated %d times", c.Name, c.Updates)
			}
		}
		wait()
	})
}

// TestRunsBeforeJobs: when writes are scarce, the end of a run is shown before
// that of another run's jobs, however long these have waited.
func TestRunsBeforeJobs(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newScene(t, 10)
		s.config.Budget = checks.NewBudget(checks.Limits{WritesPerMinute: 8})
		wait := s.with(1, s.config.Budget, func(flow.Attempt) flowtest.Step {
			return flowtest.Step{Run: 2 * time.Minute, Result: failed}
		})
		s.config.Mode = checks.ModeAggregate
		s.script = func(flow.Attempt) flowtest.Step { return flowtest.Step{Run: 130 * time.Second} }
		s.start()
		before := len(s.writes())
		s.close(5 * time.Minute)
		s.noNotes()
		first := s.writes()[before]
		if !strings.Contains(first.Body, `"name":"cromt"`) {
			t.Errorf("first came %.100s", first.Body)
		}
		if late := first.Time.Sub(s.ended); late < 45*time.Second || late > 55*time.Second { // others wrote 10 s before
			t.Errorf("a minute's writes were free again after %v", late)
		}
		wait()
	})
}

// TestLargeRun has 20,000 events and more; what they cost is in the time that
// the test takes.
func TestLargeRun(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newScene(t, 10_000)
		s.script = func(a flow.Attempt) flowtest.Step {
			step := flowtest.Step{Queue: time.Duration(number(a.Job)) * time.Millisecond * 20, Run: time.Second}
			if number(a.Job)%3 == 0 {
				step.Result = failed
			}
			return step
		}
		s.play()
		s.noNotes()
		s.concluded(flow.Failure, checks.MaxFailedChecks)
		s.cheap(120)
	})
}
