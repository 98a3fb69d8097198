package store

import (
	"context"
	"fmt"
	"time"
)

// Stats is what there is to do and was done, for metrics.
type Stats struct {
	Deliveries  map[DeliveryState]int
	OldestAt    time.Time     // when the oldest queued delivery was received; zero: none is
	OpenRuns    map[State]int // that are not completed
	Unposted    int           // check runs whose final state GitHub does not have
	OldestRunAt time.Time     // when the oldest queued run was created
}

// Stats counts.
func (s *Store) Stats(ctx context.Context) (*Stats, error) {
	st := &Stats{Deliveries: map[DeliveryState]int{}, OpenRuns: map[State]int{}}
	_, err := list(ctx, s.reader(), func(row scanner) (struct{}, error) {
		var state DeliveryState
		var n int
		var oldest int64
		err := row.Scan(&state, &n, &oldest)
		st.Deliveries[state] = n
		if state == DeliveryQueued {
			st.OldestAt = fromMicros(oldest)
		}
		return struct{}{}, err
	}, `SELECT state, count(*), min(received_at) FROM deliveries GROUP BY state`)
	if err != nil {
		return nil, fmt.Errorf("database stats: %w", err)
	}
	_, err = list(ctx, s.reader(), func(row scanner) (struct{}, error) {
		var state State
		var n int
		var oldest int64
		err := row.Scan(&state, &n, &oldest)
		st.OpenRuns[state] = n
		if state == Queued {
			st.OldestRunAt = fromMicros(oldest)
		}
		return struct{}{}, err
	}, `SELECT state, count(*), min(created_at) FROM runs WHERE state <> 'completed' GROUP BY state`)
	if err == nil {
		err = s.reader().row(ctx, `SELECT count(*) FROM checks WHERE acked < version`).Scan(&st.Unposted)
	}
	if err != nil {
		return nil, fmt.Errorf("database stats: %w", err)
	}
	return st, nil
}
