package checks

import (
	"context"
	"fmt"
	"slices"

	"github.com/google/go-github/v60/github"

	"github.com/cromt/cromt/flow"
)

// The identifiers of a check run's buttons, as GitHub sends them when one is
// clicked.
const (
	ActionCancel      = "cancel"
	ActionRerunFailed = "rerun_failed"
	ActionRerunAll    = "rerun_all"
)

// build makes a check run of what is known now.
func (r *Reporter) build(ctx context.Context, c *check) checkRun {
	var others []Other
	if c == r.aggr {
		others = r.others(ctx)
	}
	r.mu.Lock()
	v, ended := r.view(), r.ended
	if c == r.aggr {
		r.changed = false
	}
	anns, minimal := r.annotationsOf(c), c.minimal
	anns = anns[min(c.sent, len(anns)):]
	k := checkRun{name: c.name, sha: r.c.SHA, external: c.external}
	r.mu.Unlock()
	if c.job == nil {
		k.held = ended && anyOpen(others)
		r.buildRun(&k, withOthers(v, others), ended)
	} else {
		r.buildJob(&k, v, c.job)
	}
	if k.status == flow.StatusCompleted {
		k.annotations = anns[:min(len(anns), requestAnnotations)]
	}
	if k.title == "" {
		k.title = string(k.status)
	}
	if minimal {
		k.summary, k.text, k.annotations = k.title, "", nil
	}
	return k
}

func (r *Reporter) buildRun(k *checkRun, v View, ended bool) {
	k.url, k.started = r.c.RunURL, v.Run.StartedAt
	k.status = flow.StatusInProgress
	if k.started.IsZero() {
		k.started = r.began
	}
	if ended && !k.held {
		k.status, k.conclusion, k.completed = flow.StatusCompleted, v.Run.Conclusion, v.Run.CompletedAt
	}
	k.title, k.summary = Title(v.Run), Summary(v, MaxOutput)
	if r.c.Buttons && !k.held {
		k.actions = buttons(ended, v.Run)
	}
}

func (r *Reporter) buildJob(k *checkRun, v View, j *flow.Job) {
	rep := &v.Run.Jobs[r.tracker.index[j]]
	k.status = flow.StatusInProgress
	if len(rep.Attempts) > 0 {
		k.started = rep.Attempts[0].StartedAt
	}
	if rep.Status == flow.StatusCompleted {
		k.status, k.conclusion = rep.Status, rep.Conclusion
		if last := rep.Last(); last != nil {
			k.completed = last.CompletedAt
		}
	}
	if r.c.JobURL != nil {
		k.url = r.c.JobURL(j)
	}
	k.title, k.summary, k.text = JobTitle(v, rep), JobSummary(v, rep, MaxOutput), JobText(v, rep, MaxOutput)
}

// buttons are what a click on the aggregate can ask for.
func buttons(ended bool, run *flow.Run) []*github.CheckRunAction {
	if !ended {
		return []*github.CheckRunAction{{Label: "Cancel", Description: "Cancel what runs, start nothing new", Identifier: ActionCancel}}
	}
	all := &github.CheckRunAction{Label: "Re-run all", Description: "Run every job again", Identifier: ActionRerunAll}
	if n := run.Count(); n.Failed+n.Cancelled == 0 {
		return []*github.CheckRunAction{all}
	}
	failed := &github.CheckRunAction{Label: "Re-run failed", Description: "Run failed jobs and those they stopped", Identifier: ActionRerunFailed}
	return []*github.CheckRunAction{failed, all}
}

// annotationsOf are those that a check run is to have: a job's own, and on
// the aggregate those of jobs without check runs, failed ones first.
func (r *Reporter) annotationsOf(c *check) []Annotation {
	if c.job != nil {
		all := r.anns[c.job.Key]
		return all[:min(len(all), maxJobAnnotations)]
	}
	var bad, rest []Annotation
	for i, j := range r.plan.Jobs {
		if own := r.jobs[j]; own != nil && !own.dropped {
			continue
		}
		if run := &r.tracker.run.Jobs[i]; run.Conclusion.Passed() {
			rest = append(rest, r.anns[j.Key]...)
		} else {
			bad = append(bad, r.anns[j.Key]...)
		}
		if len(bad) >= requestAnnotations {
			break
		}
	}
	all := slices.Concat(bad, rest)
	return all[:min(len(all), requestAnnotations)]
}

// note keeps something for people, once.
func (r *Reporter) note(s string) {
	if !slices.Contains(r.notes, s) && len(r.notes) < MaxNotes {
		r.notes = append(r.notes, s)
	}
}

// leftOver says what could not be posted.
func (r *Reporter) leftOver() []string {
	notes := slices.Clone(r.notes)
	if r.stopped || r.c.Mode != ModeAggregate && r.c.Mode != ModePerHost {
		return notes
	}
	reason := "the time was over before GitHub's limits let them through"
	if r.last != nil {
		reason = explanation(r.last, needChecks)
	}
	if !r.aggr.settled() {
		notes = append(notes, fmt.Sprintf("check run %s could not be concluded: %s", r.aggr.name, reason))
	}
	open := 0
	for _, c := range r.jobs {
		if c.posted != flow.StatusCompleted && !c.dropped {
			open++
		}
	}
	if open > 0 {
		notes = append(notes, fmt.Sprintf("check runs of %d jobs could not be posted: %s", open, reason))
	}
	return notes[:min(len(notes), MaxNotes)]
}
