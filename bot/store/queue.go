package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"runtime/debug"
	"sync"
	"time"

	"github.com/riverqueue/river"
	"github.com/riverqueue/river/rivertype"
)

// The queues: runs that take long never hold up deliveries.
const (
	deliverQueue = "deliver"
	workQueue    = "work"
)

// liveStates are those of work that is still to come or at hand, as SQL.
const liveStates = `('available', 'pending', 'retryable', 'running', 'scheduled')`

// deliverArgs is the work of one delivery. It is queued once, when the
// delivery is stored or was given up.
type deliverArgs struct {
	Delivery int64 `json:"delivery"`
}

func (deliverArgs) Kind() string { return "deliver" }

func (deliverArgs) InsertOpts() river.InsertOpts {
	return river.InsertOpts{Queue: deliverQueue, MaxAttempts: deliverAttempts}
}

// workArgs is the work of one run, never queued twice at once.
type workArgs struct {
	Run string `json:"run"`
}

func (workArgs) Kind() string { return "work" }

func (workArgs) InsertOpts() river.InsertOpts {
	return river.InsertOpts{Queue: workQueue, MaxAttempts: workAttempts, UniqueOpts: river.UniqueOpts{ByArgs: true, ByState: []rivertype.JobState{
		rivertype.JobStateAvailable, rivertype.JobStatePending, rivertype.JobStateRetryable, rivertype.JobStateRunning, rivertype.JobStateScheduled,
	}}}
}

// Workers do the queue's work.
type Workers struct {
	// Deliver turns a delivery into runs, and marks it with Tx.Processed in
	// the same transaction. It may be called again for one that failed, or
	// whose process died.
	Deliver func(ctx context.Context, delivery int64) error
	// Work does one slice of a run, and is called again after again, or
	// earlier when the run is cancelled; 0 says that the run is completed or
	// waits. An error that wraps ErrClaimed or ErrFenced waits for the owner;
	// any other is tried again, later each time. ctx has a timeout of ten
	// minutes: a slice is meant to take seconds.
	Work func(ctx context.Context, run string) (again time.Duration, err error)

	// Deliveries and Runs are how many of them are worked at once by this
	// process. Default: 16 and 256.
	Deliveries, Runs int
}

// Queue works until it is stopped.
type Queue struct {
	s      *Store
	client *river.Client[*sql.Tx]
	stop   context.CancelFunc
	tasks  sync.WaitGroup
	inHand sync.Map // what workers are at, by the queue's id
}

// Start begins to work. What dead processes left behind is taken up at once,
// and looked for ever after, every quarter of a lease.
func (s *Store) Start(ctx context.Context, w Workers) (*Queue, error) {
	q := &Queue{s: s}
	workers := river.NewWorkers()
	river.AddWorker(workers, &deliverWorker{q: q, f: w.Deliver})
	river.AddWorker(workers, &runWorker{q: q, f: w.Work})
	client, err := river.NewClient(wakingDriver{s.dialect.river(s.db), s.waker}, &river.Config{
		ID:     s.id,
		Logger: s.logger,
		Queues: map[string]river.QueueConfig{
			deliverQueue: {MaxWorkers: positive(w.Deliveries, 16)},
			workQueue:    {MaxWorkers: positive(w.Runs, 256)},
		},
		Workers:                     workers,
		FetchCooldown:               fetchCooldown,
		FetchPollInterval:           fetchPoll,
		JobTimeout:                  workTimeout,
		RescueStuckJobsAfter:        rescueAfter,
		RetryPolicy:                 retryPolicy{},
		CompletedJobRetentionPeriod: keepQueueRows,
		DiscardedJobRetentionPeriod: keepQueueRows,
	})
	if err != nil {
		return nil, fmt.Errorf("queue start: %w", err)
	}
	if err := s.recover(ctx); err != nil {
		return nil, err
	}
	background, stop := context.WithCancel(context.WithoutCancel(ctx))
	if err := client.Start(background); err != nil {
		stop()
		return nil, fmt.Errorf("queue start: %w", err)
	}
	q.client, q.stop = client, stop
	q.tasks.Go(func() { q.recoverLoop(background) })
	q.tasks.Go(func() { q.wakeSnoozed(background) })
	return q, nil
}

// Stop takes no more work and waits for what is at hand, until ctx is done:
// then that work's contexts are cancelled, and it is waited for.
func (q *Queue) Stop(ctx context.Context) error {
	err := q.client.Stop(ctx)
	if ctx.Err() != nil {
		err = q.client.StopAndCancel(context.WithoutCancel(ctx))
	}
	q.stop()
	q.tasks.Wait()
	if err != nil {
		return fmt.Errorf("queue stop: %w", err)
	}
	return nil
}

// hold notes that a worker is at it, until it is not.
func (q *Queue) hold(id int64) (drop func()) {
	q.inHand.Store(id, true)
	return func() { q.inHand.Delete(id) }
}

func positive(n, otherwise int) int {
	if n > 0 {
		return n
	}
	return otherwise
}

// retryPolicy doubles the delay from 2 s to maxRetryDelay.
type retryPolicy struct{}

func (retryPolicy) NextRetry(job *rivertype.JobRow) time.Time {
	delay := maxRetryDelay
	if n := len(job.Errors) + 1; n < 7 {
		delay = min(delay, time.Second<<n)
	}
	return time.Now().Add(delay)
}

type deliverWorker struct {
	river.WorkerDefaults[deliverArgs]
	q *Queue
	f func(ctx context.Context, delivery int64) error
}

func (*deliverWorker) Timeout(*river.Job[deliverArgs]) time.Duration { return deliverTimeout }

// Work implements river.Worker.
func (w *deliverWorker) Work(ctx context.Context, job *river.Job[deliverArgs]) error {
	defer w.q.hold(job.ID)()
	id := job.Args.Delivery
	done, err := w.q.s.isProcessed(ctx, id)
	if err != nil || done {
		return err
	}
	err = w.q.s.guard(func() error { return w.f(ctx, id) })
	if err != nil {
		last := job.Attempt >= job.MaxAttempts
		w.q.s.logger.Warn("delivery", "delivery", id, "error", err, "given_up", last)
		return errors.Join(err, w.q.s.deliveryFailed(context.WithoutCancel(ctx), id, err, last))
	}
	if done, err := w.q.s.isProcessed(ctx, id); err != nil || done { // most mark it themselves
		return err
	}
	return w.q.s.Tx(ctx, func(ctx context.Context, tx *Tx) error { return tx.Processed(ctx, id) })
}

type runWorker struct {
	river.WorkerDefaults[workArgs]
	q *Queue
	f func(ctx context.Context, run string) (time.Duration, error)
}

// Work implements river.Worker.
func (w *runWorker) Work(ctx context.Context, job *river.Job[workArgs]) error {
	defer w.q.hold(job.ID)()
	run := job.Args.Run
	if err := w.q.s.heed(ctx, run); err != nil {
		return err
	}
	var again time.Duration
	err := w.q.s.guard(func() (err error) {
		again, err = w.f(ctx, run)
		return err
	})
	switch {
	case errors.Is(err, ErrClaimed), errors.Is(err, ErrFenced):
		again = w.q.s.lease / heartbeats
	case err != nil:
		w.q.s.logger.Warn("run", "run", run, "error", err)
		return err
	}
	var due, woken bool
	err = w.q.s.reader().row(ctx, `SELECT `+isDue+`, l.woken FROM runs r JOIN leases l ON l.run = r.id WHERE r.id = ?`, run).Scan(&due, &woken)
	switch {
	case errors.Is(err, sql.ErrNoRows): // pruned
		return nil
	case err != nil:
		return err
	case woken, due && again <= 0:
		return river.JobSnooze(settle)
	case again > 0:
		return river.JobSnooze(again)
	}
	return nil
}

// heed forgets that the run was woken, now that it is about to be worked.
func (s *Store) heed(ctx context.Context, run string) error {
	var woken bool
	err := s.reader().row(ctx, `SELECT woken FROM leases WHERE run = ?`, run).Scan(&woken)
	if err != nil || !woken {
		return err
	}
	return s.Tx(ctx, func(ctx context.Context, tx *Tx) error {
		_, err := tx.exec(ctx, `UPDATE leases SET woken = FALSE WHERE run = ?`, run)
		return err
	})
}

// guard makes an error of a panic, so that what panics is tried again, and
// given up, like what fails.
func (s *Store) guard(f func() error) (err error) {
	defer func() {
		if v := recover(); v != nil {
			s.logger.Error("panic", "value", v, "stack", string(debug.Stack()))
			err = fmt.Errorf("panic: %v", v)
		}
	}()
	return f()
}

// isDue is the condition that a run has work to do.
const isDue = `(r.state IN ('queued', 'in_progress') OR r.state = 'waiting' AND r.cancelled_by <> '')`

// wake has the run's work done soon: what is to come is brought forward, and
// queued where there is none. Work at hand may have seen already what has
// changed, or not: it is done once more.
func (tx *Tx) wake(ctx context.Context, run string) error {
	tx.changed, tx.woke = append(tx.changed, run), true
	var job int64
	if err := tx.row(ctx, `UPDATE leases SET changes = changes + 1 WHERE run = ? RETURNING job_id`, run).Scan(&job); err != nil {
		return err
	}
	if job > 0 {
		n, err := tx.exec(ctx, `UPDATE river_job SET state = 'available', scheduled_at = {{now}}
			WHERE id = ? AND state IN ('available', 'scheduled', 'retryable')`, job)
		if err != nil || n > 0 {
			return err
		}
	}
	res, err := tx.s.insert.InsertTx(ctx, tx.sql, workArgs{Run: run}, nil)
	if err != nil {
		return err
	}
	_, err = tx.exec(ctx, `UPDATE leases SET job_id = ?, woken = ? WHERE run = ?`, res.Job.ID, res.UniqueSkippedAsDuplicate, run)
	return err
}
