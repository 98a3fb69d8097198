package store

import (
	"context"
	"embed"
	"fmt"
	"io/fs"
	"strings"

	"github.com/riverqueue/river/rivermigrate"
)

//go:embed migrations/*.sql
var migrations embed.FS

// migrationLock is any number, as long as it is always this one.
const migrationLock = 7298364201

// migrate brings the database's schema up to date. Each of the queue's
// migrations is a transaction, as PostgreSQL wants it, and ours are one
// together: what a crash interrupts, the next start goes on with. Replicas
// that start at the same time wait for one another.
func (s *Store) migrate(ctx context.Context) error {
	if s.lock == nil {
		conn, err := s.db.Conn(ctx)
		if err != nil {
			return fmt.Errorf("database open: %w", err)
		}
		defer func() { _ = conn.Close() }()
		if _, err := conn.ExecContext(ctx, `SELECT pg_advisory_lock($1)`, migrationLock); err != nil {
			return fmt.Errorf("database migrate: %w", err)
		}
		defer func() { // also when ctx is done: the connection goes back to the pool
			_, _ = conn.ExecContext(context.WithoutCancel(ctx), `SELECT pg_advisory_unlock($1)`, migrationLock)
		}()
	}
	queue, err := rivermigrate.New(s.dialect.river(s.db), &rivermigrate.Config{Logger: s.logger})
	if err != nil {
		return fmt.Errorf("database migrate queue: %w", err)
	}
	if _, err := queue.Migrate(ctx, rivermigrate.DirectionUp, nil); err != nil {
		return fmt.Errorf("database migrate queue: %w", err)
	}
	return s.txAlone(ctx, func(ctx context.Context, tx *Tx) error { return s.apply(ctx, tx.conn) })
}

// apply applies those of our own migrations that the database has not seen.
func (s *Store) apply(ctx context.Context, c conn) error {
	if _, err := c.exec(ctx, `CREATE TABLE IF NOT EXISTS cromt_migrations (version BIGINT PRIMARY KEY, applied_at BIGINT NOT NULL)`); err != nil {
		return fmt.Errorf("database migrate: %w", err)
	}
	var have int
	if err := c.row(ctx, `SELECT coalesce(max(version), 0) FROM cromt_migrations`).Scan(&have); err != nil {
		return fmt.Errorf("database migrate: %w", err)
	}
	files, err := fs.Glob(migrations, "migrations/*.sql")
	if err != nil {
		return err
	}
	if have > len(files) {
		return fmt.Errorf("database migrate: schema version %d is of a newer cromt, this one knows %d; start that one", have, len(files))
	}
	for i, file := range files[have:] {
		text, err := migrations.ReadFile(file)
		if err != nil {
			return err
		}
		for stmt := range strings.SplitSeq(string(text), ";\n") {
			if strings.TrimSpace(stmt) == "" {
				continue
			}
			if _, err := c.exec(ctx, stmt); err != nil {
				return fmt.Errorf("database migrate %s: %w", file, err)
			}
		}
		if _, err := c.exec(ctx, `INSERT INTO cromt_migrations (version, applied_at) VALUES (?, {{micros}})`, have+i+1); err != nil {
			return fmt.Errorf("database migrate %s: %w", file, err)
		}
	}
	return nil
}
