package sparky

import (
	"context"
	"fmt"
	"time"

	"github.com/cromt/cromt/flow"
)

// result is what the ended job's last status says.
func (t *attempt) result() flow.Result {
	js := t.last
	res := flow.Result{
		Cause: js.Cause, Error: plainLine([]byte(js.Error)), ExitCode: js.ExitCode, Commit: js.Commit,
		StartedAt: t.running, CompletedAt: time.Now(), Lost: js.Lost,
	}
	if !js.StartedAt.IsZero() && !js.CompletedAt.IsZero() {
		// The news of the start came late. The difference of the host's times is
		// right even if its clock is not, unless that was set meanwhile.
		at := res.CompletedAt.Add(-max(0, js.CompletedAt.Sub(js.StartedAt)))
		if at.Before(res.StartedAt) && !at.Before(t.sent) {
			res.StartedAt = at
		}
	}
	switch {
	case js.State == CodeOK && (js.Cause != "" || js.ExitCode != 0 || js.Lost):
		// Never green on a contradiction.
		res.Conclusion, res.Cause = flow.Failure, flow.CauseInfrastructure
		if res.Error == "" {
			res.Error = fmt.Sprintf("%s reports success with exit code %d, cause %q", t.h.name(), js.ExitCode, js.Cause)
		}
	case js.State == CodeOK:
		res.Conclusion, res.Error = flow.Success, ""
		res.Artifacts = t.located(js.Artifacts)
	case js.State == CodeCancelled || js.Cause == flow.CauseCancelled:
		res.Conclusion, res.Cause = flow.Cancelled, flow.CauseCancelled
		if res.Error == "" {
			res.Error = "cancelled on " + t.h.name()
		}
	case js.Cause == flow.CauseTimeout:
		res.Conclusion = flow.TimedOut
		if res.Error == "" {
			res.Error = fmt.Sprintf("timed out after %v", t.a.Timeout)
		}
	case js.Cause == flow.CauseInfrastructure || js.Lost:
		res.Conclusion, res.Cause = flow.Failure, flow.CauseInfrastructure
		res.NotStarted = t.feed.early()
		if res.Error == "" {
			res.Error = "failed on " + t.h.name()
		}
	default:
		res.Conclusion, res.Cause = flow.Failure, flow.CauseTask
		if res.Error == "" {
			res.Error = fmt.Sprintf("exit code %d", js.ExitCode)
		}
	}
	return res
}

// located says of artifacts on the job's host where they are.
func (t *attempt) located(list []flow.Artifact) []flow.Artifact {
	var out []flow.Artifact
	for _, a := range list {
		a.Host, a.Queue, a.JobID = t.a.Host, t.a.Job.Queue, t.a.JobID
		out = append(out, a)
	}
	return out
}

// keep makes sure that a successful job's artifacts are there, and copies
// them to the storage host where there is one.
func (t *attempt) keep(ctx context.Context, res flow.Result) (flow.Result, error) {
	if res.Conclusion != flow.Success {
		return res, nil
	}
	have := map[string]flow.Artifact{}
	for _, a := range res.Artifacts {
		have[a.File] = a
	}
	var kept []flow.Artifact
	for _, out := range t.a.Job.Out {
		a, ok := have[out.File]
		var err error
		switch {
		case ok:
		case t.hello == nil:
			a, err = t.measure(ctx, out.File)
		default:
			err = errNoArtifact
		}
		if err == nil {
			a, err = t.store(ctx, a)
		}
		if ctx.Err() != nil {
			// The job is over: there is nothing left to cancel.
			if isLeft(ctx) {
				return flow.Result{}, t.leave()
			}
			return cancelledResult("cancelled while its artifacts were collected"), nil //nolint:nilerr // a cancelled attempt has a result
		}
		if err != nil {
			failed := infrastructure(fmt.Sprintf("artifact %s: %v", out.File, err))
			failed.StartedAt, failed.Commit = res.StartedAt, res.Commit
			return failed, nil
		}
		kept = append(kept, a)
	}
	res.Artifacts = kept
	return res, nil
}
