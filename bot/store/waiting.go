package store

import (
	"context"
	"fmt"
)

// WaitingAt returns the runs that wait for an approval of a pull request, of
// all its commits, oldest first, without Spec.
func (tx *Tx) WaitingAt(ctx context.Context, repo string, pull int64) ([]*Run, error) {
	runs, err := list(ctx, tx.conn, scanRun, `SELECT `+runColumns+` FROM runs r
		WHERE r.repo = ? AND r.pull > 0 AND r.pull = ? AND r.state = ? AND r.cancelled_by = '' ORDER BY r.id`, repo, pull, Waiting)
	if err != nil {
		return nil, fmt.Errorf("runs of %s#%d: %w", repo, pull, err)
	}
	return runs, nil
}

// OnHost returns the jobs of all runs that were sent to a host, by URL, and
// have not ended, in the order in which they were sent.
func (s *Store) OnHost(ctx context.Context, host string) ([]Job, error) {
	jobs, err := list(ctx, s.reader(), scanJob, `SELECT `+jobColumns+` FROM runs r JOIN jobs j ON j.run = r.id
		WHERE r.state <> 'completed' AND j.host = ? AND j.attempts > 0 AND j.state <> 'completed' ORDER BY j.queued_at, j.run, j.place`, host)
	if err != nil {
		return nil, fmt.Errorf("jobs on %s: %w", host, err)
	}
	return jobs, nil
}
