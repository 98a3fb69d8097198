package store

import (
	"context"
	"crypto/rand"
	"database/sql"
	"encoding/hex"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"time"

	"github.com/riverqueue/river"
)

// The errors that callers tell apart.
var (
	// ErrNotFound says that there is no such row.
	ErrNotFound = errors.New("not found")
	// ErrClaimed says that a run has another owner, who is alive.
	ErrClaimed = errors.New("is worked by another owner")
	// ErrFenced says that another owner has taken the run over: whoever gets
	// it stops working on the run, and leaves its jobs alone.
	ErrFenced = errors.New("was taken over by another owner")
)

// Options of Open.
type Options struct {
	// Logger of the store and its queue. Default: discard.
	Logger *slog.Logger
	// Lease of a replica on PostgreSQL: after how much silence it is taken
	// for dead where nothing tells so sooner. Default: DefaultLease.
	Lease time.Duration
	// beat is the interval at which it says that it lives. Default:
	// beatInterval, or less with a short lease.
	beat time.Duration
}

// Store is an open database. Its methods may be called concurrently.
type Store struct {
	dialect  *dialect
	logger   *slog.Logger
	db       *sql.DB // writes; on PostgreSQL also reads
	read     *sql.DB
	lock     *lock     // SQLite: held while open
	writer   *writer   // SQLite: one goroutine that commits in groups
	presence *presence // PostgreSQL: that this replica lives
	deaths   *hub      // of other replicas
	insert   *river.Client[*sql.Tx]
	pack     packer
	hub      *hub
	waker    *waker
	id       string // this replica
	lease    time.Duration
	held     sync.Map // tokens of what is in this process's hands, by run or duty
	stop     context.CancelFunc
	tasks    sync.WaitGroup
}

// Open opens the database, sqlite:FILE or postgres://…, brings its schema up
// to date, and announces this process as a replica. A SQLite file belongs to
// one process at a time.
func Open(ctx context.Context, address string, o Options) (*Store, error) {
	s := &Store{logger: o.Logger, lease: o.Lease, pack: newPacker(), hub: newHub(), deaths: newHub(), waker: newWaker()}
	if s.logger == nil {
		s.logger = slog.New(slog.DiscardHandler)
	}
	if s.lease <= 0 {
		s.lease = DefaultLease
	}
	var id [8]byte
	rand.Read(id[:])
	s.id = "cromt-" + hex.EncodeToString(id[:])
	err := s.connect(ctx, address, o.beat)
	if err == nil {
		err = s.migrate(ctx)
	}
	if err == nil {
		s.insert, err = river.NewClient(s.dialect.river(s.db), &river.Config{Logger: s.logger, ID: s.id + "-i"})
	}
	if err == nil {
		err = s.announce(ctx)
	}
	if err != nil {
		return nil, errors.Join(err, s.closeDB())
	}
	background, stop := context.WithCancel(context.Background())
	s.stop = stop
	if s.lock != nil {
		s.writer = newWriter(s)
		s.tasks.Go(func() { s.checkpointLoop(background) })
		return s, nil
	}
	s.tasks.Go(func() { s.presence.run(background) })
	s.tasks.Go(func() { s.watch(background) })
	return s, nil
}

func (s *Store) connect(ctx context.Context, address string, beat time.Duration) (err error) {
	kind, rest, _ := strings.Cut(address, ":")
	switch kind {
	case "sqlite":
		if rest == "" {
			return errors.New("database open: sqlite: without a file; write sqlite:cromt.db")
		}
		s.dialect = sqliteDialect()
		if s.lock, err = lockSQLite(ctx, rest); err != nil {
			return err
		}
		s.db, s.read, err = openSQLite(rest)
		return err
	case "postgres", "postgresql":
		s.dialect = postgresDialect()
		s.presence = newPresence(s, address, beat)
		s.db, err = openPostgres(address)
		s.read = s.db
		return err
	}
	return errors.New("database open: unknown kind of database; write sqlite:FILE or postgres://USER@HOST/NAME")
}

// Close ends the store. On PostgreSQL other replicas may take over at once
// what this one still owned.
func (s *Store) Close() error {
	s.stop()
	s.tasks.Wait()
	if s.writer != nil {
		s.writer.close()
	}
	ctx, cancel := context.WithTimeout(context.Background(), commitTimeout)
	defer cancel()
	_, err := conn{s.db, s.dialect}.exec(ctx, `DELETE FROM replicas WHERE id = ?`, s.id)
	return errors.Join(err, s.closeDB())
}

func (s *Store) closeDB() error {
	var errs []error
	for _, db := range []*sql.DB{s.read, s.db} {
		if db != nil {
			errs = append(errs, db.Close())
		}
	}
	if s.presence != nil {
		s.presence.close()
	}
	if s.lock != nil {
		errs = append(errs, s.lock.Close())
	}
	return errors.Join(errs...)
}

// Ping reports whether the database answers.
func (s *Store) Ping(ctx context.Context) error {
	var one int
	if err := s.reader().row(ctx, `SELECT 1`).Scan(&one); err != nil {
		return fmt.Errorf("database ping: %w", err)
	}
	return nil
}

func (s *Store) reader() conn { return conn{s.read, s.dialect} }

// querier is a database or a transaction.
type querier interface {
	ExecContext(ctx context.Context, query string, args ...any) (sql.Result, error)
	QueryContext(ctx context.Context, query string, args ...any) (*sql.Rows, error)
	QueryRowContext(ctx context.Context, query string, args ...any) *sql.Row
}

// conn says queries to a database or transaction in its dialect.
type conn struct {
	q querier
	d *dialect
}

// exec returns how many rows were affected.
func (c conn) exec(ctx context.Context, query string, args ...any) (int64, error) {
	res, err := c.q.ExecContext(ctx, c.d.sql(query), args...)
	if err != nil {
		return 0, err
	}
	return res.RowsAffected()
}

func (c conn) row(ctx context.Context, query string, args ...any) *sql.Row {
	return c.q.QueryRowContext(ctx, c.d.sql(query), args...)
}

// scanner is a row.
type scanner interface{ Scan(...any) error }

// list returns what scan makes of the rows of a query.
func list[T any](ctx context.Context, c conn, scan func(scanner) (T, error), query string, args ...any) ([]T, error) {
	rows, err := c.q.QueryContext(ctx, c.d.sql(query), args...)
	if err != nil {
		return nil, err
	}
	defer func() { _ = rows.Close() }() // rows.Err tells
	var all []T
	for rows.Next() {
		v, err := scan(rows)
		if err != nil {
			return nil, err
		}
		all = append(all, v)
	}
	return all, rows.Err()
}

func micros(t time.Time) int64 {
	if t.IsZero() {
		return 0
	}
	return t.UnixMicro()
}

func fromMicros(n int64) time.Time {
	if n == 0 {
		return time.Time{}
	}
	return time.UnixMicro(n).UTC()
}

// marks returns n parameters: ?, ?, ?.
func marks(n int) string {
	if n == 0 {
		return "NULL"
	}
	return strings.Repeat("?, ", n-1) + "?"
}
