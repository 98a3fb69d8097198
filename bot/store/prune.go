package store

import (
	"context"
	"fmt"
	"time"
)

// Prune deletes the runs that completed before the time, and the deliveries
// and schedules of before it. A run whose check runs GitHub does not have yet
// is kept.
func (s *Store) Prune(ctx context.Context, before time.Time) (runs int, err error) {
	at := micros(before)
	for {
		var ids []any
		err := s.Tx(ctx, func(ctx context.Context, tx *Tx) (err error) {
			ids, err = tx.pruneRuns(ctx, at)
			return err
		})
		if err != nil {
			return runs, fmt.Errorf("database prune: %w", err)
		}
		if runs += len(ids); len(ids) < pruneRuns {
			break
		}
	}
	err = s.Tx(ctx, func(ctx context.Context, tx *Tx) error {
		for _, query := range []string{
			`DELETE FROM deliveries WHERE received_at < ? AND state <> 'queued'`,
			`DELETE FROM ticks WHERE tick < ?`,
			`DELETE FROM approvals WHERE at < ?`,
			`DELETE FROM redeliveries WHERE asked_at < ?`,
		} {
			if _, err := tx.exec(ctx, query, at); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return runs, fmt.Errorf("database prune: %w", err)
	}
	return runs, nil
}

func (tx *Tx) pruneRuns(ctx context.Context, before int64) ([]any, error) {
	ids, err := list(ctx, tx.conn, func(row scanner) (any, error) {
		var id string
		err := row.Scan(&id)
		return id, err
	}, `SELECT id FROM runs WHERE state = 'completed' AND completed_at < ?
		AND NOT EXISTS (SELECT 1 FROM checks WHERE checks.run = runs.id AND acked < version) ORDER BY completed_at LIMIT ?`, before, pruneRuns)
	if err != nil || len(ids) == 0 {
		return nil, err
	}
	for _, table := range []string{"logs", "artifacts", "attempts", "jobs", "events", "checks", "leases", "run_data"} {
		if _, err := tx.exec(ctx, `DELETE FROM `+table+` WHERE run IN (`+marks(len(ids))+`)`, ids...); err != nil {
			return nil, err
		}
	}
	_, err = tx.exec(ctx, `DELETE FROM runs WHERE id IN (`+marks(len(ids))+`)`, ids...)
	return ids, err
}
