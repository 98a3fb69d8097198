package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/cromt/cromt/flow"
)

// Job is a job of a run as it stands.
type Job struct {
	Run         string
	Key         string
	Project     string
	Title       string
	Host        string
	Label       string
	Queue       string
	Status      flow.Status
	Conclusion  flow.Conclusion
	Cause       flow.Cause
	Error       string
	SHA         string
	Attempts    int       // begun so far; 0: it waits for other jobs
	QueuedAt    time.Time // of the last attempt
	StartedAt   time.Time
	CompletedAt time.Time
}

const jobColumns = `j.run, j.job, j.project, j.title, j.host, j.label, j.queue, j.state, j.conclusion, j.cause, j.error, j.sha, j.attempts,
	j.queued_at, j.started_at, j.completed_at`

func scanJob(row scanner) (j Job, err error) {
	var queued, started, completed int64
	err = row.Scan(&j.Run, &j.Key, &j.Project, &j.Title, &j.Host, &j.Label, &j.Queue, &j.Status, &j.Conclusion, &j.Cause, &j.Error, &j.SHA,
		&j.Attempts, &queued, &started, &completed)
	j.QueuedAt, j.StartedAt, j.CompletedAt = fromMicros(queued), fromMicros(started), fromMicros(completed)
	return j, err
}

// Jobs returns the jobs of a run, in its plan's order.
func (s *Store) Jobs(ctx context.Context, run string) ([]Job, error) {
	jobs, err := list(ctx, s.reader(), scanJob, `SELECT `+jobColumns+` FROM jobs j WHERE j.run = ? ORDER BY j.place`, run)
	if err != nil {
		return nil, fmt.Errorf("jobs of run %s: %w", run, err)
	}
	return jobs, nil
}

// Job returns a job of a run. The error wraps ErrNotFound when there is none.
func (s *Store) Job(ctx context.Context, run, job string) (Job, error) {
	j, err := scanJob(s.reader().row(ctx, `SELECT `+jobColumns+` FROM jobs j WHERE j.run = ? AND j.job = ?`, run, job))
	if errors.Is(err, sql.ErrNoRows) {
		err = ErrNotFound
	}
	if err != nil {
		return j, fmt.Errorf("job %s of run %s: %w", job, run, err)
	}
	return j, nil
}

// Attempt is an attempt of a job as it stands.
type Attempt struct {
	Number int
	flow.AttemptReport
}

// Attempts returns the attempts of a job, the first one first.
func (s *Store) Attempts(ctx context.Context, run, job string) ([]Attempt, error) {
	all, err := list(ctx, s.reader(), func(row scanner) (a Attempt, err error) {
		var queued, started, completed int64
		var tail []byte
		err = row.Scan(&a.Number, &a.JobID, &a.Status, &a.Conclusion, &a.Cause, &a.Error, &a.ExitCode, &queued, &started, &completed, &tail)
		if err != nil {
			return a, err
		}
		a.QueuedAt, a.StartedAt, a.CompletedAt = fromMicros(queued), fromMicros(started), fromMicros(completed)
		tail, err = unpack(tail)
		a.Log = string(tail)
		return a, err
	}, `SELECT number, job_id, state, conclusion, cause, error, exit_code, queued_at, started_at, completed_at, tail
		FROM attempts WHERE run = ? AND job = ? ORDER BY number`, run, job)
	if err != nil {
		return nil, fmt.Errorf("attempts of %s in run %s: %w", job, run, err)
	}
	return all, nil
}

// Bar is when an attempt of a job took place.
type Bar struct {
	Job         string
	Number      int
	Status      flow.Status
	Conclusion  flow.Conclusion
	QueuedAt    time.Time
	StartedAt   time.Time // zero: it has not started
	CompletedAt time.Time // zero: it has not ended
}

// Timeline returns all attempts of a run, by the time at which they began.
func (s *Store) Timeline(ctx context.Context, run string) ([]Bar, error) {
	bars, err := list(ctx, s.reader(), func(row scanner) (b Bar, err error) {
		var queued, started, completed int64
		err = row.Scan(&b.Job, &b.Number, &b.Status, &b.Conclusion, &queued, &started, &completed)
		b.QueuedAt, b.StartedAt, b.CompletedAt = fromMicros(queued), fromMicros(started), fromMicros(completed)
		return b, err
	}, `SELECT job, number, state, conclusion, queued_at, started_at, completed_at FROM attempts WHERE run = ?
		ORDER BY CASE WHEN started_at > 0 THEN started_at ELSE queued_at END, job, number`, run)
	if err != nil {
		return nil, fmt.Errorf("timeline of run %s: %w", run, err)
	}
	return bars, nil
}

// Artifact is a file that a job of a run produced.
type Artifact struct {
	Job string
	flow.Artifact
}

// Artifacts returns the artifacts of a run, by job and file.
func (s *Store) Artifacts(ctx context.Context, run string) ([]Artifact, error) {
	all, err := list(ctx, s.reader(), func(row scanner) (a Artifact, err error) {
		err = row.Scan(&a.Job, &a.File, &a.SHA256, &a.Bytes, &a.Host, &a.Queue, &a.JobID)
		return a, err
	}, `SELECT job, file, sha256, bytes, host, queue, job_id FROM artifacts WHERE run = ? ORDER BY job, file`, run)
	if err != nil {
		return nil, fmt.Errorf("artifacts of run %s: %w", run, err)
	}
	return all, nil
}

// Latest returns, for every project that ran at a commit of a repository, its
// jobs in the newest run that had it, by run and place.
func (s *Store) Latest(ctx context.Context, repo, sha string) ([]Job, error) {
	jobs, err := list(ctx, s.reader(), scanJob, `SELECT `+jobColumns+` FROM jobs j JOIN runs r ON r.id = j.run
		WHERE r.repo = ? AND r.sha = ? ORDER BY r.created_at, r.id, j.place`, repo, sha)
	if err != nil {
		return nil, fmt.Errorf("latest of %s at %s: %w", repo, sha, err)
	}
	newest := map[string]string{} // run of each project
	for i := range jobs {
		newest[jobs[i].Project] = jobs[i].Run
	}
	return slices.DeleteFunc(jobs, func(j Job) bool { return newest[j.Project] != j.Run }), nil
}

// Heat is how a job fared on a host lately.
type Heat struct {
	Job       string
	Host      string
	Label     string
	Successes int
	Failures  int // timed out among them
	Retried   int // of the successes: those that took several attempts
}

// Flaky returns how each job of a repository fared on each host over its last
// runs, by job and host.
func (s *Store) Flaky(ctx context.Context, repo string, runs int) ([]Heat, error) {
	heat, err := list(ctx, s.reader(), func(row scanner) (h Heat, err error) {
		err = row.Scan(&h.Job, &h.Host, &h.Label, &h.Successes, &h.Failures, &h.Retried)
		return h, err
	}, `SELECT j.job, j.host, j.label, sum(CASE WHEN j.conclusion = 'success' THEN 1 ELSE 0 END),
			sum(CASE WHEN j.conclusion IN ('failure', 'timed_out') THEN 1 ELSE 0 END),
			sum(CASE WHEN j.conclusion = 'success' AND j.attempts > 1 THEN 1 ELSE 0 END)
		FROM (SELECT id FROM runs WHERE repo = ? ORDER BY created_at DESC, id DESC LIMIT ?) r JOIN jobs j ON j.run = r.id
		WHERE j.conclusion IN ('success', 'failure', 'timed_out') GROUP BY j.job, j.host, j.label ORDER BY j.job, j.host`, repo, runs)
	if err != nil {
		return nil, fmt.Errorf("flaky jobs of %s: %w", repo, err)
	}
	return heat, nil
}

// Durations returns the median time that each job of a repository took to
// succeed over its last runs, by job key.
func (s *Store) Durations(ctx context.Context, repo string, runs int) (map[string]time.Duration, error) {
	times := map[string][]time.Duration{}
	_, err := list(ctx, s.reader(), func(row scanner) (struct{}, error) {
		var job string
		var took int64
		err := row.Scan(&job, &took)
		times[job] = append(times[job], time.Duration(took)*time.Microsecond)
		return struct{}{}, err
	}, `SELECT j.job, j.completed_at - j.started_at FROM (SELECT id FROM runs WHERE repo = ? ORDER BY created_at DESC, id DESC LIMIT ?) r
		JOIN jobs j ON j.run = r.id WHERE j.conclusion = 'success' AND j.started_at > 0`, repo, runs)
	if err != nil {
		return nil, fmt.Errorf("durations of %s: %w", repo, err)
	}
	medians := make(map[string]time.Duration, len(times))
	for job, all := range times {
		slices.Sort(all)
		medians[job] = all[len(all)/2]
	}
	return medians, nil
}
