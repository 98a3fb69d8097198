package bot

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/cromt/cromt/bot/checks"
	"github.com/cromt/cromt/bot/store"
	"github.com/cromt/cromt/flow"
)

// finish stores how the run has ended before anybody is told, and tells
// GitHub. What GitHub does not take now is posted later, by Post.
func (w *work) finish(ctx context.Context, reporter *checks.Reporter, report *flow.Run) error {
	last := store.Check{Run: w.run.ID, ExternalID: lastWord, Final: []byte(report.Conclusion)}
	err := w.claim.Finish(ctx, report, func(ctx context.Context, tx *store.Tx) error {
		return errors.Join(saveChecks(ctx, tx, w.run.ID, reporter.Known()), tx.SaveCheck(ctx, last))
	})
	if err != nil {
		return err
	}
	reporter.SetRun(report)
	return w.acknowledge(ctx, reporter)
}

// lastWord is the store's name for whether GitHub has been told how a run
// ended: one entry for all of its check runs.
const lastWord = "last word"

// acknowledge posts what a reporter still has to say, and notes that GitHub
// has it.
func (w *work) acknowledge(ctx context.Context, reporter *checks.Reporter) error {
	limit, cancel := context.WithTimeout(context.WithoutCancel(ctx), postTime)
	defer cancel()
	if notes := reporter.Close(limit); len(notes) > 0 && limit.Err() != nil {
		w.log.Warn("check runs not posted yet", "notes", strings.Join(notes, "; "))
		return nil
	}
	return w.Store.AckCheck(ctx, store.Check{Run: w.run.ID, ExternalID: lastWord, Version: 1})
}

// refuse ends a run whose plan is wrong with a failing check that says what.
func (w *work) refuse(ctx context.Context, problem error) error {
	v := w.verdict(flow.Failure, "nothing ran: "+firstLine(problem))
	v.Summary = block(problem.Error())
	var list flow.ErrorList
	if errors.As(problem, &list) {
		for _, e := range list {
			v.Annotations = append(v.Annotations, checks.Annotation{
				Path: w.run.Spec.ConfigPath, StartLine: max(e.Pos.Line, 1), EndLine: max(e.Pos.Line, 1), StartColumn: e.Pos.Col,
				Level: checks.LevelFailure, Message: flow.PlainText(join(e.Msg, e.Hint)),
			})
		}
	}
	return w.conclude(ctx, v)
}

func join(msg, hint string) string {
	if hint != "" {
		msg += "; " + hint
	}
	return msg
}

// block is a text of strangers as a block of code.
func block(text string) string {
	text = flow.PlainText(text)
	fence := "```"
	for strings.Contains(text, fence) {
		fence += "`"
	}
	return fence + "\n" + strings.TrimRight(text, "\n") + "\n" + fence + "\n"
}

func firstLine(err error) string {
	line, _, _ := strings.Cut(flow.PlainText(err.Error()), "\n")
	return line
}

// nothing ends a run that no project was selected for.
func (w *work) nothing(ctx context.Context) error {
	v := w.verdict(flow.Success, "nothing to run")
	v.Summary = block(w.run.Origin.Reason)
	return w.conclude(ctx, v)
}

// cancelled ends a run that was cancelled before it began.
func (w *work) cancelled(ctx context.Context) error {
	v := w.verdict(flow.Cancelled, cancelText(w.run))
	v.Summary = "It had not begun."
	return w.conclude(ctx, v)
}

func (w *work) verdict(c flow.Conclusion, title string) checks.Verdict {
	return checks.Verdict{
		Repo: w.run.Repo, SHA: w.run.SHA, Name: checkName(w.run), ExternalID: w.run.ID, Conclusion: c, Title: title, URL: w.runURL(),
	}
}

// conclude stores the end of a run without jobs, and posts it. A process that
// dies in between finds the check run by its external_id.
func (w *work) conclude(ctx context.Context, v checks.Verdict) error {
	if err := w.repo.Checks().Post(ctx, v); err != nil && ctx.Err() == nil {
		w.log.Warn("check run not posted", "error", err)
		if time.Since(w.run.CreatedAt) < postAge {
			return err // tried again, later each time
		}
	}
	return w.claim.Conclude(ctx, v.Conclusion, nil)
}

// Post tells GitHub how runs have ended that it does not know of yet: it was
// down, or this process was. It is called every now and then.
func (r *Runner) Post(ctx context.Context) error {
	open, err := r.Store.Unposted(ctx, postBatch)
	if err != nil {
		return err
	}
	var runs []string
	for _, c := range open {
		if c.ExternalID == lastWord && !slices.Contains(runs, c.Run) {
			runs = append(runs, c.Run)
		}
	}
	var errs []error
	for _, id := range runs {
		if err := r.post(ctx, id); err != nil {
			errs = append(errs, fmt.Errorf("run %s post: %w", id, err))
		}
	}
	return errors.Join(errs...)
}

func (r *Runner) post(ctx context.Context, id string) (err error) {
	claim, err := r.Store.Claim(ctx, id)
	if errors.Is(err, store.ErrClaimed) {
		return nil // its owner is about to tell
	}
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, claim.Release(context.WithoutCancel(ctx))) }()
	known, err := r.Store.Checks(ctx, id)
	if err != nil || !slices.ContainsFunc(known, func(c store.Check) bool { return c.ExternalID == lastWord && !c.Acked }) {
		return err // its owner has told meanwhile
	}
	run, err := r.Store.Run(ctx, id)
	if err != nil {
		return err
	}
	w := &work{Runner: r, run: run, log: r.Logger.With("run", id, "repo", run.Repo)}
	w.repo = r.GitHub.Repo(run.Installation, run.Repo)
	report, err := r.Store.Report(ctx, id)
	if err != nil {
		return err
	}
	if w.plan, err = w.makePlan(); err != nil {
		return err
	}
	history, err := r.Store.History(ctx, id, w.plan)
	if err != nil {
		return err
	}
	reporter, err := w.reporter(ctx)
	if err != nil {
		return err
	}
	if err := reporter.Report(ctx, history); err != nil {
		return err
	}
	reporter.SetRun(report)
	return w.acknowledge(ctx, reporter)
}
