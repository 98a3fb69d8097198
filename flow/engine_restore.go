package flow

import "time"

// restore takes the run to where its history ends: what was decided stays,
// what was dispatched is attached to, what was due again is waited for.
func (r *runner) restore(history []Event) {
	for i := range history {
		ev := &history[i]
		switch ev.Kind {
		case RunStarted:
			r.started = ev.Time
			continue
		case RunCompleted: // but not finished: it is said again as it was
			r.ended, r.ending = ev.Time, ev.Conclusion
			continue
		case CommitResolved:
			r.commit(ev.Source).sha = ev.Commit
			continue
		case Note:
			r.notes = append(r.notes, ev.Message)
			continue
		}
		if js := r.jobs[ev.Job]; js != nil {
			js.inv.passes(ev.Time)
			js.restore(ev, i)
		}
	}
	for _, j := range r.o.Plan.Jobs {
		if js := r.jobs[j]; js.resumed {
			r.attach(js)
		}
	}
}

// attach prepares for a job that is, or may be, on its host.
func (r *runner) attach(js *jobState) {
	if js.attempt().QueuedAt.Before(js.inv.fired) {
		js.doom = errTimeout // the process before this one may not have come to it
	}
	if js.Pool != "" {
		r.seek(js, "") // it has its place before others look for one
	}
	if js.Source.Kind != SourceGit {
		return
	}
	if c := r.commit(js.Source); c.sha == "" { // it finds out, as before
		c.asked, c.busy, c.scout = true, true, js
	}
}

func (js *jobState) restore(ev *Event, at int) {
	switch ev.Kind {
	case JobWaiting:
		if js.placing != nil {
			js.since = ev.Time
		}
	case JobQueued:
		if js.host = ev.Host; js.placing != nil {
			js.since = time.Time{}
		}
		js.number, js.jobID, js.resumed = int32(ev.Attempt), ev.JobID, true //nolint:gosec // of this run's own attempts
		was := js.remember()
		was.mark, was.final = Mark{SentAt: ev.Time}, nil
		js.report.Attempts = append(js.report.Attempts, AttemptReport{JobID: ev.JobID, Host: ev.Host, Status: StatusQueued, QueuedAt: ev.Time})
	case JobStarted:
		rep := js.attempt()
		rep.Status, rep.StartedAt = StatusInProgress, ev.Time
		if js.inv.clock.IsZero() {
			js.inv.clock = ev.Time
		}
	case JobDetached:
		js.remember().mark = *ev.Mark
	case AttemptCompleted:
		js.resumed = false
		rep, res := js.attempt(), ev.Result
		rep.complete(res, ev.Log)
		js.avoidIf(res)
		if ev.RetryAt.IsZero() {
			was := js.remember()
			was.final, was.ended = res, at
			return
		}
		if res.unbegun() && js.infra < InfraRetries {
			js.infra++
		} else {
			js.retries++
		}
		js.remember().retryAt = ev.RetryAt
	case JobCompleted:
		js.end(ev.Result)
		js.resumed, js.remember().ended = false, at
	}
}

// passes notes that the time in a history has come to t: the clock of an
// invocation's jobs may have run down before.
func (is *invState) passes(t time.Time) {
	if is.clock.IsZero() || is.Timeout <= 0 {
		return
	}
	if end := is.clock.Add(is.Timeout); !t.Before(end) {
		is.clock, is.fired = time.Time{}, end
	}
}
