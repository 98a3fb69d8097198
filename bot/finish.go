package bot

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/cromt/cromt/bot/checks"
	"github.com/cromt/cromt/bot/store"
	"github.com/cromt/cromt/flow"
	"github.com/cromt/cromt/sparky"
)

// The store's names for what is to be known of a run besides its check runs.
const (
	// lastWord is whether GitHub has been told how a run ended: one entry for
	// all of its check runs. Its final state is the verdict to post, as JSON;
	// of a run with a report the conclusion.
	lastWord = "last word"
	// heldWord is there when only other runs keep the aggregate open.
	heldWord = "held"
)

// finish stores how the run has ended before anybody is told, and tells
// GitHub. What GitHub does not take now is posted later, by Post.
func (w *work) finish(ctx context.Context, reporter *checks.Reporter, report *flow.Run) error {
	last := store.Check{Run: w.run.ID, ExternalID: lastWord, Final: []byte(report.Conclusion)}
	err := w.claim.Finish(context.WithoutCancel(ctx), report, func(ctx context.Context, tx *store.Tx) error {
		return errors.Join(saveChecks(ctx, tx, w.run.ID, reporter.Known()), tx.SaveCheck(ctx, last))
	})
	if err != nil {
		return err
	}
	reporter.SetRun(report)
	limit, cancel := lasting(ctx, postTime)
	defer cancel()
	return w.acknowledge(limit, reporter)
}

// lasting is a context for last words. It outlives the wish to stop for a
// moment: what is not posted then, the next process posts at once.
func lasting(ctx context.Context, d time.Duration) (context.Context, func()) {
	limit, cancel := context.WithTimeout(context.WithoutCancel(ctx), d)
	stop := context.AfterFunc(ctx, func() {
		t := time.NewTimer(leaveTime)
		defer t.Stop()
		select {
		case <-t.C:
			cancel()
		case <-limit.Done():
		}
	})
	return limit, func() { stop(); cancel() }
}

// acknowledge posts what a reporter still has to say, until ctx is done, and
// notes that GitHub has it.
func (w *work) acknowledge(ctx context.Context, reporter *checks.Reporter) error {
	notes := reporter.Close(ctx)
	switch {
	case len(notes) > 0 && ctx.Err() != nil:
		w.log.Warn("check runs not posted yet", "notes", strings.Join(notes, "; "))
		return nil
	case reporter.Held():
		return w.held(ctx, reporter)
	case len(notes) > 0:
		w.log.Warn("check runs not posted", "notes", strings.Join(notes, "; "))
	}
	return w.posted(ctx)
}

// held notes that the aggregate waits for other runs of the commit: the last
// of them to end posts it. One that has ended just now may have found this run
// still at it.
func (w *work) held(ctx context.Context, reporter *checks.Reporter) error {
	err := w.Store.Tx(context.WithoutCancel(ctx), func(ctx context.Context, tx *store.Tx) error {
		return errors.Join(saveChecks(ctx, tx, w.run.ID, reporter.Known()), tx.SaveCheck(ctx, store.Check{Run: w.run.ID, ExternalID: heldWord, ID: 1}))
	})
	if err != nil || w.othersOpen(ctx) {
		return err
	}
	return w.postReport(ctx, true)
}

// othersOpen reports whether runs that the aggregate counts have not ended.
func (w *work) othersOpen(ctx context.Context) bool {
	return slices.ContainsFunc(w.otherRows(ctx), func(o checks.Other) bool { return o.Job.Status != flow.StatusCompleted })
}

// posted notes that nothing more is to be told of the run.
func (w *work) posted(ctx context.Context) error {
	w.told = true
	return w.Store.AckCheck(context.WithoutCancel(ctx), store.Check{Run: w.run.ID, ExternalID: lastWord, Version: 1})
}

// unable decides what becomes of a run whose slice failed: it is tried again,
// later each time; but when that is of no use it fails.
func (w *work) unable(ctx context.Context, err error) error {
	pointless := checks.Refused(err) || time.Since(w.run.CreatedAt) > beginTime
	if ctx.Err() != nil || w.run.State != store.Queued || !pointless {
		return err
	}
	now, rerr := w.Store.Run(ctx, w.run.ID)
	if rerr != nil || now.State != store.Queued {
		return err // it has begun, and what it has begun it goes on with
	}
	return w.refuse(ctx, err)
}

// refuse ends a run that cannot begin with a failing check that says why.
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
		Repo: w.run.Repo, SHA: w.run.SHA, Name: w.name, ExternalID: w.run.ID, Conclusion: c, Title: title, URL: w.runURL(),
	}
}

// conclude stores the end of a run without jobs, and posts it. A process that
// dies in between leaves it to the next one, which finds the check run by its
// external_id.
func (w *work) conclude(ctx context.Context, v checks.Verdict) error {
	final, err := json.Marshal(v)
	if err != nil {
		return err
	}
	err = w.claim.Conclude(context.WithoutCancel(ctx), v.Conclusion, func(ctx context.Context, tx *store.Tx) error {
		return tx.SaveCheck(ctx, store.Check{Run: w.run.ID, ExternalID: lastWord, Final: final})
	})
	if err != nil {
		return err
	}
	limit, cancel := lasting(ctx, postTime)
	defer cancel()
	return w.tell(limit, v)
}

// tell posts a verdict, until ctx is done.
func (w *work) tell(ctx context.Context, v checks.Verdict) error {
	for pause := time.Second; ; pause = min(2*pause, waitTime) {
		err := w.repo.Checks().Post(ctx, v)
		switch {
		case err == nil:
			return w.posted(ctx)
		case checks.Refused(err):
			w.log.Warn("check run not posted", "error", err)
			return w.posted(ctx)
		}
		select {
		case <-ctx.Done():
			w.log.Warn("check run not posted yet", "error", err)
			return nil
		case <-time.After(pause):
		}
	}
}

// abandon ends a run that has begun and cannot go on: what it was planned from
// has changed in the App's own configuration.
func (w *work) abandon(ctx context.Context, problem error) error {
	jobs, err := w.Store.Jobs(ctx, w.run.ID)
	if err != nil {
		return err
	}
	w.cancelJobs(ctx, jobs)
	report := &flow.Run{
		Schema: flow.ReportSchema, ID: w.run.ID, Conclusion: flow.Failure, StartedAt: w.run.StartedAt, CompletedAt: time.Now(),
		Repo: w.run.Repo, SHA: w.run.SHA, Roots: w.run.Spec.Roots,
		Notes: []string{"the App's configuration has changed since the run began, it cannot go on: " + problem.Error()},
	}
	for i := range jobs {
		row, err := w.row(ctx, &jobs[i])
		if err != nil {
			return err
		}
		if row.Job.Status != flow.StatusCompleted {
			row.Job.Status, row.Job.Conclusion, row.Job.Cause = flow.StatusCompleted, flow.Failure, flow.CauseInfrastructure
			row.Job.Error = "lost: the App's configuration has changed"
		}
		report.Jobs = append(report.Jobs, row.Job)
	}
	v := w.verdict(flow.Failure, "lost: the App's configuration has changed since the run began")
	v.Summary = block(report.Notes[0])
	final, err := json.Marshal(v)
	if err != nil {
		return err
	}
	err = w.claim.Finish(context.WithoutCancel(ctx), report, func(ctx context.Context, tx *store.Tx) error {
		return tx.SaveCheck(ctx, store.Check{Run: w.run.ID, ExternalID: lastWord, Final: final})
	})
	if err != nil {
		return err
	}
	limit, cancel := lasting(ctx, postTime)
	defer cancel()
	return errors.Join(w.tellJobs(limit, report), w.tell(limit, v))
}

// cancelJobs asks the hosts to end what they still do for a run that cannot go
// on. What a host does that is not reached ends with the job's lease.
func (w *work) cancelJobs(ctx context.Context, jobs []store.Job) {
	ctx, cancel := context.WithTimeout(ctx, abandonTime)
	defer cancel()
	var all sync.WaitGroup
	for i := range jobs {
		j := &jobs[i]
		if j.Status == flow.StatusCompleted || j.Attempts == 0 {
			continue
		}
		all.Go(func() {
			if err := w.cancelJob(ctx, j); err != nil {
				w.log.Warn("job not cancelled", "job", j.Key, "host", j.Host, "error", err)
			}
		})
	}
	all.Wait()
}

func (w *work) cancelJob(ctx context.Context, j *store.Job) error {
	attempts, err := w.Store.Attempts(ctx, w.run.ID, j.Key)
	if err != nil || len(attempts) == 0 {
		return err
	}
	host, err := w.host(j.Host)
	if err != nil {
		return err
	}
	client, err := sparky.NewClient(host)
	if err != nil {
		return err
	}
	defer client.CloseIdle()
	hello, err := client.Hello(ctx)
	if err != nil {
		return err
	}
	send := client.Cancel
	if hello == nil {
		send = client.CancelPlain
	}
	return send(ctx, j.Queue, attempts[len(attempts)-1].JobID)
}

// tellJobs concludes the check runs of jobs that an earlier process knew of.
func (w *work) tellJobs(ctx context.Context, report *flow.Run) error {
	known, err := w.Store.Checks(ctx, w.run.ID)
	if err != nil {
		return err
	}
	for i := range report.Jobs {
		j := &report.Jobs[i]
		for _, c := range known {
			if c.ID == 0 || !strings.HasPrefix(c.ExternalID, w.run.ID+"/"+j.Key+"/") {
				continue
			}
			v := w.verdict(j.Conclusion, firstLine(errors.New(orDefault(j.Error, string(j.Conclusion)))))
			v.Name, v.ExternalID = fmt.Sprintf("%s / %s", w.name, j.Key), c.ExternalID
			if err := w.repo.Checks().Post(ctx, v); err != nil {
				w.log.Warn("check run not posted", "job", j.Key, "error", err)
			}
		}
	}
	return nil
}

func orDefault(s, other string) string {
	if s == "" {
		return other
	}
	return s
}
