package bot

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/cromt/cromt/bot/checks"
	"github.com/cromt/cromt/bot/comment"
	"github.com/cromt/cromt/bot/store"
	"github.com/cromt/cromt/bot/trigger"
	"github.com/cromt/cromt/flow"
)

// cancel ends the runs of the pull request that have not ended, but for those
// that this comment itself, or a later one, has asked for.
func (a *asked) cancel(ctx context.Context, c comment.Command) error {
	runs, err := a.runs(ctx)
	if err != nil {
		return err
	}
	runs = slices.DeleteFunc(runs, func(r store.Run) bool {
		id, ok := trigger.CommentOf(r.Key)
		return ok && id >= a.ev.Comment.ID
	})
	var open []store.Run
	for _, r := range runs {
		if r.State != store.Completed {
			open = append(open, r)
		}
	}
	a.effects = append(a.effects, func(ctx context.Context, tx *store.Tx) error {
		for _, r := range open {
			if err := tx.Cancel(ctx, r.ID, a.ev.Comment.Author.Login, ""); err != nil {
				return err
			}
		}
		return nil
	})
	a.answer(c, func(ctx context.Context, _ comment.Command) (string, error) {
		if len(runs) == 0 {
			return "Nothing has run here.\n", nil
		}
		if len(open) == 0 {
			text, err := a.ended(ctx, runs[0].ID)
			return "There is nothing to cancel. " + text, err
		}
		var b strings.Builder
		limit, cancel := context.WithTimeout(ctx, cancelWait)
		defer cancel()
		for _, r := range open {
			a.await(limit, r.ID)
			text, err := a.ended(ctx, r.ID)
			if err != nil {
				return "", err
			}
			b.WriteString(text)
		}
		return b.String(), nil
	})
	return nil
}

// ended says how a run has ended, and of what was cancelled on a host, whether
// that confirmed it.
func (a *asked) ended(ctx context.Context, id string) (string, error) {
	run, err := a.Store.Run(ctx, id)
	if err != nil {
		return "", err
	}
	name := checks.Link(checks.Code(id), a.Settings.runURL(id))
	if run.State != store.Completed {
		return "Run " + name + " is being cancelled. Not all hosts have answered yet: `/cromt status` tells.\n", nil
	}
	report, _, err := a.view(ctx, id)
	if err != nil {
		return "", err
	}
	var b strings.Builder
	fmt.Fprintf(&b, "Run %s has ended: %s.\n", name, checks.Text(ending(run, report)))
	listed := 0
	for i := range report.Jobs {
		j := &report.Jobs[i]
		if j.Conclusion != flow.Cancelled || len(j.Attempts) == 0 {
			continue
		}
		if listed++; listed <= checks.MaxRows {
			fmt.Fprintf(&b, "- %s: %s\n", checks.Code(j.Key), checks.Text(j.Error))
		}
	}
	if more := listed - checks.MaxRows; more > 0 {
		fmt.Fprintf(&b, "- and %d more jobs\n", more)
	}
	return b.String(), nil
}

// ending is a run's end in a line.
func ending(run *store.Run, report *flow.Run) string {
	if len(report.Jobs) > 0 && run.CancelledBy == "" {
		return checks.Title(report)
	}
	if run.CancelledBy != "" && run.Conclusion == flow.Cancelled {
		if n := report.Count(); n.Total > 0 {
			return cancelText(run) + ": " + n.String()
		}
		return cancelText(run) + " before it began"
	}
	return string(run.Conclusion)
}
