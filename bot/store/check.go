package store

import (
	"context"
	"fmt"
)

// Check is what is known of one check run of a run.
type Check struct {
	Run        string
	ExternalID string // unique in the run
	ID         int64  // GitHub's; 0: not created, or the answer was lost
	// Final is the final state to post, in the caller's encoding; nil: none
	// yet. Version counts its changes.
	Final   []byte
	Version int64
	Acked   bool // GitHub has this version
}

// SaveCheck stores a check run's ID, when it is not 0, and its Final state,
// when it is not nil: then it is Unposted until AckCheck.
func (tx *Tx) SaveCheck(ctx context.Context, c Check) error {
	var final []byte
	version := 0
	if c.Final != nil {
		final, version = tx.s.pack.pack(c.Final), 1
	}
	_, err := tx.exec(ctx, `INSERT INTO checks (run, external_id, check_id, final, version) VALUES (?, ?, ?, ?, ?)
		ON CONFLICT (run, external_id) DO UPDATE SET
			check_id = CASE WHEN excluded.check_id = 0 THEN checks.check_id ELSE excluded.check_id END,
			final = coalesce(excluded.final, checks.final),
			version = checks.version + CASE WHEN excluded.final IS NULL OR excluded.final = checks.final THEN 0 ELSE 1 END`,
		c.Run, c.ExternalID, c.ID, final, version)
	if err != nil {
		return fmt.Errorf("check %s of run %s save: %w", c.ExternalID, c.Run, err)
	}
	return nil
}

// AckCheck notes that GitHub has the check run's final state of c.Version,
// under the ID c.ID.
func (s *Store) AckCheck(ctx context.Context, c Check) error {
	return s.Tx(ctx, func(ctx context.Context, tx *Tx) error {
		_, err := tx.exec(ctx, `UPDATE checks SET acked = ?, check_id = ? WHERE run = ? AND external_id = ? AND acked < ?`,
			c.Version, c.ID, c.Run, c.ExternalID, c.Version)
		if err != nil {
			return fmt.Errorf("check %s of run %s acknowledge: %w", c.ExternalID, c.Run, err)
		}
		return nil
	})
}

const checkColumns = `run, external_id, check_id, final, version, acked`

func scanCheck(row scanner) (c Check, err error) {
	var acked int64
	if err := row.Scan(&c.Run, &c.ExternalID, &c.ID, &c.Final, &c.Version, &acked); err != nil {
		return c, err
	}
	c.Acked = c.Version > 0 && acked >= c.Version
	if c.Final != nil {
		c.Final, err = unpack(c.Final)
	}
	return c, err
}

// Checks returns the check runs of a run, by ExternalID.
func (s *Store) Checks(ctx context.Context, run string) ([]Check, error) {
	all, err := list(ctx, s.reader(), scanCheck, `SELECT `+checkColumns+` FROM checks WHERE run = ? ORDER BY external_id`, run)
	if err != nil {
		return nil, fmt.Errorf("checks of run %s: %w", run, err)
	}
	return all, nil
}

// Unposted returns check runs whose final state GitHub does not have, of runs
// after that one, "" for all: those of the oldest runs first, at most limit.
func (s *Store) Unposted(ctx context.Context, after string, limit int) ([]Check, error) {
	all, err := list(ctx, s.reader(), scanCheck, `SELECT `+checkColumns+` FROM checks WHERE acked < version AND run > ? ORDER BY run, external_id LIMIT ?`, after, limit)
	if err != nil {
		return nil, fmt.Errorf("checks unposted: %w", err)
	}
	return all, nil
}
