package store

import (
	"context"
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"time"

	"github.com/jackc/pgx/v5"
)

// presence is how replicas on PostgreSQL know of one another. Each says every
// beat that it lives, over a connection of its own, which holds an advisory lock
// for as long: the server frees it in the moment in which the process is gone.
// Who does not hold its lock any more, and has been silent for some beats, is
// dead, and forgotten: seconds after its end, long before its lease is over.
//
// A living replica loses its lock with its connection, when the server crashes
// or somebody ends it. The beats of silence are its time to be back, with
// another lock; and as a crash ends everybody's, nobody judges others before it
// has been connected for as long itself. Were that not enough, it would be
// fenced, as whoever comes late is.
//
// Of one whose machine stops, or is cut off, the server keeps the connection:
// there the lease decides.
type presence struct {
	s       *Store
	address string
	beat    time.Duration
	silence time.Duration

	conn   *pgx.Conn // nil: none
	since  time.Time // conn is there
	key    int32     // of the lock; 0: there is none
	told   bool      // that there is none
	known  bool      // to the others, when it last beat
	others map[string]bool
}

// lockClass is the first half of all replicas' locks: any number, as long as it
// is always this one.
const lockClass = 729836421

func newPresence(s *Store, address string, beat time.Duration) *presence {
	if beat <= 0 {
		beat = min(beatInterval, s.lease/heartbeats)
	}
	return &presence{s: s, address: address, beat: beat, silence: silentBeats * beat}
}

// run beats until ctx is done.
func (p *presence) run(ctx context.Context) {
	next := p.beat
	for {
		select {
		case <-ctx.Done():
			return
		case <-time.After(next):
		}
		next = p.beat
		if err := p.turn(ctx); err != nil && ctx.Err() == nil {
			p.s.logger.Warn("heartbeat", "error", err)
			next = p.beat / 4 // its lock is gone with the connection
		}
	}
}

// turn is one beat, and a look at who else lives.
func (p *presence) turn(ctx context.Context) error {
	// Half a lease leaves time for another connection.
	ctx, cancel := context.WithTimeout(ctx, p.s.lease/2)
	defer cancel()
	err := p.connect(ctx)
	if err == nil {
		err = p.announce(ctx)
	}
	if err == nil {
		err = p.look(ctx)
	}
	if err != nil {
		p.close()
		return fmt.Errorf("replica: %w", err)
	}
	return nil
}

// close ends the connection, if there is one: the lock is free then.
func (p *presence) close() {
	if p.conn == nil {
		return
	}
	ctx, cancel := context.WithTimeout(context.Background(), p.beat)
	defer cancel()
	_ = p.conn.Close(ctx) // most often it is broken
	p.conn = nil
}

// connect opens the connection and takes a lock, unless there is one. The lock
// is another one each time: of the last one the server may not know yet that
// nobody has it any more.
func (p *presence) connect(ctx context.Context) error {
	if p.conn != nil {
		return nil
	}
	conn, err := pgx.Connect(ctx, p.address)
	if err != nil {
		return err
	}
	p.conn, p.since, p.key = conn, time.Now(), 0
	// What pools connections says another number than the server's, and may
	// give the session with the lock to others, or end it.
	var pid uint32
	if err := conn.QueryRow(ctx, `SELECT pg_backend_pid()`).Scan(&pid); err != nil {
		return err
	}
	if pid != conn.PgConn().PID() {
		if !p.told {
			p.told = true
			p.s.logger.Info("connections to the database are pooled: that a replica has died is noticed when its lease is over", "lease", p.s.lease.String())
		}
		return nil
	}
	for range lockTries {
		key := 1 + rand.Int32N(math.MaxInt32)
		var got bool
		if err := conn.QueryRow(ctx, `SELECT pg_try_advisory_lock($1, $2)`, int32(lockClass), key).Scan(&got); err != nil {
			return err
		}
		if got {
			p.key = key
			return nil
		}
	}
	return errors.New("all locks are taken")
}

// announce makes this process a replica, or says that it still is.
func (p *presence) announce(ctx context.Context) error {
	var fresh bool
	err := p.conn.QueryRow(ctx, p.s.dialect.sql(`INSERT INTO replicas (id, seen_at, lock_key) VALUES (?, {{micros}}, ?)
		ON CONFLICT (id) DO UPDATE SET seen_at = excluded.seen_at, lock_key = excluded.lock_key RETURNING xmax = 0`), p.s.id, p.key).Scan(&fresh)
	if err != nil {
		return err
	}
	if fresh && p.known {
		p.s.logger.Warn("other replicas took this one for dead, and its work over")
	}
	p.known = true
	return nil
}

// look forgets who is dead, and tells of those who are gone since the last look.
func (p *presence) look(ctx context.Context) error {
	if time.Since(p.since) >= p.silence {
		dead, err := p.ids(ctx, `DELETE FROM replicas r WHERE id <> ? AND lock_key <> 0 AND seen_at < {{micros}} - ? AND NOT EXISTS
			(SELECT 1 FROM pg_locks l WHERE l.locktype = 'advisory' AND l.granted AND l.objsubid = 2 AND l.classid::bigint = ? AND l.objid::bigint = r.lock_key
			AND l.database = (SELECT oid FROM pg_database WHERE datname = current_database())) RETURNING id`, p.s.id, p.silence.Microseconds(), int64(lockClass))
		if err != nil {
			return err
		}
		for _, id := range dead {
			p.s.logger.Info("a replica has died", "replica", id)
		}
	}
	ids, err := p.ids(ctx, `SELECT id FROM replicas WHERE id <> ? AND seen_at > {{micros}} - ?`, p.s.id, p.s.lease.Microseconds())
	if err != nil {
		return err
	}
	now := map[string]bool{}
	for _, id := range ids {
		now[id] = true
	}
	for id := range p.others {
		if !now[id] {
			p.s.deaths.tell("")
		}
	}
	p.others = now
	return nil
}

func (p *presence) ids(ctx context.Context, query string, args ...any) ([]string, error) {
	rows, err := p.conn.Query(ctx, p.s.dialect.sql(query), args...)
	if err != nil {
		return nil, err
	}
	return pgx.CollectRows(rows, pgx.RowTo[string])
}

// Deaths returns a channel that receives after another replica has died or
// ended, until ctx is done: what it has left can be taken over. Several may be
// one. On SQLite there are no others.
func (s *Store) Deaths(ctx context.Context) <-chan struct{} { return s.deaths.subscribe(ctx, "") }
