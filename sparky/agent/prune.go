package agent

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"time"
)

// prune asks for a clean-up of the project, without waiting for it.
func (a *Agent) prune(project string) {
	select {
	case a.dirty <- project:
	default: // the next end of a job asks again
	}
}

// pruneLoop removes old builds a while after jobs have ended.
func (a *Agent) pruneLoop() {
	projects := map[string]bool{}
	timer := time.NewTimer(0)
	defer timer.Stop()
	var orphans time.Time // when they were last looked for
	for {
		select {
		case p := <-a.dirty:
			if len(projects) == 0 {
				timer.Reset(pruneDelay)
			}
			projects[p] = true
		case <-timer.C:
			for p := range projects {
				if err := a.pruneProject(p); err != nil {
					a.log.Warn("old builds not removed", "project", p, "error", err)
				}
			}
			clear(projects)
			if now := time.Now(); now.Sub(orphans) > orphanCheck {
				orphans = now
				if err := a.pruneOrphans(now); err != nil {
					a.log.Warn("old files not removed", "error", err)
				}
			}
		case <-a.quit:
			return
		}
	}
}

// pruneProject removes logs and files of all but the newest builds.
func (a *Agent) pruneProject(project string) error {
	old, err := a.store.builds(context.Background(), project, a.keepBuilds(project))
	if err != nil {
		return err
	}
	var errs []error
	for _, rec := range old {
		errs = append(errs, a.pruneBuild(rec))
	}
	return errors.Join(errs...)
}

func (a *Agent) pruneBuild(rec *record) error {
	if err := os.Remove(a.logPath(rec.ID)); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	if err := a.files.removeJob(rec.Project, rec.ID); err != nil {
		return err
	}
	a.mu.Lock()
	if j := a.jobs[rec.ID]; j != nil && j.snapshot().State.Ended() {
		delete(a.jobs, rec.ID)
	}
	a.mu.Unlock()
	return a.store.write(func(s *statements) error {
		return errors.Join(run(s.prune, rec.Seq), run(s.unstash, rec.Project, rec.ID))
	})
}

// pruneOrphans removes files that belong to no job, once they are old.
func (a *Agent) pruneOrphans(now time.Time) error {
	projects, err := a.files.names(".")
	if err != nil {
		return err
	}
	var errs []error
	for _, p := range projects {
		jobs, err := a.files.names(p.Name())
		errs = append(errs, err)
		for _, job := range jobs {
			if now.Sub(job.ModTime()) < orphanAge {
				continue
			}
			rec, err := a.store.load(context.Background(), job.Name())
			if err == nil && (rec == nil || rec.Project != p.Name()) {
				err = a.files.root.RemoveAll(filepath.Join(p.Name(), job.Name()))
			}
			errs = append(errs, err)
		}
		if len(jobs) == 0 {
			_ = a.files.root.Remove(p.Name()) // a file may just come
		}
	}
	return errors.Join(errs...)
}
