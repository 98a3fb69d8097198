package flow

// Kept is the result of a job that a run takes over from an earlier one.
type Kept struct {
	Job    string `json:"job"` // its key
	Result Result `json:"result"`
}

// keep takes results over: the jobs are done before the run begins. The other
// jobs of a kept job's source run at its commit.
func (r *runner) keep(kept []Kept) {
	byKey := make(map[string]*jobState, len(r.jobs))
	for _, js := range r.jobs {
		byKey[js.Key] = js
	}
	for i := range kept {
		js, res := byKey[kept[i].Job], kept[i].Result
		if js == nil || js.done {
			continue // hosts have other names since: it runs
		}
		if js.Source.Kind == SourceGit {
			r.resolved(js.Source, res.Commit)
		}
		js.end(&res)
		js.remember().ended = i
		r.emit(Event{Kind: JobCompleted, Job: js.Job, Result: &res})
	}
}

// Keep returns what a run of the plan takes over from old, an ended run of the
// same plan, when it is to run those jobs again that again wants. With them
// run those that they need and that did not succeed, those that need them, and
// those that were skipped for another job and are not any more.
func (p *Plan) Keep(old *Run, again func(*JobReport) bool) []Kept {
	reports := make(map[string]*JobReport, len(old.Jobs))
	for i := range old.Jobs {
		reports[old.Jobs[i].Key] = &old.Jobs[i]
	}
	runs := make(map[*Job]bool, len(p.Jobs))
	for i := len(p.Jobs) - 1; i >= 0; i-- { // those that are needed stand before those that need them
		j := p.Jobs[i]
		rep := reports[j.Key]
		if runs[j] = runs[j] || rep == nil || again(rep); !runs[j] {
			continue
		}
		for _, n := range j.Needs {
			if rep := reports[n.Key]; rep != nil && rep.Troubled() {
				runs[n] = true
			}
		}
	}
	var kept []Kept
	for _, j := range p.Jobs {
		rep := reports[j.Key]
		if rep != nil && rep.Conclusion == Skipped && !rep.Troubled() {
			continue // it was not due, and nobody waited for it
		}
		for _, n := range j.Needs {
			runs[j] = runs[j] || runs[n]
		}
		if !runs[j] && rep.Conclusion != Skipped { // that follows from others, as it did
			kept = append(kept, Kept{j.Key, rep.result(old.ID)})
		}
	}
	return kept
}

// Troubled reports whether the job did not succeed, or was skipped because
// another one did not.
func (j *JobReport) Troubled() bool {
	return !j.Conclusion.Passed() && (j.Conclusion != Skipped || j.Cause == CauseDependency)
}

// result is that of a job of a run that has ended, for another run.
func (j *JobReport) result(run string) Result {
	res := Result{Conclusion: j.Conclusion, Cause: j.Cause, Error: j.Error, Commit: j.SHA, Artifacts: j.Artifacts, Kept: j.Kept}
	if res.Kept == "" {
		res.Kept = run
	}
	if last := j.Last(); last != nil {
		res.ExitCode, res.StartedAt, res.CompletedAt = last.ExitCode, last.StartedAt, last.CompletedAt
	}
	return res
}
