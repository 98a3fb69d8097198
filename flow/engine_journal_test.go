package flow_test

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/cromt/cromt/flow"
	"github.com/cromt/cromt/flow/flowtest"
)

func TestJournalComesFirst(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newSketch()
		s.inv("a", 1)
		s.inv("b", 1, "a")
		j := &flowtest.Reporter{}
		x := &flowtest.Executor{Script: func(a flow.Attempt) flowtest.Step {
			for _, ev := range j.Events() {
				if ev.Kind == flow.JobQueued && ev.JobID == a.JobID {
					return flowtest.Step{}
				}
			}
			t.Errorf("%s was sent before it was journalled", a.JobID)
			return flowtest.Step{}
		}}
		run(t, &flow.Engine{Executor: x, Journal: j}, s.roots("b"))
		if len(x.Attempts()) != 2 {
			t.Error(x.Attempts())
		}
	})
}

// Ends of jobs on which nothing waits share a batch of the journal, which is
// written soon after; the last of an invocation lets others begin.
func TestEndsShareBatches(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newSketch()
		s.inv("a", 4)
		s.inv("b", 1, "a")
		start, batches := time.Now(), ""
		j := &flowtest.Reporter{Err: func(evs []flow.Event) error {
			n := map[flow.EventKind]int{}
			for _, ev := range evs {
				n[ev.Kind]++
			}
			batches += fmt.Sprintf("%v: %d queued, %d started, %d ended\n", time.Since(start), n[flow.JobQueued], n[flow.JobStarted], n[flow.JobCompleted])
			return nil
		}}
		runs := map[string]time.Duration{"a@h1": 100, "a@h2": 110, "a@h3": 500, "a@h4": 501, "b@h1": 0}
		x := &flowtest.Executor{Script: func(a flow.Attempt) flowtest.Step {
			return flowtest.Step{Run: runs[a.Job.Key] * time.Millisecond}
		}}
		run(t, &flow.Engine{Executor: x, Journal: j}, s.roots("b"))
		check(t, "batches", batches, `0s: 0 queued, 0 started, 0 ended
0s: 4 queued, 0 started, 0 ended
120ms: 0 queued, 4 started, 2 ended
501ms: 0 queued, 0 started, 2 ended
501ms: 1 queued, 0 started, 0 ended
501ms: 0 queued, 1 started, 1 ended
`)
	})
}

func TestJournalThatFailsStopsTheRun(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newSketch()
		s.inv("a", 1)
		s.inv("b", 1, "a")
		j := &flowtest.Reporter{Err: func(evs []flow.Event) error {
			if slices.ContainsFunc(evs, func(e flow.Event) bool { return e.Job != nil && e.Job.Key == "b@h1" }) {
				return errors.New("disk full")
			}
			return nil
		}}
		x := &flowtest.Executor{}
		r, err := (&flow.Engine{Executor: x, Journal: j}).Run(t.Context(), flow.RunOptions{ID: "r1", Plan: s.roots("b")})
		if err == nil || len(x.Attempts()) != 1 || r.Conclusion != flow.Cancelled {
			t.Errorf("err %v, attempts %v, conclusion %s", err, x.Attempts(), r.Conclusion)
		}
	})
}

func TestReporterDoesNotHoldUpTheRun(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newSketch()
		s.inv("a", 1)
		slow := reporterFunc(func(ctx context.Context, _ []flow.Event) error { <-ctx.Done(); return ctx.Err() })
		start := time.Now()
		r := run(t, &flow.Engine{Executor: &flowtest.Executor{}, Reporters: []flow.Reporter{slow}}, s.roots("a"))
		if d := time.Since(start); d != flow.ReporterDrain {
			t.Errorf("took %v", d)
		}
		if r.Conclusion != flow.Success || len(r.Notes) != 1 {
			t.Errorf("conclusion %s, notes %v", r.Conclusion, r.Notes)
		}
	})
}

type reporterFunc func(context.Context, []flow.Event) error

func (f reporterFunc) Report(ctx context.Context, evs []flow.Event) error { return f(ctx, evs) }

// TestResume cuts a run's journal after every event and lets another process
// go on from there: each time the run ends the same, nothing that had ended
// runs again, and what was sent is attached to under its own job-id.
func TestResume(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		steps := script(map[string]flowtest.Step{
			"c@h1/1": {Err: fmt.Errorf("x: %w", flow.ErrNotStarted)}, "b@h2/1": {Run: time.Second, Result: fail}, "a@h1": {Run: time.Second, Result: fail},
		})
		plan := func() *flow.Plan {
			s := newSketch()
			s.inv("c", 1)
			s.inv("b", 2, "c").Retry.Limit = 1
			s.inv("a", 1, "b")
			s.after("a", flow.WhenFailure, "clean")
			return s.roots("a")
		}
		rec := &flowtest.Reporter{}
		want := ends(run(t, &flow.Engine{Executor: &flowtest.Executor{Script: steps}, Journal: rec}, plan()))
		all := rec.Events()
		path := filepath.Join(t.TempDir(), "journal")
		for cut := 1; cut < len(all); cut++ {
			p := plan()
			j, err := flow.OpenJournal(fmt.Sprint(path, cut))
			if err != nil {
				t.Fatal(err)
			}
			if err := j.Report(t.Context(), all[:cut]); err != nil {
				t.Fatal(err)
			}
			id, history, err := j.History(p)
			if err != nil || id != "r1" || len(history) != cut {
				t.Fatalf("cut %d: history %d of %q: %v", cut, len(history), id, err)
			}
			x := &flowtest.Executor{Script: steps}
			r, err := (&flow.Engine{Executor: x, Journal: j}).Run(t.Context(), flow.RunOptions{ID: id, Plan: p, History: history})
			if err != nil {
				t.Fatal(err)
			}
			check(t, fmt.Sprintf("cut %d after %s", cut, all[cut-1].Kind), ends(r), want)
			sent := map[string]bool{} // job-ids without a result in the history
			for _, ev := range all[:cut] {
				switch ev.Kind {
				case flow.JobQueued:
					sent[ev.JobID] = true
				case flow.AttemptCompleted:
					delete(sent, ev.JobID)
					if slices.Contains(x.Attempts(), fmt.Sprintf("%s/%d", ev.Job.Key, ev.Attempt)) {
						t.Errorf("cut %d: %s/%d ran again", cut, ev.Job.Key, ev.Attempt)
					}
				}
			}
			for _, a := range x.All() {
				if a.Resumed != sent[a.JobID] {
					t.Errorf("cut %d: %s: resumed %v, sent before %v", cut, a.JobID, a.Resumed, sent[a.JobID])
				}
				delete(sent, a.JobID)
			}
			if len(sent) > 0 {
				t.Errorf("cut %d: not attached to: %v", cut, sent)
			}
			if _, _, err := j.History(p); err == nil {
				t.Errorf("cut %d: a complete journal is resumed", cut)
			}
			j.Close()
		}
	})
}
