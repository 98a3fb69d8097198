package agent

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"time"

	_ "modernc.org/sqlite" // the database driver

	"github.com/cromt/cromt/flow"
	"github.com/cromt/cromt/sparky"
)

// schema of the database. A pruned build keeps its row, with its id, project
// and state alone: the id must stay known.
const schema = `
CREATE TABLE IF NOT EXISTS jobs (
	seq       INTEGER PRIMARY KEY,
	id        TEXT NOT NULL UNIQUE,
	project   TEXT NOT NULL,
	state     INTEGER NOT NULL,
	pruned    INTEGER NOT NULL DEFAULT 0,
	queued    INTEGER, started INTEGER, ended INTEGER, -- microseconds since 1970
	config    BLOB, -- description, tags and sparrowdo
	exit_code INTEGER, cause TEXT, lost INTEGER, error TEXT, commit_id TEXT, artifacts BLOB,
	log_size  INTEGER,
	log       BLOB -- NULL: in a file
);
CREATE INDEX IF NOT EXISTS builds ON jobs (project, seq) WHERE pruned = 0;
CREATE TABLE IF NOT EXISTS payloads (seq INTEGER PRIMARY KEY, spec BLOB NOT NULL);
CREATE TABLE IF NOT EXISTS stashes (project TEXT, id TEXT, data BLOB NOT NULL, PRIMARY KEY (project, id)) WITHOUT ROWID;
PRAGMA user_version = 1;
`

const columns = `seq, id, project, state, pruned, queued, started, ended, config, exit_code, cause, lost, error, commit_id, artifacts, log_size, log`

// record is a job as it is journalled.
type record struct {
	Seq                    int64 // order of acceptance; also the build's number
	ID, Project            string
	Pruned                 bool
	Queued, Started, Ended time.Time
	Config                 []byte // JSON of jobConfig
	LogSize                int64
	Log                    []byte // of an ended job; nil: in a file
	result
}

// result is how a job ended, or, while it has not, its state alone.
type result struct {
	State     sparky.Code
	Exit      int
	Cause     flow.Cause
	Lost      bool
	Error     string
	Commit    string
	Artifacts []flow.Artifact
}

// store reads the database. Writes go through its journal.
type store struct {
	*journal
	read   *sql.DB
	byID   *sql.Stmt
	old    *sql.Stmt // ended builds of a project but for the newest
	path   string
	writer *sql.DB
}

// openStore opens or makes the database in the folder dir. Writes may wait for
// others while crowded.
func openStore(ctx context.Context, dir string, crowded func() bool) (*store, error) {
	s := &store{path: filepath.Join(dir, "agent.db")}
	// SQLite gives its -wal and -shm the mode of the database itself.
	f, err := os.OpenFile(s.path, os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return nil, err
	}
	if err := f.Close(); err != nil {
		return nil, err
	}
	if s.writer, err = openDB(s.path, 1); err != nil {
		return nil, err
	}
	if _, err := s.writer.ExecContext(ctx, schema); err != nil {
		return nil, errors.Join(fmt.Errorf("database %s: %w", s.path, err), s.writer.Close())
	}
	if s.read, err = openDB(s.path, 2); err != nil {
		return nil, errors.Join(err, s.writer.Close())
	}
	if s.byID, err = s.read.PrepareContext(ctx, `SELECT `+columns+` FROM jobs WHERE id = ?`); err != nil {
		return nil, errors.Join(err, s.read.Close(), s.writer.Close())
	}
	if s.old, err = s.read.PrepareContext(ctx, `SELECT `+columns+` FROM jobs WHERE pruned = 0 AND project = ? AND state NOT IN (?, ?)
		ORDER BY seq DESC LIMIT -1 OFFSET ?`); err != nil {
		return nil, errors.Join(err, s.byID.Close(), s.read.Close(), s.writer.Close())
	}
	if s.journal, err = newJournal(ctx, s.writer, crowded); err != nil {
		return nil, errors.Join(err, s.byID.Close(), s.old.Close(), s.read.Close(), s.writer.Close())
	}
	return s, nil
}

func openDB(path string, conns int) (*sql.DB, error) {
	q := url.Values{"_pragma": {
		"journal_mode(WAL)", "synchronous(FULL)", "busy_timeout(10000)", "secure_delete(ON)",
		"cache_size(-1024)", "journal_size_limit(4194304)", "wal_autocheckpoint(1000)",
	}}
	db, err := sql.Open("sqlite", (&url.URL{Scheme: "file", Path: path, RawQuery: q.Encode()}).String())
	if err != nil {
		return nil, fmt.Errorf("database %s: %w", path, err)
	}
	db.SetMaxOpenConns(conns)
	db.SetMaxIdleConns(conns)
	return db, nil
}

// close ends the journal and the connections.
func (s *store) close() error {
	return errors.Join(s.journal.close(), s.byID.Close(), s.old.Close(), s.read.Close(), s.writer.Close())
}

type scanner interface{ Scan(...any) error }

func scanRecord(row scanner) (*record, error) {
	var (
		r                      record
		queued, started, ended sql.NullInt64
		exit, size             sql.NullInt64
		lost                   sql.NullBool
		cause, msg, commit     sql.NullString
		artifacts              []byte
	)
	err := row.Scan(&r.Seq, &r.ID, &r.Project, &r.State, &r.Pruned, &queued, &started, &ended, &r.Config,
		&exit, &cause, &lost, &msg, &commit, &artifacts, &size, &r.Log)
	if err != nil {
		return nil, err
	}
	r.Queued, r.Started, r.Ended = fromMicro(queued), fromMicro(started), fromMicro(ended)
	r.Exit, r.LogSize, r.Lost = int(exit.Int64), size.Int64, lost.Bool
	r.Cause, r.Error, r.Commit = flow.Cause(cause.String), msg.String, commit.String
	if len(artifacts) > 0 {
		if err := json.Unmarshal(artifacts, &r.Artifacts); err != nil {
			return nil, fmt.Errorf("job %s: artifacts: %w", r.ID, err)
		}
	}
	return &r, nil
}

func fromMicro(n sql.NullInt64) time.Time {
	if !n.Valid || n.Int64 == 0 {
		return time.Time{}
	}
	return time.UnixMicro(n.Int64).UTC()
}

func toMicro(t time.Time) int64 {
	if t.IsZero() {
		return 0
	}
	return t.UnixMicro()
}

// load returns the job of that id, or nil when there is none.
func (s *store) load(ctx context.Context, id string) (*record, error) {
	r, err := scanRecord(s.byID.QueryRowContext(ctx, id))
	if errors.Is(err, sql.ErrNoRows) {
		return nil, nil
	}
	return r, err
}

// list returns the records of a query that selects the columns.
func (s *store) list(ctx context.Context, query string, args ...any) ([]*record, error) {
	return scanRecords(s.read.QueryContext(ctx, `SELECT `+columns+` FROM jobs `+query, args...))
}

// builds returns the ended builds of a project, but for so many of the newest.
func (s *store) builds(ctx context.Context, project string, newest int) ([]*record, error) {
	return scanRecords(s.old.QueryContext(ctx, project, int(sparky.CodeQueued), int(sparky.CodeRunning), newest))
}

func scanRecords(rows *sql.Rows, err error) ([]*record, error) {
	if err != nil {
		return nil, err
	}
	defer func() { _ = rows.Close() }() // rows.Err tells
	var all []*record
	for rows.Next() {
		r, err := scanRecord(rows)
		if err != nil {
			return nil, err
		}
		all = append(all, r)
	}
	return all, rows.Err()
}

// unfinished returns the jobs that are queued or running, oldest first.
func (s *store) unfinished(ctx context.Context) ([]*record, error) {
	return s.list(ctx, `WHERE pruned = 0 AND state IN (?, ?) ORDER BY seq`, int(sparky.CodeQueued), int(sparky.CodeRunning))
}

// payload returns the data of a queued job.
func (s *store) payload(ctx context.Context, seq int64) ([]byte, error) {
	var data []byte
	err := s.read.QueryRowContext(ctx, `SELECT spec FROM payloads WHERE seq = ?`, seq).Scan(&data)
	return data, err
}

// lastSeq returns the highest number given so far.
func (s *store) lastSeq(ctx context.Context) (n int64, err error) {
	err = s.read.QueryRowContext(ctx, `SELECT coalesce(max(seq), 0) FROM jobs`).Scan(&n)
	return n, err
}

// stash returns what was stashed under the key, or nil.
func (s *store) stash(ctx context.Context, project, id string) ([]byte, error) {
	var data []byte
	err := s.read.QueryRowContext(ctx, `SELECT data FROM stashes WHERE project = ? AND id = ?`, project, id).Scan(&data)
	if errors.Is(err, sql.ErrNoRows) {
		return nil, nil
	}
	return data, err
}
