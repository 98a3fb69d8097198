package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"time"
)

// Duty is something that is done now and then by one replica at a time, in
// this one's hands until Done or Release, or its death.
type Duty struct {
	Name string
	Note string // of the last Done
	s    *Store
	// token rises with every owner.
	token int64
}

// TakeDuty takes a duty that was not done for so long. It returns nil when it
// is not due, or another living replica has it, as nobody but this one can
// have it on SQLite.
func (s *Store) TakeDuty(ctx context.Context, name string, every time.Duration) (*Duty, error) {
	d := &Duty{Name: name, s: s}
	mine := s.hold(d.key())
	err := s.Tx(ctx, func(ctx context.Context, tx *Tx) error {
		if _, err := tx.exec(ctx, `INSERT INTO duties (name) VALUES (?) ON CONFLICT DO NOTHING`, name); err != nil {
			return err
		}
		err := tx.row(ctx, `UPDATE duties SET owner = ?, fence = fence + 1
			WHERE name = ? AND done_at <= {{micros}} - ? AND (owner IN ('', ?) OR NOT `+alive+`) RETURNING fence, note`,
			s.id, name, every.Microseconds(), mine, s.lease.Microseconds()).Scan(&d.token, &d.Note)
		if errors.Is(err, sql.ErrNoRows) {
			d.token = 0
			return nil
		}
		return err
	})
	s.holds(d.key(), mine, d.token, err)
	if err != nil {
		return nil, fmt.Errorf("duty %s take: %w", name, err)
	}
	if d.token == 0 {
		return nil, nil //nolint:nilnil // documented: nothing to do
	}
	return d, nil
}

// key is the duty's among what this process has in its hands.
func (d *Duty) key() string { return "duty " + d.Name }

// Tx is like Store.Tx, and fails with ErrFenced unless this replica still has
// the duty: then it has it until the commit.
func (d *Duty) Tx(ctx context.Context, f func(ctx context.Context, tx *Tx) error) error {
	return d.s.Tx(ctx, func(ctx context.Context, tx *Tx) error {
		n, err := tx.exec(ctx, `UPDATE duties SET fence = fence WHERE name = ? AND owner = ? AND fence = ?`, d.Name, d.s.id, d.token)
		if err == nil && n == 0 {
			err = ErrFenced
		}
		if err != nil {
			return fmt.Errorf("duty %s: %w", d.Name, err)
		}
		return f(ctx, tx)
	})
}

// Keep notes within Tx how far the duty has come, for whoever does it next if
// this process dies.
func (d *Duty) Keep(ctx context.Context, tx *Tx, note string) error {
	if _, err := tx.exec(ctx, `UPDATE duties SET note = ? WHERE name = ?`, note, d.Name); err != nil {
		return fmt.Errorf("duty %s: %w", d.Name, err)
	}
	return nil
}

// Done gives the duty up until it is due again, with a note for whoever does
// it then.
func (d *Duty) Done(ctx context.Context, note string) error {
	defer d.s.held.CompareAndDelete(d.key(), d.token)
	return d.Tx(ctx, func(ctx context.Context, tx *Tx) error {
		_, err := tx.exec(ctx, `UPDATE duties SET owner = '', done_at = {{micros}}, note = ? WHERE name = ?`, note, d.Name)
		return err
	})
}

// Release gives up a duty that was not done, or not to its end: it is due at
// once. One that another replica has is left alone.
func (d *Duty) Release(ctx context.Context) error {
	defer d.s.held.CompareAndDelete(d.key(), d.token)
	return d.s.Tx(ctx, func(ctx context.Context, tx *Tx) error {
		_, err := tx.exec(ctx, `UPDATE duties SET owner = '' WHERE name = ? AND owner = ? AND fence = ?`, d.Name, d.s.id, d.token)
		if err != nil {
			return fmt.Errorf("duty %s release: %w", d.Name, err)
		}
		return nil
	})
}

// Pause gives up a duty that is not at its end, like Release, with a note for
// whoever goes on with it.
func (d *Duty) Pause(ctx context.Context, note string) error {
	defer d.s.held.CompareAndDelete(d.key(), d.token)
	return d.Tx(ctx, func(ctx context.Context, tx *Tx) error {
		_, err := tx.exec(ctx, `UPDATE duties SET owner = '', note = ? WHERE name = ?`, note, d.Name)
		return err
	})
}

// Asked is what GitHub was asked for of a delivery: how often and when last to
// send it again, and by which of its attempts; none for zero.
type Asked struct {
	Times   int
	Last    time.Time
	Attempt int64
}

// Asked returns what GitHub was asked for of a delivery.
func (s *Store) Asked(ctx context.Context, guid string) (a Asked, err error) {
	var at int64
	err = s.reader().row(ctx, `SELECT asks, asked_at, attempt FROM redeliveries WHERE guid = ?`, guid).Scan(&a.Times, &at, &a.Attempt)
	if errors.Is(err, sql.ErrNoRows) {
		return Asked{}, nil
	}
	if err != nil {
		return Asked{}, fmt.Errorf("redelivery of %s: %w", guid, err)
	}
	a.Last = fromMicros(at)
	return a, nil
}

// AskedSince returns how many deliveries GitHub was asked for since a time, by
// whichever replica.
func (s *Store) AskedSince(ctx context.Context, since time.Time) (n int, err error) {
	err = s.reader().row(ctx, `SELECT count(*) FROM redeliveries WHERE asked_at > ? AND attempt <> 0`, micros(since)).Scan(&n)
	if err != nil {
		return 0, fmt.Errorf("redeliveries: %w", err)
	}
	return n, nil
}

// Ask notes that GitHub is asked to send a delivery again, by one of its
// attempts; 0: by none, it is worked again.
func (tx *Tx) Ask(ctx context.Context, guid string, attempt int64, at time.Time) error {
	_, err := tx.exec(ctx, `INSERT INTO redeliveries (guid, asks, asked_at, attempt) VALUES (?, 1, ?, ?)
		ON CONFLICT (guid) DO UPDATE SET asks = redeliveries.asks + 1, asked_at = excluded.asked_at, attempt = excluded.attempt`, guid, micros(at), attempt)
	if err != nil {
		return fmt.Errorf("redelivery of %s: %w", guid, err)
	}
	return nil
}

// GivenUp returns the GUIDs of deliveries, received since a time, whose work
// was given up, the oldest first.
func (s *Store) GivenUp(ctx context.Context, since time.Time, limit int) ([]string, error) {
	guids, err := list(ctx, s.reader(), func(row scanner) (guid string, err error) {
		err = row.Scan(&guid)
		return guid, err
	}, `SELECT guid FROM deliveries WHERE received_at >= ? AND state = ? ORDER BY received_at LIMIT ?`, micros(since), DeliveryFailed, limit)
	if err != nil {
		return nil, fmt.Errorf("deliveries given up: %w", err)
	}
	return guids, nil
}
