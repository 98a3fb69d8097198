package agent

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"runtime"
	"sync"
	"time"

	"github.com/cromt/cromt/sparky"
)

// journal is the one writer of the database. Transitions that arrive while a
// commit is under way share the next one, so that many jobs cost few disk
// flushes; while the machine is crowded, a commit waits a moment for company.
type journal struct {
	conn    *sql.Conn
	stmt    statements
	in      chan *commit
	crowded func() bool   // there is enough to do meanwhile
	gone    chan struct{} // closed when the writer has ended
	once    sync.Once
	quit    chan struct{}
}

type statements struct {
	begin, commit, rollback        *sql.Stmt
	insert, start, finish, payload *sql.Stmt
	drop, stash, unstash, prune    *sql.Stmt
	checkpoint                     *sql.Stmt
}

// change is one write within a transaction. It may run more than once.
type change func(*statements) error

// commit is what one caller wants written, all or nothing.
type commit struct {
	changes []change
	err     chan error
}

var errJournalClosed = errors.New("the agent is stopping")

func newJournal(ctx context.Context, db *sql.DB, crowded func() bool) (*journal, error) {
	conn, err := db.Conn(ctx)
	if err != nil {
		return nil, err
	}
	j := &journal{conn: conn, in: make(chan *commit, maxBatch), crowded: crowded, gone: make(chan struct{}), quit: make(chan struct{})}
	for text, to := range map[string]**sql.Stmt{
		`BEGIN IMMEDIATE`: &j.stmt.begin,
		`COMMIT`:          &j.stmt.commit,
		`ROLLBACK`:        &j.stmt.rollback,
		`INSERT INTO jobs (seq, id, project, state, queued, started, config) VALUES (?, ?, ?, ?, ?, ?, ?) ON CONFLICT (id) DO NOTHING`: &j.stmt.insert,
		`UPDATE jobs SET state = ?, started = ? WHERE seq = ?`:                                                                         &j.stmt.start,
		`UPDATE jobs SET state = ?, started = ?, ended = ?, exit_code = ?, cause = ?, lost = ?, error = ?, commit_id = ?, artifacts = ?,
			log_size = ?, log = ? WHERE seq = ?`: &j.stmt.finish,
		`INSERT INTO payloads (seq, spec) VALUES (?, ?)`: &j.stmt.payload,
		`DELETE FROM payloads WHERE seq = ?`:             &j.stmt.drop,
		`INSERT INTO stashes (project, id, data) VALUES (?, ?, ?) ON CONFLICT DO UPDATE SET data = excluded.data`: &j.stmt.stash,
		`DELETE FROM stashes WHERE project = ? AND id = ?`:                                                        &j.stmt.unstash,
		`UPDATE jobs SET pruned = 1, queued = NULL, started = NULL, ended = NULL, config = NULL, exit_code = NULL, cause = NULL,
			error = NULL, commit_id = NULL, artifacts = NULL, log_size = NULL, log = NULL WHERE seq = ?`: &j.stmt.prune,
		`PRAGMA wal_checkpoint(TRUNCATE)`: &j.stmt.checkpoint,
	} {
		if *to, err = conn.PrepareContext(ctx, text); err != nil { //nolint:sqlclosecheck // closed with the connection
			return nil, errors.Join(fmt.Errorf("statement %q: %w", text, err), conn.Close())
		}
	}
	go j.run()
	return j, nil
}

// write commits the changes together and returns when they are on disk.
func (j *journal) write(changes ...change) error {
	c := &commit{changes: changes, err: make(chan error, 1)}
	select {
	case j.in <- c:
	case <-j.gone:
		return errJournalClosed
	}
	select {
	case err := <-c.err:
		return err
	case <-j.gone:
	}
	select { // it may have been the last one
	case err := <-c.err:
		return err
	default:
		return errJournalClosed
	}
}

// close writes what is under way, empties the write-ahead log and ends.
func (j *journal) close() error {
	j.once.Do(func() { close(j.quit) })
	<-j.gone
	return j.conn.Close()
}

func (j *journal) run() {
	defer close(j.gone)
	timer := time.NewTimer(checkpointIdle)
	defer timer.Stop()
	timer.Stop()
	var dirty time.Time // of the first commit since the last checkpoint
	batch := make([]*commit, 0, maxBatch)
	for {
		select {
		case c := <-j.in:
			batch = j.gather(append(batch[:0], c))
			if len(batch) < commitCompany && j.crowded() {
				time.Sleep(commitDelay)
				batch = j.gather(batch)
			}
			j.flush(batch)
			clear(batch)
			if dirty.IsZero() {
				dirty = time.Now()
			}
			timer.Reset(max(0, min(checkpointIdle, checkpointMax-time.Since(dirty))))
		case <-timer.C:
			j.truncate()
			dirty = time.Time{}
		case <-j.quit:
			for batch = j.gather(batch[:0]); len(batch) > 0; batch = j.gather(batch[:0]) {
				j.flush(batch)
			}
			j.truncate()
			return
		}
	}
}

// gather adds what is waiting, and lets those run first that may be about to
// add to it; on an idle machine that takes no time.
func (j *journal) gather(batch []*commit) []*commit {
	asked := -1 // of how many there were when the others were let run
	for len(batch) < maxBatch {
		select {
		case c := <-j.in:
			batch = append(batch, c)
		default:
			if asked == len(batch) {
				return batch
			}
			asked = len(batch)
			runtime.Gosched()
		}
	}
	return batch
}

// flush commits the batch. When that is not possible each commit is tried by
// itself, so that one that is wrong does not take the others with it.
func (j *journal) flush(batch []*commit) {
	err := j.transact(batch)
	if err == nil || len(batch) == 1 {
		for _, c := range batch {
			c.err <- err
		}
		return
	}
	for i := range batch {
		batch[i].err <- j.transact(batch[i : i+1])
	}
}

func (j *journal) transact(batch []*commit) error {
	if err := run(j.stmt.begin); err != nil {
		return err
	}
	for _, c := range batch {
		for _, change := range c.changes {
			if err := change(&j.stmt); err != nil {
				return errors.Join(err, run(j.stmt.rollback))
			}
		}
	}
	if err := run(j.stmt.commit); err != nil {
		_ = run(j.stmt.rollback) // SQLite may have rolled back by itself
		return err
	}
	return nil
}

// truncate empties the write-ahead log, where deleted data would stay.
func (j *journal) truncate() {
	var busy, frames, moved int
	_ = j.stmt.checkpoint.QueryRowContext(context.Background()).Scan(&busy, &frames, &moved) // the next one tries again
}

func run(s *sql.Stmt, args ...any) error {
	_, err := s.ExecContext(context.Background(), args...)
	return err
}

// accepted journals a new job, with its data when it has to wait. It sets
// known, and writes nothing, when its id is known already.
func accepted(r record, spec []byte, known *bool) change {
	return func(s *statements) error {
		res, err := s.insert.ExecContext(context.Background(), r.Seq, r.ID, r.Project, int(r.State), toMicro(r.Queued), toMicro(r.Started), r.Config)
		if err != nil {
			return err
		}
		n, err := res.RowsAffected()
		if err != nil {
			return err
		}
		if *known = n == 0; *known || spec == nil {
			return nil
		}
		return run(s.payload, r.Seq, spec)
	}
}

// started journals that a job that has waited is about to run.
func started(seq int64, at time.Time) change {
	return func(s *statements) error {
		return errors.Join(run(s.start, int(sparky.CodeRunning), toMicro(at), seq), run(s.drop, seq))
	}
}

// finished journals how a job ended.
func finished(r record, waited bool) change {
	return func(s *statements) error {
		var artifacts []byte
		if len(r.Artifacts) > 0 {
			var err error
			if artifacts, err = json.Marshal(r.Artifacts); err != nil {
				return err
			}
		}
		if waited {
			if err := run(s.drop, r.Seq); err != nil {
				return err
			}
		}
		return run(s.finish, int(r.State), toMicro(r.Started), toMicro(r.Ended), r.Exit, string(r.Cause), r.Lost, r.Error,
			r.Commit, artifacts, r.LogSize, r.Log, r.Seq)
	}
}
