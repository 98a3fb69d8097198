package bot

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/cromt/cromt/bot/githubapp"
	"github.com/cromt/cromt/bot/store"
	"github.com/cromt/cromt/bot/trigger"
	"github.com/cromt/cromt/flow"
)

// Scheduler makes the runs that crontabs ask for.
type Scheduler struct {
	Store     *store.Store
	Installed *Installed
	Logger    *slog.Logger
}

// Fire makes the runs that are due now. Of several replicas that do so at the
// same time, one makes each.
func (s *Scheduler) Fire(ctx context.Context, now time.Time) error {
	due, err := s.Store.DueSchedules(ctx, now, scheduleBatch)
	if err != nil {
		return err
	}
	repos := map[string]*store.Repo{} // read once each
	var errs []error
	for _, sc := range due {
		r, ok := repos[sc.Repo]
		if !ok {
			if r, err = s.repo(ctx, sc.Repo); err != nil {
				errs = append(errs, err)
			}
			repos[sc.Repo] = r
		}
		if r == nil {
			continue
		}
		if err := s.fire(ctx, r, sc, now); err != nil {
			errs = append(errs, fmt.Errorf("schedule of %s in %s: %w", sc.Project, sc.Repo, err))
		}
	}
	return errors.Join(errs...)
}

// repo reads the repository now: what runs is at the head of the default
// branch. When GitHub does not answer, it is what was read last.
func (s *Scheduler) repo(ctx context.Context, name string) (*store.Repo, error) {
	kept, err := s.Store.InstalledRepo(ctx, name)
	if errors.Is(err, store.ErrNotFound) {
		return nil, nil //nolint:nilnil // forgotten meanwhile, with its schedules
	}
	if err != nil {
		return nil, err
	}
	limit, cancel := context.WithTimeout(ctx, scheduleRead)
	defer cancel()
	r, err := s.Installed.Learn(limit, kept, nil)
	switch {
	case err == nil:
		return r, nil
	case errors.Is(err, githubapp.ErrGone), errors.Is(err, githubapp.ErrSuspended), ctx.Err() != nil:
		return nil, err
	}
	s.Logger.Warn("schedules go by what was read last", "repo", name, "sha", kept.SHA, "error", err)
	return kept, nil
}

// fire makes the run of a schedule, and says when it is due next.
func (s *Scheduler) fire(ctx context.Context, r *store.Repo, sc store.Schedule, now time.Time) error {
	file, err := flow.Parse(s.Installed.ConfigPath, r.Config)
	if err != nil {
		return nil //nolint:nilerr // it has no schedules then; the check of its push says what is wrong
	}
	next := trigger.Next(file, sc.Project, now)
	if p := file.Project(sc.Project); next.IsZero() || p.Crontab.Value != sc.Crontab {
		return nil // removed or changed, which has been learned by now
	}
	last, err := s.Store.LastTick(ctx, r.Name, sc.Project)
	if err != nil {
		return err
	}
	if last.Before(sc.Since) {
		last = sc.Since
	}
	tick := trigger.Due(file, sc.Project, last, now)
	run := &store.Run{
		ID: flow.NewRunID(), Key: trigger.ScheduleKey(r.Name, sc.Project, tick), Class: ClassSchedule, Repo: r.Name, RepoID: r.ID, Installation: r.Installation,
		SHA: r.SHA, Ref: "refs/heads/" + r.Branch, Branch: r.Branch,
		Origin: store.Origin{Event: "schedule", Title: sc.Project + " at " + tick.Format("2006-01-02 15:04 UTC"), Reason: "crontab " + sc.Crontab},
		Spec:   store.Spec{ConfigPath: s.Installed.ConfigPath, Config: r.Config, Roots: []string{sc.Project}},
	}
	made := false
	err = s.Store.Tx(ctx, func(ctx context.Context, tx *store.Tx) (err error) {
		made = false
		if !tick.IsZero() {
			if made, err = tx.Tick(ctx, r.Name, sc.Project, tick); err != nil {
				return err
			}
		}
		if made {
			if _, made, err = tx.CreateRun(ctx, run); err != nil {
				return err
			}
		}
		return tx.SetDue(ctx, r.Name, sc.Project, next)
	})
	switch {
	case err != nil:
		return err
	case tick.IsZero():
		s.Logger.Info("schedule missed for too long", "repo", r.Name, "project", sc.Project, "next", next)
	case made:
		s.Logger.Info("run created", "run", run.ID, "repo", r.Name, "sha", r.SHA, "projects", run.Spec.Roots, "tick", tick)
	}
	return nil
}
