package store

import (
	"context"
	"fmt"
	"time"
)

// Approve notes who allowed the code of a fork's pull request to run, at this
// commit and no other.
func (tx *Tx) Approve(ctx context.Context, repo string, pull int64, sha, by string) error {
	_, err := tx.exec(ctx, `INSERT INTO approvals (repo, pull, sha, by_, at) VALUES (?, ?, ?, ?, ?) ON CONFLICT DO NOTHING`,
		repo, pull, sha, by, micros(time.Now()))
	if err != nil {
		return fmt.Errorf("approval of %s#%d: %w", repo, pull, err)
	}
	return nil
}

// Approved returns who approved the commit of a pull request, or "".
func (s *Store) Approved(ctx context.Context, repo string, pull int64, sha string) (by string, err error) {
	who, err := list(ctx, s.reader(), func(row scanner) (by string, err error) {
		err = row.Scan(&by)
		return by, err
	}, `SELECT by_ FROM approvals WHERE repo = ? AND pull = ? AND sha = ?`, repo, pull, sha)
	if err != nil {
		return "", fmt.Errorf("approval of %s#%d: %w", repo, pull, err)
	}
	if len(who) == 0 {
		return "", nil
	}
	return who[0], nil
}

// Tick reports whether this transaction is the first to have a project's
// schedule fire at that time.
func (tx *Tx) Tick(ctx context.Context, repo, project string, at time.Time) (first bool, err error) {
	n, err := tx.exec(ctx, `INSERT INTO ticks (repo, project, tick) VALUES (?, ?, ?) ON CONFLICT DO NOTHING`, repo, project, micros(at))
	if err != nil {
		return false, fmt.Errorf("schedule of %s in %s: %w", project, repo, err)
	}
	return n > 0, nil
}

// LastTick returns when a project's schedule fired last; zero: never.
func (s *Store) LastTick(ctx context.Context, repo, project string) (time.Time, error) {
	var n int64
	err := s.reader().row(ctx, `SELECT coalesce(max(tick), 0) FROM ticks WHERE repo = ? AND project = ?`, repo, project).Scan(&n)
	if err != nil {
		return time.Time{}, fmt.Errorf("schedule of %s in %s: %w", project, repo, err)
	}
	return fromMicros(n), nil
}
