package store

import (
	"context"
	"fmt"
	"time"
)

// Host is what is known of a host's health.
type Host struct {
	URL      string
	OKAt     time.Time // last success; zero: never
	FailAt   time.Time // last failure
	Failures int       // since the last success
	Error    string    // of the last failure since
	Version  string    // of its agent
	Queued   int
	Running  int
	Latency  time.Duration
}

// HostProbe is what one look at a host found.
type HostProbe struct {
	URL     string
	At      time.Time
	Error   string // "": it is well, and the rest is filled
	Version string
	Queued  int
	Running int
	Latency time.Duration
}

// SaveHost stores what a look at a host found.
func (s *Store) SaveHost(ctx context.Context, p HostProbe) error {
	return s.Tx(ctx, func(ctx context.Context, tx *Tx) (err error) {
		at := micros(p.At)
		if p.Error != "" {
			_, err = tx.exec(ctx, `INSERT INTO hosts (url, fail_at, failures, error) VALUES (?, ?, 1, ?)
				ON CONFLICT (url) DO UPDATE SET fail_at = excluded.fail_at, failures = hosts.failures + 1, error = excluded.error`, p.URL, at, p.Error)
		} else {
			_, err = tx.exec(ctx, `INSERT INTO hosts (url, ok_at, version, queued, running, latency) VALUES (?, ?, ?, ?, ?, ?)
				ON CONFLICT (url) DO UPDATE SET ok_at = excluded.ok_at, failures = 0, error = '', version = excluded.version,
					queued = excluded.queued, running = excluded.running, latency = excluded.latency`,
				p.URL, at, p.Version, p.Queued, p.Running, p.Latency.Microseconds())
		}
		if err != nil {
			return fmt.Errorf("host %s save: %w", p.URL, err)
		}
		return nil
	})
}

// Hosts returns the health of all hosts that were ever looked at, by URL.
func (s *Store) Hosts(ctx context.Context) ([]Host, error) {
	hosts, err := list(ctx, s.reader(), func(row scanner) (h Host, err error) {
		var ok, fail, latency int64
		err = row.Scan(&h.URL, &ok, &fail, &h.Failures, &h.Error, &h.Version, &h.Queued, &h.Running, &latency)
		h.OKAt, h.FailAt, h.Latency = fromMicros(ok), fromMicros(fail), time.Duration(latency)*time.Microsecond
		return h, err
	}, `SELECT url, ok_at, fail_at, failures, error, version, queued, running, latency FROM hosts ORDER BY url`)
	if err != nil {
		return nil, fmt.Errorf("hosts: %w", err)
	}
	return hosts, nil
}
