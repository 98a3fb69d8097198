package checks

import (
	"context"
	"fmt"
	"slices"

	"github.com/cromt/cromt/flow"
)

// Other is a job of another run at the commit that the aggregate counts: of a
// project that this run does not run.
type Other struct {
	Job flow.JobReport
	URL string // page about it; "": none
}

// others are those of now; none without an aggregate.
func (r *Reporter) others(ctx context.Context) []Other {
	if r.c.Others == nil {
		return nil
	}
	return r.c.Others(ctx)
}

// anyOpen reports whether one of them has not ended.
func anyOpen(others []Other) bool {
	return slices.ContainsFunc(others, func(o Other) bool { return o.Job.Status != flow.StatusCompleted })
}

// withOthers adds their rows to a view, and what they mean for the result: as
// long as one is open there is none.
func withOthers(v View, others []Other) View {
	if len(others) == 0 {
		return v
	}
	run := *v.Run
	run.Jobs = slices.Clone(run.Jobs)
	urls := make(map[string]string, len(others))
	open := anyOpen(others)
	for _, o := range others {
		run.Jobs = append(run.Jobs, o.Job)
		urls[o.Job.Key] = o.URL
		if run.Conclusion != "" {
			run.Conclusion = worse(run.Conclusion, o.Job.Conclusion)
		}
	}
	if open {
		run.Conclusion = ""
	}
	own := v.JobURL
	v.JobURL = func(key string) string {
		if url, ok := urls[key]; ok {
			return url
		}
		if own == nil {
			return ""
		}
		return own(key)
	}
	v.Run = &run
	v.Notes = append(v.Notes, fmt.Sprintf("%s below: the latest at this commit of what this run did not run", many(len(others), "job of other runs")))
	return v
}

// worse is what a run concludes with that has a job of that conclusion.
func worse(run, job flow.Conclusion) flow.Conclusion {
	for _, c := range []flow.Conclusion{flow.Failure, flow.TimedOut, flow.Cancelled} {
		if run == c || job == c {
			return c
		}
	}
	return run
}

// Held reports whether the aggregate was left open when the run had ended,
// since others that it counts have not: whoever ends last posts it again.
func (r *Reporter) Held() bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.aggr.held
}
