package store

import (
	"context"
	"fmt"
	"time"
)

// Schedule is a project that its crontab starts.
type Schedule struct {
	Repo    string
	Project string
	Crontab string
	Since   time.Time // when this crontab was first seen
	DueAt   time.Time // its next time
}

// Learn keeps what was read of a repository's default branch at r.SHA, and
// which projects its crontabs start; of the Schedules it takes Project,
// Crontab and, for new and changed ones, DueAt. Not learned: the repository
// has changed since it was got from the store, so that it is to be read again.
func (s *Store) Learn(ctx context.Context, r *Repo, now time.Time, schedules []Schedule) (learned bool, err error) {
	var config []byte // an empty one is one
	if r.Config != nil {
		config = s.pack.pack(r.Config)
	}
	err = s.Tx(ctx, func(ctx context.Context, tx *Tx) error {
		learned = false
		n, err := tx.exec(ctx, `INSERT INTO repos (repo, installation, branch, since, sha, config, read_at, version) VALUES (?, ?, ?, ?, ?, ?, ?, 1)
			ON CONFLICT (repo) DO UPDATE SET installation = excluded.installation, branch = excluded.branch, sha = excluded.sha,
				config = excluded.config, read_at = excluded.read_at, version = repos.version + 1 WHERE repos.version = ?`,
			r.Name, r.Installation, r.Branch, micros(now), r.SHA, config, micros(now), r.version)
		if err != nil || n == 0 {
			return err
		}
		learned = true
		return tx.setSchedules(ctx, r.Name, now, schedules)
	})
	if err != nil {
		return false, fmt.Errorf("repository %s learn: %w", r.Name, err)
	}
	return learned, nil
}

// setSchedules replaces the schedules of a repository. One whose crontab is
// the same goes on as it was.
func (tx *Tx) setSchedules(ctx context.Context, repo string, now time.Time, schedules []Schedule) error {
	keep := []any{repo}
	for _, sc := range schedules {
		keep = append(keep, sc.Project)
	}
	query := `DELETE FROM schedules WHERE repo = ?`
	if len(schedules) > 0 {
		query += ` AND project NOT IN (` + marks(len(schedules)) + `)`
	}
	if _, err := tx.exec(ctx, query, keep...); err != nil {
		return err
	}
	for _, sc := range schedules {
		if _, err := tx.exec(ctx, `INSERT INTO schedules (repo, project, crontab, since, due_at) VALUES (?, ?, ?, ?, ?)
			ON CONFLICT (repo, project) DO UPDATE SET crontab = excluded.crontab, since = excluded.since, due_at = excluded.due_at
			WHERE schedules.crontab <> excluded.crontab`, repo, sc.Project, sc.Crontab, micros(now), micros(sc.DueAt)); err != nil {
			return err
		}
	}
	return nil
}

// DueSchedules returns schedules that are due, those that have waited longest
// first.
func (s *Store) DueSchedules(ctx context.Context, now time.Time, limit int) ([]Schedule, error) {
	due, err := list(ctx, s.reader(), scanSchedule, `SELECT `+scheduleColumns+` FROM schedules WHERE due_at <= ? ORDER BY due_at, repo, project LIMIT ?`, micros(now), limit)
	if err != nil {
		return nil, fmt.Errorf("schedules: %w", err)
	}
	return due, nil
}

// Schedules returns those of a repository, by project.
func (s *Store) Schedules(ctx context.Context, repo string) ([]Schedule, error) {
	all, err := list(ctx, s.reader(), scanSchedule, `SELECT `+scheduleColumns+` FROM schedules WHERE repo = ? ORDER BY project`, repo)
	if err != nil {
		return nil, fmt.Errorf("schedules of %s: %w", repo, err)
	}
	return all, nil
}

const scheduleColumns = `repo, project, crontab, since, due_at`

func scanSchedule(row scanner) (sc Schedule, err error) {
	var since, due int64
	err = row.Scan(&sc.Repo, &sc.Project, &sc.Crontab, &since, &due)
	sc.Since, sc.DueAt = fromMicros(since), fromMicros(due)
	return sc, err
}

// SetDue says when a schedule is due next.
func (tx *Tx) SetDue(ctx context.Context, repo, project string, at time.Time) error {
	if _, err := tx.exec(ctx, `UPDATE schedules SET due_at = ? WHERE repo = ? AND project = ?`, micros(at), repo, project); err != nil {
		return fmt.Errorf("schedule of %s in %s: %w", project, repo, err)
	}
	return nil
}
