package flow

import (
	"context"
	"errors"
	"slices"
	"time"
)

// report is the run as it stands when the loop has ended.
func (r *runner) report() *Run {
	run := &Run{
		Schema: ReportSchema, ID: r.o.ID, StartedAt: r.started, CompletedAt: time.Now(),
		Repo: r.o.Repo, SHA: r.o.SHA, WorkingTree: r.o.WorkingTree, Notes: r.notes,
	}
	for _, inv := range r.o.Plan.Roots {
		run.Roots = append(run.Roots, inv.Key)
	}
	run.Jobs = r.reports
	needs := make(needKeys)
	for _, j := range r.o.Plan.Jobs {
		r.fill(r.jobs[j])
		r.jobs[j].report.Needs = needs.of(j.Needs)
	}
	run.Conclusion = r.conclusion(run.Jobs)
	if !r.ended.IsZero() {
		run.CompletedAt, run.Conclusion = r.ended, r.ending
	}
	return run
}

// needKeys has the keys of each Needs once: jobs share them, and those of a
// layer of a hundred jobs upon a hundred are a hundred times as many.
type needKeys map[*Job][][]string // by the first

func (k needKeys) of(needs []*Job) []string {
	if len(needs) == 0 {
		return []string{}
	}
	for _, keys := range k[needs[0]] {
		if slices.EqualFunc(keys, needs, func(key string, j *Job) bool { return key == j.Key }) {
			return keys
		}
	}
	keys := make([]string, len(needs))
	for i, j := range needs {
		keys[i] = j.Key
	}
	k[needs[0]] = append(k[needs[0]], keys)
	return keys
}

// fill completes the report of a job.
func (r *runner) fill(js *jobState) {
	rep := js.report
	rep.Key, rep.Project, rep.Title, rep.Label, rep.Queue = js.Key, js.inv.Project.Name, js.Title, js.Label, js.Queue
	rep.Host, rep.Pool, rep.Status = js.host, js.Pool, StatusCompleted
	if !js.done { // of an after invocation that was not due, or that nothing reached
		rep.Conclusion, rep.Error = Skipped, r.notDue(js.inv)
	}
	if rep.SHA == "" && js.done && len(rep.Attempts) > 0 {
		switch js.Source.Kind {
		case SourceOwn:
			rep.SHA = r.o.SHA
		case SourceGit:
			rep.SHA = r.commit(js.Source).sha
		}
	}
	if rep.Attempts == nil {
		rep.Attempts = []AttemptReport{}
	}
	if rep.Artifacts == nil {
		rep.Artifacts = []Artifact{}
	}
}

// complete takes over how the attempt ended. An earlier start that the result
// tells of wins over the one that was seen.
func (a *AttemptReport) complete(res *Result, log string) {
	if a.StartedAt.IsZero() || !res.StartedAt.IsZero() && res.StartedAt.Before(a.StartedAt) {
		a.StartedAt = res.StartedAt
	}
	a.Status, a.Conclusion, a.Cause = StatusCompleted, res.Conclusion, res.Cause
	a.ExitCode, a.Error, a.Log, a.CompletedAt = res.ExitCode, res.Error, log, res.CompletedAt
}

// notDue says why an invocation never became part of the run.
func (r *runner) notDue(is *invState) string {
	if is.Parent == nil {
		return "not needed: nothing that ran needs it"
	}
	for _, edge := range is.Parent.After {
		switch {
		case edge.Invocation == is.Invocation && edge.When == WhenAlways:
			return "the run was over when " + is.Parent.Key + " ended"
		case edge.Invocation == is.Invocation:
			return "not needed: it runs when " + is.Parent.Key + " ends with " + string(edge.When)
		}
	}
	return "not needed: nothing that ran needs it"
}

// conclusion is the run's: that of its worst job. Skipped jobs follow from
// others and do not count themselves.
func (r *runner) conclusion(jobs []JobReport) Conclusion {
	if r.halted() {
		if errors.Is(r.stop, context.DeadlineExceeded) {
			return TimedOut
		}
		return Cancelled
	}
	has := make(map[Conclusion]bool)
	for i := range jobs {
		has[jobs[i].Conclusion] = true
	}
	for _, c := range []Conclusion{Failure, TimedOut, Cancelled} {
		if has[c] {
			return c
		}
	}
	return Success
}
