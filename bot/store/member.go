package store

import (
	"context"
	"crypto/subtle"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"time"
)

// The reasons for which a host cannot join a pool.
var (
	// ErrSpent says that a one-time token was used by somebody else.
	ErrSpent = errors.New("the token was used already")
	// ErrNameTaken says that another host of that name is connected.
	ErrNameTaken = errors.New("another host of that name is connected")
	// ErrPoolFull says that a pool has as many members as it may.
	ErrPoolFull = errors.New("the pool is full")
)

// Member is a host that has announced itself.
type Member struct {
	Pool       string
	Name       string
	Credential string // SHA-256 in hex of what it proves who it is with
	Lasting    bool   // it joined with a one-time token, and cannot do so again
	Labels     []string
	Slots      int
	Version    string
	Draining   bool
	Running    int // jobs
	Queued     int // jobs that wait on it
	JoinedAt   time.Time
	SeenAt     time.Time
	Replicas   []string // living ones that it is connected to
}

// Join is a host that wants to be a member.
type Join struct {
	Pool, Name string
	Credential string // SHA-256 in hex
	// Token identifies the one-time token that it has; "" for one that may be
	// used again.
	Token   string
	Expires time.Time // of the token
	Max     int       // members of the pool
}

// JoinMember makes a host a member, or gives it another credential. The same
// Join twice is one.
func (s *Store) JoinMember(ctx context.Context, j Join) error {
	err := s.Tx(ctx, func(ctx context.Context, tx *Tx) error {
		if err := tx.spend(ctx, j); err != nil {
			return err
		}
		var credential string
		var linked int
		err := tx.row(ctx, `SELECT m.credential, (SELECT count(*) FROM member_links l JOIN replicas r ON r.id = l.replica
			WHERE l.pool = m.pool AND l.name = m.name AND `+livingLink+`) FROM members m WHERE pool = ? AND name = ?`, append(s.linkAges(), j.Pool, j.Name)...).Scan(&credential, &linked)
		switch {
		case errors.Is(err, sql.ErrNoRows):
			var n int
			if err := tx.row(ctx, `SELECT count(*) FROM members WHERE pool = ?`, j.Pool).Scan(&n); err != nil {
				return err
			}
			if n >= j.Max {
				return ErrPoolFull
			}
		case err != nil:
			return err
		case sameCredential(credential, j.Credential):
			return nil
		case linked > 0:
			return ErrNameTaken
		}
		_, err = tx.exec(ctx, `INSERT INTO members (pool, name, credential, lasting, joined_at, seen_at) VALUES (?, ?, ?, ?, {{micros}}, {{micros}})
			ON CONFLICT (pool, name) DO UPDATE SET credential = excluded.credential, lasting = excluded.lasting, joined_at = excluded.joined_at, seen_at = excluded.seen_at`,
			j.Pool, j.Name, j.Credential, j.Token != "")
		return err
	})
	if err != nil {
		return fmt.Errorf("member %s of pool %s: %w", j.Name, j.Pool, err)
	}
	return nil
}

// spend notes that a one-time token was used. Whoever has used it may use it
// again: the answer may have got lost.
func (tx *Tx) spend(ctx context.Context, j Join) error {
	if j.Token == "" {
		return nil
	}
	if _, err := tx.exec(ctx, `INSERT INTO spent_tokens (id, credential, expires_at) VALUES (?, ?, ?) ON CONFLICT (id) DO NOTHING`,
		j.Token, j.Credential, micros(j.Expires)); err != nil {
		return err
	}
	var by string
	if err := tx.row(ctx, `SELECT credential FROM spent_tokens WHERE id = ?`, j.Token).Scan(&by); err != nil {
		return err
	}
	if !sameCredential(by, j.Credential) {
		return ErrSpent
	}
	return nil
}

// sameCredential takes as long for any two of a length.
func sameCredential(a, b string) bool {
	return subtle.ConstantTimeCompare([]byte(a), []byte(b)) == 1
}

// livingLink is the condition that a link's replica lives and has seen its
// member lately. It takes both in microseconds.
const livingLink = `l.seen_at > {{micros}} - ? AND r.seen_at > {{micros}} - ?`

func (s *Store) linkAges() []any {
	return []any{memberSilence.Microseconds(), s.lease.Microseconds()}
}

// Member returns one member; ErrNotFound.
func (s *Store) Member(ctx context.Context, pool, name string) (*Member, error) {
	members, err := s.members(ctx, `WHERE m.pool = ? AND m.name = ?`, pool, name)
	switch {
	case err != nil:
		return nil, err
	case len(members) == 0:
		return nil, fmt.Errorf("member %s of pool %s: %w", name, pool, ErrNotFound)
	}
	return &members[0], nil
}

// Members returns all members, by pool and name.
func (s *Store) Members(ctx context.Context) ([]Member, error) { return s.members(ctx, "") }

func (s *Store) members(ctx context.Context, where string, args ...any) ([]Member, error) {
	members, err := list(ctx, s.reader(), func(row scanner) (m Member, err error) {
		var labels string
		var joined, seen int64
		err = row.Scan(&m.Pool, &m.Name, &m.Credential, &m.Lasting, &labels, &m.Slots, &m.Version, &m.Draining, &m.Running, &m.Queued, &joined, &seen)
		m.JoinedAt, m.SeenAt = fromMicros(joined), fromMicros(seen)
		if err == nil {
			err = json.Unmarshal([]byte(labels), &m.Labels)
		}
		return m, err
	}, `SELECT pool, name, credential, lasting, labels, slots, version, draining, running, queued, joined_at, seen_at FROM members m `+where+` ORDER BY pool, name`, args...)
	if err != nil {
		return nil, fmt.Errorf("members: %w", err)
	}
	place := make(map[[2]string]int, len(members))
	for i, m := range members {
		place[[2]string{m.Pool, m.Name}] = i
	}
	_, err = list(ctx, s.reader(), func(row scanner) (struct{}, error) {
		var key [2]string
		var replica string
		err := row.Scan(&key[0], &key[1], &replica)
		if i, ok := place[key]; ok {
			members[i].Replicas = append(members[i].Replicas, replica)
		}
		return struct{}{}, err
	}, `SELECT l.pool, l.name, l.replica FROM member_links l JOIN replicas r ON r.id = l.replica WHERE `+livingLink+` ORDER BY l.replica`, s.linkAges()...)
	if err != nil {
		return nil, fmt.Errorf("members: %w", err)
	}
	return members, nil
}

// SeeMembers stores how the members are that are connected to this replica,
// and that no others are.
func (s *Store) SeeMembers(ctx context.Context, members []Member) error {
	err := s.Tx(ctx, func(ctx context.Context, tx *Tx) error {
		if _, err := tx.exec(ctx, `DELETE FROM member_links WHERE replica = ?`, s.id); err != nil {
			return err
		}
		for _, m := range members {
			labels, err := json.Marshal(append([]string{}, m.Labels...))
			if err != nil {
				return err
			}
			n, err := tx.exec(ctx, `UPDATE members SET labels = ?, slots = ?, version = ?, draining = ?, running = ?, queued = ?, seen_at = {{micros}}
				WHERE pool = ? AND name = ? AND credential = ?`, string(labels), m.Slots, m.Version, m.Draining, m.Running, m.Queued, m.Pool, m.Name, m.Credential)
			if err != nil {
				return err
			}
			if n == 0 {
				continue // it has left, or joined anew
			}
			if _, err := tx.exec(ctx, `INSERT INTO member_links (pool, name, replica, seen_at) VALUES (?, ?, ?, {{micros}})`, m.Pool, m.Name, s.id); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return fmt.Errorf("members: %w", err)
	}
	return nil
}

// LeaveMember forgets a member that can join again by itself. One that cannot
// is kept, to come back with its credential; force forgets it, too.
func (s *Store) LeaveMember(ctx context.Context, pool, name string, force bool) error {
	err := s.Tx(ctx, func(ctx context.Context, tx *Tx) error {
		if _, err := tx.exec(ctx, `DELETE FROM members WHERE pool = ? AND name = ? AND (NOT lasting OR ?)`, pool, name, force); err != nil {
			return err
		}
		_, err := tx.exec(ctx, `DELETE FROM member_links WHERE pool = ? AND name = ?`, pool, name)
		return err
	})
	if err != nil {
		return fmt.Errorf("member %s of pool %s: %w", name, pool, err)
	}
	return nil
}

// PruneMembers forgets members that were not seen for long, and tokens that
// have expired.
func (s *Store) PruneMembers(ctx context.Context) error {
	err := s.Tx(ctx, func(ctx context.Context, tx *Tx) error {
		for _, step := range []struct {
			query string
			args  []any
		}{
			{`DELETE FROM members WHERE NOT lasting AND seen_at < {{micros}} - ?`, []any{passingAge.Microseconds()}},
			{`DELETE FROM members WHERE seen_at < {{micros}} - ?`, []any{lastingAge.Microseconds()}},
			{`DELETE FROM member_links WHERE seen_at < {{micros}} - ?`, []any{passingAge.Microseconds()}},
			{`DELETE FROM spent_tokens WHERE expires_at < {{micros}} - ?`, []any{passingAge.Microseconds()}},
		} {
			if _, err := tx.exec(ctx, step.query, step.args...); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return fmt.Errorf("members: %w", err)
	}
	return nil
}

// Replica is the name of this process among those that share the database.
func (s *Store) Replica() string { return s.id }

// Replicas returns the living processes that share the database.
func (s *Store) Replicas(ctx context.Context) ([]string, error) {
	ids, err := list(ctx, s.reader(), func(row scanner) (id string, err error) {
		err = row.Scan(&id)
		return id, err
	}, `SELECT id FROM replicas WHERE seen_at > {{micros}} - ? ORDER BY id`, s.lease.Microseconds())
	if err != nil {
		return nil, fmt.Errorf("replicas: %w", err)
	}
	return ids, nil
}
