package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"time"

	"github.com/cromt/cromt/flow"
)

// alive is the condition that the replica in column owner is alive, with the
// lease in microseconds as its parameter. The database's clock decides.
const alive = `EXISTS (SELECT 1 FROM replicas WHERE replicas.id = owner AND seen_at > {{micros}} - ?)`

// Claim is the ownership of a run. Everything that it writes fails with
// ErrFenced once somebody else owns the run.
type Claim struct {
	Run   string
	Token int64 // rises with every owner of the run
	s     *Store
}

// Claim makes this process the owner of a run, until Release or its death. The
// error wraps ErrClaimed when it has a living owner. A run that is completed
// can be claimed as well: to post how it ended.
func (s *Store) Claim(ctx context.Context, run string) (*Claim, error) {
	c := &Claim{Run: run, s: s}
	mine := s.hold(run)
	err := s.Tx(ctx, func(ctx context.Context, tx *Tx) error {
		err := tx.row(ctx, `UPDATE leases SET owner = ?, fence = fence + 1
			WHERE run = ? AND (owner IN ('', ?) OR NOT `+alive+`) RETURNING fence`, s.id, run, mine, s.lease.Microseconds()).Scan(&c.Token)
		if !errors.Is(err, sql.ErrNoRows) {
			return err
		}
		var n int
		if err := tx.row(ctx, `SELECT count(*) FROM leases WHERE run = ?`, run).Scan(&n); err != nil {
			return err
		}
		if n == 0 {
			return ErrNotFound
		}
		return ErrClaimed
	})
	s.holds(run, mine, c.Token, err)
	if err != nil {
		return nil, fmt.Errorf("run %s claim: %w", run, err)
	}
	return c, nil
}

// hold begins to take something, a run or a duty, and returns whom it may be
// taken from besides dead replicas: this one, unless it has it in hand. It may
// be this one's without that, where the database did not answer when it was let
// go of; it would be nobody's for as long as this process lives.
func (s *Store) hold(what string) (from string) {
	if _, held := s.held.LoadOrStore(what, int64(0)); held {
		return ""
	}
	return s.id
}

// holds ends what hold began; token is what it was taken with.
func (s *Store) holds(what, from string, token int64, err error) {
	switch {
	case err == nil && token != 0:
		s.held.Store(what, token)
	case from != "":
		s.held.Delete(what)
	}
}

// Tx is like Store.Tx, and fails with ErrFenced unless the run is still owned:
// then it stays so until the commit.
func (c *Claim) Tx(ctx context.Context, f func(ctx context.Context, tx *Tx) error) error {
	return c.s.Tx(ctx, func(ctx context.Context, tx *Tx) error {
		n, err := tx.exec(ctx, `UPDATE leases SET changes = changes + 1 WHERE run = ? AND owner = ? AND fence = ?`, c.Run, c.s.id, c.Token)
		if err != nil {
			return fmt.Errorf("run %s: %w", c.Run, err)
		}
		if n == 0 {
			return fmt.Errorf("run %s: %w", c.Run, ErrFenced)
		}
		tx.changed = append(tx.changed, c.Run)
		return f(ctx, tx)
	})
}

// Check returns an error that wraps ErrFenced unless the run is still owned.
func (c *Claim) Check(ctx context.Context) error {
	var n int
	err := c.s.reader().row(ctx, `SELECT count(*) FROM leases WHERE run = ? AND owner = ? AND fence = ?`, c.Run, c.s.id, c.Token).Scan(&n)
	if err == nil && n == 0 {
		err = ErrFenced
	}
	if err != nil {
		return fmt.Errorf("run %s: %w", c.Run, err)
	}
	return nil
}

// Release gives the run up for the next owner. One that was taken over is
// left alone.
func (c *Claim) Release(ctx context.Context) error {
	defer c.s.held.CompareAndDelete(c.Run, c.Token)
	return c.s.Tx(ctx, func(ctx context.Context, tx *Tx) error {
		_, err := tx.exec(ctx, `UPDATE leases SET owner = '' WHERE run = ? AND owner = ? AND fence = ?`, c.Run, c.s.id, c.Token)
		if err != nil {
			return fmt.Errorf("run %s release: %w", c.Run, err)
		}
		return nil
	})
}

// Finish stores the run's report, concludes the run, and wakes those that may
// have waited for that. What is to be stored with it, its check runs' final
// states, then writes in the same transaction; then may be nil.
func (c *Claim) Finish(ctx context.Context, report *flow.Run, then func(ctx context.Context, tx *Tx) error) error {
	data, err := encodeReport(c.s, report)
	if err != nil {
		return err
	}
	return c.Tx(ctx, func(ctx context.Context, tx *Tx) error {
		if err := tx.concludeJobs(ctx, c.Run, report); err != nil {
			return fmt.Errorf("run %s finish: %w", c.Run, err)
		}
		if _, err := tx.exec(ctx, `UPDATE run_data SET report = ? WHERE run = ?`, data, c.Run); err != nil {
			return fmt.Errorf("run %s finish: %w", c.Run, err)
		}
		return c.conclude(ctx, tx, report.Conclusion, report.CompletedAt, then)
	})
}

// Conclude ends a run that has no report: one that was cancelled before it
// began, or whose jobs.yaml is wrong.
func (c *Claim) Conclude(ctx context.Context, conclusion flow.Conclusion, then func(ctx context.Context, tx *Tx) error) error {
	return c.Tx(ctx, func(ctx context.Context, tx *Tx) error {
		return c.conclude(ctx, tx, conclusion, time.Now(), then)
	})
}

func (c *Claim) conclude(ctx context.Context, tx *Tx, conclusion flow.Conclusion, at time.Time, then func(ctx context.Context, tx *Tx) error) error {
	_, err := tx.exec(ctx, `UPDATE runs SET state = ?, conclusion = ?, completed_at = ? WHERE id = ?`, Completed, conclusion, micros(at), c.Run)
	if err == nil && then != nil {
		err = then(ctx, tx)
	}
	if err == nil {
		err = tx.wakeLine(ctx, c.Run)
	}
	if err != nil {
		return fmt.Errorf("run %s conclude: %w", c.Run, err)
	}
	return nil
}

// announce makes this process a replica. On SQLite it is the only one, and
// never silent.
func (s *Store) announce(ctx context.Context) error {
	if s.presence != nil {
		return s.presence.turn(ctx)
	}
	c := conn{s.db, s.dialect}
	if _, err := c.exec(ctx, `DELETE FROM replicas`); err != nil {
		return err
	}
	_, err := c.exec(ctx, `INSERT INTO replicas (id, seen_at) VALUES (?, ?)`, s.id, int64(1)<<62)
	return err
}
