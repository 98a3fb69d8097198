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

// Silence makes another replica look dead: this database has not heard of it
// for long, until its next heartbeat.
func (s *Store) Silence(ctx context.Context, other *Store) error {
	other.stop()
	other.tasks.Wait()
	_, err := conn{s.db, s.dialect}.exec(ctx, `UPDATE replicas SET seen_at = 0 WHERE id = ?`, other.id)
	return err
}

// SchemaOf makes the database look as if another cromt had migrated it.
func (s *Store) SchemaOf(ctx context.Context, version int) error {
	_, err := conn{s.db, s.dialect}.exec(ctx, `INSERT INTO cromt_migrations (version, applied_at) VALUES (?, 1)`, version)
	return err
}
