package store

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/cromt/cromt/flow"
)

// State is how far a run has come.
type State string

// The states of runs. Those of the Checks API but for waiting.
const (
	Queued     State = "queued"
	InProgress State = "in_progress"
	Waiting    State = "waiting" // for somebody's approval
	Completed  State = "completed"
)

// Run is a run of the App.
type Run struct {
	ID  string // see flow.NewRunID
	Key string // what it answers: unique
	// Class tells apart what does not supersede one another: code, comment, …
	Class        string
	Repo         string // owner/name
	RepoID       int64  // GitHub's: another repository may get the name; 0: not known
	Installation int64
	SHA          string
	Ref          string // refs/heads/main
	Branch       string // of a pull request, its head
	Origin       Origin
	Spec         Spec // Runs leaves it out

	State        State
	Conclusion   flow.Conclusion
	CreatedAt    time.Time
	StartedAt    time.Time
	CompletedAt  time.Time
	CancelledBy  string // who asked for it to be cancelled; "": nobody
	SupersededBy string // the run on whose behalf it was cancelled
}

// Origin says where a run comes from.
type Origin struct {
	Event      string
	PullNumber int64 // 0: none
	Fork       bool
	Sender     string
	Title      string
	Reason     string
	RerunOf    string // run
}

// Spec is what a run plans from. It is pinned when the run is created, so that
// another process plans the same.
type Spec struct {
	ConfigPath string
	Config     []byte
	Roots      []string
	Vars       map[string]string
	FailFast   bool          // the first failed job cancels the rest
	Timeout    time.Duration // of the whole run, from its start; 0: none
	Kept       []flow.Kept   // of the run that it is a re-run of
}

// CreateRun stores a run and queues its work, unless it is Waiting. When there
// is one of that key already, that one is returned and created is false. The
// State defaults to Queued, CreatedAt to now.
func (tx *Tx) CreateRun(ctx context.Context, r *Run) (run *Run, created bool, err error) {
	c := *r
	if c.State == "" {
		c.State = Queued
	}
	if c.CreatedAt.IsZero() {
		c.CreatedAt = time.Now()
	}
	c.CreatedAt = fromMicros(micros(c.CreatedAt))
	o := &c.Origin
	n, err := tx.exec(ctx, `INSERT INTO runs (id, key, class, repo, repo_id, installation, sha, ref, branch, event, pull, fork, sender, title, reason, rerun_of, state, created_at)
		VALUES (`+marks(18)+`) ON CONFLICT (key) DO NOTHING`,
		c.ID, c.Key, c.Class, c.Repo, c.RepoID, c.Installation, c.SHA, c.Ref, c.Branch, o.Event, o.PullNumber, o.Fork, o.Sender, o.Title, o.Reason, o.RerunOf, c.State, micros(c.CreatedAt))
	if err != nil {
		return nil, false, fmt.Errorf("run %s create: %w", c.ID, err)
	}
	if n == 0 {
		run, err = getRun(ctx, tx.conn, `r.key = ?`, c.Key)
		return run, false, err
	}
	if err := tx.insertSpec(ctx, &c); err != nil {
		return nil, false, fmt.Errorf("run %s create: %w", c.ID, err)
	}
	return &c, true, nil
}

func (tx *Tx) insertSpec(ctx context.Context, r *Run) error {
	roots, err := json.Marshal(r.Spec.Roots)
	if err != nil {
		return err
	}
	vars, err := json.Marshal(r.Spec.Vars)
	if err != nil {
		return err
	}
	var kept []byte
	if len(r.Spec.Kept) > 0 {
		if kept, err = json.Marshal(r.Spec.Kept); err != nil {
			return err
		}
		kept = tx.s.pack.pack(kept)
	}
	_, err = tx.exec(ctx, `INSERT INTO run_data (run, config_path, config, roots, vars, fail_fast, timeout, kept) VALUES (`+marks(8)+`)`,
		r.ID, r.Spec.ConfigPath, tx.s.pack.pack(r.Spec.Config), string(roots), string(vars), r.Spec.FailFast, r.Spec.Timeout.Microseconds(), kept)
	if err != nil {
		return err
	}
	if _, err := tx.exec(ctx, `INSERT INTO leases (run) VALUES (?)`, r.ID); err != nil {
		return err
	}
	if r.State == Waiting {
		return nil
	}
	return tx.wake(ctx, r.ID)
}

// Release queues a run that was Waiting.
func (tx *Tx) Release(ctx context.Context, run string) error {
	n, err := tx.exec(ctx, `UPDATE runs SET state = ? WHERE id = ? AND state = ?`, Queued, run, Waiting)
	if err == nil && n > 0 {
		err = tx.wake(ctx, run)
	}
	if err != nil {
		return fmt.Errorf("run %s release: %w", run, err)
	}
	return nil
}

// Cancel asks for a run to be cancelled, and has its work looked at soon, so
// that its owner does it. The first who asks is noted; a run that is completed
// is left alone. supersededBy may be empty.
func (tx *Tx) Cancel(ctx context.Context, run, by, supersededBy string) error {
	n, err := tx.exec(ctx, `UPDATE runs SET cancelled_by = ?, superseded_by = ? WHERE id = ? AND state <> ? AND cancelled_by = ''`,
		by, supersededBy, run, Completed)
	if err == nil && n > 0 {
		err = tx.wake(ctx, run)
	}
	if err != nil {
		return fmt.Errorf("run %s cancel: %w", run, err)
	}
	return nil
}

// Run returns a run. The error wraps ErrNotFound when there is none.
func (s *Store) Run(ctx context.Context, id string) (*Run, error) {
	return getRun(ctx, s.reader(), `r.id = ?`, id)
}

// RunByKey is like Run for the key of what it answers.
func (s *Store) RunByKey(ctx context.Context, key string) (*Run, error) {
	return getRun(ctx, s.reader(), `r.key = ?`, key)
}

const runColumns = `r.id, r.key, r.class, r.repo, r.repo_id, r.installation, r.sha, r.ref, r.branch, r.event, r.pull, r.fork, r.sender, r.title, r.reason,
	r.rerun_of, r.state, r.conclusion, r.created_at, r.started_at, r.completed_at, r.cancelled_by, r.superseded_by`

func scanRun(row scanner) (*Run, error) { return scanRunAnd(row) }

// scanRunAnd scans the runColumns and what follows them.
func scanRunAnd(row scanner, more ...any) (*Run, error) {
	var r Run
	var created, started, completed int64
	o := &r.Origin
	err := row.Scan(append([]any{&r.ID, &r.Key, &r.Class, &r.Repo, &r.RepoID, &r.Installation, &r.SHA, &r.Ref, &r.Branch, &o.Event, &o.PullNumber, &o.Fork,
		&o.Sender, &o.Title, &o.Reason, &o.RerunOf, &r.State, &r.Conclusion, &created, &started, &completed,
		&r.CancelledBy, &r.SupersededBy}, more...)...)
	if err != nil {
		return nil, err
	}
	r.CreatedAt, r.StartedAt, r.CompletedAt = fromMicros(created), fromMicros(started), fromMicros(completed)
	return &r, nil
}

func getRun(ctx context.Context, c conn, where, arg string) (*Run, error) {
	var spec Spec
	var roots, vars string
	var timeout int64
	var kept []byte
	row := c.row(ctx, `SELECT `+runColumns+`, d.config_path, d.config, d.roots, d.vars, d.fail_fast, d.timeout, d.kept
		FROM runs r JOIN run_data d ON d.run = r.id WHERE `+where, arg)
	r, err := scanRunAnd(row, &spec.ConfigPath, &spec.Config, &roots, &vars, &spec.FailFast, &timeout, &kept)
	if errors.Is(err, sql.ErrNoRows) {
		err = ErrNotFound
	}
	if err == nil {
		spec.Config, err = unpack(spec.Config)
	}
	if err == nil {
		err = json.Unmarshal([]byte(roots), &spec.Roots)
	}
	if err == nil {
		err = json.Unmarshal([]byte(vars), &spec.Vars)
	}
	if err == nil && kept != nil {
		if kept, err = unpack(kept); err == nil {
			err = json.Unmarshal(kept, &spec.Kept)
		}
	}
	if err != nil {
		return nil, fmt.Errorf("run %s: %w", arg, err)
	}
	spec.Timeout = time.Duration(timeout) * time.Microsecond
	r.Spec = spec
	return r, nil
}
