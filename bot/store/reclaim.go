package store

import (
	"context"
	"fmt"
	"time"
)

// suspect is work that this process is said to be at, and has not in hand.
type suspect struct {
	attempt int
	since   time.Time
}

// reclaim makes work available again that the queue takes this process to be
// at, and that none of its workers is: the database went away just when it was
// taken, or when its end was to be noted. The queue itself would wait for
// rescueAfter. suspects is what the last call has found.
func (q *Queue) reclaim(ctx context.Context, suspects map[int64]suspect) (map[int64]suspect, error) {
	type row struct {
		id      int64
		attempt int
	}
	rows, err := list(ctx, q.s.reader(), func(s scanner) (r row, err error) {
		err = s.Scan(&r.id, &r.attempt)
		return r, err
	}, `SELECT id, attempt FROM river_job WHERE state = 'running' AND {{attempter}} = ?`, q.s.id)
	if err != nil {
		return suspects, fmt.Errorf("queue reclaim: %w", err)
	}
	found := map[int64]suspect{}
	for _, r := range rows {
		if _, held := q.inHand.Load(r.id); held {
			continue
		}
		s, again := suspects[r.id]
		if !again || s.attempt != r.attempt {
			s = suspect{r.attempt, time.Now()}
		}
		if time.Since(s.since) < reclaimAfter {
			found[r.id] = s
			continue
		}
		err := q.s.Tx(ctx, func(ctx context.Context, tx *Tx) error {
			_, err := tx.exec(ctx, `UPDATE river_job SET state = 'available', scheduled_at = {{now}} WHERE id = ? AND state = 'running' AND attempt = ?`, r.id, r.attempt)
			return err
		})
		if err != nil {
			return found, fmt.Errorf("queue reclaim: %w", err)
		}
		q.s.logger.Warn("work taken up again that was lost with the database", "id", r.id)
	}
	return found, nil
}
