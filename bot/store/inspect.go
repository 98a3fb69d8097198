package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
)

// Inspect looks at a database, by its address as for Open, without changing
// anything of it, and says how it is: its schema, whether it has to be made.
func Inspect(ctx context.Context, address string) (string, error) {
	kind, rest, _ := strings.Cut(address, ":")
	var db *sql.DB
	var d *dialect
	var err error
	switch kind {
	case "sqlite":
		if _, err := os.Stat(rest); errors.Is(err, fs.ErrNotExist) {
			return inspectFolder(rest)
		}
		d = sqliteDialect()
		// mode=ro would not see what a process that died has left in the -wal.
		db, err = sql.Open("sqlite", sqliteDSN(rest, "query_only(ON)", "busy_timeout(5000)"))
	case "postgres", "postgresql":
		d = postgresDialect()
		db, err = openPostgres(address)
	default:
		return "", errors.New("database: unknown kind; write sqlite:FILE or postgres://USER@HOST/NAME")
	}
	if err != nil {
		return "", fmt.Errorf("database: %w", err)
	}
	defer func() { _ = db.Close() }() // nothing was written
	files, err := fs.Glob(migrations, "migrations/*.sql")
	if err != nil {
		return "", err
	}
	have, err := schemaVersion(ctx, conn{db, d})
	switch {
	case err != nil:
		return "", fmt.Errorf("database: %w", err)
	case have > len(files):
		return "", fmt.Errorf("database: its schema %d is of a newer cromt, this one knows %d; use that one", have, len(files))
	case have == 0:
		return "it answers, and is empty: its schema is made at the start", nil
	case have < len(files):
		return fmt.Sprintf("it answers; its schema %d becomes %d at the start", have, len(files)), nil
	}
	return fmt.Sprintf("it answers; its schema is %d, as it should be", have), nil
}

// schemaVersion is 0 for a database that we have not seen.
func schemaVersion(ctx context.Context, c conn) (have int, err error) {
	query := `SELECT count(*) FROM sqlite_master WHERE type = 'table' AND name = 'cromt_migrations'`
	if c.d.numbered {
		query = `SELECT count(*) FROM pg_tables WHERE schemaname = ANY (current_schemas(false)) AND tablename = 'cromt_migrations'`
	}
	if err := c.row(ctx, query).Scan(&have); err != nil || have == 0 {
		return 0, err
	}
	err = c.row(ctx, `SELECT coalesce(max(version), 0) FROM cromt_migrations`).Scan(&have)
	return have, err
}

// inspectFolder says whether a file can be made.
func inspectFolder(file string) (string, error) {
	probe, err := os.CreateTemp(filepath.Dir(file), ".check-*")
	if err != nil {
		return "", fmt.Errorf("database: %w; make the folder, or name another", err)
	}
	if err := errors.Join(probe.Close(), os.Remove(probe.Name())); err != nil {
		return "", fmt.Errorf("database: %w", err)
	}
	return "it is not there yet, and is made at the start", nil
}
