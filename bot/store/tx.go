package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"sync"

	"github.com/riverqueue/river"
)

// Tx is a transaction. Its methods belong to the function that it was handed
// to, and are called with that function's context.
type Tx struct {
	conn
	s       *Store
	sql     *sql.Tx
	own     *sql.Conn                // SQLite's only one, until close
	inserts []river.InsertManyParams // to queue before the commit
	changed []string                 // runs, to tell of after the commit
	woke    bool                     // the work of some is due
}

// Tx runs f in a transaction: all that it writes is durable when Tx returns
// nil, and nothing of it is there otherwise. On SQLite many such functions
// share one commit: f is quick, and calls nothing but the Tx. It may be called
// again when the database asks for that.
func (s *Store) Tx(ctx context.Context, f func(ctx context.Context, tx *Tx) error) error {
	if s.writer != nil {
		return s.writer.do(ctx, f)
	}
	for try := 0; ; try++ {
		err := s.txAlone(ctx, f)
		if try < conflictRetries && isConflict(err) {
			continue
		}
		return err
	}
}

// txAlone runs f in a transaction of its own.
func (s *Store) txAlone(ctx context.Context, f func(ctx context.Context, tx *Tx) error) error {
	ctx, cancel := context.WithTimeout(ctx, commitTimeout)
	defer cancel()
	tx, err := s.begin(ctx)
	if err != nil {
		return err
	}
	defer tx.close()
	if err := f(ctx, tx); err != nil {
		return err
	}
	return tx.commit(ctx)
}

// begin begins a transaction, to be closed, whose commit is durable. On SQLite
// that has to be said before, and taken back after it: the queue uses the same
// connection.
func (s *Store) begin(ctx context.Context) (*Tx, error) {
	tx := &Tx{s: s}
	var err error
	if s.lock == nil {
		tx.sql, err = s.db.BeginTx(ctx, nil)
	} else if tx.own, err = s.db.Conn(ctx); err == nil {
		if _, err = tx.own.ExecContext(ctx, `PRAGMA synchronous = FULL`); err == nil {
			tx.sql, err = tx.own.BeginTx(ctx, nil)
		}
	}
	if err != nil {
		tx.close()
		return nil, fmt.Errorf("database begin: %w", err)
	}
	tx.conn = conn{tx.sql, s.dialect}
	return tx, nil
}

// close rolls back what was not committed, and gives the connection back.
func (tx *Tx) close() {
	if tx.sql != nil {
		_ = tx.sql.Rollback() // after Commit it does nothing
	}
	if tx.own != nil {
		// Without, the queue would be as durable, and slower.
		_, _ = tx.own.ExecContext(context.Background(), `PRAGMA synchronous = NORMAL`)
		_ = tx.own.Close()
	}
}

// commit queues what is to be queued, commits, and tells of what has changed.
func (tx *Tx) commit(ctx context.Context) error {
	if len(tx.inserts) > 0 {
		if _, err := tx.s.insert.InsertManyFastTx(ctx, tx.sql, tx.inserts); err != nil {
			return fmt.Errorf("database queue: %w", err)
		}
	}
	if err := tx.sql.Commit(); err != nil {
		return fmt.Errorf("database commit: %w", err)
	}
	tx.s.hub.tell(tx.changed...)
	if len(tx.inserts) > 0 {
		wake(tx.s.waker.deliver)
	}
	if tx.woke {
		wake(tx.s.waker.work)
	}
	return nil
}

// writer is the one goroutine that writes to SQLite for us. What has come
// while it committed shares the next commit. The queue's own writes take the
// connection in between.
type writer struct {
	s      *Store
	ops    chan *op
	done   chan struct{}
	mu     sync.RWMutex
	closed bool
}

type op struct {
	ctx  context.Context
	f    func(ctx context.Context, tx *Tx) error
	done chan error // capacity 1
}

func newWriter(s *Store) *writer {
	w := &writer{s: s, ops: make(chan *op, maxBatch), done: make(chan struct{})}
	go w.loop()
	return w
}

// do waits for the outcome, whatever becomes of ctx: to give up in between
// would leave open whether it is written.
func (w *writer) do(ctx context.Context, f func(ctx context.Context, tx *Tx) error) error {
	o := &op{ctx: ctx, f: f, done: make(chan error, 1)}
	w.mu.RLock()
	if w.closed {
		w.mu.RUnlock()
		return errors.New("database is closed")
	}
	w.ops <- o
	w.mu.RUnlock()
	return <-o.done
}

// close ends the writer after what it has.
func (w *writer) close() {
	w.mu.Lock()
	w.closed = true
	w.mu.Unlock()
	close(w.ops)
	<-w.done
}

func (w *writer) loop() {
	defer close(w.done)
	for o := range w.ops {
		batch := []*op{o}
		for more := true; more && len(batch) < maxBatch; {
			select {
			case o, ok := <-w.ops:
				if more = ok; ok {
					batch = append(batch, o)
				}
			default:
				more = false
			}
		}
		w.commit(batch)
	}
}

// commit runs a batch in one transaction, each op within its own savepoint.
func (w *writer) commit(batch []*op) {
	ctx, cancel := context.WithTimeout(context.Background(), commitTimeout)
	defer cancel()
	tx, err := w.s.begin(ctx)
	if err != nil {
		answer(batch, err)
		return
	}
	defer tx.close()
	var good []*op
	for _, o := range batch {
		err := o.ctx.Err()
		if err == nil {
			err = tx.savepoint(ctx, o.f)
		}
		if err != nil {
			o.done <- err
			continue
		}
		good = append(good, o)
	}
	if len(good) == 0 {
		return
	}
	answer(good, tx.commit(ctx))
}

func answer(batch []*op, err error) {
	for _, o := range batch {
		o.done <- err
	}
}

// savepoint runs f so that its failure leaves nothing behind.
func (tx *Tx) savepoint(ctx context.Context, f func(ctx context.Context, tx *Tx) error) error {
	if _, err := tx.sql.ExecContext(ctx, `SAVEPOINT op`); err != nil {
		return fmt.Errorf("database savepoint: %w", err)
	}
	inserts, changed := len(tx.inserts), len(tx.changed)
	err := f(ctx, tx)
	if err != nil {
		tx.inserts, tx.changed = tx.inserts[:inserts], tx.changed[:changed]
		if _, undo := tx.sql.ExecContext(ctx, `ROLLBACK TO op`); undo != nil {
			err = errors.Join(err, undo)
		}
	}
	if _, release := tx.sql.ExecContext(ctx, `RELEASE op`); release != nil {
		err = errors.Join(err, release)
	}
	return err
}
