package bot

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/cromt/cromt/bot/checks"
	"github.com/cromt/cromt/bot/comment"
	"github.com/cromt/cromt/bot/githubapp"
	"github.com/cromt/cromt/bot/store"
	"github.com/cromt/cromt/bot/trigger"
	"github.com/cromt/cromt/bot/trust"
	"github.com/cromt/cromt/flow"
)

// key is of the run that a command asks for.
func (a *asked) key(c comment.Command) string {
	return trigger.CommentKey(a.ev.Repo.FullName, a.ev.Name, a.ev.Comment.ID, c.Line)
}

// done reports whether the command's run is there already: the comment was
// delivered twice, or is worked once more.
func (a *asked) done(ctx context.Context, c comment.Command) (bool, error) {
	_, err := a.Store.RunByKey(ctx, a.key(c))
	if errors.Is(err, store.ErrNotFound) {
		return false, nil
	}
	return err == nil, err
}

// create has a run created, unless its approval is taken back until then.
func (a *asked) create(c comment.Command, run *store.Run) {
	revoked := false
	a.effects = append(a.effects, func(ctx context.Context, tx *store.Tx) (err error) {
		if revoked, err = unapproved(ctx, tx, run); revoked || err != nil {
			return err
		}
		made, created, err := tx.CreateRun(ctx, run)
		if created {
			a.log.Info("run created", "run", made.ID, "sha", run.SHA, "projects", run.Spec.Roots, "rerun_of", run.Origin.RerunOf)
		}
		return err
	})
	a.answer(c, func(context.Context, comment.Command) (string, error) {
		if revoked {
			return "", errOvertaken
		}
		return "", nil
	})
}

// run starts projects, or the file's roots, at the pull request's head.
func (a *asked) run(ctx context.Context, c comment.Command) error {
	if done, err := a.done(ctx, c); done || err != nil {
		return err
	}
	if !a.pull.Open {
		a.fail(c, "the pull request is closed", "")
		return nil
	}
	run, err := a.newRun(ctx, c)
	if err != nil || run == nil {
		return err
	}
	plan, err := a.mayRun(run)
	if err != nil {
		a.failAll(c, err)
		return nil
	}
	run.Spec.Roots = rootsOf(plan)
	a.create(c, run)
	return nil
}

// newRun is a run of what a command names, nil when there is no configuration.
func (a *asked) newRun(ctx context.Context, c comment.Command) (*store.Run, error) {
	config, err := a.configuration(ctx)
	if errors.Is(err, githubapp.ErrNotFound) {
		a.fail(c, "there is no "+a.Settings.ConfigPath, "")
		return nil, nil
	}
	if errors.Is(err, githubapp.ErrNotFile) || errors.Is(err, githubapp.ErrTooLarge) {
		a.fail(c, a.Settings.ConfigPath+" cannot be read: "+firstLine(err), "")
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	timeout, _ := time.ParseDuration(c.Flags["--timeout"]) // the parser has checked it
	vars := map[string]string{}
	for _, v := range c.Vars {
		vars[v.Name] = v.Value
	}
	return &store.Run{
		ID: flow.NewRunID(), Key: a.key(c), Class: ClassComment, Repo: a.ev.Repo.FullName, RepoID: a.ev.Repo.ID, Installation: a.ev.Installation,
		SHA: a.pull.HeadSHA, Ref: fmt.Sprintf("refs/pull/%d/head", a.pull.Number), Branch: a.pull.HeadRef,
		Origin: store.Origin{
			Event: a.ev.Name, PullNumber: int64(a.pull.Number), Fork: a.subject.Fork, Sender: a.ev.Comment.Author.Login, Title: a.pull.Title,
			Reason: c.Text,
		},
		Spec: store.Spec{
			ConfigPath: a.Settings.ConfigPath, Config: config, Roots: c.Args, Vars: vars, FailFast: c.Flags["--fail-fast"] != "", Timeout: timeout,
		},
	}, nil
}

// configuration is the file by which commands run: the head's, of a fork that
// of the base branch now.
func (a *asked) configuration(ctx context.Context) ([]byte, error) {
	if a.config != nil {
		return a.config, nil
	}
	ref := a.pull.HeadSHA
	if a.subject.Fork {
		var err error
		if ref, err = tip(ctx, a.repo, a.pull.BaseRef); err != nil {
			return nil, err
		}
	}
	config, err := a.repo.File(ctx, a.Settings.ConfigPath, ref)
	if err == nil && config == nil {
		config = []byte{}
	}
	a.config = config
	return config, err
}

// failAll notes each of the errors in err, a few of them.
func (a *asked) failAll(c comment.Command, err error) {
	var list flow.ErrorList
	if !errors.As(err, &list) {
		a.fail(c, err.Error(), "")
		return
	}
	for i, e := range list {
		if i == maxProblems {
			a.fail(c, fmt.Sprintf("and %d more", len(list)-i), "")
			return
		}
		msg := e.Msg
		if e.Pos.IsSet() {
			msg = fmt.Sprintf("%s:%d: %s", a.Settings.ConfigPath, e.Pos.Line, msg)
		}
		a.fail(c, msg, e.Hint)
	}
}

// runs are those of the pull request and of its head, newest first.
func (a *asked) runs(ctx context.Context) ([]store.Run, error) {
	var all []store.Run
	for _, f := range []store.Filter{
		{Repo: a.ev.Repo.FullName, SHA: a.pull.HeadSHA, Limit: store.MaxPage},
		{Repo: a.ev.Repo.FullName, PullNumber: int64(a.pull.Number), Limit: store.MaxPage},
	} {
		page, err := a.Store.Runs(ctx, f)
		if err != nil {
			return nil, err
		}
		for _, row := range page.Runs {
			mine := row.Origin.PullNumber == int64(a.pull.Number) || !a.subject.Fork && !row.Origin.Fork && row.Class != ClassSchedule
			known := slices.ContainsFunc(all, func(r store.Run) bool { return r.ID == row.ID })
			if mine && !known {
				all = append(all, row.Run)
			}
		}
	}
	slices.SortStableFunc(all, func(x, y store.Run) int {
		if c := y.CreatedAt.Compare(x.CreatedAt); c != 0 {
			return c
		}
		return strings.Compare(y.ID, x.ID)
	})
	return all, nil
}

// last is the newest run at the head, nil when there is none.
func (a *asked) last(ctx context.Context) (*store.Run, error) {
	runs, err := a.runs(ctx)
	i := slices.IndexFunc(runs, func(r store.Run) bool { return r.SHA == a.pull.HeadSHA })
	if err != nil || i < 0 {
		return nil, err
	}
	return &runs[i], nil
}

// retry runs again what did not succeed in the last run.
func (a *asked) retry(ctx context.Context, c comment.Command) error {
	if done, err := a.done(ctx, c); done || err != nil {
		return err
	}
	last, err := a.last(ctx)
	switch {
	case err != nil:
		return err
	case !a.pull.Open:
		a.fail(c, "the pull request is closed", "")
		return nil
	case last == nil:
		a.fail(c, "nothing has run at the head of this pull request", "write /cromt run")
		return nil
	}
	if over, err := a.over(ctx, last.ID); !over || err != nil {
		a.fail(c, "run "+last.ID+" has not ended", "wait for it, or write /cromt cancel")
		return err
	}
	if ok, err := a.knows(ctx, c, last.ID, c.Args); !ok || err != nil {
		return err
	}
	run, err := a.rerun(ctx, last.ID, func(j *flow.JobReport) bool {
		return j.Troubled() && (len(c.Args) == 0 || slices.Contains(c.Args, j.Project))
	})
	if list := (flow.ErrorList)(nil); errors.As(err, &list) {
		a.failAll(c, list)
		return nil
	}
	if err != nil {
		return err
	}
	if run == nil {
		a.fail(c, "nothing of it failed in run "+last.ID, "write /cromt run to run what succeeded")
		return nil
	}
	run.Key, run.Origin.Event, run.Origin.Sender = a.key(c), a.ev.Name, a.ev.Comment.Author.Login
	if c.Flags["--fail-fast"] != "" {
		run.Spec.FailFast = true
	}
	if d, err := time.ParseDuration(c.Flags["--timeout"]); err == nil {
		run.Spec.Timeout = d
	}
	a.create(c, run)
	return nil
}

// knows reports whether a run has the projects; what it has not is noted.
func (a *asked) knows(ctx context.Context, c comment.Command, run string, projects []string) (bool, error) {
	if len(projects) == 0 {
		return true, nil
	}
	report, _, err := a.view(ctx, run)
	if err != nil {
		return false, err
	}
	var names []string
	for i := range report.Jobs {
		if p := report.Jobs[i].Project; !slices.Contains(names, p) {
			names = append(names, p)
		}
	}
	ok := true
	for _, p := range projects {
		if !slices.Contains(names, p) {
			a.fail(c, fmt.Sprintf("run %s has no project %q", run, p), meant(p, names))
			ok = false
		}
	}
	return ok, nil
}

func meant(word string, names []string) string {
	if name := flow.Closest(word, names); name != "" {
		return fmt.Sprintf("did you mean %q?", name)
	}
	return ""
}

// ok approves the head of a fork.
func (a *asked) ok(c comment.Command) {
	if !a.pull.Open {
		a.fail(c, "the pull request is closed", "")
		return
	}
	allowed, d := trust.Approve(c.Args[0], a.subject)
	if !d.Allowed {
		a.refuse(c, d)
		return
	}
	a.subject.Approval = allowed // for the lines below
	var released int
	var ok bool
	a.effects = append(a.effects, func(ctx context.Context, tx *store.Tx) (err error) {
		released, ok, err = approve(ctx, tx, approval{
			Approval: allowed, repo: a.ev.Repo.FullName, pull: int64(a.pull.Number), by: a.ev.Comment.Author.Login, seen: a.seen,
		})
		a.started = a.started || released > 0
		return err
	})
	a.answer(c, func(ctx context.Context, _ comment.Command) (string, error) {
		if !ok {
			return "", errOvertaken
		}
		a.log.Info("approved", "sha", allowed.SHA, "runs", released)
		last, err := a.last(ctx)
		if err != nil || last != nil && last.State != store.Completed {
			return "", err // the reaction says it
		}
		return "Commit " + checks.Code(allowed.SHA) + " is approved. No run waits for it: `/cromt run` starts one.\n", nil
	})
}
