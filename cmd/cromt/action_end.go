package main

import (
	"context"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/cromt/cromt/bot/checks"
	"github.com/cromt/cromt/cmd/cromt/action"
	"github.com/cromt/cromt/flow"
	"github.com/cromt/cromt/sparky"
)

// finish leaves the result where people and later steps look: check runs,
// files, annotations, the summary, a comment, outputs. run is nil when the step
// was told to quit before the hosts had answered.
func (s *actionStep) finish(ctx context.Context, run *flow.Run) error {
	report, cancel := context.WithTimeout(context.WithoutCancel(ctx), actionReportWait)
	defer cancel()
	// Told to end, before or now, GitHub kills the step soon.
	wait := actionCancelledReportWait
	if run == nil {
		wait = actionQuitReportWait
	}
	defer context.AfterFunc(ctx, func() { time.AfterFunc(wait, cancel) })()
	degraded := s.reporter.Close(report)
	if s.client == nil && checks.Mode(s.in.Checks) != checks.ModeOff {
		degraded = append(degraded, "there are no check runs: the input github-token is empty")
	}
	view := s.reporter.View()
	notes := s.session.notes
	if run == nil {
		run = view.Run
		run.Conclusion = flow.Cancelled
		notes = append(notes, "the step was ended before all hosts confirmed; a job that still runs ends when its lease of "+sparky.DefaultLease.String()+" is over")
	}
	run.Notes = slices.Concat(notes, run.Notes, degraded)
	view.Run, view.Notes = run, nil
	if problem := s.comment(report, view); problem != "" {
		degraded, run.Notes = append(degraded, problem), append(run.Notes, problem)
	}
	err := s.session.writeFiles(run)
	if len(degraded) > 0 {
		s.commands.Notice(action.Annotation{Title: "cromt", Message: strings.Join(degraded, "\n")})
	}
	if s.in.Annotations {
		action.Annotate(s.commands, s.session.plan, view)
	}
	action.Conclude(s.commands, run)
	return errors.Join(err, s.commands.Summary(checks.Summary(view, action.SummaryLimit)), s.outputs(run))
}

// comment keeps the pull request's one comment of this step up to date. It
// returns why it could not.
func (s *actionStep) comment(ctx context.Context, view checks.View) (problem string) {
	if !s.in.Comment || s.target.Pull == 0 {
		return ""
	}
	if s.client == nil {
		return "there is no comment: the input github-token is empty"
	}
	body := checks.Summary(view, checks.MaxOutput-len(s.marker())-len("\n"))
	if err := s.client.StickyComment(ctx, s.step.Repository, s.target.Pull, s.marker(), body); err != nil {
		return fmt.Sprintf("there is no comment: %v", err)
	}
	return ""
}

// marker tells the comment of this job's steps from others.
func (s *actionStep) marker() string {
	sum := sha256.Sum256([]byte(s.getenv("GITHUB_WORKFLOW") + "\x00" + s.getenv("GITHUB_JOB") + "\x00" + s.in.Config))
	return fmt.Sprintf("<!-- cromt-action %x -->", sum[:8])
}

// outputs sets those of action.yml.
func (s *actionStep) outputs(run *flow.Run) error {
	failed := []string{}
	for i := range run.Jobs {
		if c := run.Jobs[i].Conclusion; !c.Passed() && c != flow.Skipped {
			failed = append(failed, run.Jobs[i].Key)
		}
	}
	list, err := json.Marshal(failed)
	if err != nil {
		return err
	}
	return errors.Join(
		s.commands.Output("conclusion", string(run.Conclusion)),
		s.commands.Output("run-id", run.ID),
		s.commands.Output("report", s.session.report),
		s.commands.Output("junit", s.session.junit),
		s.commands.Output("failed", string(list)),
		s.commands.Output("summary-url", s.step.RunURL()),
	)
}

// skip ends a step that has nothing to do.
func (s *actionStep) skip() error {
	s.commands.Notice(action.Annotation{Title: "cromt", Message: "nothing to run: " + s.target.Skip})
	return errors.Join(
		s.commands.Output("conclusion", string(flow.Skipped)),
		s.commands.Output("failed", "[]"),
		s.commands.Output("summary-url", s.step.RunURL()),
	)
}

// stop is refuse, but for a step that was told to end, which is no mistake.
func (s *actionStep) stop(ctx context.Context, err error) error {
	if ctx.Err() == nil {
		return s.refuse(err)
	}
	const problem = "cancelled before anything was dispatched"
	s.commands.Line("cromt: " + problem)
	return &exitError{exitInterrupted, s.ranNothing(flow.Cancelled, problem)}
}

// refuse ends a step of which nothing was dispatched: every problem is an
// annotation, those of the flow file on their lines.
func (s *actionStep) refuse(err error) error {
	return &exitError{exitUsage, s.ranNothing(flow.Failure, action.Problems(s.commands, err)...)}
}

func (s *actionStep) ranNothing(conclusion flow.Conclusion, problems ...string) error {
	return errors.Join(
		s.commands.Summary(action.Refusal(problems)),
		s.commands.Output("conclusion", string(conclusion)),
		s.commands.Output("failed", "[]"),
		s.commands.Output("summary-url", s.step.RunURL()),
	)
}
