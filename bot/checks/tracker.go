package checks

import (
	"slices"
	"time"

	"github.com/cromt/cromt/flow"
)

// Tracker puts a run together from its events, so that it can be shown while
// it goes on. It is not safe for use by several goroutines.
type Tracker struct {
	plan    *flow.Plan
	run     flow.Run
	index   map[*flow.Job]int // in run.Jobs
	byKey   map[string]*flow.Job
	commits map[flow.Source]string
	ended   int // jobs that are completed
}

// NewTracker returns a tracker of a run whose jobs are all queued.
func NewTracker(plan *flow.Plan) *Tracker {
	t := &Tracker{
		plan:    plan,
		run:     flow.Run{Schema: flow.ReportSchema, Jobs: make([]flow.JobReport, 0, len(plan.Jobs))},
		index:   make(map[*flow.Job]int, len(plan.Jobs)),
		byKey:   make(map[string]*flow.Job, len(plan.Jobs)),
		commits: make(map[flow.Source]string),
	}
	for _, inv := range plan.Roots {
		t.run.Roots = append(t.run.Roots, inv.Key)
	}
	for i, j := range plan.Jobs {
		rep := flow.JobReport{
			Key: j.Key, Project: j.Invocation.Project.Name, Title: j.Title, Host: j.Host, Pool: j.Pool, Label: j.Label, Queue: j.Queue,
			Needs: make([]string, len(j.Needs)), Status: flow.StatusQueued,
			Attempts: []flow.AttemptReport{}, Artifacts: []flow.Artifact{},
		}
		for k, n := range j.Needs {
			rep.Needs[k] = n.Key
		}
		t.run.Jobs = append(t.run.Jobs, rep)
		t.index[j], t.byKey[j.Key] = i, j
	}
	return t
}

// Apply takes events over, in their order.
func (t *Tracker) Apply(events []flow.Event) {
	for i := range events {
		t.apply(&events[i])
	}
}

func (t *Tracker) apply(ev *flow.Event) {
	if t.run.ID == "" {
		t.run.ID = ev.Run
	}
	switch ev.Kind {
	case flow.RunStarted:
		t.run.StartedAt, t.run.SHA = ev.Time, ev.Commit
	case flow.CommitResolved:
		t.commits[ev.Source] = ev.Commit
	case flow.Note:
		t.run.Notes = append(t.run.Notes, ev.Message)
	case flow.RunCompleted:
		t.complete(ev.Time, ev.Conclusion)
	default:
		if i, ok := t.index[ev.Job]; ok {
			t.applyJob(&t.run.Jobs[i], ev)
		}
	}
}

func (t *Tracker) applyJob(rep *flow.JobReport, ev *flow.Event) {
	switch ev.Kind {
	case flow.JobQueued:
		if last := rep.Last(); last == nil || last.JobID != ev.JobID {
			if ev.Host != "" {
				rep.Host = ev.Host
			}
			rep.Attempts = append(rep.Attempts, flow.AttemptReport{JobID: ev.JobID, Host: rep.Host, Status: flow.StatusQueued, QueuedAt: ev.Time})
		}
	case flow.JobStarted:
		rep.Status = flow.StatusInProgress
		if last := rep.Last(); last != nil {
			last.Status, last.StartedAt = flow.StatusInProgress, ev.Time
		}
	case flow.AttemptCompleted:
		rep.Status = flow.StatusQueued // until its last word, or its next attempt
		if last := rep.Last(); last != nil {
			endAttempt(last, ev)
		}
	case flow.JobCompleted:
		t.endJob(rep, *ev.Result)
	}
}

func endAttempt(a *flow.AttemptReport, ev *flow.Event) {
	res := ev.Result
	a.Status, a.Conclusion, a.Cause = flow.StatusCompleted, res.Conclusion, res.Cause
	a.ExitCode, a.Error, a.Log, a.CompletedAt = res.ExitCode, res.Error, ev.Log, res.CompletedAt
	// As in the engine's report: what is said from either is to be the same.
	if a.StartedAt.IsZero() || !res.StartedAt.IsZero() && res.StartedAt.Before(a.StartedAt) {
		a.StartedAt = res.StartedAt
	}
}

// endJob is a job's last word.
func (t *Tracker) endJob(rep *flow.JobReport, res flow.Result) {
	if rep.Status != flow.StatusCompleted {
		t.ended++
	}
	rep.Status, rep.Conclusion, rep.Cause, rep.Error = flow.StatusCompleted, res.Conclusion, res.Cause, res.Error
	rep.SHA, rep.Kept = res.Commit, res.Kept
	if res.Artifacts != nil {
		rep.Artifacts = res.Artifacts
	}
	if rep.SHA != "" || len(rep.Attempts) == 0 {
		return
	}
	switch src := t.byKey[rep.Key].Source; src.Kind {
	case flow.SourceOwn:
		rep.SHA = t.run.SHA
	case flow.SourceGit:
		rep.SHA = t.commits[src]
	}
}

// complete ends the run. Jobs that nothing reached were not needed.
func (t *Tracker) complete(at time.Time, c flow.Conclusion) {
	t.run.CompletedAt, t.run.Conclusion = at, c
	for i := range t.run.Jobs {
		if rep := &t.run.Jobs[i]; rep.Status != flow.StatusCompleted {
			t.endJob(rep, flow.Result{Conclusion: flow.Skipped, Error: notDue(t.plan.Jobs[i].Invocation)})
		}
	}
}

// abandon ends a run that nobody follows any more: what has not ended counts
// as cancelled.
func (t *Tracker) abandon(at time.Time) {
	for i := range t.run.Jobs {
		if rep := &t.run.Jobs[i]; rep.Status != flow.StatusCompleted {
			if last := rep.Last(); last != nil && last.Status != flow.StatusCompleted {
				last.Status, last.Conclusion, last.Cause, last.CompletedAt = flow.StatusCompleted, flow.Cancelled, flow.CauseCancelled, at
			}
			t.endJob(rep, flow.Result{Conclusion: flow.Cancelled, Cause: flow.CauseCancelled, Error: "cromt was interrupted; how it ended is not known"})
		}
	}
	t.run.CompletedAt, t.run.Conclusion = at, flow.Cancelled
}

// notDue says why an invocation never became part of the run.
func notDue(inv *flow.Invocation) string {
	if inv.Parent != nil {
		for _, edge := range inv.Parent.After {
			switch {
			case edge.Invocation == inv && edge.When == flow.WhenAlways:
				return "the run was over when " + inv.Parent.Key + " ended"
			case edge.Invocation == inv:
				return "not needed: it runs when " + inv.Parent.Key + " ends with " + string(edge.When)
			}
		}
	}
	return "not needed: nothing that ran needs it"
}

// SetRun takes over the engine's own report of a run that is complete.
func (t *Tracker) SetRun(run *flow.Run) {
	t.run = *run
	t.ended = len(run.Jobs)
}

// Run returns the run as it stands. What follows does not change it.
func (t *Tracker) Run() *flow.Run {
	run := t.run
	run.Notes = slices.Clone(run.Notes)
	run.Jobs = slices.Clone(run.Jobs)
	for i := range run.Jobs {
		run.Jobs[i].Attempts = slices.Clone(run.Jobs[i].Attempts)
	}
	return &run
}
