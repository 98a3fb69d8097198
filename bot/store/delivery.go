package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"time"

	"github.com/riverqueue/river"
)

// DeliveryState is how far a delivery has come.
type DeliveryState string

// The states of deliveries.
const (
	DeliveryQueued    DeliveryState = "queued"
	DeliveryProcessed DeliveryState = "processed"
	DeliveryFailed    DeliveryState = "failed" // its work was given up
)

// Delivery is one webhook delivery.
type Delivery struct {
	ID           int64  // given by the store
	GUID         string // X-GitHub-Delivery: the same when it is redelivered
	Event        string
	Action       string
	Repo         string // owner/name
	Installation int64
	// Digest is the same for deliveries that mean the same under different
	// GUIDs, which GitHub's signature does not cover. Empty: none does.
	Digest     string
	Payload    []byte
	ReceivedAt time.Time
	State      DeliveryState
	Error      string // why it failed last
}

// Accept stores a delivery and queues its work, durably before it returns.
// One that is there already, by its GUID or Digest, is not new, unless its
// work had been given up: then it is queued again.
func (s *Store) Accept(ctx context.Context, d Delivery) (isNew bool, err error) {
	payload := s.pack.pack(d.Payload)
	err = s.Tx(ctx, func(ctx context.Context, tx *Tx) error {
		var id int64
		err := tx.row(ctx, `INSERT INTO deliveries (guid, event, action, repo, installation, digest, payload, received_at, state)
			VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT DO NOTHING RETURNING id`,
			d.GUID, d.Event, d.Action, d.Repo, d.Installation, sql.NullString{String: d.Digest, Valid: d.Digest != ""},
			payload, micros(d.ReceivedAt), DeliveryQueued).Scan(&id)
		if errors.Is(err, sql.ErrNoRows) {
			err = tx.row(ctx, `UPDATE deliveries SET state = ?, error = '' WHERE (guid = ? OR digest = ?) AND state = ? RETURNING id`,
				DeliveryQueued, d.GUID, d.Digest, DeliveryFailed).Scan(&id)
		}
		if errors.Is(err, sql.ErrNoRows) {
			isNew = false
			return nil
		}
		if err != nil {
			return err
		}
		isNew = true
		tx.inserts = append(tx.inserts, river.InsertManyParams{Args: deliverArgs{Delivery: id}})
		return nil
	})
	if err != nil {
		return false, fmt.Errorf("delivery accept: %w", err)
	}
	return isNew, nil
}

// isProcessed reports whether nothing is left to be done for a delivery.
func (s *Store) isProcessed(ctx context.Context, id int64) (bool, error) {
	var state DeliveryState
	if err := s.reader().row(ctx, `SELECT state FROM deliveries WHERE id = ?`, id).Scan(&state); err != nil {
		return false, fmt.Errorf("delivery %d: %w", id, err)
	}
	return state == DeliveryProcessed, nil
}

// Processed marks a delivery as done, in the transaction that writes what it
// led to.
func (tx *Tx) Processed(ctx context.Context, delivery int64) error {
	_, err := tx.exec(ctx, `UPDATE deliveries SET state = ?, error = '' WHERE id = ?`, DeliveryProcessed, delivery)
	if err != nil {
		return fmt.Errorf("delivery processed: %w", err)
	}
	return nil
}

// Delivery returns a delivery with its payload. The error wraps ErrNotFound
// when there is none.
func (s *Store) Delivery(ctx context.Context, id int64) (*Delivery, error) {
	return s.delivery(ctx, `id = ?`, id)
}

// DeliveryByGUID is like Delivery for the GUID that GitHub knows it by.
func (s *Store) DeliveryByGUID(ctx context.Context, guid string) (*Delivery, error) {
	return s.delivery(ctx, `guid = ?`, guid)
}

func (s *Store) delivery(ctx context.Context, where string, arg any) (*Delivery, error) {
	var (
		d        Delivery
		digest   sql.NullString
		received int64
	)
	err := s.reader().row(ctx, `SELECT id, guid, event, action, repo, installation, digest, payload, received_at, state, error
		FROM deliveries WHERE `+where, arg).Scan(&d.ID, &d.GUID, &d.Event, &d.Action, &d.Repo, &d.Installation,
		&digest, &d.Payload, &received, &d.State, &d.Error)
	if errors.Is(err, sql.ErrNoRows) {
		err = ErrNotFound
	}
	if err == nil {
		d.Payload, err = unpack(d.Payload)
	}
	if err != nil {
		return nil, fmt.Errorf("delivery %v: %w", arg, err)
	}
	d.Digest, d.ReceivedAt = digest.String, fromMicros(received)
	return &d, nil
}

// deliveryFailed notes why the work of a delivery failed, and whether it was
// given up.
func (s *Store) deliveryFailed(ctx context.Context, id int64, cause error, last bool) error {
	state := DeliveryQueued
	if last {
		state = DeliveryFailed
	}
	return s.Tx(ctx, func(ctx context.Context, tx *Tx) error {
		_, err := tx.exec(ctx, `UPDATE deliveries SET state = ?, error = ? WHERE id = ? AND state <> ?`,
			state, cause.Error(), id, DeliveryProcessed)
		return err
	})
}
