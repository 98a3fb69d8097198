package bot

import (
	"context"
	"errors"
	"log/slog"
	"net/http"
	"time"

	"github.com/cromt/cromt/bot/checks"
	"github.com/cromt/cromt/bot/event"
	"github.com/cromt/cromt/bot/githubapp"
	"github.com/cromt/cromt/bot/store"
	"github.com/cromt/cromt/bot/trigger"
	"github.com/cromt/cromt/flow"
)

// Installed keeps in the store for which repositories the App is installed,
// and what the configuration on their default branches says: schedules need
// both, and neither comes with a delivery when it is needed.
type Installed struct {
	Store      *store.Store
	GitHub     *githubapp.App
	ConfigPath string
	Logger     *slog.Logger
}

// Changed works an event about installations. GitHub is asked how things are
// now, since deliveries come late, twice and out of order.
func (i *Installed) Changed(ctx context.Context, installation int64) error {
	repos, err := i.GitHub.Installed(ctx, installation)
	if errors.Is(err, githubapp.ErrGone) || errors.Is(err, githubapp.ErrSuspended) {
		repos, err = nil, nil
	}
	if err != nil {
		return err
	}
	return i.set(ctx, installation, repos)
}

func (i *Installed) set(ctx context.Context, installation int64, repos []githubapp.Installed) error {
	var list []store.Repo
	for _, r := range repos {
		if !r.Archived && r.DefaultBranch != "" {
			list = append(list, store.Repo{Name: r.FullName, ID: r.ID, Branch: r.DefaultBranch})
		}
	}
	return i.Store.SetInstalled(ctx, installation, list)
}

// All asks for all installations and their repositories, unless some replica
// does, or did so less than every ago.
func (i *Installed) All(ctx context.Context, every time.Duration) error {
	return duty(ctx, i.Store, "installations", every, func(ctx context.Context, _ *store.Duty) (string, error) { return "", i.all(ctx) })
}

func (i *Installed) all(ctx context.Context) error {
	list, err := i.GitHub.Installations(ctx)
	if err != nil {
		return err
	}
	var ids []int64
	var errs []error
	for _, in := range list {
		if in.Suspended {
			continue
		}
		ids = append(ids, in.ID)
		errs = append(errs, i.Changed(ctx, in.ID))
		if ctx.Err() != nil {
			return errors.Join(errs...)
		}
	}
	return errors.Join(append(errs, i.Store.SetInstallations(ctx, ids))...)
}

// Read reads what was not read for readAge, some of it at a time, unless some
// replica does. What it finds is new: a repository, or a push that the App was
// not told of.
func (i *Installed) Read(ctx context.Context) error {
	return duty(ctx, i.Store, "configurations", 0, func(ctx context.Context, _ *store.Duty) (string, error) { return "", i.readSome(ctx) })
}

func (i *Installed) readSome(ctx context.Context) error {
	repos, err := i.Store.ReposToRead(ctx, time.Now().Add(-readAge), readBatch)
	if err != nil {
		return err
	}
	var errs []error
	for _, r := range repos {
		if _, err := i.Learn(ctx, r, nil); err != nil {
			errs = append(errs, err, i.Store.ReadAgain(ctx, r.Name, time.Now().Add(readRetry-readAge)))
		}
		if ctx.Err() != nil {
			break
		}
	}
	return errors.Join(errs...)
}

// pushed learns from a push to the default branch. file and err are what was
// read of it there.
func (i *Installed) pushed(ctx context.Context, ev *event.Event, file []byte, err error) error {
	if ev.Push == nil || ev.Push.Branch == "" || ev.Push.Branch != ev.Repo.DefaultBranch || err != nil && !noFile(err) {
		return nil
	}
	_, err = i.Learn(ctx, &store.Repo{Name: ev.Repo.FullName, Installation: ev.Installation, Branch: ev.Repo.DefaultBranch},
		&reading{sha: ev.Push.After, config: file})
	return err
}

// reading is what was read of a commit.
type reading struct {
	sha    string
	config []byte // nil: there is none
}

// noFile reports whether err says that a repository has no configuration, as
// against that it is not known.
func noFile(err error) bool {
	return errors.Is(err, githubapp.ErrNotFound) || errors.Is(err, githubapp.ErrNotFile) || checks.StatusOf(err) == http.StatusConflict // no commit at all
}

// Learn reads the configuration at the head of the default branch, and keeps
// it. known, if not nil, was read already, and saves reading it again. It
// returns what is kept; ErrGone: the repository is not the App's any more, and
// forgotten.
func (i *Installed) Learn(ctx context.Context, want *store.Repo, known *reading) (*store.Repo, error) {
	for range learnTries {
		r, err := i.Store.InstalledRepo(ctx, want.Name)
		if errors.Is(err, store.ErrNotFound) {
			r, err = &store.Repo{Name: want.Name}, nil
		}
		if err != nil {
			return nil, err
		}
		r.Installation, r.Branch = want.Installation, want.Branch
		at, err := i.read(ctx, r, known)
		if errors.Is(err, githubapp.ErrGone) {
			return nil, errors.Join(err, i.Changed(ctx, r.Installation))
		}
		if err != nil {
			return nil, err
		}
		r.SHA, r.Config = at.sha, at.config
		now := time.Now()
		if learned, err := i.Store.Learn(ctx, r, now, i.schedules(r, now)); learned || err != nil {
			return r, err
		}
	}
	return nil, errors.New("configuration of " + want.Name + ": it changes faster than it is read")
}

// read reads the head of the default branch.
func (i *Installed) read(ctx context.Context, r *store.Repo, known *reading) (*reading, error) {
	gh := i.GitHub.Repo(r.Installation, r.Name)
	head, err := gh.Commit(ctx, r.Branch)
	switch {
	case err != nil && noFile(err):
		return &reading{}, nil
	case err != nil:
		return nil, err
	case known != nil && known.sha == head.SHA:
		return known, nil
	case r.SHA == head.SHA:
		return &reading{r.SHA, r.Config}, nil
	}
	config, err := gh.File(ctx, i.ConfigPath, head.SHA)
	if err != nil && !noFile(err) {
		return nil, err
	}
	return &reading{head.SHA, config}, nil
}

// schedules are those of a configuration. One that is wrong has none.
func (i *Installed) schedules(r *store.Repo, now time.Time) []store.Schedule {
	if r.Config == nil {
		return nil
	}
	file, err := flow.Parse(i.ConfigPath, r.Config)
	if err != nil {
		i.Logger.Info("no schedules: the configuration is wrong", "repo", r.Name, "sha", r.SHA)
		return nil
	}
	var all []store.Schedule
	for _, p := range file.Projects {
		if next := trigger.Next(file, p.Name, now); !next.IsZero() {
			all = append(all, store.Schedule{Repo: r.Name, Project: p.Name, Crontab: p.Crontab.Value, DueAt: next})
		}
	}
	return all
}
