package store

import (
	"context"
	"errors"
)

// GiveUp gives a delivery up, as after its last attempt, and forgets its work.
func (s *Store) GiveUp(ctx context.Context, id int64) error {
	if err := s.deliveryFailed(ctx, id, errors.New("given up"), true); err != nil {
		return err
	}
	_, err := s.db.ExecContext(ctx, `DELETE FROM river_job WHERE kind = 'deliver'`)
	return err
}
