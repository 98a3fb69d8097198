package store

import (
	"context"
	"encoding/binary"
	"errors"
	"os"
	"time"
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

// Safety reads SQLite's safety level within a transaction.
func (tx *Tx) Safety(ctx context.Context, level *int) error {
	return tx.row(ctx, `PRAGMA synchronous`).Scan(level)
}

// Safety reads the safety level of what is not in one of our transactions.
func (s *Store) Safety(ctx context.Context, level *int) error {
	return conn{s.db, s.dialect}.row(ctx, `PRAGMA synchronous`).Scan(level)
}

// Uncarried returns how many pages of SQLite's log are not in its file, by the
// log's shared index: mxFrame less nBackfill (https://sqlite.org/walformat.html).
func (s *Store) Uncarried() (int, error) {
	var seq int
	var name, path string
	if err := s.reader().row(context.Background(), `PRAGMA database_list`).Scan(&seq, &name, &path); err != nil {
		return 0, err
	}
	data, err := os.ReadFile(path + "-shm")
	if err != nil {
		return 0, err
	}
	return int(binary.NativeEndian.Uint32(data[16:])) - int(binary.NativeEndian.Uint32(data[96:])), nil
}

// LoseEnd makes the end of all work that is to come look as if the database
// had not taken it.
func (s *Store) LoseEnd(ctx context.Context) (int64, error) {
	return conn{s.db, s.dialect}.exec(ctx, `UPDATE river_job SET state = 'running' WHERE kind = 'work' AND state IN ('available', 'scheduled')`)
}

// Beating has a replica say that it lives at another interval.
func (o Options) Beating(beat time.Duration) Options {
	o.beat = beat
	return o
}

// Leader returns the replica that leads the queue; "": none.
func (s *Store) Leader(ctx context.Context) (id string, err error) {
	err = s.reader().row(ctx, `SELECT coalesce(max(leader_id), '') FROM river_leader`).Scan(&id)
	return id, err
}

// Lock returns the number of the lock that this replica says it holds.
func (s *Store) Lock(ctx context.Context) (key int64, err error) {
	err = s.reader().row(ctx, `SELECT lock_key FROM replicas WHERE id = ?`, s.id).Scan(&key)
	return key, err
}
