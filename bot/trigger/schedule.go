package trigger

import (
	"time"

	"github.com/cromt/cromt/flow"
)

// Next returns the first time after t at which a project's crontab starts it,
// in UTC. Zero when the file has no such project, or that has no crontab.
func Next(f *flow.File, project string, t time.Time) time.Time {
	p := f.Project(project)
	if p == nil || !p.Crontab.IsSet() {
		return time.Time{}
	}
	return flow.NextTime(p.Crontab.Value, t)
}

// Due returns the tick of a project's crontab that is to be served now: the
// latest after last, which was served or is when the crontab was first seen.
// Of several that were missed it is one run, the latest, and none that is more
// than CatchUp ago. Zero when nothing is due.
func Due(f *flow.File, project string, last, now time.Time) time.Time {
	if from := now.Add(-CatchUp - time.Nanosecond); last.Before(from) {
		last = from
	}
	var due time.Time
	for {
		tick := Next(f, project, last)
		if tick.IsZero() || tick.After(now) {
			return due
		}
		due, last = tick, tick
	}
}
