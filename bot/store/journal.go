package store

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"fmt"

	"github.com/cromt/cromt/flow"
)

// Journal returns the Reporter for flow.Engine.Journal: each batch of events
// is durable, and shown in the rows of its jobs and attempts, when Report
// returns. Its error wraps ErrFenced when the run has another owner.
func (c *Claim) Journal(plan *flow.Plan) flow.Reporter { return &journal{c, plan} }

type journal struct {
	c    *Claim
	plan *flow.Plan
}

// Report implements flow.Reporter.
func (j *journal) Report(ctx context.Context, events []flow.Event) error {
	var lines bytes.Buffer
	for i := range events {
		line, err := flow.EncodeEvent(&events[i])
		if err != nil {
			return err
		}
		lines.Write(line)
		lines.WriteByte('\n')
	}
	data := j.c.s.pack.pack(lines.Bytes())
	return j.c.Tx(ctx, func(ctx context.Context, tx *Tx) error {
		if _, err := tx.exec(ctx, `INSERT INTO events (run, data) VALUES (?, ?)`, j.c.Run, data); err != nil {
			return fmt.Errorf("run %s journal: %w", j.c.Run, err)
		}
		for i := range events {
			if err := j.project(ctx, tx, &events[i]); err != nil {
				return fmt.Errorf("run %s journal: %w", j.c.Run, err)
			}
		}
		return nil
	})
}

// History returns the events of a run, for flow.RunOptions.History. Those of
// another plan are an error that wraps flow.ErrOtherPlan.
func (s *Store) History(ctx context.Context, run string, plan *flow.Plan) ([]flow.Event, error) {
	batches, err := list(ctx, s.reader(), scanBytes, `SELECT data FROM events WHERE run = ? ORDER BY id`, run)
	if err != nil {
		return nil, fmt.Errorf("run %s history: %w", run, err)
	}
	var lines [][]byte
	for _, data := range batches {
		data, err := unpack(data)
		if err != nil {
			return nil, fmt.Errorf("run %s history: %w", run, err)
		}
		for line := range bytes.Lines(data) {
			lines = append(lines, line)
		}
	}
	events, err := flow.DecodeEvents(plan, lines)
	if err != nil {
		return nil, fmt.Errorf("run %s history: %w", run, err)
	}
	return events, nil
}

func scanBytes(row scanner) (b []byte, err error) {
	err = row.Scan(&b)
	return b, err
}

// project writes what an event changes to the rows that pages read.
func (j *journal) project(ctx context.Context, tx *Tx, ev *flow.Event) (err error) {
	run, at := j.c.Run, micros(ev.Time)
	switch ev.Kind {
	case flow.RunStarted:
		if _, err := tx.exec(ctx, `UPDATE runs SET state = ?, started_at = ? WHERE id = ?`, InProgress, at, run); err != nil {
			return err
		}
		return tx.insertJobs(ctx, run, j.plan)
	case flow.JobQueued:
		_, err = tx.exec(ctx, `INSERT INTO attempts (run, job, number, job_id, state, queued_at) VALUES (?, ?, ?, ?, ?, ?) ON CONFLICT DO NOTHING`,
			run, ev.Job.Key, ev.Attempt, ev.JobID, flow.StatusQueued, at)
		if err != nil {
			return err
		}
		_, err = tx.exec(ctx, `UPDATE jobs SET state = ?, attempts = ?, queued_at = ?, started_at = 0, host = ? WHERE run = ? AND job = ?`,
			flow.StatusQueued, ev.Attempt, at, cmp.Or(ev.Host, ev.Job.Host), run, ev.Job.Key)
	case flow.JobStarted:
		_, err = tx.exec(ctx, `UPDATE attempts SET state = ?, started_at = ? WHERE run = ? AND job = ? AND number = ?`,
			flow.StatusInProgress, at, run, ev.Job.Key, ev.Attempt)
		if err != nil {
			return err
		}
		_, err = tx.exec(ctx, `UPDATE jobs SET state = ?, started_at = ? WHERE run = ? AND job = ?`, flow.StatusInProgress, at, run, ev.Job.Key)
	case flow.AttemptCompleted:
		return tx.completeAttempt(ctx, run, ev)
	case flow.JobCompleted:
		return tx.completeJob(ctx, run, ev)
	}
	return err
}

func (tx *Tx) insertJobs(ctx context.Context, run string, plan *flow.Plan) error {
	const columns = 9
	for first := 0; first < len(plan.Jobs); first += insertRows {
		chunk := plan.Jobs[first:min(first+insertRows, len(plan.Jobs))]
		var query bytes.Buffer
		query.WriteString(`INSERT INTO jobs (run, job, place, project, title, host, label, queue, state) VALUES `)
		args := make([]any, 0, columns*len(chunk))
		for i, job := range chunk {
			if i > 0 {
				query.WriteString(", ")
			}
			query.WriteString("(" + marks(columns) + ")")
			args = append(args, run, job.Key, first+i, job.Invocation.Project.Name, job.Title, job.Host, job.Label, job.Queue, flow.StatusQueued)
		}
		query.WriteString(` ON CONFLICT DO NOTHING`)
		if _, err := tx.exec(ctx, query.String(), args...); err != nil {
			return err
		}
	}
	return nil
}

func (tx *Tx) completeAttempt(ctx context.Context, run string, ev *flow.Event) error {
	res := ev.Result
	var tail []byte
	if ev.Log != "" {
		tail = tx.s.pack.pack([]byte(ev.Log))
	}
	_, err := tx.exec(ctx, `UPDATE attempts SET state = ?, conclusion = ?, cause = ?, error = ?, exit_code = ?, completed_at = ?, tail = ?
		WHERE run = ? AND job = ? AND number = ?`,
		flow.StatusCompleted, res.Conclusion, res.Cause, res.Error, res.ExitCode, micros(res.CompletedAt), tail, run, ev.Job.Key, ev.Attempt)
	if err != nil || ev.RetryAt.IsZero() {
		return err
	}
	_, err = tx.exec(ctx, `UPDATE jobs SET state = ?, started_at = 0 WHERE run = ? AND job = ?`, flow.StatusQueued, run, ev.Job.Key)
	return err
}

func (tx *Tx) completeJob(ctx context.Context, run string, ev *flow.Event) error {
	res := ev.Result
	_, err := tx.exec(ctx, `UPDATE jobs SET state = ?, conclusion = ?, cause = ?, error = ?, sha = ?, completed_at = ? WHERE run = ? AND job = ?`,
		flow.StatusCompleted, res.Conclusion, res.Cause, res.Error, res.Commit, micros(ev.Time), run, ev.Job.Key)
	if err != nil {
		return err
	}
	for _, a := range res.Artifacts {
		_, err := tx.exec(ctx, `INSERT INTO artifacts (run, job, file, sha256, bytes, host, queue, job_id) VALUES (?, ?, ?, ?, ?, ?, ?, ?)
			ON CONFLICT (run, job, file) DO UPDATE SET sha256 = excluded.sha256, bytes = excluded.bytes, host = excluded.host, queue = excluded.queue, job_id = excluded.job_id`,
			run, ev.Job.Key, a.File, a.SHA256, a.Bytes, a.Host, a.Queue, a.JobID)
		if err != nil {
			return err
		}
	}
	return nil
}

// concludeJobs gives the jobs the report's last word: those that nothing
// reached have no event, and only now all commits are known.
func (tx *Tx) concludeJobs(ctx context.Context, run string, report *flow.Run) error {
	type last struct{ job, state, sha string }
	rows, err := list(ctx, tx.conn, func(row scanner) (l last, err error) {
		err = row.Scan(&l.job, &l.state, &l.sha)
		return l, err
	}, `SELECT job, state, sha FROM jobs WHERE run = ?`, run)
	if err != nil {
		return err
	}
	have := make(map[string]last, len(rows))
	for _, l := range rows {
		have[l.job] = l
	}
	for i := range report.Jobs {
		j := &report.Jobs[i]
		if l := have[j.Key]; l.state == string(j.Status) && l.sha == j.SHA {
			continue
		}
		_, err := tx.exec(ctx, `UPDATE jobs SET state = ?, conclusion = ?, cause = ?, error = ?, sha = ? WHERE run = ? AND job = ?`,
			j.Status, j.Conclusion, j.Cause, j.Error, j.SHA, run, j.Key)
		if err != nil {
			return err
		}
	}
	return nil
}

func encodeReport(s *Store, report *flow.Run) ([]byte, error) {
	data, err := json.Marshal(report)
	if err != nil {
		return nil, fmt.Errorf("run %s report: %w", report.ID, err)
	}
	return s.pack.pack(data), nil
}

// Report returns the report of a run that has finished. The error wraps
// ErrNotFound when it has none.
func (s *Store) Report(ctx context.Context, run string) (*flow.Run, error) {
	data, err := list(ctx, s.reader(), scanBytes, `SELECT report FROM run_data WHERE run = ? AND report IS NOT NULL`, run)
	if err == nil && len(data) == 0 {
		err = ErrNotFound
	}
	if err != nil {
		return nil, fmt.Errorf("run %s report: %w", run, err)
	}
	plain, err := unpack(data[0])
	if err != nil {
		return nil, fmt.Errorf("run %s report: %w", run, err)
	}
	var report flow.Run
	if err := json.Unmarshal(plain, &report); err != nil {
		return nil, fmt.Errorf("run %s report: %w", run, err)
	}
	return &report, nil
}
