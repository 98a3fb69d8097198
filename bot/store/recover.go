package store

import (
	"context"
	"errors"
	"fmt"
	"time"
)

// recoverLoop looks for what dead replicas left behind until ctx is done: as
// soon as one has died, and now and then.
func (q *Queue) recoverLoop(ctx context.Context) {
	deaths := q.s.Deaths(ctx)
	tick := time.NewTicker(q.s.lease / heartbeats)
	defer tick.Stop()
	var suspects map[int64]suspect
	for {
		died := false
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		case <-deaths:
			died = true
		}
		err := q.s.recover(ctx)
		if died {
			q.s.waker.wakeAll()
		}
		var rerr error
		suspects, rerr = q.reclaim(ctx, suspects)
		if err = errors.Join(err, rerr); err != nil && ctx.Err() == nil {
			q.s.logger.Warn("queue", "error", err)
		}
	}
}

// recover makes the work of dead processes available again, long before the
// queue itself would: it waits for longer than any work may take, and for its
// leader. On SQLite every process but this one is dead.
func (s *Store) recover(ctx context.Context) error {
	lease := s.lease.Microseconds()
	err := s.Tx(ctx, func(ctx context.Context, tx *Tx) error {
		for _, step := range []struct {
			query string
			args  []any
		}{
			// What a dead process was working on.
			{`UPDATE river_job SET state = 'available', scheduled_at = {{now}} WHERE state = 'running' AND NOT EXISTS
				(SELECT 1 FROM replicas WHERE replicas.id = {{attempter}} AND seen_at > {{micros}} - ?)`, []any{lease}},
			// What a dead process wanted to go on with later: its runs need an
			// owner now. And what was woken just when its work ended. Other runs
			// come when they were to.
			{`UPDATE river_job SET state = 'available', scheduled_at = {{now}} WHERE state IN ('available', 'scheduled', 'retryable') AND scheduled_at > {{now}} AND id IN
				(SELECT job_id FROM leases WHERE woken OR owner <> '' AND NOT ` + alive + `)`, []any{lease}},
			// What is due: that is its leader's task, who may be dead.
			{`UPDATE river_job SET state = 'available' WHERE state IN ('scheduled', 'retryable') AND scheduled_at <= {{now}}`, nil},
			{`DELETE FROM river_leader WHERE NOT EXISTS
				(SELECT 1 FROM replicas WHERE replicas.id = leader_id AND seen_at > {{micros}} - ?)`, []any{lease}},
			{`DELETE FROM replicas WHERE seen_at < {{micros}} - ?`, []any{100 * lease}},
		} {
			if _, err := tx.exec(ctx, step.query, step.args...); err != nil {
				return err
			}
		}
		return tx.wakeLost(ctx)
	})
	if err != nil {
		return fmt.Errorf("queue recover: %w", err)
	}
	return nil
}

// wakeLost queues the work of runs that have some to do and none queued: the
// end of their last work and their becoming due crossed.
func (tx *Tx) wakeLost(ctx context.Context) error {
	runs, err := list(ctx, tx.conn, func(row scanner) (run string, err error) {
		err = row.Scan(&run)
		return run, err
	}, `SELECT r.id FROM runs r JOIN leases l ON l.run = r.id
		WHERE r.state <> 'completed' AND `+isDue+` AND NOT EXISTS (SELECT 1 FROM river_job j WHERE j.id = l.job_id AND j.state IN `+liveStates+`)
		ORDER BY r.id`)
	if err != nil {
		return err
	}
	for _, run := range runs {
		if err := tx.wake(ctx, run); err != nil {
			return err
		}
	}
	return nil
}
