package store

import (
	"context"
	"fmt"
	"time"
)

// Approve notes who allowed the code of a fork's pull request to run, at this
// commit and no other, which was its head at that time. It does not, and
// returns false, when another commit was told to be the head since.
func (tx *Tx) Approve(ctx context.Context, repo string, pull int64, sha, by string, at time.Time) (bool, error) {
	if err := tx.Pushed(ctx, repo, pull, sha, at); err != nil {
		return false, err
	}
	n, err := tx.exec(ctx, `INSERT INTO approvals (repo, pull, sha, by_, at)
		SELECT repo, pull, sha, ?, CAST(? AS BIGINT) FROM heads WHERE repo = ? AND pull = ? AND sha = ?
		ON CONFLICT (repo, pull, sha) DO UPDATE SET at = excluded.at`, by, micros(at), repo, pull, sha)
	if err != nil {
		return false, fmt.Errorf("approval of %s#%d: %w", repo, pull, err)
	}
	return n > 0, nil
}

// Approved returns who approved the commit of a pull request, or "".
func (s *Store) Approved(ctx context.Context, repo string, pull int64, sha string) (by string, err error) {
	return approved(ctx, s.reader(), repo, pull, sha)
}

// Approved is like that of the Store.
func (tx *Tx) Approved(ctx context.Context, repo string, pull int64, sha string) (by string, err error) {
	return approved(ctx, tx.conn, repo, pull, sha)
}

func approved(ctx context.Context, c conn, repo string, pull int64, sha string) (by string, err error) {
	who, err := list(ctx, c, func(row scanner) (by string, err error) {
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

// Pushed notes that a commit became the head of a fork's pull request, as was
// told at that time. Approvals of other commits that were given before it are
// gone, also when their commit comes back.
func (tx *Tx) Pushed(ctx context.Context, repo string, pull int64, sha string, at time.Time) error {
	_, err := tx.exec(ctx, `INSERT INTO heads (repo, pull, sha, at) VALUES (?, ?, ?, ?)
		ON CONFLICT (repo, pull) DO UPDATE SET sha = excluded.sha, at = excluded.at WHERE heads.sha <> excluded.sha AND heads.at <= excluded.at`,
		repo, pull, sha, micros(at))
	if err != nil {
		return fmt.Errorf("head of %s#%d: %w", repo, pull, err)
	}
	return tx.Revoke(ctx, repo, pull, sha, at)
}

// Revoke forgets the approvals of a pull request's other commits that were
// given before this one was told to be its head.
func (tx *Tx) Revoke(ctx context.Context, repo string, pull int64, sha string, at time.Time) error {
	_, err := tx.exec(ctx, `DELETE FROM approvals WHERE repo = ? AND pull = ? AND sha <> ? AND at <= ?`, repo, pull, sha, micros(at))
	if err != nil {
		return fmt.Errorf("approvals of %s#%d: %w", repo, pull, err)
	}
	return nil
}

// ClosedPull forgets the head and the approvals of a pull request.
func (tx *Tx) ClosedPull(ctx context.Context, repo string, pull int64) error {
	for _, table := range []string{"approvals", "heads"} {
		if _, err := tx.exec(ctx, `DELETE FROM `+table+` WHERE repo = ? AND pull = ?`, repo, pull); err != nil {
			return fmt.Errorf("pull request %s#%d: %w", repo, pull, err)
		}
	}
	return nil
}

// PushedAt returns when a commit became the head of a fork's pull request, as
// far as was told; zero: not known, or another one is the head.
func (s *Store) PushedAt(ctx context.Context, repo string, pull int64, sha string) (time.Time, error) {
	at, err := list(ctx, s.reader(), func(row scanner) (n int64, err error) {
		err = row.Scan(&n)
		return n, err
	}, `SELECT at FROM heads WHERE repo = ? AND pull = ? AND sha = ?`, repo, pull, sha)
	if err != nil {
		return time.Time{}, fmt.Errorf("head of %s#%d: %w", repo, pull, err)
	}
	if len(at) == 0 {
		return time.Time{}, nil
	}
	return fromMicros(at[0]), nil
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
